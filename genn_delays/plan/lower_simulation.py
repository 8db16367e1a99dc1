"""From a network to the plan of its simulation: everything is checked, models are derived, weights get their grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..derive.derivations import discrete_model
from ..derive.names import derived_name
from ..errors import InvalidValueError
from ..network import Connection, Network, Population
from ..neurons import DynamicNeuron, PoissonInput, SpikeInput, SpikeSource
from .driving import Events, currents_of, driven, poisson_drives, single, spike_threshold
from .grid import MOST, finest_exponent, grid_exponent
from .lower import _check_input_arrives, _coefficients, _described
from .order import computation_order
from .receptors import joined, receptors_of
from .simulation import (
    INPUT_BYTES,
    LAST_STEP,
    LONGEST_BLOCK,
    Places,
    ReceptorPlan,
    SimulatedConnection,
    SimulatedPopulation,
    SimulationPlan,
    Wiring,
)

W = TypeVar("W", bound=Wiring)
COLUMN = 16
"""Columns of a receptor are padded to a multiple of this, a cache line."""


def lower_simulation(
    network: Network, dt: float, seed: int, connect: Callable[[Places], W]
) -> tuple[SimulationPlan, W]:
    """The plan of a network, and its synapses as the backend's `connect` has made them, with weights on their grids.

    Raises:
        InvalidValueError: the network cannot be simulated.
    """
    groups, order = _order(network)
    for p in network.populations:
        _check(p)
    level = _levels(network, groups)
    events = {p.index: poisson_drives(p, dt) for p in network.populations}
    receptors: list[ReceptorPlan] = []
    first = [0]
    for p in network.populations:
        receptors += _receptors(p, receptors)
        first.append(first[-1] + p.size)
    columns = _next_column(network, receptors)
    acting = [_receptor_of(c, receptors) for c in network.connections]
    places = Places(
        network=network,
        first=tuple(first[:-1]),
        neurons=first[-1],
        column=tuple(receptors[r].column for r in acting),
        columns=columns,
        longest=max((_delays(c)[1] for c in network.connections), default=0),
        block=_block(network, columns),
    )
    populations = []
    for p in network.populations:
        own = [r.index for r in receptors if r.population == p.index]
        populations.append(_population(p, own, first[p.index], level[p.index], dt))
    wiring = connect(places)
    receptors = _on_grids(network, receptors, acting, events, wiring)
    plan = SimulationPlan(
        populations=tuple(driven(p, network.populations[p.index], events[p.index], receptors) for p in populations),
        receptors=tuple(receptors),
        connections=tuple(_connection(c, acting[c.index]) for c in network.connections),
        order=order,
        block=places.block,
        levels=max(level.values()) + 1,
        columns=columns,
        longest=places.longest,
        dt=dt,
        network_seed=network.seed,
        seed=seed,
        fingerprint=f"{wiring.checksum():016x}",
    )
    return plan, wiring


def _check(p: Population) -> None:
    """Raise an error if simulations have no such population."""
    if p.neuron.is_input and not isinstance(p.neuron, SpikeInput):
        raise InvalidValueError(
            f"population {p.name!r}: {type(p.neuron).__name__}() sends real values, simulations send spikes: make it a "
            f"SpikeInput() and give its spikes to run(duration, {{{p.name!r}: (times, neurons)}}), or a SpikeSource or "
            "PoissonInput; real values can be drives=[StepCurrent(values)] of the populations that hear it"
        )
    if p.batch_norm is not None:
        raise InvalidValueError(
            f"batch_norm: population {p.name!r} is normalised over a batch, which a simulation has not; "
            "fold_batch_norm(compiled) puts a trained batch norm into weights and a bias"
        )


# --- time --------------------------------------------------------------------------------------------------------


def _order(network: Network) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Groups of populations that are connected in a circle (inputs: one each), and all populations, in order."""
    groups, _ = (
        computation_order(network)
        if network.connections
        else (tuple((p.index,) for p in network.populations if not p.neuron.is_input), set())
    )
    inputs = [(p.index,) for p in network.populations if p.neuron.is_input]
    every = [*inputs, *groups]
    return every, tuple(i for group in every for i in group)


def _delays(c: Connection) -> tuple[int, int]:
    """The shortest and the longest delay that a connection may have."""
    delays = c.connectivity.delay_initializer
    return int(delays.low), int(delays.high)


def _levels(network: Network, groups: list[tuple[int, ...]]) -> dict[int, int]:
    """By population the longest path of delays of 0 that leads to it; on a cycle there may be none."""
    group = {i: number for number, members in enumerate(groups) for i in members}
    inside = [c for c in network.connections if group[c.source.index] == group[c.target.index]]
    for c in inside:
        if _delays(c)[0] < 1:
            raise InvalidValueError(
                f"connection {c.name!r} lies on a cycle, where delays must be at least 1 step, got {_delays(c)[0]}"
            )
    level: dict[int, int] = {}
    for members in groups:
        coming = [c for i in members for c in network.populations[i].incoming if c.source.index not in members]
        below = [level[c.source.index] + 1 for c in coming if _delays(c)[0] == 0]
        level |= dict.fromkeys(members, max(below, default=0))
    return level


def _block(network: Network, columns: int) -> int:
    """Steps of a block."""
    shortest = min((_delays(c)[0] for c in network.connections), default=LONGEST_BLOCK)
    return max(1, min(shortest, LONGEST_BLOCK, INPUT_BYTES // (4 * max(columns, 1))))


# --- what arrives --------------------------------------------------------------------------------------------------


def _receptors(p: Population, before: list[ReceptorPlan]) -> list[ReceptorPlan]:
    """The receptors of a population, as yet without the grids of their weights."""
    if not isinstance(p.neuron, DynamicNeuron):
        return []
    found: list[ReceptorPlan] = []
    for synapse, variable in zip(receptors_of(p), joined(p).variables, strict=True):
        last = [*before, *found][-1:]
        column = last[0].column + _padded(p.network.populations[last[0].population].size) if last else 0
        found.append(ReceptorPlan(len(before) + len(found), p.index, column, variable, 0, repr(synapse)))
    return found


def _on_grids(
    network: Network, receptors: list[ReceptorPlan], acting: list[int], events: dict[int, list[Events]],
    wiring: Wiring,
) -> list[ReceptorPlan]:  # fmt: skip
    """The receptors with the grids of their weights, to which those of synapses are rounded."""
    for c in network.connections:
        if not np.isfinite(wiring.largest[c.index]):
            raise InvalidValueError(
                f"connection {c.name!r}: a weight is not finite in single precision; allowed are up to 3.4e+38 of "
                "either sign"
            )
    scale = np.ones(_next_column(network, receptors))
    found: list[tuple[slice, int, list[tuple[npt.NDArray[np.float64], int]]]] = []
    for p in network.populations:
        own = [r for r in receptors if r.population == p.index]
        for r, synapse in zip(own, receptors_of(p), strict=bool(own)):
            drives = [(weight, table.most) for _, d, weight, table in events[p.index] if d.synapse == synapse]
            largest = [float(wiring.largest[c]) for c, number in enumerate(acting) if number == r.index]
            largest += [float(np.abs(weight).max()) for weight, most in drives if most]
            found.append((slice(r.column, r.column + p.size), finest_exponent(max(largest, default=0.0)), drives))
            scale[found[-1][0]] = 2.0 ** found[-1][1]
    total, number = wiring.sums(scale)
    rounded = []
    for r, (place, finest, drives) in zip(receptors, found, strict=True):
        exponent = grid_exponent(finest, total[place], number[place], drives)
        scale[place] = 2.0**exponent
        room = MOST - np.ldexp(total[place], exponent - finest) - number[place] / 2
        rounded.append(replace(r, exponent=exponent, room=room if drives and total[place].any() else None))
    wiring.round(scale)
    return rounded


def _padded(size: int) -> int:
    return -(-size // COLUMN) * COLUMN


def _next_column(network: Network, receptors: list[ReceptorPlan]) -> int:
    return receptors[-1].column + _padded(network.populations[receptors[-1].population].size) if receptors else 0


def _receptor_of(c: Connection, receptors: list[ReceptorPlan]) -> int:
    """The number of the receptor that a connection's spikes act through."""
    own = [r.index for r in receptors if r.population == c.target.index]
    return own[receptors_of(c.target).index(c.synapse)]


def _connection(c: Connection, receptor: int) -> SimulatedConnection:
    low, high = _delays(c)
    return SimulatedConnection(
        index=c.index, name=c.name, source=c.source.index, target=c.target.index, receptor=receptor,
        size=c.num_synapses, min_delay=low, max_delay=high,
    )  # fmt: skip


# --- populations -----------------------------------------------------------------------------------------------------


def settable_parameters(p: Population) -> dict[str, npt.NDArray[np.float64]]:
    """The parameters of a population ``[neuron]`` each, as they were sampled: of its equations, those of its synapses
    included, and its bias where it has one."""
    if not isinstance(p.neuron, DynamicNeuron):
        return {}
    both = joined(p)
    return {name: value for name, value in both.values.items() if name in (*both.equations.parameters, "bias")}


def with_parameters(
    plan: SimulationPlan, p: Population, values: Mapping[str, npt.NDArray[np.float64]]
) -> SimulationPlan:
    """The plan with other parameters of a population ``[neuron]`` each, all of :func:`settable_parameters`.

    Raises:
        InvalidValueError: they do not fit the neuron, or the time step is too long for them.
    """
    assert isinstance(p.neuron, DynamicNeuron)
    planned, both = plan.populations[p.index], joined(p)
    model = planned.model
    assert model is not None
    for name, value in values.items():
        if name.startswith("tau") and not (value > 0).all():
            raise InvalidValueError(f"{name} of population {p.name!r} must be above 0 ms, got {value.min():g}")
    own = {name: value for name, value in values.items() if name in p.neuron.parameter_values()}
    changed = p.neuron.with_parameters(own)
    known = {**both.values, **values}
    changed.check_sampled(p.name, known)
    numbers = {**planned.parameters, **_coefficients(p, model, known, plan.dt)}
    numbers |= {name: known[name] for name in model.step_parameters}
    bias = single(known["bias"]) if "bias" in known else None
    new = replace(planned, parameters={name: numbers[name] for name in planned.parameters}, bias=bias)
    return replace(plan, populations=tuple(new if q.index == p.index else q for q in plan.populations))


def _population(p: Population, own: list[int], first: int, level: int, dt: float) -> SimulatedPopulation:
    """A population with receptors of these numbers, without its Poisson drives."""
    model, numbers, bias, biased, described = None, {}, None, None, ""
    threshold, given, kind = None, None, "neuron"
    if isinstance(p.neuron, DynamicNeuron):
        both = joined(p)
        model = discrete_model(both.equations, True)
        if any(v is None for v in both.variables):
            _check_input_arrives(p, model)
        numbers = _coefficients(p, model, both.values, dt)
        numbers |= {name: both.values[name] for name in model.step_parameters}
        numbers |= {derived_name("initial", s): both.values.get(s, np.zeros(p.size)) for s in model.states}
        bias = single(both.values["bias"]) if "bias" in both.values else None
        biased, described = both.biased, _described(p, "neuron")
    elif isinstance(p.neuron, PoissonInput):
        kind, threshold = "poisson", spike_threshold(p, dt)
        described = "Poisson input"
    else:
        kind = "spikes"
        given = _given(p, p.neuron, dt) if isinstance(p.neuron, SpikeSource) else None
        described = "given spikes"
    return SimulatedPopulation(
        index=p.index, name=p.name, size=p.size, first=first, kind=kind, spiking=p.spiking, model=model,
        parameters=numbers, receptors=tuple(own), bias=bias, biased=biased, poisson=(),
        currents=currents_of(p), threshold=threshold, given=given, level=level, described=described,
    )  # fmt: skip


def _given(p: Population, neuron: SpikeSource, dt: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    return spikes_in_steps(f"SpikeSource of population {p.name!r}", neuron.times, neuron.neurons, p.size, dt)


def spikes_in_steps(
    what: str, times: npt.NDArray[np.float64], neurons: npt.NDArray[np.int64], size: int, dt: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Spikes as steps and neurons, sorted by both, each once.

    Time t belongs to step ``floor(t / dt)``, and to the next one where it lies below its start by rounding alone, as in
    training: 43 * 0.1 / 0.1 is 42.99...
    """
    if neurons.size and neurons.max() >= size:
        raise InvalidValueError(f"{what}: neurons must be below {size} (the population's size), got {neurons.max()}")
    steps = np.floor(times / dt)
    if steps.size and steps.max() > LAST_STEP:
        raise InvalidValueError(f"{what}: times must be below {LAST_STEP * dt:g} ms, got {times.max():g}")
    start = (steps + 1) * dt  # of the next step
    steps = (steps + (times >= start - np.spacing(times) / 2 - 2 * np.finfo(np.float64).eps * start)).astype(np.int64)
    order = np.lexsort((neurons, steps))
    steps, own = steps[order], neurons[order].astype(np.int32)
    fresh = np.ones(steps.size, bool)
    fresh[1:] = (steps[1:] != steps[:-1]) | (own[1:] != own[:-1])
    return steps[fresh], own[fresh]
