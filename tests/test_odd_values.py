"""Odd values for every argument there is: taken, or refused by an error of the library's own."""

from __future__ import annotations

import datetime
import inspect
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genn_delays as gd
from genn_delays.errors import GennDelaysError


class Strange:
    """Compares with everything as NumPy does, and cannot be shown."""

    def __eq__(self, other: object) -> Any:
        return np.array([True, False])

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise RuntimeError("no")


ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3.7, -0.5, 1e300, -1e300, 5e-324, 10**30, -(10**30), 10**400, 10**5000, 1 << 31,
    float("nan"), float("inf"), -float("inf"), 1j, "", "x", "none", "1", "x\ny", "\0", "\ud800", b"", b"x",
    bytearray(b"x"), [], [1], [0.5, None], [[1], [2, 3]], [10**400], ["a"], (), (1, 2), (1, 2, 3), {}, {"x": 1},
    {1: {}}, {"weight": 1}, set(), {1}, frozenset(), range(3), iter([1]), object(), object, int, gd.Adam, lambda: 1,
    print, Strange(), [Strange()], Ellipsis, NotImplemented, Decimal("0.5"), Decimal("nan"), Fraction(1, 2),
    Fraction(10**400), datetime.date(2024, 1, 1), datetime.timedelta(1), Path("x"), np.float16(0.5),
    np.float16("inf"), np.float32("nan"), np.float32(0.5), np.longdouble(2), np.longdouble("1e4000"), np.int8(3),
    np.uint8(255), np.int64(1), np.uint64((1 << 64) - 1), np.bool_(True), np.str_("x"), np.bytes_(b"x"),
    np.complex64(1), np.datetime64("2024-01-01"), np.datetime64("nat"), np.timedelta64(1, "s"),
    np.timedelta64("nat"), np.array(1), np.array(0.5), np.array("x"), np.array(None), np.array([]),
    np.array([1, 2]), np.array([0.5, np.nan]), np.array([[1.0, 2.0]]), np.array([1, 2], np.uint64),
    np.array([True, False]), np.array([1j, 2]), np.array(["a", "b"]), np.array([b"a"]), np.array([None, 1]),
    np.array([1, 2], ">i2"), np.array([1, 2], ">f4"), np.array([0.5], np.float16), np.array(["2024"], "M8[D]"),
    np.array([1], "m8[s]"), np.zeros(2, [("a", int)]), np.zeros((0, 3)), np.zeros((2, 0)),
    np.ma.masked_array([1.0, 2.0], [True, False]), np.ma.masked, np.ones((1, 2)).view(np.matrix),
    np.zeros((2, 2, 2)), np.random.default_rng(0), np.dtype("f4"), slice(2), memoryview(b"ab"), gd.Adam(),
    gd.Uniform(), gd.Uniform(-1e38, 1e38), gd.UniformInt(0, 3), gd.Dense(), gd.LeakyIntegrateFire(), gd.CPU(),
    gd.DeepR(), gd.ArcTan(), gd.GaussianKernel(), gd.OneCycle(0.1), gd.Exponential(), gd.BatchNorm(), gd.Network(),
]  # fmt: skip
NEEDED: dict[str, dict[str, Any]] = {
    "Constant": {"value": 1.0}, "FixedNumber": {"sparsity": 0.5}, "FixedProbability": {"p": 0.5},
    "ConstantInt": {"value": 1}, "UniformInt": {"low": 0, "high": 3}, "OneCycle": {"maximum": 0.1},
    "NormalInt": {"mean": 1.0, "sd": 1.0, "low": 0, "high": 3}, "RelativeMeanSquareError": {"delta": 1.0},
    "Sparse": {"pre": [0, 1], "post": [1, 0]}, "UserNeuron": {"vars": {"v": ("-v / 5 + Isyn", None)}},
    "Checkpoint": {"folder": "x"}, "MetricsWriter": {"path": "x"}, "SpikeRecorder": {"population": "h"},
    "OptimiserParamSchedule": {"param_name": "alpha", "func": max},
    "VarRecorder": {"population": "h"}, "from_ml_genn": {"network": None}, "to_ml_genn": {"network": None},
    "fold_batch_norm": {"compiled": None}, "SurrogateCompiler": {"example_timesteps": 3},
    "EventPropCompiler": {"example_timesteps": 3}, "InferenceCompiler": {"evaluate_timesteps": 3},
    "trained_network": {"compiled": None},
    "DistanceDependent": {"pre_positions": [0.0, 1.0], "post_positions": [0.0, 1.0], "sigma": 1.0},
    "FixedInDegree": {"n": 2}, "FixedOutDegree": {"n": 2}, "FixedTotalNumber": {"n": 3},
    "PoissonInput": {"rate": 5.0}, "PoissonDrive": {"rate": 5.0, "weight": 0.1}, "Current": {"amplitude": 0.1},
    "NoiseCurrent": {"sd": 0.1}, "StepCurrent": {"values": [0.1, 0.2]}, "Trace": {"variable": "v"},
    "SpikeSource": {"times": [0.5, 1.0], "neurons": [0, 1]},
    "Equations": {"variables": {"v": ("-v + Isyn", "0")}, "threshold": "v - 1", "parameters": ()},
}  # fmt: skip
"""What constructors cannot do without."""
LEFT_OUT = {
    "Callback", "CompiledNetwork", "Connection", "Folded", "GennDelaysError", "InputLayer", "Layer",
    "Population", "Simulation", "Synapses", "TensorBoard", "__version__",
}  # fmt: skip
"""Bases, results, what is tested by itself, and what is no constructor."""
BASES = {"DelayInitializer", "DelayKernel", "DynamicNeuron", "Initializer", "Loss", "Neuron", "Optimiser", "Readout"}
BASES |= {"RewiringRule", "Surrogate"}
"""What users derive classes of their own from."""
CONSTRUCTORS = sorted(set(gd.__all__) - LEFT_OUT - BASES)


def outcome(call: Callable[[], Any]) -> str | None:
    """What went wrong in a way that nobody foresaw; None where a value was taken or refused by an error of ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", gd.errors.GennDelaysWarning)
            call()
    except GennDelaysError as error:
        return None if str(error).strip() and "\n" not in str(error) else f"message {str(error)!r}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {error}"
    return None


def label(value: Any) -> str:
    try:
        return f"{type(value).__name__} {value!r}"[:60]
    except Exception:
        return f"a {type(value).__name__}"


def check(calls: Iterator[tuple[str, Any, Callable[[], Any]]]) -> None:
    """No call may end in another error than the library's."""
    wrong = [f"{what} = {label(value)}: {found}" for what, value, call in calls if (found := outcome(call)) is not None]
    assert not wrong, "\n".join([f"{len(wrong)} wrong", *wrong])


def arguments(thing: Any) -> list[str]:
    found = inspect.signature(thing).parameters.values()
    return [p.name for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name != "self"]


def used(thing: Any) -> None:
    """Made, a thing must also serve: what is checked late is checked where it is used."""
    if isinstance(thing, (gd.drives.Drive, gd.PoissonInput, gd.SpikeSource, gd.Spikes, gd.Trace)):
        simulated(thing)
        return
    network = gd.Network()
    with network:
        a = gd.Population(gd.Input(), 2, "a")
        hidden = thing if isinstance(thing, gd.neurons.DynamicNeuron) and thing.readout is None else None
        b = gd.Population(hidden or gd.LeakyIntegrateFire(), 2, "h")
        given = thing if isinstance(thing, gd.neurons.DynamicNeuron) and hidden is None else None
        c = gd.Population(given or gd.LeakyIntegrate(readout="sum_var"), 2, "c")
        kind = thing if isinstance(thing, gd.connectivity.Connectivity) else gd.Dense()
        if isinstance(thing, gd.initializers.Initializer):
            kind = gd.Dense(weight=thing)
        if isinstance(thing, gd.delays.DelayInitializer):
            kind = gd.Dense(delay=thing)
        synapse = thing if isinstance(thing, (gd.Exponential, gd.Delta)) else "delta"
        if not (b.spiking and kind.delay_initializer.high < 10_000):
            return
        gd.Connection(a, b, kind, synapse)
        gd.Connection(b, c, gd.Dense())
    compiler = thing if isinstance(thing, (gd.SurrogateCompiler, gd.EventPropCompiler)) else gd.SurrogateCompiler(4)
    compiler.plan(network_of("exponential") if isinstance(thing, gd.EventPropCompiler) else network)
    for connection in network.connections:
        assert np.isfinite(connection.synapses.weight).all()


def simulated(thing: Any) -> None:
    """Two steps of a network with an input, a drive or a recording."""
    network, record = gd.Network(), isinstance(thing, (gd.Spikes, gd.Trace))
    with network:
        source = gd.Population(thing if isinstance(thing, gd.Neuron) else gd.SpikeInput(), 2, "a")
        b = gd.Population(gd.LeakyIntegrateFire(), 2, "h", drives=thing if isinstance(thing, gd.drives.Drive) else ())
        gd.Connection(source, b, gd.Dense(weight=0.1))
    compiler = gd.SimulationCompiler(0.1, backend="reference")
    with compiler.compile(network, {"h": thing} if record else None) as simulation:
        simulation.run(0.2)


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructors(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """195 of 11,880 such values ended in another exception."""
    monkeypatch.chdir(tmp_path)
    thing, needed = getattr(gd, name), NEEDED.get(name, {})

    def calls() -> Iterator[tuple[str, Any, Callable[[], Any]]]:
        for argument in arguments(thing):
            for value in ODD:
                yield argument, value, lambda a=argument, v=value: used(thing(**{**needed, a: v}))

    check(calls())


def fresh() -> tuple[gd.Network, Any, Any, Any]:
    network = gd.Network()
    with network:
        a = gd.Population(gd.SpikeInput(), 2, "a")
        b = gd.Population(gd.LeakyIntegrateFire(), 2, "h")
        c = gd.Population(gd.LeakyIntegrate(readout="sum_var"), 2, "c")
    return network, a, b, c


def test_populations_and_connections() -> None:
    def calls() -> Iterator[tuple[str, Any, Callable[[], Any]]]:
        for value in ODD:
            for argument in arguments(gd.Population):
                given = {"neuron": gd.LeakyIntegrateFire(), "shape": 2, "network": fresh()[0], argument: value}
                if not (argument == "shape" and isinstance(value, int) and value > 10**6):
                    yield argument, value, lambda g=given: gd.Population(**g).parameters()
            for argument in arguments(gd.Connection):
                _, a, b, _ = fresh()
                given = {"source": a, "target": b, "connectivity": gd.Dense(), argument: value}
                yield argument, value, lambda g=given: gd.Connection(**g)
            yield "find", value, lambda v=value: fresh()[0].find("population", v)
            yield "find kind", value, lambda v=value: fresh()[0].find(v, "a")

    check(calls())


def network_of(synapse: str = "delta") -> gd.Network:
    network, a, b, c = fresh()
    with network:
        gd.Connection(a, b, gd.FixedNumber(sparsity=0.5, delay=1), synapse)
        gd.Connection(b, c, gd.FixedNumber(sparsity=0.5), synapse)
    return network


def test_values_within_values() -> None:
    equations = {"v": ("-v / tau + Isyn", "0")}

    def neuron(**given: Any) -> None:
        used(gd.UserNeuron(**{"vars": equations, "threshold": "v - 1", "param_vals": {"tau": 5.0}, **given}))

    def population(**given: Any) -> None:
        gd.Population(gd.LeakyIntegrateFire(), 2, network=gd.Network(), **given).parameters()

    def calls() -> Iterator[tuple[str, Any, Callable[[], Any]]]:
        for value in ODD:
            yield "param_vals", value, lambda v=value: neuron(param_vals={"tau": v})
            yield "var_vals", value, lambda v=value: neuron(var_vals={"v": v})
            yield "vars", value, lambda v=value: neuron(vars={"v": v})
            yield "rate", value, lambda v=value: neuron(vars={"v": (v, "0")})
            yield "jump", value, lambda v=value: neuron(vars={"v": ("-v / tau + Isyn", v)})
            for name in ("scale", "shift"):
                yield name, value, lambda n=name, v=value: population(batch_norm=gd.BatchNorm(**{n: v}))
            for wrapped in ([value] * 2, np.array([value, 1], dtype=object)):
                yield "tau_mem", wrapped, lambda w=wrapped: used(gd.LeakyIntegrateFire(tau_mem=w))
                yield "bias", wrapped, lambda w=wrapped: population(bias=w)
                for name in ("pre", "post", "weight", "delay"):
                    given = {"pre": [0, 1], "post": [0, 1], name: wrapped}
                    yield name, wrapped, lambda g=given: used(gd.Sparse(**g))
            yield "losses", value, lambda v=value: gd.SurrogateCompiler(4, losses={"c": v}).plan(network_of())

    check(calls())


def test_compile() -> None:
    def calls() -> Iterator[tuple[str, Any, Callable[[], Any]]]:
        compiler = gd.SurrogateCompiler(4, backend="reference")
        for value in ODD:
            yield "network", value, lambda v=value: compiler.plan(v)
            for argument in ("optimisers", "rewiring"):
                plans = {
                    "": value, "all": {"all_connections": value}, "one": {"a_h": value}, "h": {"h": value},
                    "weight": {"all_connections": {"weight": value}}, "populations": {"all_populations": value},
                }  # fmt: skip
                if type(value).__hash__ is not None and not isinstance(value, (tuple, slice)):
                    plans["key"] = {value: {"weight": "adam"}}
                for how, given in plans.items():
                    yield (
                        f"{argument} {how}",
                        value,
                        lambda a=argument, g=given: compiler.plan(network_of(), **{a: g}),
                    )

    check(calls())


def test_methods_of_a_compiled_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = {"a": [([0.0, 1.0], [0, 1])] * 3}, {"c": np.array([0, 1, 0])}
    late = {"num_epochs": 0}

    def calls(net: gd.CompiledNetwork) -> Iterator[tuple[str, Any, Callable[[], Any]]]:
        methods: dict[str, dict[str, Any]] = {
            "train": {"x": x, "y": y, "num_epochs": net.epoch or 1, "callbacks": ()},
            "evaluate": {"x": x, "y": y}, "predict": {"x": x}, "gradients": {"x": x, "y": y},
            "population": {}, "synapses": {}, "delays": {}, "save": {"path": "x"}, "load": {"path": "x"},
            "set_learning_rate": {"alpha": 0.1}, "set_weights": {"connection": "a_h", "weight": [0.1, 0.2]},
        }  # fmt: skip
        for method, given in methods.items():
            call = getattr(net, method)
            for argument in arguments(call):
                for value in ODD:
                    if argument == "num_epochs" and isinstance(value, (int, np.integer)) and value > late["num_epochs"]:
                        continue  # it would be trained
                    choices = [value, [value]] if argument in ("callbacks", "outputs") else [value]
                    if argument in ("x", "y", "validation_x", "validation_y"):
                        choices += [{"a" if argument.endswith("x") else "c": value}]
                        choices += [{"a": [(value, [0])]}, {"a": [([0.0], value)]}] if argument.endswith("x") else []
                    for chosen in choices:
                        values = {**given, argument: chosen}
                        if argument.startswith("validation_") and argument != "validation_split":
                            values = {"validation_x": x, "validation_y": y, **values}
                        yield f"{method} {argument}", chosen, lambda c=call, v=values: c(**v)

    with gd.SurrogateCompiler(4, 2, backend="reference").compile(network_of()) as net:
        check(calls(net))
