"""Delay kernels over many lags on ``cpu``: their own forms of the passes over synapses, against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from networks import largest_difference
from rewired import assert_same_state, rewire, small_network

from genn_delays import (
    CPU,
    Adam,
    CompiledNetwork,
    Connection,
    DeepR,
    FixedNumber,
    GaussianKernel,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SurrogateCompiler,
    TriangleKernel,
    UniformInt,
)
from genn_delays.backends.cpu.engine import WIDE, tile_lanes
from genn_delays.codegen.emit import SPAN

LAGS = 25


def wide_network(*, recurrent: bool, kernel: object, sizes: tuple[int, int, int] = (6, 9, 3)) -> Network:
    """Real-valued inputs and spikes that a kernel spreads; on the cycle delays are long, so blocks have many steps."""
    network = Network(seed=3)
    with network:
        a = Population(Input(), sizes[0], name="in")
        h = Population(LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5), sizes[1], name="hidden")
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), sizes[2], name="out")
        for source, target, low in ((a, h, 0), (h, o, 0), *(((h, h, 20),) if recurrent else ())):
            delay = UniformInt(low, low + LAGS - 1)
            synapses = FixedNumber(sparsity=0.4, weight=KaimingUniform(gain=3.0), delay=delay)
            Connection(source, target, synapses, delay_kernel=kernel)
    return network


def data(network: Network, steps: int, count: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    random = np.random.default_rng(7)
    x = random.normal(0.3, 1.0, (count, steps, network.populations[0].size)).astype(np.float32)
    return {"in": x}, {"out": random.integers(0, network.populations[2].size, count)}


def passes(compiled: CompiledNetwork, steps: int, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Gradients of weights and delays, and the spikes of the last batch."""
    given = data(compiled.network, steps, count)
    gradients = [*compiled.gradients(*given)[1].values(), *compiled.gradients(*given, "delay")[1].values()]
    return gradients, [compiled.engine.spikes(1)]


def compiled_for(network: Network, steps: int, lanes: int, backend: object, growth: str = "random") -> CompiledNetwork:
    compiler = SurrogateCompiler(steps, lanes, backend=backend, rng_seed=5)
    optimisers = {"all_connections": {"weight": Adam(1e-3), "delay": Adam(0.1)}}
    return compiler.compile(network, optimisers=optimisers, rewiring={"all_connections": DeepR(growth=growth)})


@pytest.mark.parametrize(
    "kernel", [GaussianKernel(sigma=12.0), GaussianKernel(sigma=2.0), TriangleKernel(sigma=9.0)], ids=repr
)
@pytest.mark.parametrize("recurrent", [False, True], ids=["forward", "recurrent"])
@pytest.mark.parametrize(("steps", "lanes"), [(48, 32), (53, 16), (64, 48), (50, 13)])
def test_many_lags_are_the_definition(steps: int, lanes: int, recurrent: bool, kernel: object) -> None:
    """Whole blocks of 16 steps by 16 lanes, steps and lanes that are left over, and blocks of a cycle."""
    network = wide_network(recurrent=recurrent, kernel=kernel)
    with compiled_for(network, steps, lanes, CPU(threads=2)) as one:
        gradients, spikes = passes(one, steps, lanes + 3)
    expected, expected_spikes = passes(compiled_for(network, steps, lanes, "reference"), steps, lanes + 3)
    assert spikes[0].mean() > 0.02
    np.testing.assert_array_equal(spikes, expected_spikes)
    for a, b in zip(gradients, expected, strict=True):
        assert largest_difference(a, b) < 1e-5


@pytest.mark.parametrize("sigma", [12.0, 2.0, 0.5])
def test_no_bit_depends_on_the_form_of_a_row(sigma: float) -> None:
    """By count, where a wide kernel makes rows busy at fewer spikes; all in events; all dense."""
    found = []
    for busy in (None, 2.0, -1.0):
        with compiled_for(wide_network(recurrent=False, kernel=GaussianKernel(sigma=sigma)), 48, 32, "cpu") as one:
            if busy is not None:
                one.engine.busy = busy  # type: ignore[attr-defined]
            gradients, spikes = passes(one, 48, 32)
            wide = busy != 2.0 and 10 * one.engine._net.c[1].width >= WIDE[0]  # type: ignore[attr-defined]
            assert one.engine._net.whole[1].busy == (WIDE[1] if wide else 1)  # type: ignore[attr-defined]
            one.predict(data(one.network, 48, 32)[0])
            assert one.engine._net.whole[1].busy == 1  # type: ignore[attr-defined]
            found.append(gradients + spikes)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


SHORT, LONG = 3, 2 * SPAN // 16 + 5


@pytest.mark.parametrize("sigma", [0.5, 2.0, 12.0])
@pytest.mark.parametrize("lanes", [SHORT, 16, LONG])
def test_slots_scored_in_spans_are_the_definition(lanes: int, sigma: float) -> None:
    """Rows shorter than a span, of whole spans, and of some spans and a part that is no whole number of lanes."""
    assert SHORT * 16 < SPAN and 16 * 16 % SPAN == 0 and LONG * 16 > 2 * SPAN and LONG * 16 % SPAN % 16 == 0
    states = []
    for backend in (CPU(threads=2), "reference"):
        network = small_network(kernel=GaussianKernel(sigma=sigma), kernel_count=2)
        engine = condemned(network, lanes, 16, backend)
        assert sum(rewire(engine, 0).values()) > 10
        states.append(engine)
    for c in network.connections:
        assert_same_state(*states, c.index)


def condemned(network: Network, lanes: int, steps: int, backend: object):
    """The engine of a network that has seen a batch, with a quarter of its synapses ready to be dropped."""
    compiled = compiled_for(network, steps, lanes, backend, "gradient")
    compiled.gradients(*data(network, steps, lanes))
    for c in compiled.plan.connections:
        state = compiled.engine.state(c.index)
        state.synapses.weight[np.argsort(np.abs(state.synapses.weight))[: c.size // 4]] *= 0.0  # keeps its sign
        compiled.engine.set_state(c.index, state)
    return compiled.engine


def test_scores_add_up_over_tiles_and_do_not_depend_on_threads() -> None:
    """Three tiles, the last a small one, 17 steps: rows are no whole number of lanes of 16."""
    lanes = 2 * tile_lanes(17, 1000) + 3
    network, found = small_network(kernel=GaussianKernel(sigma=2.0)), []
    for backend in (CPU(threads=1), CPU(threads=3), "reference"):
        engine = condemned(network, lanes, 17, backend)
        rewire(engine, 0)
        found.append(engine)
    for other in found[1:]:
        for c in network.connections:
            assert_same_state(found[0], other, c.index)


def test_pieces_of_slots() -> None:
    """Some 80,000 free slots, more than are scored at once; growth is that of the reference."""
    network, found = Network(seed=4), []
    with network:
        a = Population(Input(), 90, name="in")
        h = Population(LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5), 900, name="hidden")
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), 3, name="out")
        for source, target in ((a, h), (h, o)):
            synapses = FixedNumber(sparsity=0.99, weight=KaimingUniform(gain=3.0), delay=UniformInt(0, 3))
            Connection(source, target, synapses, delay_kernel=GaussianKernel(sigma=0.5))
    for backend in ("cpu", "reference"):
        engine = condemned(network, 2, 8, backend)
        rewire(engine, 0)
        found.append(engine)
    assert_same_state(*found, 0)
