"""A checkpoint is taken over by its own network only, whatever names and sizes another has, and the error says why."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from refused import refused

from genn_delays import (
    BatchNorm,
    Connection,
    Dense,
    Exponential,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
    UserNeuron,
)
from genn_delays.errors import RunFolderError
from genn_delays.training.identity import describe

SYNAPSES = {"x_a": ("x", "a"), "a_b": ("a", "b"), "b_o": ("b", "o")}


def network(
    ends=SYNAPSES, *, source=None, hidden=None, readout="sum_var", delay=None, seed=0, size=6, limit=None, norm=None,
    bias=0.0, **synapse,
):  # fmt: skip
    """A chain x, a, b, o of equal sizes, or other connections of the same names."""
    found = Network(seed=seed)
    with found:
        x = Population(source or SpikeInput(), 6, name="x")
        a = Population(hidden or LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5), size, name="a", bias=bias)
        b = Population(LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5), 6, name="b", batch_norm=norm)
        o = Population(LeakyIntegrate(readout=readout), 6, name="o")
        members = {"x": x, "a": a, "b": b, "o": o}
        for name, (one, other) in ends.items():
            connectivity = FixedNumber(sparsity=0.5, weight=0.6, delay=delay or UniformInt(0, 4))
            Connection(members[one], members[other], connectivity, name=name, max_delay_steps=limit, **synapse)
    return found


def compiled_network(described, backend="reference", steps=12):
    return SurrogateCompiler(steps, 2, backend=backend).compile(described)


CYCLE = {"x_a": ("x", "a"), "a_b": ("a", "a"), "b_o": ("a", "b"), "back": ("b", "o")}
FORWARD = {"x_a": ("x", "a"), "a_b": ("a", "b"), "b_o": ("b", "o"), "back": ("a", "o")}


@pytest.mark.parametrize("delays", [(0, 4), (1, 4)])
def test_a_feed_forward_checkpoint_is_no_cyclic_network_s(delays, backend, tmp_path):
    """Same names and sizes: delay 0 on a cycle made blocks of 0 steps, and `cpu` hung for good."""
    path, delay = tmp_path / "x.safetensors", UniformInt(*delays)
    compiled_network(network(FORWARD, delay=delay)).save(path)
    cyclic = compiled_network(network(CYCLE, delay=UniformInt(1, 4)), backend)
    with refused(str(path), "another network", "'a_b' leads to population 'b' there and to 'a' here",
                 error=RunFolderError):  # fmt: skip
        cyclic.load(path)
    assert np.isfinite(cyclic.predict({"x": np.ones((2, 12, 6))})[0][cyclic.population("o")]).all()


def test_no_block_of_no_steps(kernels):
    """No spike can be read in the step that has yet to find it; an engine says so."""
    compiled = compiled_network(network(CYCLE, delay=UniformInt(1, 4)), kernels)
    c = next(c for c in compiled.plan.connections if c.name == "a_b")
    state = compiled.engine.state(c.index)
    state.synapses.delay[:] = 0
    compiled.engine.set_state(c.index, state)
    with refused("connection 'a_b' is on a cycle and has a delay of 0 time steps; there delays are at least 1"):
        compiled.predict({"x": np.ones((2, 12, 6))})


JUMP = UserNeuron(vars={"v": ("-v / tau + Isyn", "v - 0.5")}, threshold="v - 0.5", param_vals={"tau": 8.0})
OTHER = UserNeuron(vars={"v": ("-v / tau + Isyn", "v - 0.4")}, threshold="v - 0.5", param_vals={"tau": 8.0})


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        ({}, {"synapse": Exponential(5.0)}, "'x_a' has the synapse 'delta' there and 'exponential' here"),
        ({"limit": 4}, {"limit": 7}, "'x_a' has delays of 0 to 4 time steps there and of 0 to 7 time steps here"),
        ({}, {"ends": {**SYNAPSES, "a_b": ("x", "b")}}, "'a_b' comes from population 'a' there and from 'x' here"),
        ({}, {"source": Input()}, "'x' consists of other neurons: 'spike input' there, 'real-valued input' here"),
        ({}, {"readout": "sum_softmax"}, "'o' has the readout 'sum_var' there and 'sum_softmax' here"),
        ({}, {"norm": True}, "'b' has the batch norm none there and 'epsilon 1e-05' here"),
        ({"norm": True}, {"norm": BatchNorm(epsilon=0.1)}, "'epsilon 1e-05' there and 'epsilon 0.1' here"),
        ({}, {"bias": 0.1}, "'a' has other parameters"),
        ({"hidden": JUMP}, {"hidden": OTHER}, "'a' consists of other neurons: 'dv/dt = -v / tau + Isyn, v -> v - 0.5"),
        ({}, {"seed": 3}, "the network seed is 0 there and 3 here"),
        ({}, {"size": 9}, "population 'a' has 6 neurons there and 9 here"),
        (
            {},
            {"ends": {"x_a": ("x", "a"), "skip": ("a", "o"), "x_b": ("x", "b")}},
            "it has a connection 'a_b' of 18 synapses from 'a' to 'b'; this network has none of that name, its are "
            "'skip', 'x_a', 'x_b'",
        ),
        (
            {},
            {"ends": {**SYNAPSES, "skip": ("a", "o")}},
            "this network has a connection 'skip' of 18 synapses from 'a' to 'o'; it has none of that name, its are "
            "'a_b', 'b_o', 'x_a'",
        ),
    ],
    ids=lambda x: None if isinstance(x, dict) else x[:40],
)  # fmt: skip
def test_another_network_is_told_in_words(there, here, words, tmp_path):
    """Nothing is taken over, and the error says what is there and here: it said "is 409 there and None here"."""
    path = tmp_path / "x.safetensors"
    defaults = {"synapse": "delta"}
    compiled_network(network(**{**defaults, **there})).save(path)
    one = compiled_network(network(**{**defaults, **there}))
    one.load(path)
    with refused(str(path), "another network", words, error=RunFolderError):
        compiled_network(network(**{**defaults, **here})).load(path)


def test_another_length_of_examples(tmp_path):
    path = tmp_path / "x.safetensors"
    compiled_network(network()).save(path)
    with refused("an example lasts 12 time steps there and 15 here", error=RunFolderError):
        compiled_network(network(), steps=15).load(path)


def test_dense_and_sparse_of_one_name(tmp_path):
    """The number of synapses, where all else agrees."""
    path, dense = tmp_path / "x.safetensors", Network()
    compiled_network(network()).save(path)
    with dense:
        members = [Population(p.neuron, p.size, name=p.name) for p in network().populations]
        for one, other in pairwise(members):
            Connection(one, other, Dense(weight=0.6, delay=UniformInt(0, 4)))
    with refused("connection 'x_a' has 18 synapses there and 36 here", error=RunFolderError):
        compiled_network(dense).load(path)


def test_fingerprints_are_those_of_earlier_versions():
    """Checkpoints of versions in which coefficients were called a_v and initial values v_initial are resumed."""
    small = Network(seed=0)
    with small:
        a = Population(Input(), 2, "a")
        o = Population(LeakyIntegrate(tau_mem=4.0, readout="sum_var"), 3, "o")
        Connection(a, o, Dense())
    with SurrogateCompiler(5, backend="reference").compile(small) as compiled:
        found = describe(compiled.plan)["populations"]["o"]["parameters"]
    digest = hashlib.sha256()
    for name, value in (("a_v", 0.75), ("b_v", 1.0), ("v_initial", 0.0)):
        digest.update(name.encode() + np.full(3, value, "<f4").tobytes())
    assert found == digest.hexdigest()[:12]
