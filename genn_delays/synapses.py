"""Synapse models: the effect of an arriving spike on its target."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from .arguments import refuses
from .errors import InvalidValueError, keep, shown, unknown
from .neurons import Equations
from .neurons.neuron import NONLINEAR, check_parameter
from .porting import missing_from


@dataclass(frozen=True)
class Receptor:
    """The part of a population's equations that synapses of one model bring with them.

    Attributes:
        variables: by name the right-hand side d/dt (per ms) of every variable of their own.
        parameters: their parameters' names.
        impulse: the variable that the weight of an arriving spike is added to.
        current: what they add to `Isyn`, an expression of variables and parameters, the neuron's potential among them.
    """

    variables: dict[str, str]
    parameters: tuple[str, ...]
    impulse: str
    current: str


def joined(equations: Equations, receptors: Sequence[Receptor], *, direct: bool, what: str = "synapse") -> Equations:
    """A neuron's equations with those of receptors: `Isyn` is the sum of their currents.

    Args:
        direct: whether currents flow in besides, which are then all that is called `Isyn`.
        what: the receptors, in messages.

    Raises:
        InvalidValueError: a name of theirs is one of the neuron's or of another receptor, or they make the equations
            nonlinear, which the neuron's rule cannot integrate.
    """
    if not receptors:
        return equations
    taken, parameters = {*equations.variables, *equations.parameters}, list(equations.parameters)
    variables: dict[str, tuple[str, str | None]] = {}
    for r in receptors:
        for name in (*r.variables, *r.parameters):
            if name in taken:
                raise InvalidValueError(
                    f"{what} brings {name!r} into its target's equations, which use this name already; choose another "
                    "name there"
                )
            taken.add(name)
        if r.current not in r.variables and equations.integration not in NONLINEAR:
            raise InvalidValueError(
                f"{what} makes its target's equations nonlinear, got integration {equations.integration!r} there; "
                "give the neuron integration='euler' or 'rk4'"
            )
        parameters += r.parameters
        variables |= {name: (rate, None) for name, rate in r.variables.items()}
    terms = [*(["Isyn"] if direct else []), *(r.current for r in receptors)]
    total = terms[0] if len(terms) == 1 else f"({' + '.join(terms)})"
    own = {name: (re.sub(r"\bIsyn\b", total, rate), jump) for name, (rate, jump) in equations.variables.items()}
    impulse = receptors[0].impulse if len(receptors) == 1 and not direct else None
    return replace(equations, variables={**own, **variables}, parameters=tuple(parameters), impulse=impulse)


class Synapse:
    """A synapse model. Where a network is trained, all connections onto a population have the same."""

    def receptor(self, ending: str = "", potential: str = "v") -> Receptor | None:
        """Its part of the target's equations; None where a spike's weight is part of `Isyn` of one step.

        Args:
            ending: of all names, to tell apart several models onto one population.
            potential: the target's variable that a reversal potential is compared with.
        """
        return None

    def join(self, equations: Equations) -> Equations:
        """The equations of a neuron together with those of its synapses, all of this model."""
        receptor = self.receptor("", equations.output)
        what = f"synapse {type(self).__name__}"
        return joined(equations, () if receptor is None else (receptor,), direct=False, what=what)

    def parameter_values(self) -> dict[str, Any]:
        """Its parameters by the name they have in the equations: numbers, arrays ``[neuron]`` or initialisers."""
        return {}

    def with_parameters(self, values: dict[str, npt.NDArray[np.float64]]) -> Synapse:
        """The same synapse with other parameters, ``[neuron]`` each; names of other models' parameters are left out."""
        return self


@dataclass(frozen=True)
class Delta(Synapse):
    """A spike of weight w adds w to the input current of one time step."""


@refuses(scale_i="it is always True; for False multiply weights by dt / (tau (1 - exp(-dt / tau)))")
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
        return isinstance(other, Exponential) and _same(self.tau, other.tau)

    __hash__ = None  # type: ignore[assignment]

    def receptor(self, ending: str = "", potential: str = "v") -> Receptor:
        current, tau = f"{self.current}{ending}", f"tau_syn{ending}"
        return Receptor({current: f"-{current} / {tau}"}, (tau,), current, current)

    def parameter_values(self) -> dict[str, Any]:
        return {"tau_syn": self.tau}

    def with_parameters(self, values: dict[str, npt.NDArray[np.float64]]) -> Synapse:
        return Exponential(values["tau_syn"].tolist()) if "tau_syn" in values else self


@dataclass(frozen=True, eq=False)
class Alpha(Synapse):
    """A spike of weight w adds a current that rises and falls, ``w (t / tau) exp(1 - t / tau)``, w at its peak after
    `tau` (Rall 1967, doi 10.1152/jn.1967.30.5.1138). As equations::

        da_syn/dt = -a_syn / tau,  a_syn -> a_syn + w,    di_syn/dt = (e a_syn - i_syn) / tau

    They are integrated by the target's rule; ``integration="exact"`` is the exact solution (Rotter & Diesmann 1999,
    doi 10.1007/s004220050570). The current flows in from the step after the one in which the spike arrives.

    Args:
        tau: time from the arrival to the peak in ms, above 0: a number, an array ``[neuron]`` of the target or an
            initialiser. It is the target's parameter ``tau_syn``.
    """

    tau: Any = 2.0

    def __post_init__(self) -> None:
        keep(self, tau=check_parameter("Alpha tau", self.tau, 0.0, open_low=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alpha) and _same(self.tau, other.tau)

    __hash__ = None  # type: ignore[assignment]

    def receptor(self, ending: str = "", potential: str = "v") -> Receptor:
        rise, current, tau = f"a_syn{ending}", f"i_syn{ending}", f"tau_syn{ending}"
        rates = {rise: f"-{rise} / {tau}", current: f"(exp(1) * {rise} - {current}) / {tau}"}
        return Receptor(rates, (tau,), rise, current)

    def parameter_values(self) -> dict[str, Any]:
        return {"tau_syn": self.tau}

    def with_parameters(self, values: dict[str, npt.NDArray[np.float64]]) -> Synapse:
        return Alpha(values["tau_syn"].tolist()) if "tau_syn" in values else self


@dataclass(frozen=True, eq=False)
class Conductance(Synapse):
    """A spike of weight w adds w to a conductance that decays and draws the potential towards a reversal potential::

        dg_syn/dt = -g_syn / tau,  g_syn -> g_syn + w,    Isyn = g_syn (e_rev - v)

    `v` is the target's variable that a readout would read. Its neurons are integrated by ``"euler"`` or ``"rk4"``.

    Args:
        tau: time constant in ms, above 0: a number, an array ``[neuron]`` of the target or an initialiser. It is the
            target's parameter ``tau_syn``.
        e_rev: reversal potential in the unit of the target's potential. It is the target's parameter ``e_syn``.
    """

    tau: Any = 5.0
    e_rev: Any = 0.0

    def __post_init__(self) -> None:
        keep(self, tau=check_parameter("Conductance tau", self.tau, 0.0, open_low=True))
        keep(self, e_rev=check_parameter("Conductance e_rev", self.e_rev))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Conductance) and _same(self.tau, other.tau) and _same(self.e_rev, other.e_rev)

    __hash__ = None  # type: ignore[assignment]

    def receptor(self, ending: str = "", potential: str = "v") -> Receptor:
        g, tau, reversal = f"g_syn{ending}", f"tau_syn{ending}", f"e_syn{ending}"
        return Receptor({g: f"-{g} / {tau}"}, (tau, reversal), g, f"({g} * ({reversal} - {potential}))")

    def parameter_values(self) -> dict[str, Any]:
        return {"tau_syn": self.tau, "e_syn": self.e_rev}

    def with_parameters(self, values: dict[str, npt.NDArray[np.float64]]) -> Synapse:
        if "tau_syn" not in values:
            return self
        return Conductance(values["tau_syn"].tolist(), values["e_syn"].tolist() if "e_syn" in values else self.e_rev)


def _same(one: Any, other: Any) -> bool:
    """True if two parameters are the same: numbers, arrays or initialisers."""
    arrays = [isinstance(value, (list, tuple, np.ndarray)) for value in (one, other)]
    return bool(np.array_equal(one, other) if all(arrays) else not any(arrays) and one == other)


SYNAPSES: dict[str, type[Synapse]] = {
    "delta": Delta, "exponential": Exponential, "alpha": Alpha, "conductance": Conductance,
}  # fmt: skip


def as_synapse(what: str, value: Any) -> Synapse:
    """A registered name or a synapse as a synapse."""
    if isinstance(value, Synapse):
        return value
    if not isinstance(value, str):
        raise InvalidValueError(f"{what} must be a synapse such as 'delta' or Exponential(5.0), got {shown(value)}")
    if value not in SYNAPSES:
        raise unknown(what, value, SYNAPSES)
    return SYNAPSES[value]()


if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
