"""Training ends with an error that names what is no number any more, where losses alone would not tell."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from refused import refused
from small_eventprop import small

from genn_delays import (
    SGD,
    Adam,
    AdamW,
    ArcTan,
    Checkpoint,
    Connection,
    DeepR,
    Dense,
    EventPropCompiler,
    FixedNumber,
    GaussianKernel,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
    UserNeuron,
)
from genn_delays.errors import TrainingError
from genn_delays.plan.finite import not_finite

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")  # NumPy's, of the reference

X = {"in": np.random.default_rng(7).random((12, 40, 6)).astype(np.float32)}
Y = {"out": np.arange(12) % 3}
SQUARED = UserNeuron(vars={"v": ("-v / tau + Isyn", "v**2")}, threshold="v - 0.5", param_vals={"tau": 8.0})
LIF = LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5)


def network(hidden=LIF, source=None, weight=0.8, norm=None, kernel=None, recurrent=None):
    found = Network(seed=4)
    with found:
        a = Population(source or Input(), 6, name="in")
        h = Population(hidden, 8, name="hidden", batch_norm=norm)
        o = Population(LeakyIntegrate(readout="sum_softmax"), 3, name="out")
        sparse = FixedNumber(sparsity=0.3, weight=Normal(weight, 0.5), delay=UniformInt(0, 5))
        Connection(a, h, sparse, delay_kernel=kernel)
        if recurrent is not None:
            Connection(h, h, FixedNumber(sparsity=0.3, weight=Normal(0.0, recurrent), delay=UniformInt(1, 5)))
        Connection(h, o, Dense(delay=UniformInt(0, 2)))
    return found


def compiled_network(described, backend, optimiser=None, steps=40, **arguments):
    learned = {"optimisers": {"all_connections": Adam() if optimiser is None else optimiser}} | arguments
    return SurrogateCompiler(steps, 4, backend=backend).compile(described, **learned)


@pytest.mark.parametrize(
    ("described", "optimiser", "scale"),
    [
        (lambda: network(SQUARED), Adam(), 1.0),  # a jump that outgrows every number
        (lambda: network(SQUARED), Adam(1e30), 1.0),
        (network, AdamW(1e38), 1.0),
        (network, SGD(1e38), 1.0),
        (lambda: network(weight=-0.2), SGD(), 3e38),  # inputs near the largest number
        (lambda: network(weight=-0.2, recurrent=1.0), Adam(), 3e38),
        (lambda: network(LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5, relative_reset=True)), Adam(), 3e38),
    ],
    ids=["jump", "adam", "adam_w", "sgd", "inputs", "recurrent", "relative"],
)
def test_nan_is_told_and_named(described, optimiser, scale, backend):
    """The loss stayed ln 3 and training went on: now the first epoch ends it, and says whose weight or variable."""
    compiled = compiled_network(described(), backend, optimiser)
    with pytest.raises(TrainingError) as caught:
        compiled.train({"in": X["in"] * np.float32(scale)}, Y, 3, callbacks=())
    message = str(caught.value)
    assert "\n" not in message and "not finite" in message
    assert "connection 'in_hidden'" in message or "population '" in message or "connection 'hidden_out'" in message
    assert "after epoch 1 (the first is 1)" in message or "(0 whole epochs)" in message
    assert compiled.epoch == 0


def test_the_first_bad_epoch_is_named(backend):
    """Two good epochs, then inputs that no number holds: it is the third that is named."""
    compiled = compiled_network(network(SQUARED, weight=0.0), backend)
    compiled.train({"in": X["in"] * np.float32(1e-3)}, Y, 2, callbacks=())
    with refused("after epoch 3", "'hidden'", error=TrainingError):
        compiled.train({"in": X["in"] * np.float32(3e38)}, Y, 4, callbacks=())
    assert compiled.epoch == 2


@pytest.mark.parametrize("backend", ["cpu", "reference"])  # a thousand blocks of a step, too many for the others' tests
def test_a_recurrent_network_whose_gradients_overflow(backend):
    """Over 1,000 steps, unclipped: it went silent and reported the loss of guessing."""
    described = Network(seed=4)
    with described:
        a = Population(SpikeInput(), 6, name="in")
        h = Population(LeakyIntegrateFire(tau_mem=20.0, v_thresh=1.0), 16, name="hidden")
        o = Population(LeakyIntegrate(tau_mem=20.0, readout="sum_softmax"), 10, name="out")
        Connection(a, h, Dense(weight=Normal(0.0, 0.3)))
        Connection(h, h, Dense(weight=Normal(0.0, 1.0), delay=UniformInt(1, 3)))
        Connection(h, o, Dense(weight=Normal(0.0, 0.1)))
    spikes = (np.random.default_rng(3).random((4, 1000, 6)) < 0.3).astype(np.float32)
    compiler = SurrogateCompiler(1000, 4, backend=backend, surrogate=ArcTan(alpha=2.0))
    compiled = compiler.compile(described)
    with refused("of connection 'in_hidden'", "after epoch 1", error=TrainingError):
        compiled.train({"in": spikes}, {"out": np.arange(4) % 3}, 2, callbacks=())


@pytest.mark.parametrize(
    "rule",
    [DeepR(), DeepR(1e-3, decoupled_l1=True), DeepR(temperature=1e-6), DeepR(dale=True), DeepR(growth="gradient")],
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rewiring_hides_no_nan(rule, value, backend):
    """A weight that was no number counted as one that had reached 0: a new synapse took its place, and was finite."""
    optimisers = {"all_connections": SGD(0.1, momentum=0.9)}
    compiled = compiled_network(network(), backend, optimisers=optimisers, rewiring={"in_hidden": rule})
    compiled.train(X, Y, 1, callbacks=())
    array, give_back = _array(compiled, "in_hidden moment0")
    array[2] = value
    give_back()
    with refused("of connection 'in_hidden'", error=TrainingError):
        compiled.train(X, Y, 2, callbacks=())


def test_a_neuron_under_event_prop(backend):
    """Its spikes alone are kept, not its variables: one that is NaN is silent, and has no gradient either."""
    described = small(source=Input())
    compiled = EventPropCompiler(40, 4, backend=backend).compile(described)
    x = np.random.default_rng(7).random((4, 40, 7)).astype(np.float32) - np.float32(0.5)
    compiled.evaluate({"in": x}, {"out": np.arange(4) % 3})
    with refused("state variable of population 'hidden'", "while evaluating", error=TrainingError):
        compiled.evaluate({"in": x * np.float32(3e38)}, {"out": np.arange(4) % 3})
    compiled.evaluate({"in": x}, {"out": np.arange(4) % 3})  # told once, of that pass
    with refused("population 'hidden'", error=TrainingError):
        compiled.train({"in": x * np.float32(3e38)}, {"out": np.arange(4) % 3}, 1, callbacks=())


def test_one_bad_example_in_one_batch_is_found(backend):
    """Not the last batch, and one lane of it."""
    compiled = compiled_network(network(weight=0.3), backend)
    x = X["in"].copy()
    x[1, 3] = np.float32(-3e38)
    for ask in (lambda: compiled.predict({"in": x}), lambda: compiled.evaluate({"in": x}, Y)):
        with refused("state variable of population 'hidden'", error=TrainingError):
            ask()
    compiled.predict(X)


def _array(compiled, name):
    """An array of a connection's or population's state, and how to give it back."""
    owner, name = name.split(" ")
    for c in compiled.plan.connections:
        if c.name == owner:
            state = compiled.engine.state(c.index)
            return state.arrays()[name], partial(compiled.engine.set_state, c.index, state)
    p = next(p for p in compiled.plan.populations if p.name == owner)
    state = compiled.populations[p.index]
    return state.tensors()[name], partial(compiled._learner.set_population, p.index, state)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("in_hidden weight", "a weight of connection 'in_hidden'"),
        ("in_hidden moment1", "an optimiser's moment of a weight of connection 'in_hidden'"),
        ("in_hidden position", "a delay of connection 'in_hidden'"),
        ("in_hidden delay_moment0", "an optimiser's moment of a delay of connection 'in_hidden'"),
        ("hidden batch_norm_scale", "batch_norm_scale of population 'hidden'"),
        ("hidden batch_norm_shift.moment0", "an optimiser's moment of batch_norm_shift of population 'hidden'"),
        ("hidden batch_norm_var", "batch_norm_var of population 'hidden'"),
    ],
)  # fmt: skip
def test_no_checkpoint_is_written_of_what_is_no_number(place, words, value, backend, tmp_path):
    """Whatever is learned: the good file stays as it is, byte by byte."""
    optimisers = {"all_connections": {"weight": Adam(), "delay": Adam(0.1)}, "hidden": {"batch_norm": Adam()}}
    described = network(norm=True, kernel=GaussianKernel(sigma=2.0))
    compiled = compiled_network(described, backend, optimisers=optimisers)
    compiled.train(X, Y, 1, callbacks=())
    compiled.save(path := tmp_path / "x.safetensors")
    before = path.read_bytes()
    array, give_back = _array(compiled, place)
    array[2] = value
    give_back()
    with refused(words, str(path), "not finite", error=TrainingError):
        compiled.save(path)
    assert path.read_bytes() == before
    compiled.load(path)
    compiled.save(path)
    assert path.read_bytes() == before


def test_a_run_s_checkpoints_stay_good(backend, tmp_path):
    """The epoch that spoils the network writes neither the last nor the best."""
    compiled = compiled_network(network(SQUARED, weight=0.0), backend)
    compiled.train({"in": X["in"] * np.float32(1e-3)}, Y, 1, callbacks=[Checkpoint(tmp_path)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with refused("after epoch 2", error=TrainingError):
        compiled.train({"in": X["in"] * np.float32(3e38)}, Y, 2, callbacks=[Checkpoint(tmp_path)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_large_arrays_are_looked_at_to_their_end():
    array = np.zeros((3, 1 << 20), np.float32)
    assert not_finite({"weight": array, "pre": np.arange(3)}) is None
    array[2, -1] = np.inf
    assert not_finite({"weight": array}) == "a weight"
