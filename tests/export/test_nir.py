"""NIR graphs written, read back and computed elsewhere. These files need no other of the tests."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from nir_networks import STEPS, activity, data, random_network
from nir_steps import Steps

from genn_delays import (
    Adam,
    AdaptiveLeakyIntegrateFire,
    Alpha,
    Connection,
    DeepR,
    FixedNumber,
    GennDelaysError,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    Sparse,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.export import library, quantise, read, to_nir, write

INSTALLED = importlib.util.find_spec("nir") is not None
needs_nir = pytest.mark.skipif(not INSTALLED, reason="nir is not installed: pip install '.[nir]'")
pytestmark = pytest.mark.nir
if INSTALLED:
    import nir


def check_same(one, other) -> None:
    assert one[0].keys() == other[0].keys()
    for name, value in one[0].items():
        np.testing.assert_array_equal(value, other[0][name])
    assert one[1].keys() == other[1].keys()
    for key, (times, neurons) in one[1].items():
        assert sum(map(len, times)) > 0, f"{key} is silent and shows nothing"
        for example, found in enumerate(times):
            np.testing.assert_array_equal(found, other[1][key][0][example])
            np.testing.assert_array_equal(neurons[example], other[1][key][1][example])


@needs_nir
@pytest.mark.parametrize("seed", range(10))
def test_spikes_are_identical_after_a_round_trip(seed, tmp_path):
    network, dt = random_network(seed), 0.5 if seed in (2, 3) else 1.0
    before = activity(network, dt)
    for encoding in ("sparse", "dense"):
        write(tmp_path / "graph.nir", network, dt=dt, encoding=encoding)
        nir.read(tmp_path / "graph.nir")  # NIR's own check of types
        again = read(tmp_path / "graph.nir")
        assert [c.name for c in again.connections] == [c.name for c in network.connections]
        check_same(before, activity(again, dt))


@needs_nir
@pytest.mark.parametrize("seed", range(10))
def test_dense_graphs_spike_alike_under_nirs_own_equations(seed):
    """Computed by `nir_steps`, which knows NIR's nodes alone."""
    network, dt = random_network(seed), 0.5 if seed in (2, 3) else 1.0
    _, recorded = activity(network, dt)
    graph = to_nir(network, dt=dt, encoding="dense")
    for example in range(2):
        steps = Steps(graph, dt * 1e-3, exact=seed % 3 == 1)
        steps.run({"x": data(network)["x"][example]})
        for p, node in (("first/1", "first_1"), ("second", "second")):
            times, neurons = recorded[f"{p}_spikes"]
            ours = {(round(t / dt), int(k)) for t, k in zip(times[example], neurons[example], strict=True)}
            assert steps.spikes(node) == ours


@needs_nir
def test_sparse_synapses_do_not_become_dense(tmp_path):
    """20,000 x 20,000 neurons: a matrix would be 1.6 GB."""
    import tracemalloc

    rng, count = np.random.default_rng(0), 20_000
    with Network() as network:
        x, y = Population(SpikeInput(), (100, 200), "x"), Population(LeakyIntegrate(readout="sum_var"), 20_000, "y")
        pre, post = rng.integers(0, 20_000, count), rng.permutation(20_000)
        Connection(x, y, Sparse(pre, post, rng.normal(size=count), rng.integers(0, 500, count)))
    tracemalloc.start()
    write(tmp_path / "graph.nir", network)
    again = read(tmp_path / "graph.nir")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6
    assert again.find("population", "x").shape == (100, 200)
    assert (tmp_path / "graph.nir").stat().st_size < 60 * count
    for mine, read_back in zip(network.connections[0].synapses, again.connections[0].synapses, strict=True):
        np.testing.assert_array_equal(mine, read_back)


@needs_nir
@pytest.mark.parametrize("encoding", ["sparse", "dense"])
def test_whole_numbers_of_quantised_weights_are_in_the_file(encoding, tmp_path):
    network = random_network(4)
    write(tmp_path / "graph.nir", quantise(network, bits=6), encoding=encoding)
    for node in nir.read(tmp_path / "graph.nir").nodes.values():
        if type(node).__name__ in ("Scale", "Linear"):
            values = node.scale if isinstance(node, nir.Scale) else node.weight
            steps = values / float(node.metadata["weight_scale"])
            assert int(node.metadata["weight_bits"]) == 6 and np.abs(steps - np.rint(steps)).max() < 1e-4


@needs_nir
def test_a_trained_network_is_exported_as_it_evaluates(tmp_path):
    """Batch norm, dropout, a delay kernel and rewired synapses: what evaluation computes, but for rounding."""
    with Network(seed=3) as network:
        x = Population(Input(), 12, "x")
        h = Population(LeakyIntegrateFire(tau_mem=10.0), 20, "h", batch_norm=True, dropout=0.2)
        y = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_var"), 4, "y")
        rule = FixedNumber(sparsity=0.5, delay=UniformInt(0, 6))
        Connection(x, h, rule, delay_kernel="gaussian", max_delay_steps=6)
        Connection(h, y, rule)
    rng = np.random.default_rng(0)
    inputs, labels = rng.random((32, STEPS, 12)).astype(np.float32), rng.integers(0, 4, 32)
    learned = {"all_connections": {"weight": Adam(0.01)}, "x_h": {"delay": Adam(0.5)}}
    compiler = SurrogateCompiler(STEPS, 16, backend="reference", dt=0.5)
    with compiler.compile(network, optimisers=learned, rewiring={"h_y": DeepR(l1=0.1)}) as compiled:
        compiled.train({x: inputs}, {y: labels}, 2, callbacks=[])
        z, _ = compiled.predict({x: inputs})
        write(tmp_path / "graph.nir", compiled)
        trained = compiled.synapses("h_y")
        with pytest.raises(
            GennDelaysError, match=r"dt must be that of the compiled network, 0.5 ms, or left out; got 1"
        ):
            to_nir(compiled, dt=1.0)
    again = read(tmp_path / "graph.nir")
    np.testing.assert_array_equal(trained.weight, again.connections[1].synapses.weight)
    with compiler.compile(again) as compiled:
        found, _ = compiled.predict({"x": inputs})
    np.testing.assert_allclose(found[again.find("population", "y")], z[y], rtol=1e-4, atol=1e-4)


@needs_nir
@pytest.mark.parametrize(
    ("neuron", "synapse", "given", "message"),
    [
        (
            AdaptiveLeakyIntegrateFire(),
            "delta",
            {},
            "population 'h' of AdaptiveLeakyIntegrateFire cannot be carried by NIR",
        ),
        (LeakyIntegrateFire(), Alpha(2.0), {}, "connection 'x_h' with Alpha synapses cannot be carried"),
        (LeakyIntegrateFire(relative_reset=True), "delta", {}, "population 'h' has relative_reset, which NIR cannot"),
        (LeakyIntegrateFire(tau_refrac=2.0), "delta", {}, "population 'h' has tau_refrac"),
        (LeakyIntegrateFire(input_latency=1), "delta", {}, "population 'h' has input_latency 1"),
        (LeakyIntegrateFire(v=0.5), "delta", {}, "population 'h' has an initial potential"),
        (LeakyIntegrateFire(), "delta", {"batch_norm": True}, "'h' has batch_norm, .* export the compiled network"),
    ],
)
def test_what_nir_cannot_carry_is_named(neuron, synapse, given, message, tmp_path):
    with Network() as network:
        x, h = Population(SpikeInput(), 3, "x"), Population(neuron, 4, "h", **given)
        y = Population(LeakyIntegrate(readout="sum_var"), 2, "y")
        Connection(x, h, FixedNumber(sparsity=0.5), synapse)
        Connection(h, y, FixedNumber(sparsity=0.5))
    with pytest.raises(GennDelaysError, match=message):
        write(tmp_path / "graph.nir", network)
    assert list(tmp_path.iterdir()) == []


@needs_nir
def test_wrong_arguments_and_files(tmp_path):
    network, place = random_network(0), tmp_path / "graph.nir"
    with pytest.raises(GennDelaysError, match=r"unknown encoding 'ragged'; known: dense, sparse"):
        to_nir(network, encoding="ragged")
    with pytest.raises(GennDelaysError, match=r"an export needs a Network, .* got 3"):
        to_nir(3)
    with pytest.raises(GennDelaysError, match="dt must lie in"):
        to_nir(network, dt=-1.0)
    with pytest.raises(GennDelaysError, match=r"there is no NIR file .*graph.nir"):
        read(place)
    place.write_text("no graph")
    with pytest.raises(GennDelaysError, match=r"graph.nir cannot be read as a NIR graph: OSError"):
        read(place)
    with pytest.raises(GennDelaysError, match="cannot write"):
        write(tmp_path, network)
    long = tmp_path / ("a" * 245)  # there is no room for the name of the temporary file
    with pytest.raises(GennDelaysError, match=f"cannot write {long}: File name too long"):
        write(long, network)
    assert list(tmp_path.iterdir()) == [place]


@needs_nir
def test_a_dense_export_that_is_too_large_is_refused(monkeypatch):
    from genn_delays import memory

    monkeypatch.setattr(memory, "host_memory", lambda: (10_000_000, "which has"))
    with Network() as network:
        x, y = Population(SpikeInput(), 3000, "x"), Population(LeakyIntegrate(readout="sum_var"), 3000, "y")
        Connection(x, y, Sparse([0, 1], [5, 6], 1.0, [3, 4]))
    with pytest.raises(GennDelaysError, match="its matrices of connection 'x_y' 72 MB"):
        to_nir(network, encoding="dense")
    to_nir(network)


def test_without_nir_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(GennDelaysError, match=r"need the package nir, .*pip install 'genn-delays\[nir\]'") as found:
        to_nir(random_network(0))
    assert isinstance(found.value.__cause__, ImportError)


def test_another_version_of_nir_is_refused(monkeypatch):
    import types

    monkeypatch.setitem(sys.modules, "nir", types.SimpleNamespace(__version__="0.2"))
    with pytest.raises(GennDelaysError, match=r"got version '0.2'"):
        library.load_nir()
