"""The recurrent network of ``benchmark simulation``: its drive decides when neurons spike, whatever its synapses do."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..connectivity import FixedNumber, Synapses
from ..delays import UniformInt
from ..initializers import Uniform
from ..network import Connection, Network, Population
from ..neurons import LeakyIntegrateFire

NAME = "neurons"
SHARE = 0.05
"""Size of a neuron's recurrent input beside the last step of its membrane potential towards the threshold."""


@dataclass(frozen=True)
class Point:
    """A network that is measured.

    Attributes:
        size: number of neurons.
        synapses: of a neuron, on average.
        delay: the shortest and the longest, in time steps.
        rate: spikes of a neuron and second.
        dt: length of a time step in ms.
        steps: time steps of a sample.
    """

    size: int
    synapses: int
    delay: tuple[int, int]
    rate: float
    dt: float
    steps: int

    @property
    def seconds(self) -> float:
        """Model time of a sample."""
        return self.steps * self.dt / 1000.0

    def tables(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self) | {"delay": list(self.delay)}


def point_of(tables: dict[str, Any]) -> Point:
    """The point whose tables these are."""
    return Point(**{**tables, "delay": tuple(tables["delay"])})


def settling_steps(point: Point) -> int:
    """Steps until as much arrives as is sent: the longest delay."""
    return point.delay[1] + 1


@dataclass(frozen=True)
class Simulated:
    """A network to be simulated, with the numbers that rivals need.

    Attributes:
        tau_mem: in ms.
        current: constant, float32 ``[neuron]``.
        v: initial potential, float32 ``[neuron]``.
    """

    network: Network
    tau_mem: float
    current: npt.NDArray[np.float32]
    v: npt.NDArray[np.float32]

    @property
    def population(self) -> Population:
        """The only one."""
        return self.network.populations[0]

    @property
    def connection(self) -> Connection:
        """The only one."""
        return self.network.connections[0]

    def synapses(self) -> Synapses:
        """Its synapses, kept until :meth:`forget`."""
        return self.connection.synapses

    def forget(self) -> None:
        """Free the memory of the synapses as they were drawn."""
        vars(self.connection).pop("synapses", None)


def simulated_network(point: Point) -> Simulated:
    """N leaky integrate-and-fire neurons with ``N * synapses`` synapses, delays uniform; nothing is drawn yet.

    Neurons spike as their constant currents say: after n steps from the reset ``v = I dt (1 - a^n) / (1 - a)``, with
    ``a = 1 - dt / tau_mem``. A neuron whose period is to be P steps has the current that lets v cross the threshold
    of 1 half a step before that. P is ``1 / (rate dt)`` rounded down for some of the neurons and up for the others, so
    that their mean rate is the one asked for. ``tau_mem`` is the mean period; at first v is anywhere on its way to the
    threshold, so spikes are spread evenly over time. Weights are individual, of either sign, and so small that what
    arrives in a period changes v by a twentieth of its last step.
    """
    size, period = point.size, 1000.0 / (point.rate * point.dt)  # in steps
    short, long = math.floor(period), math.ceil(period)
    # as many neurons of the short period as make the mean of 1 / P that of the rate
    share = 0.0 if short == long else (1 / period - 1 / long) / (1 / short - 1 / long)
    rng = np.random.default_rng(0)
    steps = np.where(rng.permutation(size) < round(share * size), short, long)
    leak = 1.0 - 1.0 / period
    reached = (1.0 - leak ** (steps - 0.5)) / (1.0 - leak)  # v of a current of 1 / dt
    current = 1.0 / (point.dt * reached)
    phase = np.floor(rng.random(size) * steps)
    v = (1.0 - leak**phase) / (1.0 - leak) / reached
    largest = SHARE * leak**period / period / math.sqrt(point.synapses) / point.dt
    network = Network(seed=0)
    with network:
        neuron = LeakyIntegrateFire(tau_mem=period * point.dt, v=v)
        p = Population(neuron, size, NAME, bias=current)
        sparsity = 1.0 - (size * point.synapses + 0.5) / size**2  # the half keeps rounding from losing a synapse
        weight, delay = Uniform(-largest, largest), UniformInt(*point.delay)
        Connection(p, p, FixedNumber(sparsity=max(sparsity, 0.0), weight=weight, delay=delay))
    return Simulated(network, period * point.dt, current.astype(np.float32), v.astype(np.float32))
