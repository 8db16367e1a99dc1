"""Drives: input that a population gets without neurons that send it. They act in simulations.

A drive belongs to its population, ``Population(neuron, 1000, drives=[PoissonDrive(rate=8000.0, weight=0.1)])``, and
every neuron has its own: independent random numbers, functions of (`rng_seed`, population, drive, neuron, step) alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InvalidValueError, check_switch, keep, shown
from .initializers import as_array
from .neurons.neuron import check_parameter
from .synapses import Synapse, as_synapse

MOST_EVENTS = 1000.0
"""Events a step that a Poisson drive may have on average: its table of probabilities grows with them."""


class Drive:
    """Base of all drives."""


@dataclass(frozen=True, eq=False)
class PoissonDrive(Drive):
    """Poisson events, as many independent sources with one summed rate would send them to each neuron.

    In a step of dt as many events arrive as a Poisson distribution with mean ``rate dt`` gives, each with the same
    weight and through a synapse of its own kind, as in Brunel (2000, doi 10.1023/A:1008925309027) and Potjans &
    Diesmann (2014, doi 10.1093/cercor/bhs358). The number is found by inversion: one 32-bit random word a step,
    compared with the distribution function in units of 2^-32.

    Args:
        rate: events a second (Hz) of one neuron, all its sources together: a number, an array ``[neuron]`` or an
            initialiser, at least 0.
        weight: of an event: a number, an array ``[neuron]`` or an initialiser.
        synapse: ``"delta"`` or a synapse such as ``Exponential(tau)``; one that a connection onto the population has
            too is shared with it.
    """

    rate: Any
    weight: Any
    synapse: str | Synapse = "delta"

    def __post_init__(self) -> None:
        keep(self, rate=check_parameter("PoissonDrive rate", self.rate, 0.0))
        keep(self, weight=check_parameter("PoissonDrive weight", self.weight))
        keep(self, synapse=as_synapse("PoissonDrive synapse", self.synapse))


@dataclass(frozen=True, eq=False)
class Current(Drive):
    """A constant current, added to `Isyn`.

    Args:
        amplitude: in the unit of `Isyn`: a number, an array ``[neuron]`` or an initialiser.
    """

    amplitude: Any

    def __post_init__(self) -> None:
        keep(self, amplitude=check_parameter("Current amplitude", self.amplitude))


@dataclass(frozen=True, eq=False)
class NoiseCurrent(Drive):
    """A Gaussian current, drawn anew for every neuron in every step and added to `Isyn`.

    It is constant within a step, so ``sd = sigma / sqrt(dt)`` makes a white noise of intensity sigma.

    Args:
        sd: standard deviation of the current, at least 0: a number, an array ``[neuron]`` or an initialiser.
        mean: likewise.
    """

    sd: Any
    mean: Any = 0.0

    def __post_init__(self) -> None:
        keep(self, sd=check_parameter("NoiseCurrent sd", self.sd, 0.0))
        keep(self, mean=check_parameter("NoiseCurrent mean", self.mean))


@dataclass(frozen=True, eq=False)
class StepCurrent(Drive):
    """A given current for every step, added to `Isyn`; 0 after the last one.

    Args:
        values: ``[step]``, the same for all neurons, or ``[step, neuron]``.
        repeat: begin again after the last step.
    """

    values: Any
    repeat: bool = False

    def __post_init__(self) -> None:
        values = as_array("StepCurrent values", self.values)
        if values.ndim not in (1, 2) or values.shape[0] == 0 or values.dtype.kind not in "iuf":
            raise InvalidValueError(
                f"StepCurrent values must be numbers [step] or [step, neuron], got {values.dtype} of shape "
                f"{values.shape}"
            )
        if not np.isfinite(values.astype(np.float32)).all():
            raise InvalidValueError("StepCurrent values must be finite in single precision")
        keep(self, values=values.astype(np.float32))
        check_switch("StepCurrent repeat", self.repeat)


def as_drives(population: str, drives: Any) -> tuple[Drive, ...]:
    """The drives of a population, or an error that names what is none."""
    if isinstance(drives, Drive):
        drives = (drives,)
    if not isinstance(drives, (list, tuple)):
        raise InvalidValueError(f"drives of population {population!r} must be a list of drives, got {shown(drives)}")
    for drive in drives:
        if not isinstance(drive, Drive):
            raise InvalidValueError(
                f"drives of population {population!r}: must be such as PoissonDrive(rate, weight), got {shown(drive)}"
            )
    return tuple(drives)
