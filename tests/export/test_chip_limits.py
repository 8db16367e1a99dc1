"""What chips refuse, counted; quantised weights, shortened delays, and the receipt. Nothing here needs nir."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from genn_delays import (
    Adam,
    Connection,
    DeepR,
    Exponential,
    FixedNumber,
    GennDelaysError,
    Input,
    Izhikevich,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    Sparse,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.export import TARGETS, check_target, deploy, quantise

GRID = 1 / 127


def small(delay, weight, *, neuron=None, synapse="delta", source=None, size=4, pre=None, post=None):
    """A network a -> b of explicit synapses, by default one onto each neuron of b."""
    with Network() as network:
        a = Population(source or SpikeInput(), size, "a")
        b = Population(neuron or LeakyIntegrateFire(readout="spike_count"), size, "b")
        index = np.arange(size)
        Connection(a, b, Sparse(index if pre is None else pre, index if post is None else post, weight, delay), synapse)
    return network


def found(network, target):
    return {(f.where, f.limit): f for f in check_target(network, target).findings if f.refused}


def test_long_delays_are_counted():
    network = small([62, 63, 70, 0], GRID * np.array([1, 2, 3, 127]))
    (finding,) = found(network, "loihi2").values()
    assert str(finding) == (
        "refused: connection 'a_b': 2 of 4 synapses have delays of 63 to 70 steps; Loihi 2 has at most 62"
    )
    assert (finding.count, finding.total, finding.limit) == (2, 4, "max_delay_steps")
    assert "lava-dl" in finding.source
    assert found(small([62, 0, 1, 2], GRID * np.array([1, 2, 3, 127])), "loihi2") == {}
    assert found(small([62, 0, 1, 2], 1.0), "xylo")["connection 'a_b'", "max_delay_steps"].count == 3


def test_weights_off_the_grid_are_counted():
    network = small(0, GRID * np.array([127, -126.4, 3, 0.2]))
    assert found(network, "loihi2")["connection 'a_b'", "weight_bits"].count == 2
    made = quantise(network)
    assert np.allclose(made.network.connections[0].synapses.weight, GRID * np.array([127, -126, 3, 0]))
    for target in TARGETS:
        assert ("connection 'a_b'", "weight_bits") not in found(made, target)
    assert ("connection 'a_b'", "weight_bits") in found(quantise(network, bits=10), "loihi2")
    assert quantise(network, bits=4).scales["a_b"] == (4, pytest.approx(1 / 7))
    assert found(quantise(network, bits=4), "loihi2") == {}  # a coarser grid fits as well
    assert found(small(0, 0.0), "loihi2") == {}


def test_fans_and_sizes_are_counted():
    with Network() as network:
        a = Population(SpikeInput(), 4100, "a")
        b = Population(LeakyIntegrateFire(relative_reset=True), 66, "b")
        y = Population(LeakyIntegrateFire(relative_reset=True, readout="spike_count"), 9, "y")
        post = np.repeat([3, 5], 4100)
        Connection(a, b, Sparse(np.tile(np.arange(4100), 2), post, 1.0, 0), Exponential(5.0))
        Connection(b, y, FixedNumber(sparsity=0.0, weight=1.0), Exponential(5.0))
        Connection(b, b, Sparse(np.zeros(66, int), np.arange(66), 1.0, 1), Exponential(5.0))
    (fan,) = found(network, "loihi2").values()
    assert (fan.where, fan.limit, fan.count, fan.total) == ("population 'b'", "fan_in", 2, 66)
    assert "2 of 66 neurons have 4,101 incoming synapses; Loihi 2 has at most 4,096 a neuron" in fan.text
    xylo = found(network, "xylo")
    assert set(xylo) == {
        ("population 'b'", "fan_out"), ("network", "inputs"), ("network", "outputs"),
        ("connection 'b_b'", "max_delay_steps"),
    }  # fmt: skip
    assert xylo["population 'b'", "fan_out"].count == 1
    assert xylo["network", "inputs"].text == "4,100 input neurons; Xylo (XyloAudio 2) has at most 16"


def test_spinnaker2_has_one_delay_and_no_readouts():
    network = small([1, 1, 1, 4], 1.0, neuron=LeakyIntegrate(readout="sum_var"), source=Input())
    s2 = found(network, "spinnaker2")
    assert set(s2) == {
        ("network", "delays"), ("population 'b'", "readouts"), ("population 'a'", "real_inputs")
    }  # fmt: skip
    assert s2["network", "delays"].count == 1
    assert "commonest, 1 steps; there are 2 different delays" in s2["network", "delays"].text
    loihi = check_target(network, "loihi2")
    assert not loihi.refused and "graded spikes" in str(loihi)


def test_neurons_resets_and_synapses_are_named():
    xylo = found(small(0, 1.0), "xylo")
    assert xylo["population 'b'", "reset"].text.startswith("its reset is absolute; Xylo")
    assert xylo["population 'b'", "synapse"].text == "Delta synapses lead to it; Xylo (XyloAudio 2) has Exponential"
    with Network() as network:
        a, b = Population(SpikeInput(), 3, "a"), Population(Izhikevich(), 3, "b", batch_norm=True)
        Connection(a, b, FixedNumber(sparsity=0.5, weight=1.0))
    assert {limit for _, limit in found(network, "loihi2")} == {"neuron", "batch_norm"}


def test_limits_have_sources():
    for target in TARGETS.values():
        limits = [value for value in vars(target).values() if hasattr(value, "source")]
        assert limits and all(limit.source and limit.value >= 0 for limit in limits)


def test_an_unknown_target_is_refused():
    with pytest.raises(GennDelaysError, match=r"unknown target 'loihi'; known: loihi2, spinnaker2, xylo. Did you mean"):
        check_target(small(0, 1.0), "loihi")
    with pytest.raises(GennDelaysError, match="an export needs a Network"):
        check_target("a.nir", "loihi2")


def trained(dale: bool = False):
    """A compiled network after some steps of DEEP R."""
    with Network(seed=2) as network:
        x = Population(SpikeInput(), 20, "x")
        h = Population(LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.6), 24, "h")
        y = Population(LeakyIntegrate(tau_mem=8.0, readout="sum_var"), 4, "y")
        rule = FixedNumber(sparsity=0.6, weight=KaimingUniform(), delay=UniformInt(0, 80))
        Connection(x, h, rule)
        Connection(h, y, rule)
    compiler = SurrogateCompiler(100, 8, backend="reference")
    rules = {"all_connections": DeepR(l1=0.05, dale=dale)}
    compiled = compiler.compile(network, optimisers={"all_connections": Adam(0.01)}, rewiring=rules)
    rng = np.random.default_rng(0)
    data = (rng.random((16, 100, 20)) < 0.1).astype(np.float32), rng.integers(0, 4, 16)
    compiled.train({x: data[0]}, {y: data[1]}, 2, callbacks=[])
    return compiler, compiled, data


def test_no_synapse_of_deep_r_changes_its_sign():
    compiler, compiled, (x, y) = trained()
    with compiled:
        for bits in (8, 4, 2):
            made = quantise(compiled, bits=bits)
            for c in compiled.network.connections:
                before, after = compiled.synapses(c), made.network.find("connection", c.name).synapses
                for name in ("pre", "post", "delay"):
                    np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
                np.testing.assert_array_equal(np.signbit(before.weight), np.signbit(after.weight))
                scale = made.scales[c.name].scale
                assert np.abs(after.weight / scale).max() == pytest.approx(2 ** (bits - 1) - 1)
                assert np.abs(after.weight - before.weight).max() <= 0.5001 * scale
                zeros = int(((after.weight == 0) & (before.weight != 0)).sum())
                told = [ch.count for ch in made.changes if ch.where == f"connection {c.name!r}" and "to 0" in ch.kind]
                assert told == ([zeros] if zeros else [])
        before, _ = compiled.evaluate({"x": x}, {"y": y})
        network, receipt = deploy(compiled, name="small", target="loihi2", bits=8, max_delay=62)
        with compiler.compile(network) as exported:
            after, _ = exported.evaluate({"x": x}, {"y": y})
    receipt = receipt.evaluated(before, after, len(y))
    tables = json.loads(receipt.json())
    assert tables["accuracy_before"] == before.accuracy and tables["accuracy_after"] == after.accuracy
    assert not receipt.refused and not tables["refused"]
    assert {ch.kind for ch in receipt.changes} >= {"weights quantised", "delays clipped"}
    for line in (r"small: 48 neurons, 230 synapses", r"test accuracy +\d+\.\d\d % before", r"loihi2 +refuses nothing"):
        assert re.search(line, str(receipt)), str(receipt)


def test_delays_are_clipped_or_rescaled_only_where_asked():
    network = small([0, 1, 60, 100], 1.0)
    delays = {
        "none": quantise(network).network.connections[0].synapses.delay.tolist(),
        "clip": quantise(network, bits=None, max_delay=50).network.connections[0].synapses.delay.tolist(),
        "rescale": quantise(network, max_delay=20, delays="rescale").network.connections[0].synapses.delay.tolist(),
    }
    assert delays == {"none": [0, 1, 60, 100], "clip": [0, 1, 50, 50], "rescale": [0, 1, 12, 20]}
    (change,) = quantise(network, bits=None, max_delay=50).changes
    assert str(change) == "connection 'a_b': delays clipped, 2 of 4: delays of 51 to 100 steps to 50"
    assert quantise(network, bits=None, max_delay=100).changes == ()
    assert network.connections[0].synapses.delay.tolist() == [0, 1, 60, 100]


def test_weights_of_zero_have_no_grid():
    made = quantise(small(0, 0.0))
    assert made.scales == {} and not made.network.connections[0].synapses.weight.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 1}, r"bits must be from 2 to 16, got 1"),
        ({"bits": 8.0}, r"bits must be a whole number from 2 to 16, got 8\.0"),
        ({"max_delay": 0}, r"max_delay must be from 1 to \d+, got 0"),
        ({"delays": "cut", "max_delay": 5}, r"unknown delays 'cut'; known: clip, rescale"),
        ({"target": "akida"}, r"unknown target 'akida'"),
        ({"encoding": "csr"}, r"unknown encoding 'csr'; known: dense, sparse"),
        ({"dt": 0}, r"dt must lie in \(0, inf\), got 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(GennDelaysError, match=message):
        deploy(small(0, 1.0), **arguments)


def test_batch_norm_needs_a_compiled_network():
    with Network() as network:
        a = Population(SpikeInput(), 3, "a")
        b = Population(LeakyIntegrateFire(readout="spike_count"), 3, "b", batch_norm=True)
        Connection(a, b, FixedNumber(sparsity=0.5))
    with pytest.raises(GennDelaysError, match="'b' has batch_norm: quantise the compiled network"):
        quantise(network)
