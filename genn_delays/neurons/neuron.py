"""What a neuron model is: its equations, its parameters, and how it is integrated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_real, unknown
from ..initializers import Initializer, as_initializer, real_array
from ..learning.readouts import READOUTS
from ..random import Purpose, philox, uniform

Integration = Literal["linear_euler", "exact"]
REFRACTORY_STATE = "refrac"
"""The variable that counts the steps until a neuron may spike again."""


@dataclass(frozen=True)
class Equations:
    """A neuron as equations, in mlGeNN 3's form.

    Attributes:
        variables: for every state variable its right-hand side d/dt (per ms; `Isyn` is the input current) and its value
            just after a spike, or None where a spike leaves it alone.
        threshold: the neuron spikes where this expression is >= 0; None for neurons that do not spike.
        parameters: names used in the expressions that are neither variables nor `Isyn`.
        integration: ``"linear_euler"`` or ``"exact"`` (exponential, input constant within a step).
        output: the variable that a readout reads.
        impulse: the variable to which arriving spikes are added at once; None where they flow in as `Isyn` over a step.
        refractory: parameter with the time (ms) after a spike in which `held` variables stand still and no spike is
            sent; None for none.
    """

    variables: dict[str, tuple[str, str | None]]
    threshold: str | None
    parameters: tuple[str, ...]
    integration: Integration = "linear_euler"
    output: str = "v"
    impulse: str | None = None
    refractory: str | None = None
    held: tuple[str, ...] = ()

    def with_refractory(self, period: Any) -> Equations:
        """The same with a refractory period, the parameter ``tau_refrac``, in which `v` is held; None for none."""
        if period is None:
            return self
        return replace(self, parameters=(*self.parameters, "tau_refrac"), refractory="tau_refrac", held=("v",))


class Neuron:
    """Base of everything a population can consist of."""

    is_input = False
    readout: str | None = None


class Input(Neuron):
    """Real-valued input: every example gives one number per time step and neuron, ``[batch, time, neuron]``."""

    is_input = True


class SpikeInput(Neuron):
    """Spike input: every example is a list of events (time in ms, neuron).

    Several events of one neuron within one time step are one spike. A dense array of zeros and ones,
    ``[batch, time, neuron]``, is accepted too.
    """

    is_input = True


@dataclass
class DynamicNeuron(Neuron, ABC):
    """A neuron with equations. Parameters are numbers, arrays ``[neuron]`` or initialisers."""

    readout: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.readout is not None and self.readout not in list(READOUTS):
            raise unknown("readout", self.readout, READOUTS)

    def _check_readout(self, *, spiking: bool) -> None:
        """An error where the readout reads what the neuron does not have."""
        kind = "spikes" if spiking else "variable"
        if self.readout is not None and READOUTS[self.readout].reads != kind:
            fitting = ", ".join(repr(name) for name, readout in READOUTS.items() if readout.reads == kind)
            what = "spikes" if spiking else "does not spike"
            raise InvalidValueError(
                f"{type(self).__name__} with readout {self.readout!r}: the neuron {what}; allowed: {fitting}"
            )

    @abstractmethod
    def equations(self) -> Equations:
        """The model's equations."""

    @abstractmethod
    def parameter_values(self) -> dict[str, Any]:
        """Every parameter and the initial value of every variable (named after the variable)."""

    def with_parameters(self, values: dict[str, npt.NDArray[np.float64]]) -> DynamicNeuron:
        """The same neuron with other parameters, ``[neuron]`` each."""
        return replace(self, **{name: value.tolist() for name, value in values.items()})

    def sample_parameters(
        self, population: str, owner: int, size: int, seed: int
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Parameter and initial values per neuron, each of shape ``[size]``, a function of the network's seed."""
        values = {}
        for index, (name, value) in enumerate(self.parameter_values().items()):
            what = f"{name} of population {population!r}"
            values[name] = sample_per_neuron(what, value, owner, index, size, seed)
            if name.startswith("tau") and name in self.equations().parameters and not (values[name] > 0).all():
                raise InvalidValueError(f"{what} must be above 0 ms, got {values[name].min()}")
        return values


def sample_per_neuron(what: str, value: Any, owner: int, index: int, size: int, seed: int) -> npt.NDArray[np.float64]:
    """A number, an array or an initialiser as one value per neuron of population `owner`, ``[size]``."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return real_array(what, value, (size,))
    words = philox(seed, Purpose.PARAMETER, owner, np.arange(size), index)
    return as_initializer(what, value).quantile(uniform(words[0]), 1)


def check_switch(what: str, value: Any) -> None:
    """An error for a switch that is neither true nor false."""
    if not isinstance(value, bool):
        raise InvalidValueError(f"{what} must be true or false, got {value!r}")


def check_parameter(what: str, value: Any, low: float = float("-inf"), *, open_low: bool = False) -> None:
    """An error at once where a plain number is out of range; arrays and initialisers are checked when sampled."""
    if not isinstance(value, (list, tuple, np.ndarray, Initializer, str)):
        check_real(what, value, low, open_low=open_low)
