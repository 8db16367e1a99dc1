"""Comparisons of the self-test: a backend's results for a network, beside those of `reference`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..connectivity import Synapses, home_words
from ..errors import GennDelaysError
from ..plan.exchanged import ConnectionState
from ..plan.plan import ConnectionPlan, Plan
from ..random import Purpose, philox
from ..rewiring import RewiringRule
from ..training.compiled_network import CompiledNetwork
from .cases import Case

if TYPE_CHECKING:  # data sets and metrics are imported only for the digits
    from ..runs.config import Config

Array = npt.NDArray[Any]

GRADIENT = 1e-5
"""Gradients, losses and the readouts' z may differ by this share of the largest."""
LEARNED = 1e-4
"""Values learned in several steps may differ by this share of the largest change."""
GENN = 1e-3
"""The same in GeNN, which sums in another order at every step."""


@dataclass
class Findings:
    """A backend's results for a network.

    Attributes:
        exact: arrays by name that must be the same bit by bit.
        near: arrays that may differ, and by what share of the largest expected number.
    """

    exact: dict[str, Array] = field(default_factory=dict)
    near: dict[str, tuple[Array, float]] = field(default_factory=dict)


class DifferenceError(GennDelaysError):
    """A backend's result differs from the definition.

    Attributes:
        deviation: the largest, as a share; not finite if an exact array or a NaN differs.
    """

    def __init__(self, text: str, deviation: float = float("inf")) -> None:
        super().__init__(text)
        self.deviation = deviation


def compare(found: Findings, expected: Findings) -> float:
    """The largest deviation: max |difference| over max |expected|, the largest of all arrays that may differ.

    Raises:
        DifferenceError: something differs that must not, or by more than it may.
    """
    for name, values in expected.exact.items():
        here = found.exact[name]
        if here.shape != values.shape:
            raise DifferenceError(f"{name}: shape {here.shape} in place of {values.shape}")
        if not np.array_equal(here, values):
            raise DifferenceError(f"{name}: {int((here != values).sum())} of {values.size} differ")
    largest = 0.0
    for name, (values, allowed) in expected.near.items():
        deviation = _deviation(found.near[name][0], values)
        largest = max(largest, deviation)
        if not deviation <= allowed:
            raise DifferenceError(
                f"{name} deviates by {deviation:.1e} of the largest, allowed is {allowed:.0e}", deviation
            )
    return largest


def _deviation(found: Array, expected: Array) -> float:
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    difference = np.abs(found - expected).max(initial=0.0)
    return float(difference / max(np.abs(expected).max(initial=0.0), 1e-300))


# --- passes ----------------------------------------------------------------------------------------------------------


def passes(case: Case, backend: Any, *, grid: bool = False, gradients: bool = True) -> Findings:
    """Both batches of a case forwards and backwards as a training step has them, and both evaluated.

    Args:
        grid: weights and inputs are multiples of 2**-8, so that sums are exact in any order.
        gradients: without, they are only evaluated.
    """
    found = Findings()
    x, y = case.data()
    if grid:
        x = {name: on_grid(values) for name, values in x.items()}
    with case.compile(backend) as compiled:
        _prepare(compiled, case.seed, grid)
        count, size = len(x["in"]), case.batch_size
        for number, batch in enumerate((slice(0, size), slice(size, count))):
            x_batch, y_batch = ({name: values[batch] for name, values in data.items()} for data in (x, y))
            if gradients:
                loss, _ = compiled.gradients(x_batch, y_batch)
                found.near[f"loss of batch {number}"] = np.asarray(loss), GRADIENT
                _add_activity(found, compiled, f"batch {number}", grid)
                _add_gradients(found, compiled, f"batch {number}")
            metrics, _ = compiled.evaluate(x_batch, y_batch)
            what = f"evaluated batch {number}"
            for p, metric in metrics.outputs.items():
                found.near[f"loss of {p.name} of {what}"] = np.asarray(metric.loss), GRADIENT
                found.exact[f"right answers of {p.name} of {what}"] = np.asarray(metric.correct)
            for p, output in compiled.predict(x_batch)[0].items():
                found.near[f"{p.name} of {what}"] = output, GRADIENT
            _add_activity(found, compiled, what, grid)
    return found


def on_grid(values: Array) -> npt.NDArray[np.float32]:
    """The nearest multiples of 2**-8."""
    return (np.round(np.asarray(values, np.float64) * 256) / 256).astype(np.float32)


def _prepare(compiled: CompiledNetwork, seed: int, grid: bool) -> None:
    """Keep variables, and set learned delays to fractions and running averages to values as after training."""
    random = np.random.default_rng(seed)
    for c in compiled.plan.connections:
        state = compiled.engine.state(c.index)
        beside = state.position + random.uniform(-0.45, 0.45, state.position.size)
        state.position = np.clip(beside, c.min_delay, c.max_delay).astype(np.float32)
        if grid:
            state.synapses = state.synapses._replace(weight=on_grid(state.synapses.weight))
        compiled.engine.set_state(c.index, state)
    for p, values in zip(compiled.plan.populations, compiled.populations, strict=True):
        compiled.engine.keep_variables(p.index)
        if p.batch_norm:
            values.values["batch_norm_mean"] = random.normal(0.1, 0.1, p.size).astype(np.float32)
            values.values["batch_norm_var"] = random.uniform(0.2, 2.0, p.size).astype(np.float32)
            compiled.engine.set_values(p.index, values.values)


def _add_activity(found: Findings, compiled: CompiledNetwork, what: str, grid: bool) -> None:
    """Spikes exactly; state variables too, but for rounding where sums run in another order."""
    for p in compiled.plan.populations:
        if p.spiking:
            found.exact[f"spikes of {p.name} of {what}"] = compiled.engine.spikes(p.index)
        for name in p.model.states if p.model is not None else ():
            variable = compiled.engine.variable(p.index, name).copy()
            if grid:
                found.near[f"{name} of {p.name} of {what}"] = variable, LEARNED
            else:
                found.exact[f"{name} of {p.name} of {what}"] = variable


def _add_gradients(found: Findings, compiled: CompiledNetwork, what: str) -> None:
    for c in compiled.plan.connections:
        for variable in ("weight", "delay") if c.real_delays else ("weight",):
            gradient = compiled.engine.gradient(c.index, variable)
            found.near[f"dL/d{variable} of {c.name} of {what}"] = gradient, GRADIENT
    for p in compiled.plan.populations:
        for name, gradient in compiled.engine.population_gradients(p.index).items():
            found.near[f"dL/d{name} of {p.name} of {what}"] = gradient, GRADIENT


# --- training --------------------------------------------------------------------------------------------------------


def trained(case: Case, backend: Any, *, tolerance: float = LEARNED) -> Findings:
    """A case after all its training steps, without interruption: structure, ages, delays, learned values.

    Args:
        tolerance: of learned values.
    """
    found = Findings()
    with _train(case, backend) as (compiled, loss):
        found.near["loss of the last epoch"] = np.asarray(loss), tolerance
        for c in compiled.plan.connections:
            before, state = c.first.draw(), compiled.engine.state(c.index)
            _add_state(found, c.name, before, state, c.rewiring is not None, tolerance)
        for name, count in compiled.rewirings.items():
            found.exact[f"synapses rewired of {name}"] = np.asarray(count)
        for p, values in zip(compiled.plan.populations, compiled.populations, strict=True):
            for name, array in values.values.items():
                found.near[f"{name} of {p.name}"] = array.copy(), tolerance
    return found


@contextmanager
def _train(case: Case, backend: Any) -> Iterator[tuple[CompiledNetwork, float]]:
    """A case after all its training steps, while the block is open, and the loss of its last epoch."""
    x, y = case.data()
    with case.compile(backend) as compiled:
        metrics, _ = compiled.train(x, y, case.steps // 2, callbacks=())  # two batches an epoch
        yield compiled, metrics.loss


def _add_state(
    found: Findings, name: str, before: Synapses, state: ConnectionState, rewired: bool, tolerance: float
) -> None:
    synapses = state.synapses
    found.exact |= {f"{what} of {name}": getattr(synapses, what) for what in ("pre", "post", "delay")}
    found.exact[f"age of {name}"] = state.age
    if rewired:
        found.exact[f"sign of {name}"] = np.signbit(synapses.weight)
        found.exact[f"weight of the newborn of {name}"] = synapses.weight[state.age == 0]
        found.near[f"weight of {name}"] = synapses.weight, tolerance
        found.near[f"delay of {name} as it is learned"] = state.position, tolerance
    else:
        found.near[f"change of the weight of {name}"] = synapses.weight - before.weight, tolerance
        if state.position.size:
            found.near[f"change of the delay of {name}"] = state.position - before.delay, tolerance
    for kind, moments in (("weight", state.moments), ("delay", state.delay_moments)):
        for number, moment in enumerate(moments):
            found.near[f"moment {number} of the {kind} of {name}"] = moment, tolerance


def invariants(case: Case, backend: Any) -> None:
    """Check the invariants of rewiring after all of a case's training steps.

    The number of synapses is constant; no pair is there twice, and they are in order; delays are in range, and equal to
    the pair's own delay where the rule says so; signs never flip; and something was rewired.

    Raises:
        DifferenceError: one does not hold.
    """
    rule = case.rewiring
    assert rule is not None
    with _train(case, backend) as (compiled, loss):
        _hold("the loss is a number", bool(np.isfinite(loss)))
        _hold("synapses were rewired", sum(compiled.rewirings.values()) > 0)
        for c in compiled.plan.connections:
            before, after = c.first.draw(), compiled.synapses(c.name)
            _hold(f"{c.name} keeps its number of synapses", after.pre.size == before.pre.size)
            pair = after.post.astype(np.int64) * c.num_pre + after.pre
            _hold(f"{c.name} has no pair twice, in order of (post, pre)", bool((np.diff(pair) > 0).all()))
            in_range = (after.delay >= c.min_delay) & (after.delay <= c.max_delay)
            _hold(f"delays of {c.name} are from {c.min_delay} to {c.max_delay}", bool(in_range.all()))
            negative, home = _home(compiled.plan.network_seed, c, after, rule)
            if rule.signed:
                _hold(f"signs of {c.name} never flip", bool((np.signbit(after.weight) == negative).all()))
            if rule.growth_delay == "pair" and not c.real_delays:
                _hold(f"every pair of {c.name} has its own delay", bool((after.delay == home).all()))
            _hold(f"weights of {c.name} are numbers", bool(np.isfinite(after.weight).all()))


def _home(seed: int, c: ConnectionPlan, synapses: Synapses, rule: RewiringRule) -> tuple[Array, Array]:
    """The fixed sign of each synapse (True: negative), by its pair or its source, and the delay of its pair."""
    words = home_words(synapses.pre, synapses.post, 0, seed, c.index)
    sign = philox(seed, Purpose.DALE, c.source, synapses.pre)[0] if rule.dale else words[0]
    return sign < c.sign_threshold, c.delays_of(words[1])


def _hold(what: str, holds: bool) -> None:
    if not holds:
        raise DifferenceError(f"it does not hold that {what}")


# --- two runs of the digits ------------------------------------------------------------------------------------------

EPOCHS = 2
FEW_HIDDEN, FEW_EXAMPLES = 64, 256
"""Hidden neurons and examples where little is to be computed."""


def digits_plan(*, event_prop: bool = False, few: bool = False) -> Plan:
    """The plan of that model, the same for every backend; the arguments are those of :func:`digits`."""
    from ..runs.build import plan_of

    return plan_of(_digits_config(event_prop=event_prop, few=few))


def _digits_config(*, event_prop: bool, few: bool) -> Config:
    from ..runs.models import load_model
    from ..runs.overrides import Overrides

    config = load_model("digits_eventprop" if event_prop else "digits")
    return Overrides(hidden=str(FEW_HIDDEN)).apply(config) if few else config


def digits(backend: Any, *, event_prop: bool = False, few: bool = False) -> tuple[dict[str, Array], float]:
    """The model `digits` after two epochs: every array of its synapses and optimisers, and the training accuracy.

    Args:
        event_prop: `digits_eventprop` in its place.
        few: fewer hidden neurons and examples.
    """
    from ..runs.build import build_compiler, build_network, compile_arguments, load_data, take

    config = _digits_config(event_prop=event_prop, few=few)
    network, compiler, data = build_network(config), build_compiler(config), load_data(config)
    compiler.backend = backend
    count = FEW_EXAMPLES if few else len(data.y_train)
    x, y = take(data.x_train, range(count)), data.y_train[:count]
    with compiler.compile(network, **compile_arguments(config, network)) as compiled:
        metrics, _ = compiled.train({network.inputs[0]: x}, {network.outputs[0]: y}, EPOCHS, callbacks=())
        accuracy = metrics.accuracy
        found: dict[str, Array] = {"loss": np.asarray(metrics.loss)}
        for c in compiled.plan.connections:
            arrays: Mapping[str, Array] = compiled.engine.state(c.index).arrays()
            found |= {f"{name} of {c.name}": array for name, array in arrays.items()}
    return found, accuracy
