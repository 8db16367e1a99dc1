"""NIR graphs of other programs: read and computed alike, or refused by name."""

from __future__ import annotations

import importlib.util
import re

import numpy as np
import pytest
from nir_networks import STEPS, random_network
from nir_steps import Steps

from genn_delays import GennDelaysError, SurrogateCompiler
from genn_delays.callbacks import SpikeRecorder
from genn_delays.export import from_nir, to_nir

INSTALLED = importlib.util.find_spec("nir") is not None
needs_nir = pytest.mark.skipif(not INSTALLED, reason="nir is not installed: pip install '.[nir]'")
pytestmark = pytest.mark.nir
if INSTALLED:
    import nir


def ones(*values: float, size: int = 3) -> tuple[np.ndarray, ...]:
    return tuple(np.full(size, value) for value in values)


def lif(size: int = 3, tau: float = 0.01, r: float = 1.0, v_leak: float = 0.0, **given):
    return nir.LIF(*ones(tau, r, v_leak, 1.0, size=size), **given)


def li(size: int = 3, tau: float = 0.01, r: float = 1.0, v_leak: float = 0.0):
    return nir.LI(*ones(tau, r, v_leak, size=size))


def cuba(size: int = 3, w_in: float = 4.0):
    return nir.CubaLIF(*ones(0.004, 0.01, 2.0, 0.0, 1.0, size=size), w_in=np.full(size, w_in))


def in_out(nodes, edges, size_in: int = 2, size_out: int = 3, **given):
    ends = {"in": nir.Input(np.array([size_in])), "out": nir.Output(np.array([size_out]))}
    return nir.NIRGraph({**ends, **nodes}, edges, **given)


def foreign(name: str):
    """A graph as another program might write it."""
    rng = np.random.default_rng(1)
    w, w3 = rng.normal(size=(3, 2)) * 0.9, rng.normal(size=(3, 3)) * 0.4
    b = np.array([0.3, -0.1, 0.2])
    readout = {"ro": nir.Linear(rng.normal(size=(3, 3))), "li": li()}
    to_out = [("ro", "li"), ("li", "out")]
    delay = nir.Delay(np.array([0.002, 0.0, 0.005]))
    if name == "recurrent":
        delay = nir.Delay(np.array([0.002, 0.001, 0.005]))
        nodes = {"w": nir.Affine(w, b), "lif": lif(r=1.5, v_leak=0.1), "d": delay, "rec": nir.Linear(w3)}
        edges = [("in", "w"), ("w", "lif"), ("lif", "d"), ("d", "rec"), ("rec", "lif"), ("lif", "ro")]
        return in_out({**nodes, **readout}, [*edges, *to_out])
    if name == "cuba":
        nodes = {"w": nir.Affine(w, b), "s": nir.Scale(np.array([2.0, 1.5, 3.0])), "lif": cuba(), "d": delay}
        edges = [("in", "w"), ("w", "s"), ("s", "lif"), ("lif", "d"), ("d", "ro")]
        return in_out({**nodes, **readout}, [*edges, *to_out])
    nodes = {"w": nir.Linear(w), "w2": nir.Affine(w3, b), "d": delay, "lif": lif(r=2.0)}
    edges = [("in", "w"), ("w", "w2"), ("w2", "d"), ("d", "lif"), ("w", "lif"), ("lif", "ro")]
    return in_out({**nodes, **readout}, [*edges, *to_out])


class WithScale(Steps):
    def compute(self, node, name, t):
        return node.scale * self.given(name, t) if isinstance(node, nir.Scale) else super().compute(node, name, t)


@needs_nir
@pytest.mark.parametrize("integration", ["linear_euler", "exact"])
@pytest.mark.parametrize("name", ["recurrent", "cuba"])
def test_graphs_of_other_programs_are_computed_alike(name, integration):
    graph = foreign(name)
    network = from_nir(graph, dt=1.0, integration=integration)
    x = np.random.default_rng(0).random((1, STEPS, 2)).astype(np.float32) * 2
    steps = WithScale(graph, 1e-3, exact=integration == "exact")
    steps.run({"in": x[0]})
    readout = network.outputs[0]
    with SurrogateCompiler(STEPS, 1, backend="reference").compile(network) as compiled:
        z, recorded = compiled.predict({"in": x}, callbacks=[SpikeRecorder("lif")])
    times, neurons = recorded["lif_spikes"]
    ours = {(int(t), int(k)) for t, k in zip(times[0], neurons[0], strict=True)}
    assert ours
    assert steps.spikes("lif") == ours
    np.testing.assert_allclose(z[readout][0], steps.trace["li", STEPS - 1], rtol=1e-4)


@needs_nir
def test_two_matrices_and_a_bias_are_multiplied_out():
    graph = foreign("two_linear")
    c = from_nir(graph, dt=1.0).find("connection", "in_lif")
    w, w2 = graph.nodes["w"].weight, graph.nodes["w2"].weight
    total = np.zeros((6, 3, 2))
    np.add.at(total, (c.synapses.delay, c.synapses.post, c.synapses.pre), c.synapses.weight)
    expected = np.zeros((6, 3, 2))
    for post, delay in enumerate((2, 0, 5)):
        expected[delay, post] += (w2 @ w)[post]
    expected[0] += w
    np.testing.assert_allclose(total, 2 * expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(c.target.bias, 2 * graph.nodes["w2"].bias)


@needs_nir
def test_several_matrices_are_multiplied_before_they_are_synapses():
    """200 x 200 x 200: one by one they would be 8 million ways."""
    rng = np.random.default_rng(0)
    w, w2 = rng.normal(size=(200, 200)), rng.normal(size=(200, 200))
    nodes = {"w": nir.Linear(w), "d": nir.Delay(np.arange(200) % 2 * 0.001), "w2": nir.Linear(w2), "n": lif(200)}
    graph = in_out(nodes, [("in", "w"), ("w", "d"), ("d", "w2"), ("w2", "n"), ("n", "out")], 200, 200)
    s = from_nir(graph, dt=1.0).connections[0].synapses
    assert s.pre.size == 2 * 200 * 200
    for delay in (0, 1):
        found, at = np.zeros((200, 200)), s.delay == delay
        found[s.post[at], s.pre[at]] = s.weight[at]
        np.testing.assert_allclose(found, w2[:, delay::2] @ w[delay::2], rtol=1e-4, atol=1e-4)


@needs_nir
def test_nested_graphs_are_dissolved_and_recurrence_takes_a_step():
    """A recurrent layer as snnTorch exports it."""
    inner = nir.NIRGraph(
        {
            "input": nir.Input(np.array([3])),
            "lif": lif(),
            "w_rec": nir.Linear(np.eye(3)),
            "output": nir.Output(np.array([3])),
        },
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )
    nodes = {"w": nir.Linear(np.ones((3, 2))), "layer": inner}
    network = from_nir(in_out(nodes, [("in", "w"), ("w", "layer"), ("layer", "out")]))
    assert [(c.source.name, c.target.name) for c in network.connections] == [("in", "layer.lif"), ("layer.lif",) * 2]
    assert network.connections[1].synapses.delay.tolist() == [1, 1, 1]
    assert network.outputs[0].neuron.readout == "spike_count"


@needs_nir
def test_integrate_and_fire_is_read():
    """dv/dt = r I with r = 250 a second: a weight of 1 adds 1/4 a step of 1 ms, four steps make a spike."""
    size = np.ones(3)
    nodes = {
        "w": nir.Linear(np.ones((3, 1))),
        "if": nir.IF(250 * size, 1 * size),
        "w2": nir.Linear(np.eye(3)),
        "i": nir.I(1000 * size),
    }
    edges = [("in", "w"), ("w", "if"), ("if", "w2"), ("w2", "i"), ("i", "out")]
    network = from_nir(in_out(nodes, edges, size_in=1))
    with SurrogateCompiler(STEPS, 1, backend="reference").compile(network) as compiled:
        z, recorded = compiled.predict({"in": np.ones((1, STEPS, 1))}, callbacks=[SpikeRecorder("if")])
    assert recorded["if_spikes"][0][0][::3].tolist() == list(range(3, STEPS, 4))
    np.testing.assert_allclose(next(iter(z.values())), STEPS // 4)


@needs_nir
def test_an_edited_node_counts_more_than_its_metadata():
    graph = to_nir(random_network(0))
    graph.nodes["second"].tau *= 2
    graph.nodes["second"].r *= 2
    found = from_nir(graph).find("population", "second").neuron.tau_mem
    np.testing.assert_allclose(found, 18.6)


# --- bad input -------------------------------------------------------------------------------------------------------


def refused_graphs():
    def linear(shape=(3, 2), **nodes):
        return in_out(
            {"w": nir.Linear(np.ones(shape)), **nodes}, [("in", "w"), ("w", "n"), ("n", "out")], type_check=False
        )

    nan = np.ones((3, 2))
    nan[0, 0] = np.nan
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    conv = nir.Conv1d(4, np.ones((3, 2, 1)), 1, 0, 1, 1, np.zeros(3))
    w = nir.Linear(np.eye(3))
    yield "a convolution", linear(n=conv), r"node 'n' of type Conv1d cannot be read; allowed: LIF, CubaLIF, LI"
    yield "pooling", linear(n=pool), r"node 'n' of type SumPool2d cannot be read"
    yield "a threshold", linear(n=nir.Threshold(np.ones(3))), "node 'n' of type Threshold cannot be read"
    yield (
        "an output of a matrix",
        in_out({"w": nir.Linear(np.ones((3, 2)))}, [("in", "w"), ("w", "out")]),
        "'out' of type Output is fed by 'w' of type Linear",
    )
    yield "sizes", linear((4, 2), n=lif()), r"node 'n' of type LIF has 3 neurons, and is given 4 values"
    yield "a matrix's source", linear((3, 5), n=lif()), r"node 'w' takes 5 values, and is given 2"
    yield (
        "three dimensions",
        in_out(
            {"w": nir.Linear(np.ones((1, 3, 2))), "n": lif()}, [("in", "w"), ("w", "n"), ("n", "out")], type_check=False
        ),
        r"'w': weight must be a matrix",
    )
    yield (
        "not a number",
        in_out({"w": nir.Linear(nan), "n": lif()}, [("in", "w"), ("w", "n"), ("n", "out")]),
        "'w': weight must be finite",
    )
    yield "no time constant", linear(n=lif(tau=0.0)), r"node 'n' of type LIF: tau must be above 0, got 0.0"
    yield (
        "numbers for arrays",
        linear(n=nir.LIF(*(np.array(1.0),) * 4)),
        "'n' of type LIF has numbers in place of arrays",
    )
    yield "a reset above the threshold", linear(n=lif(v_reset=np.full(3, 2.0))), "node 'n' of type LIF: .*v_reset"
    yield (
        "a leak of a current",
        linear(n=nir.CubaLI(*ones(0.01, 0.02, 1.0, 0.5))),
        "'n' of type CubaLI: v_leak must be 0",
    )
    yield (
        "no synapses",
        in_out({"w": nir.Linear(np.zeros((3, 2))), "n": lif()}, [("in", "w"), ("w", "n"), ("n", "out")]),
        "by weights of 0 alone",
    )
    chain = {"a": lif(), "b": lif(), "w": nir.Linear(np.ones((3, 2))), "ab": w, "ba": nir.Linear(np.eye(3))}
    cycle = [("in", "w"), ("w", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "a"), ("b", "out")]
    yield "a cycle without a delay", in_out(chain, cycle), "'a' -> 'b' lie on a cycle without a delay"
    nodes = {"w": nir.Linear(np.ones((3, 2))), "n": li(), "w2": w, "m": li()}
    yield (
        "no spikes",
        in_out(nodes, [("in", "w"), ("w", "n"), ("n", "w2"), ("w2", "m"), ("m", "out")]),
        "'n' of type LI leads to 'm': it does not spike",
    )
    nodes = {"w": nir.Linear(np.ones((3, 2))), "d": nir.Delay(np.array([0.001, 0.0015, 0.0])), "n": li()}
    edges = [("in", "w"), ("w", "d"), ("d", "n"), ("n", "out")]
    yield (
        "half a step",
        in_out(nodes, edges),
        "2 of 6 are no whole steps of 1 ms, the first 0.0015 s; give another dt, or round_delays",
    )
    nodes = {"w": nir.Linear(np.ones((3, 2))), "d": nir.Delay(np.full(3, -0.001)), "n": li()}
    yield "a negative delay", in_out(nodes, edges), "'d': delay must be at least 0 s"
    nodes = {"w": nir.Linear(np.ones((3, 2))), "d": nir.Delay(np.full(3, 100.0)), "n": li()}
    yield "a long delay", in_out(nodes, edges), r"delays from 'in' to 'n' must be at most \d+ steps, got 100000"
    nodes = {"w": nir.Linear(np.ones((3, 2))), "x": nir.Linear(np.eye(3)), "n": li()}
    yield (
        "a cycle without neurons",
        in_out(nodes, [("in", "w"), ("w", "x"), ("x", "w"), ("x", "n"), ("n", "out")], type_check=False),
        "cycle without a neuron",
    )
    graph = to_nir(random_network(0))
    graph.metadata["version"] = 2
    yield "a later version", graph, "version 2 of our encoding; this program reads 1"
    graph = to_nir(random_network(0))
    graph.nodes["x_first_1.in"].metadata["neuron"] = np.full(1, 99)
    yield "damaged metadata", graph, "'x_first_1.in': the metadata 'neuron' must be"
    for node, key, value, message in (
        ("x_first_1.in", "population", "nobody", "name the population 'nobody', there is none"),
        ("x_first_1.out", "population", 3, "name the population '3'"),
        ("second", "readout", "argmax", "'second': readout 'argmax'; known"),
        ("second", "integration", "rk4", "'second': integration"),
        ("second", "shape", np.array([3, 3]), r"'shape' \[3, 3\] is not of its 7 neurons"),
        ("second", "index", "first", "is damaged: ValueError: invalid literal"),
        ("x", "name", "second", "two of a network's populations are called 'second'"),
    ):
        graph = to_nir(random_network(0))
        graph.nodes[node].metadata[key] = value
        yield f"{node} {key}", graph, message
    graph = to_nir(random_network(0))
    del graph.nodes["x_first_1.out"].metadata["population"]
    yield "no population", graph, "is damaged: KeyError: 'population'"


@needs_nir
def test_what_cannot_be_read_is_named():
    for what, graph, message in refused_graphs():
        with pytest.raises(GennDelaysError) as found:
            from_nir(graph, dt=1.0)
        assert re.search(message, str(found.value)), f"{what}: {found.value}"


@needs_nir
def test_delays_need_a_time_step_and_may_be_rounded():
    nodes = {"w": nir.Linear(np.ones((3, 2))), "d": nir.Delay(np.array([0.001, 0.0016, 0.0])), "n": li()}
    graph = in_out(nodes, [("in", "w"), ("w", "d"), ("d", "n"), ("n", "out")])
    with pytest.raises(
        GennDelaysError, match="type Delay needs the length of a time step, which the graph does not say"
    ):
        from_nir(graph)
    network = from_nir(graph, dt=1.0, round_delays=True)
    assert network.connections[0].synapses.delay.tolist() == [1, 1, 2, 2, 0, 0]
    for wrong in (
        {"dt": 0.0},
        {"dt": "1"},
        {"round_delays": 1},
        {"integration": "rk4", "dt": 1.0, "round_delays": True},
    ):
        with pytest.raises(GennDelaysError, match=next(iter(wrong))):
            from_nir(graph, **wrong)
    with pytest.raises(GennDelaysError, match=r"from_nir needs a nir.NIRGraph, got dict"):
        from_nir({})
