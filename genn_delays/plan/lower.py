"""From a network to its plan: everything is checked, models are derived, nothing is allocated."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..derive.derivations import discrete_model, surrogate_code
from ..derive.equations import DiscreteModel
from ..derive.names import derived_name
from ..derive.printed import evaluate, words_of
from ..errors import GennDelaysWarning, InvalidValueError
from ..learning.losses import Loss
from ..learning.optimisers import Optimiser
from ..learning.readouts import as_readout
from ..learning.regularisation import SpikeRegularisation
from ..learning.surrogates import Surrogate
from ..network import Connection, Network, Population
from ..neurons import DynamicNeuron, Input
from ..neurons.neuron import NONLINEAR, REFRACTORY_STATE
from ..rewiring import RewiringRule
from ..rewiring.signs import dale_signs
from ..synapses import SYNAPSES, Delta
from .order import computation_order
from .plan import PHANTOM, ConnectionPlan, EventProp, FirstSynapses, Kind, Plan, PopulationPlan


def lower(
    network: Network,
    *,
    time_steps: int,
    batch_size: int,
    dt: float,
    training_seed: int,
    losses: dict[int, Loss],
    regularisation: SpikeRegularisation | None,
    clip_norm: float | None,
    surrogate: Surrogate | None,
    detach_reset: bool,
    event_prop: EventProp | None,
    max_spikes: int | None,
    optimisers: dict[int, Optimiser],
    delay_optimisers: dict[int, Optimiser],
    learned: dict[int, dict[str, Optimiser]],
    rewiring: dict[int, RewiringRule],
) -> Plan:
    """The plan of a network.

    Args:
        time_steps: T, steps per example.
        dt: length of a step in ms.
        losses: by index of the output population, as they read its readout.
        optimisers, delay_optimisers, rewiring: by index of the connection; connections not named are left as they are.
        learned: by index of the population the optimisers of its learned values, by name.

    Raises:
        InvalidValueError: the network cannot be run or trained as asked.
    """
    network.validate()
    groups, cyclic = computation_order(network)
    populations = []
    for p in network.populations:
        scored = any(c.index in rewiring and rewiring[c.index].uses_gradient for c in p.incoming)
        whole = scored or p in network.outputs or any(other.batch_norm for other in network.populations)
        regularised = regularisation is not None and p.spiking and not p.neuron.is_input and p.neuron.readout is None
        keeps = _keeps(p, p.index in cyclic, whole, event_prop is not None)
        learns, loss = learned.get(p.index, {}), losses.get(p.index)
        populations.append(_population(p, dt, detach_reset, event_prop, keeps, regularised, learns, loss))
    return Plan(
        populations=tuple(populations),
        connections=_connections(
            network, groups, time_steps, optimisers, delay_optimisers, rewiring, event_prop is not None
        ),
        groups=groups,
        time_steps=time_steps,
        batch_size=batch_size,
        network_seed=network.seed,
        training_seed=training_seed,
        regularisation=regularisation,
        clip_norm=clip_norm,
        surrogate=surrogate,
        surrogate_code=None if surrogate is None else surrogate_code(surrogate),
        detach_reset=detach_reset,
        event_prop=event_prop,
        max_spikes=max_spikes,
        network=network,
    )


def _connections(
    network: Network,
    groups: tuple[tuple[int, ...], ...],
    time_steps: int,
    optimisers: dict[int, Optimiser],
    delay_optimisers: dict[int, Optimiser],
    rewiring: dict[int, RewiringRule],
    exact_delays: bool,
) -> tuple[ConnectionPlan, ...]:
    """The connections' part of the plan: delays on cycles checked, signs under Dale's law drawn."""
    plans = []
    under_dale = {c.index for c in network.connections if c.index in rewiring and rewiring[c.index].dale}
    for c in network.connections:
        on_cycle = any(c.source.index in g and c.target.index in g for g in groups)
        if on_cycle and c.connectivity.delay_initializer.low < 1:
            raise InvalidValueError(
                f"connection {c.name!r} lies on a cycle, where delays must be at least 1 step, got "
                f"{c.connectivity.delay_initializer.low}"
            )
        if c.delay_kernel is not None and c.max_delay_steps >= time_steps:
            raise InvalidValueError(
                f"the delay kernel of connection {c.name!r} has {c.max_delay_steps + 1} lags (max_delay_steps + 1), "
                f"allowed are at most {time_steps}, the time steps of an example"
            )
        _warn_of_lost(c, time_steps)
        signs = None
        if c.index in under_dale:  # one sign per source neuron in all its connections under the law
            signs = dale_signs(c.source, [other for other in c.source.outgoing if other.index in under_dale])
        connectivity, delays = c.connectivity, c.connectivity.delay_initializer
        plans.append(
            ConnectionPlan(
                index=c.index,
                name=c.name,
                source=c.source.index,
                target=c.target.index,
                num_pre=c.source.size,
                num_post=c.target.size,
                size=c.num_synapses,
                synapse=_synapse_name(c),
                optimiser=optimisers.get(c.index),
                delay_optimiser=delay_optimisers.get(c.index),
                kernel=c.delay_kernel,
                rewiring=rewiring.get(c.index),
                first=_first_synapses(c),
                delay_low=delays.low,
                delay_thresholds=delays.thresholds,
                sign_threshold=connectivity.home_sign_threshold(c.source.size) if c.index in rewiring else 0,
                pre_sign=signs,
                min_delay=int(on_cycle),
                max_delay=c.max_delay_steps,
                capacity=connectivity.synapses_per_pair(),
                exact_delays=exact_delays,
            )
        )
    return tuple(plans)


def _first_synapses(c: Connection) -> FirstSynapses:
    """The synapses of a connection, drawn when they are needed."""
    return FirstSynapses(draw=c.draw, drawn=lambda: "synapses" in vars(c))


def _synapse_name(c: Connection) -> str:
    """The registered name of a connection's synapse model, or that of its class."""
    kind = type(c.synapse)
    return next((name for name, known in SYNAPSES.items() if known is kind), kind.__name__)


def _described(p: Population, kind: Kind) -> str:
    """The neurons' equations as text, without their synapses; for an input its kind."""
    if not isinstance(p.neuron, DynamicNeuron):
        return {"real_input": "real-valued input", "spike_input": "spike input"}[kind]
    e = p.neuron.equations()
    parts = [f"d{v}/dt = {rate}" + (f", {v} -> {jump}" if jump else "") for v, (rate, jump) in e.variables.items()]
    parts += [f"spike at {e.threshold} >= 0"] if e.threshold else []
    parts += [f"{', '.join(e.held)} held for {e.refractory}"] if e.refractory else []
    return "; ".join([*parts, e.integration])


def _warn_of_lost(c: Connection, time_steps: int) -> None:
    """Warn if synapses have delays so long that nothing can arrive through them."""
    if c.connectivity.delay_initializer.high < time_steps:
        return
    delay = c.draw().delay
    lost = int((delay >= time_steps).sum())
    if lost:
        warnings.warn(
            f"connection {c.name!r}: nothing can arrive through {lost:,} of its {delay.size:,} synapses, as their "
            f"delays are {time_steps} steps or more (up to {delay.max()}), and an example lasts {time_steps}",
            GennDelaysWarning,
            stacklevel=6,
        )


class _Keeps(NamedTuple):
    """The arrays that are kept of a whole population, not of the current row alone; see :class:`PopulationPlan`."""

    cyclic: bool
    gradient: bool
    whole_gradient: bool
    time_gradient: bool
    tape: bool


def _keeps(p: Population, cyclic: bool, whole: bool, event_prop: bool) -> _Keeps:
    upstream = any(not c.source.neuron.is_input for c in p.incoming)
    if not event_prop:
        return _Keeps(cyclic, upstream or cyclic or whole, whole, False, not p.neuron.is_input)
    return _Keeps(cyclic, cyclic or whole, whole, upstream or cyclic, not p.spiking and not p.neuron.is_input)


def _population(
    p: Population,
    dt: float,
    detach_reset: bool,
    event_prop: EventProp | None,
    keeps: _Keeps,
    regularised: bool,
    learned: dict[str, Optimiser],
    loss: Loss | None,
) -> PopulationPlan:
    cyclic = keeps.cyclic
    kind: Kind = "neuron"
    model, numbers, values = None, {}, p.parameters()
    if isinstance(p.neuron, DynamicNeuron):
        equations = p.equations()
        model = discrete_model(equations, detach_reset)
        _check_input_arrives(p, model)
        numbers = _coefficients(p, model, values, dt)
        numbers |= {name: values[name] for name in model.step_parameters}
        numbers |= {derived_name("initial", s): values.get(s, np.zeros(p.size)) for s in model.states}
        if event_prop is not None:
            numbers |= _transition_numbers(p, model, values) | _phantom(p, event_prop)
    else:
        kind = "real_input" if isinstance(p.neuron, Input) else "spike_input"
    if p.batch_norm is not None and cyclic:
        raise InvalidValueError(
            f"batch_norm: population {p.name!r} lies on a cycle, where a batch's statistics over time are not known "
            "before its spikes are; allowed is batch_norm on populations without recurrent or feedback connections"
        )
    return PopulationPlan(
        index=p.index,
        name=p.name,
        size=p.size,
        kind=kind,
        spiking=p.spiking,
        model=model,
        parameters=numbers,
        readout=p.neuron.readout,
        loss=loss,
        incoming=tuple(c.index for c in p.incoming),
        outgoing=tuple(c.index for c in p.outgoing),
        cyclic=cyclic,
        keeps_gradient=keeps.gradient,
        keeps_whole_gradient=keeps.whole_gradient,
        keeps_time_gradient=keeps.time_gradient,
        keeps_tape=keeps.tape,
        values=values,
        learned=learned,
        batch_norm=p.batch_norm,
        dropout=p.dropout,
        regularised=regularised,
        dt=dt,
        event_prop=event_prop is not None,
        described=_described(p, kind),
    )


def _check_input_arrives(p: Population, model: DiscreteModel) -> None:
    """Raise an error if connections lead to neurons whose spikes, or whose output, no input can ever change.

    Input reaches variables through right-hand sides and through jumps at spikes.
    """
    reads = {s: words_of([model.update[s], *([model.jump[s]] if s in model.jump else [])]) for s in model.states}
    reads |= {name: words_of([step]) for name, step in model.steps.items()}
    reached = {"Isyn"}
    while more := {s for s in reads if s not in reached and reads[s] & reached}:
        reached |= more
    asked = {model.states[model.output]} if model.threshold is None else words_of([model.threshold])
    if not p.incoming or asked & reached:
        return
    what = "its output" if model.threshold is None else "its threshold"
    variables = ", ".join(s for s in model.states if s in asked) or "no variable"
    why = "no equation has Isyn, the input current" if len(reached) == 1 else "Isyn does not get to them"
    raise InvalidValueError(
        f"population {p.name!r}: {what} depends on {variables}, which the input of connection {p.incoming[0].name!r} "
        f"never changes: {why}; write for example dv/dt = '-v / tau_mem + Isyn'"
    )


def _transition_numbers(
    p: Population, model: DiscreteModel, values: dict[str, npt.NDArray[np.float64]]
) -> dict[str, npt.NDArray[np.float64]]:
    """Numbers per neuron that EventProp's adjoint reads besides the coefficients of a step."""
    transitions = model.transitions
    equations = p.equations()
    if equations.integration in NONLINEAR or equations.rising:
        what = f"integration {equations.integration!r}" if not equations.rising else "neurons that spike when they rise"
        raise InvalidValueError(
            f"population {p.name!r}: EventProp has no adjoint for {what}, only for linear equations under "
            "'linear_euler' or 'exact' with a reset; train this network with SurrogateCompiler"
        )
    if transitions is None and not isinstance(p.synapse, Delta):
        raise InvalidValueError(
            f"population {p.name!r}: EventProp has no adjoint for equations that read dt, as those of input_latency "
            "do; use input_latency 0, or the compiler of surrogate gradients"
        )
    if transitions is None:
        raise InvalidValueError(
            f"population {p.name!r}: EventProp has no adjoint for synapse 'delta', which moves the potential at once; "
            'give its connections synapse=Exponential(tau), in a model file synapse = { kind = "exponential" }'
        )
    found = {name: evaluate(e, values) + np.zeros(p.size) for name, e in transitions.coefficients.items()}
    return found | {name: values[name] for name in transitions.parameters if name not in model.step_parameters}


def _phantom(p: Population, event_prop: EventProp) -> dict[str, npt.NDArray[np.float64]]:
    """The inverse slope of phantom spikes (ms), where a readout has them."""
    readout = p.neuron.readout
    if readout is None or as_readout(readout).phantom is None or event_prop.phantom_spike == 0:
        return {}
    return {PHANTOM: np.full(p.size, event_prop.phantom_spike)}


def _coefficients(
    p: Population, model: DiscreteModel, values: dict[str, npt.NDArray[np.float64]], dt: float
) -> dict[str, npt.NDArray[np.float64]]:
    """The coefficients of the integration rule, per neuron."""
    numbers = {}
    for name, expression in model.coefficients.items():
        with np.errstate(all="ignore"):  # infinite results are an error below
            value = evaluate(expression, {**values, "dt": dt})
        numbers[name] = np.broadcast_to(np.asarray(value, dtype=np.float64), (p.size,))
        if not np.isfinite(numbers[name]).all():
            raise InvalidValueError(
                f"population {p.name!r}: the integration rule gives no number for {name} = {expression}"
            )
        if name == derived_name("steps", REFRACTORY_STATE) and (numbers[name] < 1).any():
            raise InvalidValueError(
                f"population {p.name!r}: tau_refrac must be at least one time step of {dt:g} ms, got "
                f"{values['tau_refrac'].min():g}"
            )
        state = name.removeprefix(derived_name("a", ""))
        if name == derived_name("a", state) and state in model.states and (numbers[name] < 0).any():
            raise InvalidValueError(
                f"population {p.name!r}: a step of {dt:g} ms is too long for linear Euler, {state} would change "
                f"sign every step ({name} = {numbers[name].min():.4g}, allowed is 0 or more); take a time constant "
                "of at least dt, a smaller dt or integration 'exact'"
            )
    _check_decay(p, model, values, dt)
    return numbers


_LONGEST_STEP = {"euler": 1.0, "rk4": 2.785}
"""The longest step, in time constants of a decay: forward Euler would change the sign of what decays, Runge-Kutta would
let it grow."""


def _check_decay(p: Population, model: DiscreteModel, values: dict[str, npt.NDArray[np.float64]], dt: float) -> None:
    """Raise an error if a step is too long for a variable of nonlinear equations that decays by itself."""
    assert isinstance(p.neuron, DynamicNeuron)
    rule = p.neuron.equations().integration
    for s, text in model.decay.items():
        rate = np.asarray(evaluate(text, {**values, "dt": dt}), dtype=np.float64)
        if not (dt * rate <= _LONGEST_STEP[rule] + 1e-9).all():
            shortest = 1.0 / float(rate.max())
            raise InvalidValueError(
                f"population {p.name!r}: a step of {dt:g} ms is too long for integration {rule!r}, {s} decays with a "
                f"time constant of {shortest:.4g} ms; allowed is a dt of at most "
                f"{_LONGEST_STEP[rule] * shortest:.4g} ms"
            )
