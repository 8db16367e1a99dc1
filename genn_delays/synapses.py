"""Synapse models: the effect of an arriving spike on its target."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .errors import InvalidValueError, keep, shown, unknown
from .neurons import Equations
from .neurons.neuron import check_parameter


class Synapse(ABC):
    """A synapse model. Where a network is trained, all connections onto a population have the same."""

    @abstractmethod
    def join(self, equations: Equations) -> Equations:
        """The equations of a neuron together with those of its synapses."""

    def parameter_values(self) -> dict[str, Any]:
        """Its parameters by the name they have in the equations: numbers, arrays ``[neuron]`` or initialisers."""
        return {}

    def with_parameters(self, values: dict[str, npt.NDArray[np.float64]]) -> Synapse:
        """The same synapse with other parameters, ``[neuron]`` each; names of other models' parameters are left out."""
        return self


@dataclass(frozen=True)
class Delta(Synapse):
    """A spike of weight w adds w to the input current of one time step."""

    def join(self, equations: Equations) -> Equations:
        return equations


@dataclass(frozen=True, eq=False)
class Exponential(Synapse):
    """A spike of weight w adds w to a current that decays: ``di_syn/dt = -i_syn / tau``, ``i_syn -> i_syn + w``.

    The current flows into the membrane from the step after the one in which the spike arrives. A real-valued input
    acts as a spike of that weight every step; so does a population's bias.

    Args:
        tau: time constant in ms, above 0: a number, an array ``[neuron]`` of the target or an initialiser. It is the
            target's parameter ``tau_syn``.
    """

    tau: Any = 5.0

    current: ClassVar[str] = "i_syn"

    def __post_init__(self) -> None:
        keep(self, tau=check_parameter("Exponential tau", self.tau, 0.0, open_low=True))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Exponential):
            return False
        arrays = [isinstance(tau, (list, tuple, np.ndarray)) for tau in (self.tau, other.tau)]
        return np.array_equal(self.tau, other.tau) if all(arrays) else not any(arrays) and self.tau == other.tau

    __hash__ = None  # type: ignore[assignment]

    def join(self, equations: Equations) -> Equations:
        for name in (self.current, "tau_syn"):
            if name in (*equations.variables, *equations.parameters):
                raise InvalidValueError(
                    f"synapse Exponential brings {name!r} into its target's equations, which use this name "
                    "already; choose another name there"
                )
        variables = {
            name: (re.sub(r"\bIsyn\b", self.current, rate), jump) for name, (rate, jump) in equations.variables.items()
        }
        variables[self.current] = (f"-{self.current} / tau_syn", None)
        parameters = (*equations.parameters, "tau_syn")
        return replace(equations, variables=variables, parameters=parameters, impulse=self.current)

    def parameter_values(self) -> dict[str, Any]:
        return {"tau_syn": self.tau}

    def with_parameters(self, values: dict[str, npt.NDArray[np.float64]]) -> Synapse:
        return Exponential(values["tau_syn"].tolist()) if "tau_syn" in values else self


SYNAPSES: dict[str, type[Synapse]] = {"delta": Delta, "exponential": Exponential}


def as_synapse(what: str, value: Any) -> Synapse:
    """A registered name or a synapse as a synapse."""
    if isinstance(value, Synapse):
        return value
    if not isinstance(value, str):
        raise InvalidValueError(f"{what} must be a synapse such as 'delta' or Exponential(5.0), got {shown(value)}")
    if value not in SYNAPSES:
        raise unknown(what, value, SYNAPSES)
    return SYNAPSES[value]()
