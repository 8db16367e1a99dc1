"""Data at the door: what is accepted, what becomes of it, and that everything else is one error before any compute."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refused import refused

from genn_delays import (
    Connection,
    Dense,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SpikeRecorder,
    SurrogateCompiler,
)
from genn_delays.learning.losses import SparseCategoricalCrossentropy
from genn_delays.plan.exchanged import DenseData, EventData
from genn_delays.training.data import find_population, prepare_inputs, steps_of
from genn_delays.training.data import prepare_labels as prepare_for_losses

T, DT = 6, 1.0


def described() -> Network:
    """Two inputs of 3 neurons, spikes and real values, and two outputs of 2 and 4."""
    network = Network()
    with network:
        s, r = Population(SpikeInput(), 3, "spikes"), Population(Input(), 3, "real")
        h = Population(LeakyIntegrateFire(tau_mem=5.0), 4, "hidden")
        o = Population(LeakyIntegrate(readout="sum_var"), 2, "two")
        p = Population(LeakyIntegrate(readout="sum_softmax"), 4, "four")
        for source, target in ((s, h), (r, h), (h, o), (h, p)):
            Connection(source, target, Dense())
    return network


def prepare_labels(network: Network, y, count: int):
    """Labels of outputs that both have a cross-entropy."""
    losses = {p.index: SparseCategoricalCrossentropy() for p in network.outputs}
    return prepare_for_losses(network, y, count, losses, T)


NETWORK = described()
SPIKES_ONLY = Network()
with SPIKES_ONLY:
    _spikes = Population(SpikeInput(), 2, "spikes")
    Connection(_spikes, Population(LeakyIntegrate(readout="sum_var"), 2, "two"), Dense())
REAL = np.random.default_rng(0).normal(size=(2, T, 3))
EVENTS = [([0.0, 5.5], [0, 2]), ([1.0], [1])]


def prepare(spikes=EVENTS, real=REAL, dt: float = DT, time_steps: int = T) -> tuple[EventData, DenseData]:
    prepared, count = prepare_inputs(NETWORK, {"spikes": spikes, "real": real}, time_steps, dt)
    assert count == 2
    assert list(prepared) == [0, 1]
    return prepared[0], prepared[1]


def spoiled(value: float, place: int) -> np.ndarray:
    values = REAL.copy()
    values.flat[place] = value
    return values


def listed(data: EventData) -> list[set[tuple[int, int]]]:
    """The (step, neuron) of every example."""
    assert data.start.dtype == np.int64
    assert data.neuron.dtype == data.step.dtype == np.int32
    assert data.start[0] == 0
    assert data.start[-1] == data.neuron.size == data.step.size
    pairs = list(zip(data.step.tolist(), data.neuron.tolist(), strict=True))
    examples = [pairs[a:b] for a, b in zip(data.start, data.start[1:], strict=False)]
    assert all(len(set(example)) == len(example) for example in examples)
    return [set(example) for example in examples]


# --- real-valued input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, np.int8, np.uint64, np.bool_])
def test_dense_arrays(kind):
    values = (REAL > 0).astype(kind)
    data = prepare(real=values)[1].values
    assert data.dtype == np.float32
    assert data.flags.c_contiguous
    assert np.array_equal(data, values.astype(np.float32))
    assert np.array_equal(prepare(real=np.asfortranarray(values))[1].values, data)
    assert np.array_equal(prepare(real=values.tolist())[1].values, data)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (REAL[:, :5], ("'real'", "(examples, 6, 3)", "(2, 5, 3)")),
        (REAL[:, :, :2], ("'real'", "(examples, 6, 3)", "(2, 6, 2)")),
        (REAL.transpose(0, 2, 1), ("'real'", "(examples, 6, 3)", "(2, 3, 6)")),
        (REAL[0], ("'real'", "(examples, 6, 3)", "(6, 3)")),
        (REAL[None], ("'real'", "(1, 2, 6, 3)")),
        (3.0, ("'real'", "(examples, 6, 3)", "()")),
        (None, ("'real'", "numbers", "object")),
        (REAL.astype(object), ("'real'", "numbers", "object")),
        (REAL.astype(str), ("'real'", "numbers", "<U")),
        (REAL + 0j, ("'real'", "real numbers", "complex128")),
        (np.zeros((2, T, 3), "M8[s]"), ("'real'", "numbers", "datetime64")),
        ([[[1.0, 2.0]], [[1.0]]], ("'real'", "different lengths")),
        (spoiled(np.nan, 25), ("'real'", "finite", "nan", "example 1, step 2")),
        (spoiled(-np.inf, 4), ("'real'", "finite", "-inf", "example 0, step 1")),
        (REAL * 1e300, ("'real'", "finite", "inf")),
    ],
)
def test_bad_dense_arrays(values, parts):
    with refused(*parts):
        prepare(real=values)


# --- spikes ----------------------------------------------------------------------------------------------------------


def test_event_lists():
    """Several events of a neuron within a step are one spike; order does not matter; an example may be empty."""
    events, _ = prepare([([5.9, 0.2, 0.0, 0.9, 0.3], [2, 1, 0, 1, 1]), ([], [])])
    assert listed(events) == [{(5, 2), (0, 1), (0, 0)}, set()]
    assert len(events) == 2


def test_event_lists_of_many_types():
    expected = [{(1, 0), (3, 2)}, {(0, 1)}]
    for times, neurons in (
        ([1.0, 3.0], [0, 2]),
        ((1, 3), (0, 2)),
        (np.array([1, 3], np.uint8), np.array([0, 2], np.int16)),
        (np.array([1.5, 3.25], np.float32), np.array([0, 2], np.uint64)),
    ):
        assert listed(prepare([(times, neurons), ([0.5], [1])])[0]) == expected
        assert listed(prepare(([times, neurons], [[0.5], [1]]))[0]) == expected


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble])
@pytest.mark.parametrize("others", [float, np.float64, int, lambda t: np.array(t, np.float16)])
def test_times_of_several_types_in_one_list_keep_their_step(kind, others):
    """NumPy makes a list of one type, and forgets how exact each of its times was: 16 steps of 20."""
    times = [kind(k * 0.1) for k in range(20)]
    for mixed in ([*times, others(0)], [others(0), *times], (*times, others(0))):
        neurons = [0] * len(mixed)
        events, _ = prepare_inputs(SPIKES_ONLY, {"spikes": [(mixed, neurons), ([0.0], [1])]}, 20, 0.1)
        assert listed(events[0]) == [{(k, 0) for k in range(20)}, {(0, 1)}]


def test_masked_values_are_refused():
    """NumPy drops the mask without a word: what was left out would be there again."""
    with refused("'spikes'", "masked"):
        prepare(np.ma.masked_array(np.ones((1, T, 3)), np.eye(T, 3, dtype=bool)[None]))
    with refused("example 0", "masked"):
        prepare([(np.ma.masked_array([1.0, 2.0], [True, False]), [0, 1])])
    whole = np.ma.masked_array(np.ones((2, T, 3)))
    assert listed(prepare(whole)[0]) == [{(t, i) for t in range(T) for i in range(3)}] * 2


def test_a_memoryview_is_an_array():
    values = np.random.default_rng(1).random((2, T, 3)) < 0.4
    assert listed(prepare(memoryview(values))[0]) == listed(prepare(values)[0])


def test_dense_spikes_are_events():
    values = np.random.default_rng(1).random((2, T, 3)) < 0.4
    expected = [{(int(t), int(i)) for t, i in np.argwhere(example)} for example in values]
    for kind in (np.bool_, np.float32, np.int64):
        assert listed(prepare(values.astype(kind))[0]) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.floats(0, 2.999), st.integers(0, 2)), max_size=12), min_size=2, max_size=2),
    st.sampled_from([1.0, 0.5, 0.1, 0.3]),
)
def test_events_fall_into_their_step(examples, dt):
    """An event at time t belongs to step floor(t / dt), but for times that rounding alone puts below the next step."""
    given = [([t for t, _ in example], [n for _, n in example]) for example in examples]
    steps = round(3 / dt)
    data, _ = prepare(given, np.zeros((2, steps, 3)), dt, steps)
    for example, found in zip(examples, listed(data), strict=True):
        allowed = [{(min(int(t / dt + e), steps - 1), n) for e in (0, 1e-12)} for t, n in example]
        assert all(found & steps_of_one for steps_of_one in allowed)
        assert found <= set().union(*allowed)


@pytest.mark.parametrize("dt", [1.0, 0.1, 0.2, 0.3, 0.7, 1e-3, 1 / 3])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_times_on_the_grid_keep_their_step(dt, kind):
    """43 * 0.1 / 0.1 is 42.99...: a recorded spike, given as input again, must come in the step it was recorded in."""
    steps = np.arange(2500)
    times = (steps * dt).astype(kind)
    examples = [(times, np.zeros(2500, int)), ([], [])]
    data, _ = prepare(examples, np.zeros((2, 2500, 3)), dt, 2500)
    assert np.array_equal(data.step, steps)


KINDS = [np.dtype(kind).newbyteorder(order) for kind in "efdg" for order in "<>"]
GRID = [0.1, 0.2, 0.25, 0.5, 1.0, 0.3, 0.7, 1 / 3]


@pytest.mark.parametrize("dt", GRID)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.str)
def test_times_of_every_type_keep_their_step(kind, dt):
    """k * dt, rounded to a type or multiplied in it, is in step k, up to 10^8 steps, or is said to be too vague."""
    random = np.random.default_rng(0)
    double = np.finfo(kind).eps < 1e-15
    for steps in (10, 1000, 10**5, 10**7, 10**8):
        k = np.concatenate([np.arange(min(steps, 500)), random.integers(0, steps, 500), steps - 1 - np.arange(10)])
        with np.errstate(over="ignore"):
            cast, own = (k * dt).astype(kind), (k.astype(kind) * kind.type(dt)).astype(kind)
            own[k.astype(kind) != k] = np.inf  # k is no number of this type
        for times in (cast, own):
            given, wanted = times[np.isfinite(times)], k[np.isfinite(times)]
            found, vague = steps_of(given, dt)
            assert np.array_equal(found[~vague], wanted[~vague])
            spacing = np.spacing(given.astype(kind.newbyteorder("=")))
            assert vague[spacing >= dt].all()
            assert not vague[spacing < dt / 3].any(), "there, rounding explains less than a step"
            assert not vague.any() or not double
        if dt in (0.1, 0.2, 0.25, 0.5, 1.0):
            cast = cast[np.isfinite(cast)]
            vague = steps_of(cast, dt)[1]
            assert np.array_equal(vague, np.spacing(cast.astype(kind.newbyteorder("="))) >= dt)


@pytest.mark.parametrize("dt", GRID)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.str)
def test_other_times_keep_their_step(kind, dt):
    """Between two starts of steps, farther than rounding reaches, the step is the one that is there."""
    random = np.random.default_rng(1)
    for steps in (10, 1000, 10**5, 10**7, 10**8):
        with np.errstate(over="ignore"):
            times = (random.random(500) * steps * dt).astype(kind)
        times = times[np.isfinite(times)]
        exact = times.astype(np.longdouble)
        reach = np.maximum(2 * np.finfo(kind).eps, 4 * np.finfo(np.float64).eps) * exact
        found, vague = steps_of(times, dt)
        clear = ~vague & (np.floor(exact / dt) == np.floor((exact + reach) / dt))
        assert np.array_equal(found[clear], np.floor(exact / dt)[clear])


@pytest.mark.parametrize("kind", [np.dtype(k).newbyteorder(o) for k in "bhilqBHILQ" for o in "<>"], ids=lambda k: k.str)
def test_whole_times_are_exact(kind):
    k = np.arange(100) if kind.itemsize == 1 else np.arange(0, 30000, 7)
    for dt, factor in ((0.1, 10), (0.2, 5), (0.25, 4), (0.5, 2), (1.0, 1)):
        found, vague = steps_of(k.astype(kind), dt)
        assert np.array_equal(found, k * factor)
        assert not vague.any()
    if kind.itemsize > 3:
        assert steps_of(np.array([10**9 + 7], kind), 1.0)[0] == 10**9 + 7


def test_the_length_of_an_example_does_not_move_an_event():
    for time, steps in ((0.98, 100_000), (0.5, 5_000_000)):
        events, _ = prepare_inputs(SPIKES_ONLY, {"spikes": [(np.float32([time]), [0])]}, steps, 1.0)
        assert events[0].step.tolist() == [0]


def test_times_too_vague_for_their_step_are_refused():
    fine = (np.float64([1e7]), [0])
    for kind, time, dt in (("<f4", 1e7, 1.0), (">f4", 1e7, 1.0), ("f2", 5000.0, 1.0), ("f4", 2e6, 0.1)):
        with refused("'spikes', example 1", f"dtype {np.dtype(kind)}", "ms apart", f"{dt:g} ms", "more precise"):
            prepare_inputs(SPIKES_ONLY, {"spikes": [fine, (np.array([0.0, time], kind), [0, 1])]}, 10**8 + 1, dt)
    exact = (np.array([10**7], np.int32), [0])
    events, _ = prepare_inputs(SPIKES_ONLY, {"spikes": [fine, exact]}, 10**8, 1.0)
    assert events[0].step.tolist() == [10**7, 10**7]


def test_an_event_just_before_the_next_step_stays():
    times = [0.9999, np.nextafter(2.0, 0) - 1e-9, 5.999999999]
    assert listed(prepare([(times, [0, 1, 2]), ([], [])])[0])[0] == {(0, 0), (1, 1), (5, 2)}


def test_both_forms_of_spikes_do_the_same(backend):
    values = (np.random.default_rng(2).random((2, T, 3)) < 0.4).astype(float)
    lists = [tuple(part.astype(float) if k == 0 else part for k, part in enumerate(np.nonzero(e))) for e in values]
    with SurrogateCompiler(T, 2, backend=backend).compile(NETWORK) as compiled:
        dense, lists = (
            compiled.predict({"spikes": x, "real": REAL}, "two", callbacks=[SpikeRecorder("spikes")])
            for x in (values, lists)
        )
    two = NETWORK.find("population", "two")
    assert np.array_equal(dense[0][two], lists[0][two])
    for kind in range(2):
        for one, other in zip(dense[1]["spikes_spikes"][kind], lists[1]["spikes_spikes"][kind], strict=True):
            assert np.array_equal(one, other)
    assert sum(map(len, dense[1]["spikes_spikes"][0])) == values.sum()


@pytest.mark.parametrize(
    "values",
    [
        [[[1, 1], [0, 0]]],
        [[[0, 1], [1, 0]], [[1, 1], [1, 1]]],
        [[[1.0, 0.0], [0, 1]]],
        [[[True, False], [False, True]]],
        [[(1, 1), (0, 0)]],
        ([[1, 1], [0, 0]],),
        [[np.array([1, 1]), np.array([0, 0])]],
    ],
)
def test_lists_that_may_be_both_are_refused(values):
    """Two time steps of two neurons, or the times and the neurons of two spikes: the user says which."""
    with refused("'spikes'", "(times, neurons)", "[example, time, neuron]", "as tuples", "numpy.array"):
        prepare_inputs(SPIKES_ONLY, {"spikes": values}, 2, 1.0)
    dense, _ = prepare_inputs(SPIKES_ONLY, {"spikes": np.array(values)}, 2, 1.0)
    assert listed(dense[0]) == [{tuple(at) for at in np.argwhere(np.array(one)).tolist()} for one in values]
    tuples = [(np.array(one[0], int), np.array(one[1], int)) for one in values]
    events, _ = prepare_inputs(SPIKES_ONLY, {"spikes": tuples}, 2, 1.0)
    assert listed(events[0]) == [{(int(t), int(n)) for t, n in zip(*one, strict=True)} for one in values]


def test_lists_with_one_meaning_are_taken():
    for values in ([[[1, 1, 0], [0, 0, 1]]], [[[0, 1.5], [1, 0]]], [[[1], [0]]], [[[], []]]):
        events, _ = prepare_inputs(SPIKES_ONLY, {"spikes": values}, 2, 1.0)
        assert listed(events[0]) == [{(int(t), n) for t, n in zip(*one, strict=True)} for one in values]
    with refused("'spikes', example 0", "(times, neurons)", "length 3", "given as an array"):
        prepare_inputs(SPIKES_ONLY, {"spikes": [[[1, 1], [0, 0], [0, 1]]]}, 3, 1.0)


class Tensor:
    """What a tensor of another library is to NumPy: no sequence, no array, but `__array__`."""

    def __init__(self, values, requires_grad=False):
        self.values, self.requires_grad = np.asarray(values), requires_grad

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self.values if dtype is None else self.values.astype(dtype)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return Tensor(self.values[index], self.requires_grad)


def as_torch(values, requires_grad=False):
    torch = pytest.importorskip("torch")
    return torch.tensor(np.asarray(values), requires_grad=requires_grad)


TENSORS = [Tensor, pytest.param(as_torch, marks=pytest.mark.torch)]


@pytest.mark.parametrize("tensor", TENSORS)
def test_tensors_are_arrays(tensor):
    spikes = (REAL > 0).astype(np.float32)
    expected = prepare(spikes)
    lists = [tuple(tensor(part) for part in np.nonzero(one)) for one in spikes]
    for values in (tensor(spikes), lists):
        events, real = prepare(values, tensor(REAL))
        assert listed(events) == listed(expected[0])
        assert np.array_equal(real.values, expected[1].values)
    labels = prepare_labels(NETWORK, {"two": tensor([0, 1]), "four": tensor([3, 0])}, 2)
    assert [values.tolist() for values in labels.values()] == [[0, 1], [3, 0]]


@pytest.mark.parametrize("tensor", TENSORS)
def test_tensors_that_require_a_gradient_are_refused(tensor):
    live, time = tensor(np.zeros((2, T, 3), np.float32), requires_grad=True), tensor([0.0], requires_grad=True)
    for values, what in ((live, "input of 'spikes'"), ([GOOD, (time, [0])], "'spikes', example 1")):
        with refused(what, "requires a gradient", "detach()"):
            prepare(values)
    with refused("'real'", "requires a gradient", "detach()"):
        prepare(real=live)
    with refused("'real'", "requires a gradient", "detach()"):
        prepare(real=[live, live])


GOOD = ([0.0], [0])


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([GOOD, ([6.0], [0])], ("'spikes'", "example 1", "times", "[0, 6) ms", "got 6.0")),
        ([([0.0, -0.1], [0, 1]), GOOD], ("'spikes'", "example 0", "times", "[0, 6) ms", "got -0.1")),
        ([GOOD, ([np.nan], [0])], ("'spikes'", "example 1", "times", "got nan")),
        ([GOOD, ([np.inf], [0])], ("'spikes'", "example 1", "times", "got inf")),
        ([GOOD, ([1.0], [3])], ("'spikes'", "example 1", "neurons", "[0, 3)", "got 3")),
        ([GOOD, ([1.0], [-1])], ("'spikes'", "example 1", "neurons", "[0, 3)", "got -1")),
        ([GOOD, ([1.0], [0.0])], ("'spikes'", "example 1", "neurons", "whole numbers", "float64")),
        ([GOOD, ([1.0], [None])], ("'spikes'", "example 1", "neurons", "whole numbers", "object")),
        ([GOOD, (["a"], [0])], ("'spikes'", "example 1", "times", "real numbers", "<U1")),
        ([GOOD, ([1j], [0])], ("'spikes'", "example 1", "times", "real numbers", "complex128")),
        ([GOOD, ([True], [0])], ("'spikes'", "example 1", "times", "real numbers", "bool")),
        ([GOOD, ([1.0, 2.0], [0])], ("'spikes'", "example 1", "(2,)", "(1,)", "must match")),
        ([GOOD, ([[1.0]], [[0]])], ("'spikes'", "example 1", "(1, 1)", "must match")),
        ([GOOD, ([[1.0], [1, 2]], [0, 1])], ("'spikes'", "example 1", "different lengths")),
        ([GOOD, (1.0, 0)], ("'spikes'", "example 1", "()")),
        ([GOOD, ([1.0], [0], [0])], ("'spikes'", "example 1", "(times, neurons)")),
        ([GOOD, None], ("'spikes'", "example 1", "(times, neurons)", "NoneType")),
        ([np.zeros((T, 3))] * 2, ("'spikes'", "example 0", "(times, neurons)", "ndarray")),
        ("ab", ("'spikes'", "list of (times, neurons)", "str")),
        (None, ("'spikes'", "list of (times, neurons)", "NoneType")),
        (iter([GOOD, GOOD]), ("'spikes'", "list of (times, neurons)", "iterator")),
        (np.full((2, T, 3), 2.0), ("'spikes'", "0 or 1", "got 2.0")),
        (np.full((2, T, 3), -1), ("'spikes'", "0 or 1", "got -1.0")),
        (np.full((2, T, 3), np.nan), ("'spikes'", "finite", "nan")),
        (np.zeros((2, T, 4)), ("'spikes'", "(examples, 6, 3)", "(2, 6, 4)")),
        (np.array([GOOD, GOOD], dtype=object), ("'spikes'", "object")),
    ],
)
def test_bad_spikes(values, parts):
    with refused(*parts):
        prepare(values)


# --- populations and counts ------------------------------------------------------------------------------------------


def test_keys_are_populations_or_names():
    s, r = NETWORK.inputs
    by_name, _ = prepare_inputs(NETWORK, {"spikes": EVENTS, "real": REAL}, T, DT)
    by_self, _ = prepare_inputs(NETWORK, {r: REAL, s: EVENTS}, T, DT)
    assert np.array_equal(by_name[0].step, by_self[0].step)
    assert np.array_equal(by_name[1].values, by_self[1].values)
    assert find_population(NETWORK, "hidden") is NETWORK.populations[2]


@pytest.mark.parametrize(
    ("x", "parts"),
    [
        ({}, ("inputs missing", "'spikes'", "'real'")),
        ({"real": REAL}, ("inputs missing", "'spikes'")),
        ({"spikes": EVENTS, "rael": REAL}, ("population", "'rael'", "Did you mean 'real'?")),
        ({"spikes": EVENTS, "real": REAL, "hidden": REAL}, ("inputs", "'hidden'", "'spikes', 'real'")),
        ({"spikes": EVENTS, "real": REAL, 3: REAL}, ("population", "population 3", "hidden")),
        ({"spikes": EVENTS, "real": REAL, NETWORK.inputs[1]: REAL}, ("inputs", "twice", "'real'")),
        ({"spikes": EVENTS, described().inputs[1]: REAL}, ("'real'", "another network")),
        (REAL, ("inputs", "dict", "ndarray")),
        (None, ("inputs", "dict", "NoneType")),
        ({"spikes": EVENTS, "real": REAL[:1]}, ("number of examples", "2 and 1")),
        ({"spikes": [], "real": REAL[:0]}, ("no example", "at least 1")),
        ({"spikes": np.zeros((0, T, 3)), "real": REAL[:0]}, ("no example", "at least 1")),
    ],
)
def test_bad_inputs(x, parts):
    with refused(*parts):
        prepare_inputs(NETWORK, x, T, DT)


# --- labels ----------------------------------------------------------------------------------------------------------


def test_labels():
    for values in ([0, 1, 1], (0, 1, 1), np.array([0, 1, 1], np.uint8), np.array([0, 1, 1], np.int64)):
        found = prepare_labels(NETWORK, {"four": [3, 0, 2], "two": values}, 3)
        assert {index: labels.tolist() for index, labels in found.items()} == {3: [0, 1, 1], 4: [3, 0, 2]}
        assert {labels.dtype for labels in found.values()} == {np.dtype(np.int32)}


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([0, 2], ("'two'", "[0, 2)", "got 2", "no. 1")),
        ([-1, 0], ("'two'", "[0, 2)", "got -1", "no. 0")),
        (np.array([0, 2**63], np.uint64), ("'two'", "[0, 2)", str(2**63))),
        ([0.0, 1.0], ("'two'", "whole numbers", "float64")),
        ([np.nan, 1], ("'two'", "whole numbers", "float64")),
        ([True, False], ("'two'", "whole numbers", "bool")),
        (["0", "1"], ("'two'", "whole numbers", "<U1")),
        ([None, 1], ("'two'", "whole numbers", "object")),
        (np.eye(2, dtype=int), ("'two'", "whole numbers [example]", "(2, 2)")),
        ([[0], [1, 0]], ("'two'", "different lengths")),
        (1, ("'two'", "whole numbers [example]", "()")),
        ([0, 1, 0], ("'two'", "3 for 2 examples")),
        ([], ("'two'", "(0,)", "float64")),
        (np.empty(0, int), ("'two'", "0 for 2 examples")),
    ],
)
def test_bad_labels(values, parts):
    with refused(*parts):
        prepare_labels(NETWORK, {"two": values, "four": [0, 0]}, 2)


@pytest.mark.parametrize(
    ("y", "parts"),
    [
        ({"two": [0, 1]}, ("labels missing", "'four'")),
        ({"two": [0, 1], "four": [0, 1], "hidden": [0, 1]}, ("labels", "'hidden'", "'two', 'four'")),
        ({"two": [0, 1], "fuor": [0, 1]}, ("population", "'fuor'", "Did you mean 'four'?")),
        ([0, 1], ("labels", "dict", "list")),
    ],
)
def test_bad_label_keys(y, parts):
    with refused(*parts):
        prepare_labels(NETWORK, y, 2)


def test_nothing_is_computed_before_the_data_are_checked():
    """Every door of a compiled network checks; the network stays as it was and works with good data after."""
    good_x, good_y = {"spikes": EVENTS, "real": REAL}, {"two": [0, 1], "four": [0, 1]}
    bad_x, bad_y = {"spikes": EVENTS, "real": REAL * np.nan}, {"two": [0, 1], "four": [0, 4]}
    with SurrogateCompiler(T, 2, backend="reference").compile(NETWORK) as compiled:
        before = compiled.synapses("hidden_two").weight
        for call in (
            lambda x, y: compiled.train(x, y, 1, callbacks=[]),
            compiled.evaluate,
            compiled.gradients,
            lambda x, y: compiled.train(good_x, good_y, 1, callbacks=[], validation_x=x, validation_y=y),
        ):
            with refused("'real'", "nan"):
                call(bad_x, good_y)
            with refused("'four'", "[0, 4)", "got 4"):
                call(good_x, bad_y)
        with refused("'real'", "nan"):
            compiled.predict(bad_x)
        assert (compiled.epoch, compiled.step) == (0, 0)
        assert np.array_equal(compiled.synapses("hidden_two").weight, before)
        assert np.isfinite(compiled.train(good_x, good_y, 1, callbacks=[])[0].loss)
