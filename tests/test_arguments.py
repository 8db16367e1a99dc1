"""Arguments at the door: by name, in range, and real numbers as their shortest decimals."""

from __future__ import annotations

import dataclasses
import inspect
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from refused import refused

import genn_delays as gd
from genn_delays import (
    AdaptiveLeakyIntegrateFire,
    Connection,
    FixedNumber,
    FixedProbability,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    Sparse,
    SurrogateCompiler,
    Uniform,
    UniformInt,
    UserNeuron,
)
from genn_delays.errors import GennDelaysWarning
from genn_delays.initializers import real_array
from genn_delays.runs.tables import plain

NEURONS: list[Any] = [LeakyIntegrateFire, LeakyIntegrate, AdaptiveLeakyIntegrateFire, UserNeuron]


@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_neurons_take_their_parameters_by_name(kind: Any, count: int) -> None:
    """mlGeNN's order, ``(v_thresh, v, v_reset, tau_mem)``, was taken for ours: 27.6 % in place of 81.3 on digits."""
    with refused(kind.__name__, "by name", f"got {count}", *inspect.signature(kind).parameters):
        kind(*[1.0, 0.0, 0.0, 20.0][:count])
    kinds = {p.kind for p in inspect.signature(kind).parameters.values()}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: gd.Dense(1.0, 3), "Dense"),  # type: ignore[misc]
        (lambda: FixedProbability(0.5, 1.0, False), "FixedProbability"),  # type: ignore[misc]
        (lambda: FixedNumber(0.5, 1.0, 2), "FixedNumber"),  # type: ignore[misc]
        (lambda: gd.FixedInDegree(5, 1.0), "FixedInDegree"),  # type: ignore[misc]
    ],
)
def test_connectivities_take_weights_and_delays_by_name(make: Any, name: str) -> None:
    with refused(name, "by name", "delay, kernel_count"):
        make()


@pytest.mark.parametrize("kind", [LeakyIntegrateFire, AdaptiveLeakyIntegrateFire])
@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"v_thresh": 0.0}, "v_thresh 0 "),
        ({"v_thresh": 1.0, "v_reset": 1.0}, "v_reset 1"),
        ({"v_thresh": -1.0, "v_reset": -0.5}, "v_reset -0.5"),
        ({"v_thresh": [1.0, 2.0, 0.0, 1.0]}, "v_thresh 0 "),
        ({"v_thresh": np.full(4, 0.5), "v_reset": np.array([0.0, 0.5, 0.0, 0.0])}, "v_reset 0.5"),
        ({"v_thresh": Uniform(-2.0, -1.0)}, "v_thresh -1."),
        ({"v_thresh": 0.5, "v_reset": Normal(1.0, 1e-3)}, "v_thresh 0.5"),
        ({"v_thresh": np.float32(0.1), "v_reset": 0.1}, "v_reset 0.1"),
    ],
)
def test_a_threshold_at_or_below_the_reset_is_refused(kind: Any, values: Any, part: str) -> None:
    with refused("v_thresh must be above v_reset", part), Network():
        Population(kind(**values, relative_reset=False), 4, "h").parameters()


@pytest.mark.parametrize("kind", [LeakyIntegrateFire, AdaptiveLeakyIntegrateFire])
@pytest.mark.parametrize("thresh", [0.0, -1.0, [1.0, 0.0], Uniform(-2.0, -1.0)])
def test_a_threshold_that_is_subtracted_is_above_0(kind: Any, thresh: Any) -> None:
    with refused("v_thresh must be above 0", "subtracted"), Network():
        Population(kind(v_thresh=thresh, relative_reset=True), 2).parameters()


def test_below_the_threshold_everything_is_allowed() -> None:
    with Network():
        for neuron in (
            LeakyIntegrateFire(v_thresh=-0.5, v_reset=-0.6),
            LeakyIntegrateFire(v_thresh=0.1, v_reset=5.0, relative_reset=True),  # v_reset is not used
            LeakyIntegrateFire(v_thresh=Uniform(0.5, 1.0), v_reset=Uniform(0.0, 0.4)),
        ):
            Population(neuron, 50).parameters()


def small(delay: Any, size: int = 4) -> Network:
    network = Network()
    with network:
        a, b = Population(Input(), size, "a"), Population(LeakyIntegrate(readout="sum_var"), size, "b")
        Connection(a, b, FixedNumber(sparsity=0.5, delay=delay), name="late")
    return network


@pytest.mark.parametrize("delay", [10, 12, UniformInt(8, 11), UniformInt(0, 300)])
def test_delays_through_which_nothing_arrives_are_told(delay: Any) -> None:
    network = small(delay, 8)
    lost = int((network.connections[0].synapses.delay >= 10).sum())
    assert lost > 0
    with pytest.warns(GennDelaysWarning, match=f"'late': nothing can arrive through {lost} of its 32") as caught:
        SurrogateCompiler(10, backend="reference").compile(network)
    assert len(caught) == 1 and caught[0].filename == __file__


@pytest.mark.filterwarnings("error::genn_delays.errors.GennDelaysWarning")
@pytest.mark.parametrize("delay", [0, 9, UniformInt(0, 9)])
def test_delays_within_the_example_are_not(delay: Any) -> None:
    SurrogateCompiler(10).plan(small(delay))


# --- real numbers of few digits --------------------------------------------------------------------------------------

DECIMALS = [k / 20 for k in range(1, 20)] + [0.001, 0.999, 1 / 3, 0.1234]
ROUNDED = [np.float16, np.float32, np.float64, np.longdouble]


@pytest.mark.parametrize("kind", ROUNDED)
@pytest.mark.parametrize("value", DECIMALS)
def test_counts_come_from_the_shortest_decimal(kind: Any, value: float) -> None:
    """``FixedNumber(np.float32(0.9))`` gave 999 or 1,000 of 10,000 synapses; half precision overflowed."""
    rounded = kind(value)
    shortest = float(np.format_float_positional(rounded, unique=True))
    for size in (100, 1000):
        assert FixedNumber(rounded).count(size, size) == FixedNumber(shortest).count(size, size)
    counts = [FixedProbability(p, weight=1.0).pairs(300, 300, 0, 0).size for p in (rounded, shortest)]
    assert counts[0] == counts[1]


def test_whole_numbers_of_few_bits() -> None:
    delays = UniformInt(np.uint8(0), np.uint8(255))
    assert (delays.num_possible, delays) == (256, UniformInt(0, 255))
    assert gd.NormalInt(np.float16(3.3), np.float32(0.7), np.int8(0), np.int8(127)) == gd.NormalInt(3.3, 0.7, 0, 127)
    assert FixedNumber(Fraction(9, 10)).count(100, 100) == FixedNumber(0.9).count(100, 100)


def _reals() -> list[Any]:
    """Every constructor of the library that is a dataclass, with each of its arguments whose default is a float."""
    found = []
    needed = {gd.OneCycle: {"maximum": 0.5}, gd.RelativeMeanSquareError: {"delta": 1.0}, gd.Constant: {"value": 1.0}}
    needed |= {gd.FixedNumber: {"sparsity": 0.5}, gd.FixedProbability: {"p": 0.5}, gd.NoiseCurrent: {"sd": 0.5}}
    needed |= {kind: {"n": 2} for kind in (gd.FixedInDegree, gd.FixedOutDegree, gd.FixedTotalNumber)}
    for kind in (getattr(gd, name) for name in gd.__all__):
        if not dataclasses.is_dataclass(kind):
            continue
        values = {**{f.name: f.default for f in dataclasses.fields(kind) if f.init}, **needed.get(kind, {})}
        values |= {"tau": 5.0} if kind is gd.Exponential else {}
        for name, value in values.items():
            if isinstance(value, float):
                found.append(pytest.param(kind, needed.get(kind, {}), name, value, id=f"{kind.__name__}-{name}"))
    return found


@pytest.mark.parametrize(("kind", "needed", "name", "value"), _reals())
@pytest.mark.parametrize("rounded", [np.float16, np.float32])
def test_every_real_argument_is_its_shortest_decimal(
    kind: Any, needed: Any, name: str, value: float, rounded: Any
) -> None:
    given = rounded(value * 0.9 + 0.001 if value < 1 else value * 1.1 if value > 1 else 0.9)
    if given == 0:
        pytest.skip("too small for half precision")
    kept = getattr(kind(**{**needed, name: given}), name)
    assert (type(kept), kept) == (float, float(str(given)))


@pytest.mark.parametrize("kind", [np.float16, np.float32, ">f4", ">f2"])
def test_arrays_are_read_as_their_numbers_are(kind: Any) -> None:
    values = np.array([0.1, 0.9, 20.1, 3e-5]).astype(kind)
    wanted = [float(str(v)) for v in values]
    assert real_array("x", values, (4,)).tolist() == wanted
    assert real_array("x", list(values), (4,)).tolist() == wanted
    with Network():
        population = Population(LeakyIntegrateFire(tau_mem=values), 4, bias=list(values))
        assert population.parameters()["tau_mem"].tolist() == population.parameters()["bias"].tolist() == wanted
    if np.dtype(kind).itemsize == 4:  # explicit weights are single precision: their bits stay
        weights = Sparse(range(4), [0] * 4, values).sample(4, 1, 0, 0).weight
        assert np.array_equal(weights, values.astype(np.float32))


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_model_files_in_python_too(kind: Any) -> None:
    """A ``build()`` may give NumPy's numbers."""
    values = np.array([0.1, 0.9]).astype(kind)
    assert plain("x", {"a": kind(0.9), "b": values, "c": np.array(kind(0.9)), "d": np.arange(2)}) == {
        "a": 0.9, "b": [0.1, 0.9], "c": 0.9, "d": [0, 1],
    }  # fmt: skip


def test_what_is_masked_is_no_number() -> None:
    masked = np.ma.masked_array([1.0, 2.0], mask=[False, True])
    with refused("Sparse weight", "masked"):
        Sparse([0, 1], [0, 0], masked)
    with refused("Sparse pre", "masked"):
        Sparse(np.ma.masked_array([0, 1], mask=[True, False]), [0, 0])
