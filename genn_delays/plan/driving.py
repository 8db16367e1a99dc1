"""Drives of populations in a simulation: their numbers, sampled or set while it runs, in the form that backends get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..drives import MOST_EVENTS, Current, Drive, NoiseCurrent, PoissonDrive, StepCurrent
from ..errors import InvalidValueError
from ..network import Population
from ..neurons import PoissonInput
from ..neurons.neuron import sample_per_neuron
from .grid import finest_exponent, grid_exponent, on_grid
from .poisson import PoissonTable, poisson_table
from .receptors import joined, receptors_of
from .simulation import F64, CurrentPlan, PoissonDrivePlan, ReceptorPlan, SimulatedPopulation, SimulationPlan

Events: TypeAlias = tuple[int, PoissonDrive, F64, PoissonTable]
"""A Poisson drive: its number, itself, its weights and its table of events."""
Which: TypeAlias = tuple[int, str]
"""A number of a drive: the drive's own number, and the argument."""
Numbers: TypeAlias = Mapping[Which, F64]
"""Numbers of drives ``[neuron]``; those that are not in it are sampled."""

_DRIVES = 1 << 20
"""Index of the first random number of drives among those of a population's parameters."""
_PLACES: dict[type[Drive], tuple[str, ...]] = {
    PoissonDrive: ("rate", "weight"), Current: ("amplitude",), NoiseCurrent: ("mean", "sd"),
}  # fmt: skip
"""Arguments that are a number a neuron, in order of their random numbers."""
_NONE: Numbers = {}


def drive_names(p: Population) -> dict[str, Which]:
    """The names of the numbers of a population's drives.

    A name is the argument's: ``"rate"``, and ``"rate_2"`` of the second drive with a rate. Where the neuron has a
    variable or a parameter of that name, it is ``"drive_rate"``.
    """
    if isinstance(p.neuron, PoissonInput):
        return {"rate": (0, "rate")}
    if not p.drives:
        return {}
    both = joined(p)
    taken = {*both.values, *both.equations.variables}
    found: dict[str, Which] = {}
    for number, drive in enumerate(p.drives):
        for argument in _PLACES.get(type(drive), ()):
            same = sum(other == argument for _, other in found.values())
            name = f"{argument}_{same + 1}" if same else argument
            found[f"drive_{name}" if name in taken else name] = (number, argument)
    return found


def drive_numbers(p: Population, names: Mapping[str, Which]) -> dict[str, F64]:
    """The numbers of a population's drives ``[neuron]`` as they were sampled, by name."""
    return {name: _values(p, number, argument, _NONE) for name, (number, argument) in names.items()}


def _values(p: Population, number: int, argument: str, given: Numbers) -> F64:
    """A number of a drive for every neuron."""
    if (number, argument) in given:
        return given[number, argument]
    if isinstance(p.neuron, PoissonInput):
        what, value, place = f"rate of population {p.name!r}", p.neuron.rate, _DRIVES
    else:
        drive, what = p.drives[number], f"{argument} of drive {number} of population {p.name!r}"
        value = getattr(drive, argument)
        place = _DRIVES + 8 * number + _PLACES[type(drive)].index(argument)
    return sample_per_neuron(what, value, p.index, place, p.size, p.network.seed)


def single(values: F64) -> npt.NDArray[np.float32]:
    """In single precision."""
    return values.astype(np.float32)


# --- planned ---------------------------------------------------------------------------------------------------------


def poisson_drives(p: Population, dt: float, given: Numbers = _NONE) -> list[Events]:
    """The Poisson drives of a population: number, drive, weights and table of events."""
    found = []
    for number, drive in enumerate(p.drives):
        if isinstance(drive, PoissonDrive):
            mean = _values(p, number, "rate", given) * dt / 1000.0
            if not ((mean >= 0) & (mean <= MOST_EVENTS)).all():
                bad = mean[~((mean >= 0) & (mean <= MOST_EVENTS))][0] * 1000.0 / dt
                raise InvalidValueError(
                    f"rate of drive {number} of population {p.name!r} must be from 0 to {MOST_EVENTS * 1000 / dt:g} Hz "
                    f"({MOST_EVENTS:g} events a step of {dt:g} ms), got {bad:g}"
                )
            found.append((number, drive, _values(p, number, "weight", given), poisson_table(mean)))
    return found


def currents_of(p: Population, given: Numbers = _NONE) -> tuple[CurrentPlan, ...]:
    """The currents onto a population."""
    found = []
    for number, drive in enumerate(p.drives):
        if isinstance(drive, Current):
            found.append(CurrentPlan(number, single(_values(p, number, "amplitude", given))))
        elif isinstance(drive, NoiseCurrent):
            mean, sd = (_values(p, number, n, given) for n in ("mean", "sd"))
            if (sd < 0).any():
                raise InvalidValueError(
                    f"sd of drive {number} of population {p.name!r} must be at least 0, got {sd.min():g}"
                )
            found.append(CurrentPlan(number, single(mean), sd=single(sd)))
        elif isinstance(drive, StepCurrent):
            values = drive.values if drive.values.ndim == 2 else drive.values[:, None]
            if values.shape[1] not in (1, p.size):
                raise InvalidValueError(
                    f"values of drive {number} of population {p.name!r} must have shape [step, {p.size}], got "
                    f"{values.shape}"
                )
            zero = np.zeros(p.size, np.float32)
            found.append(CurrentPlan(number, zero, steps=np.ascontiguousarray(values), repeat=drive.repeat))
        elif not isinstance(drive, PoissonDrive):
            raise _unknown_drive(p, drive)
    return tuple(found)


def _unknown_drive(p: Population, drive: Drive) -> InvalidValueError:
    return InvalidValueError(
        f"drives of population {p.name!r}: {type(drive).__name__} is not known; known: PoissonDrive, Current, "
        "NoiseCurrent, StepCurrent"
    )


def driven(
    planned: SimulatedPopulation, p: Population, drives: list[Events], receptors: list[ReceptorPlan]
) -> SimulatedPopulation:
    """The same with its Poisson drives, whose weights are on the grids of their receptors."""
    found = []
    for number, drive, weight, table in drives:
        k = receptors_of(p).index(drive.synapse)
        sent = weight if table.most else np.zeros_like(weight)  # the grid need not hold what never comes
        found.append(PoissonDrivePlan(number, k, on_grid(sent, receptors[planned.receptors[k]].exponent), table))
    return replace(planned, poisson=tuple(found))


def spike_threshold(p: Population, dt: float, given: Numbers = _NONE) -> npt.NDArray[np.uint64]:
    """A neuron of Poisson input spikes where its random word is below this."""
    rate = _values(p, 0, "rate", given)
    bad = ~((rate >= 0) & (rate * dt <= 1000.0))
    if bad.any():
        raise InvalidValueError(
            f"rate of population {p.name!r} must be from 0 to {1000.0 / dt:g} Hz, one spike a step of {dt:g} ms, got "
            f"{rate[bad][0]:g}"
        )
    return np.rint(rate * dt / 1000.0 * 2.0**32).astype(np.uint64)


# --- planned anew ----------------------------------------------------------------------------------------------------


def with_drives(plan: SimulationPlan, p: Population, given: Numbers) -> SimulationPlan:
    """The plan with other numbers of a population's drives; those that are not given are as they were sampled.

    Raises:
        InvalidValueError: a number is out of its range, or events do not fit the grid of a receptor's weights.
    """
    planned, receptors = plan.populations[p.index], list(plan.receptors)
    if isinstance(p.neuron, PoissonInput):
        new = replace(planned, threshold=spike_threshold(p, plan.dt, given))
    else:
        events, synapses = poisson_drives(p, plan.dt, given), receptors_of(p)
        for k, index in enumerate(planned.receptors):
            own: list[tuple[Any, int]] = [(w, table.most) for _, d, w, table in events if d.synapse == synapses[k]]
            if own:
                receptors[index] = _fitting(p, receptors[index], own)
        new = replace(driven(planned, p, events, receptors), currents=currents_of(p, given))
    populations = tuple(new if q.index == p.index else q for q in plan.populations)
    return replace(plan, populations=populations, receptors=tuple(receptors))


def _fitting(p: Population, r: ReceptorPlan, events: list[tuple[F64, int]]) -> ReceptorPlan:
    """A receptor on whose grid events fit. Where no synapse acts through it, it gets the grid that compiling would have
    given it; the grid of synapses is fixed."""
    if r.room is None:
        largest = max((float(np.abs(weight).max()) for weight, most in events if most), default=0.0)
        none = np.zeros(p.size)
        return replace(r, exponent=grid_exponent(finest_exponent(largest), none, none.astype(np.int64), events))
    needed = sum(most * np.abs(np.rint(np.ldexp(weight, r.exponent))) for weight, most in events)
    if (needed > r.room).any():
        raise InvalidValueError(
            f"drives of population {p.name!r}: so many events of such weights in one step would overflow the grid that "
            "weights were put on when the network was compiled: compile it with the largest rate and weight that its "
            "drives will have, and set smaller ones before it runs"
        )
    return r
