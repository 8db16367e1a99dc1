"""The base of neuron models: equations, parameters, and the integration rule."""

from __future__ import annotations

import keyword
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..arguments import refuses
from ..bodies import check_fields
from ..errors import InvalidValueError, asked, check_choice, check_count, check_real, check_switch, shown
from ..initializers import Initializer, as_initializer, real_array, sampled
from ..learning.readouts import READOUTS, Readout, as_readout, plain_readout
from ..random import Purpose, philox, uniform
from ..registry import Registry

Integration = Literal["linear_euler", "exact", "euler", "rk4"]
INTEGRATIONS: tuple[Integration, ...] = ("linear_euler", "exact", "euler", "rk4")
NONLINEAR: tuple[Integration, ...] = ("euler", "rk4")
"""The rules of :class:`Equations`, and those for equations that need not be linear."""
__all__ = [
    "INTEGRATIONS",
    "NONLINEAR",
    "REFRACTORY_STATE",
    "RISING_STATE",
    "DynamicNeuron",
    "Equations",
    "Input",
    "Integration",
    "Neuron",
    "SpikeInput",
]
__all__ += ["check_input_latency", "check_parameter", "check_reset", "input_values", "sample_per_neuron"]
REFRACTORY_STATE = "refrac"
"""The variable that counts the steps until a neuron may spike again."""
RISING_STATE = "above"
"""The variable that is 1 while a neuron that spikes at the upward crossing stands above its threshold."""
MAX_INPUT_LATENCY = 16
"""Each step is a variable of every neuron; what is longer is a delay of synapses."""


RESERVED = ("Isyn", "dt", "bias", "batch_norm", *(f"batch_norm_{n}" for n in ("scale", "shift", "mean", "var")))
"""Names that equations have for the input current and the time step, and populations for values of their own."""


def check_name(what: str, name: object) -> None:
    """Raise an error if a variable or a parameter cannot have this name. Keywords of other languages are allowed."""
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii() or "__" in name:
        raise InvalidValueError(f"{what}: {shown(name)} is not a name; letters, digits and single _ make one")
    if keyword.iskeyword(name):
        raise InvalidValueError(
            f"{what}: {name!r} cannot be a name: equations are written in Python, where it is a word"
        )
    if name in RESERVED:
        raise InvalidValueError(f"{what}: {name!r} cannot be a name; reserved: {', '.join(RESERVED)}")


@dataclass(frozen=True)
class Equations:
    """A neuron as equations, in mlGeNN 3's form.

    Attributes:
        variables: for every state variable its right-hand side d/dt (per ms; `Isyn` is the input current) and its value
            just after a spike, or None where a spike leaves it alone.
        threshold: the neuron spikes where this expression is >= 0; None for neurons that do not spike.
        parameters: names used in the expressions that are neither variables nor `Isyn`.
        integration: ``"linear_euler"`` or ``"exact"`` (exponential, input constant within a step), for equations that
            are linear in the variables and `Isyn`; ``"euler"`` (forward Euler) or ``"rk4"`` (Runge-Kutta of order 4,
            input constant within a step) for any; see :mod:`genn_delays.derive.nonlinear`.
        output: the variable that a readout reads.
        impulse: the variable to which arriving spikes are added at once; None where they flow in as `Isyn` over a step.
        refractory: parameter with the time (ms) after a spike in which `held` variables stand still and no spike is
            sent; None for none.
        rising: whether it spikes only in the step in which the threshold is reached, and not again before it has been
            below. For neurons whose spike is not followed by a reset.
    """

    variables: dict[str, tuple[str, str | None]]
    threshold: str | None
    parameters: tuple[str, ...]
    integration: Integration = "linear_euler"
    output: str = "v"
    impulse: str | None = None
    refractory: str | None = None
    held: tuple[str, ...] = ()
    rising: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.variables, Mapping) or not self.variables:
            raise InvalidValueError(f"equations: variables must be a dict by name, got {shown(self.variables)}")
        for what in ("parameters", "held"):
            if type(getattr(self, what)) not in (tuple, list):
                raise InvalidValueError(f"equations: {what} must be a tuple of names, got {shown(getattr(self, what))}")
        names = [*self.variables, *self.parameters]
        for name in names:
            check_name("equations", name)
        for name in names:
            if names.count(name) > 1:
                raise InvalidValueError(f"equations: {name!r} is there twice; names of variables and parameters differ")
        for name, equation in self.variables.items():
            if not isinstance(equation, (tuple, list)) or len(equation) != 2:
                raise InvalidValueError(
                    f"equations: {name!r} must have (right-hand side, value after a spike or None), got "
                    f"{shown(equation)}"
                )
            rate, jump = equation
            if not isinstance(rate, str):
                raise InvalidValueError(f"equations: d{name}/dt must be a text, got {shown(rate)}")
            if not (jump is None or isinstance(jump, str)):
                raise InvalidValueError(f"equations: {name} after a spike must be a text or None, got {shown(jump)}")
        if not (self.threshold is None or isinstance(self.threshold, str)):
            raise InvalidValueError(f"equations: threshold must be a text or None, got {shown(self.threshold)}")
        check_choice("integration", self.integration, INTEGRATIONS)
        check_switch("equations: rising", self.rising)
        if self.rising and self.threshold is None:
            raise InvalidValueError("equations: rising is of neurons with a threshold, got none")
        if not isinstance(self.output, str):
            raise InvalidValueError(f"equations: output must be the name of a variable, got {shown(self.output)}")
        if self.impulse is not None:
            check_choice("equations: impulse", self.impulse, self.variables)
        if self.refractory is not None:
            check_choice("equations: refractory", self.refractory, self.parameters)
        for name in self.held:
            check_choice("equations: held", name, self.variables)

    def with_refractory(self, period: Any, held: str = "v") -> Equations:
        """The same with a refractory period, the parameter ``tau_refrac``, in which a variable is held; None for
        none."""
        if period is None:
            return self
        return replace(self, parameters=(*self.parameters, "tau_refrac"), refractory="tau_refrac", held=(held,))

    def with_input_latency(self, steps: int) -> Equations:
        """The same with an input that acts `steps` time steps later than it arrives.

        A shift register of variables takes the place of the input: ``input_1[t] = Isyn[t]``,
        ``input_2[t] = input_1[t-1]``, and so on. A step of linear Euler takes a variable whose time constant is `dt`
        all the way to what drives it, and reads the values that the others had the step before; so the last of n acts
        n steps late.
        """
        if steps == 0:
            return self
        names = [f"input_{place}" for place in range(1, steps + 1)]
        variables = {
            name: (re.sub(r"\bIsyn\b", names[-1], rate), jump) for name, (rate, jump) in self.variables.items()
        }
        for before, name in zip(["Isyn", *names], names, strict=False):
            variables[name] = (f"({before} - {name}) / dt", None)
        return replace(self, variables=variables)


class Neuron:
    """Base of everything a population can consist of. A new one with dynamics derives from :class:`DynamicNeuron`."""

    registered_name: ClassVar[str]
    is_input = False
    simulation_only = False
    readout: str | Readout | None = None

    @classmethod
    def check_definition(cls) -> None:
        """Raise an error if the class lacks anything that backends need."""
        if not any(base.__name__ in _KINDS and base.__module__ == __name__ for base in cls.__mro__):
            raise InvalidValueError(f"neuron {cls.__name__} must derive from {', '.join(_KINDS)}")
        check_fields(f"neuron {cls.__name__}", cls, Neuron)

    @classmethod
    def examples(cls) -> list[Neuron]:
        """Neurons that the contract tests try."""
        return [cls()]

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"  # classes with parameters define their own


_KINDS = ("DynamicNeuron", "Input", "SpikeInput")
"""The kinds of populations that backends distinguish."""

NEURONS: Registry[Neuron] = Registry("neuron", Neuron)


@NEURONS.register("input")
class Input(Neuron):
    """Real-valued input: every example gives one number per time step and neuron, ``[batch, time, neuron]``."""

    is_input = True


@NEURONS.register("spike_input")
@refuses(max_spikes="leave it out, memory grows with the spikes")
class SpikeInput(Neuron):
    """Spike input: every example is a list of events (time in ms, neuron).

    Several events of one neuron within one time step are one spike. A dense array of zeros and ones,
    ``[batch, time, neuron]``, is accepted too.
    """

    is_input = True


@dataclass
class DynamicNeuron(Neuron, ABC):
    """A neuron with equations. Parameters are numbers, arrays ``[neuron]`` or initialisers."""

    readout: str | Readout | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.readout is not None:
            self.readout = plain_readout(self.readout)

    def _check_readout(self, *, spiking: bool) -> None:
        """Raise an error if the readout does not fit the neuron."""
        if self.readout is not None and (as_readout(self.readout).reads == "spikes") is not spiking:
            fits = [name for name, readout in READOUTS.items() if (readout.reads == "spikes") is spiking]
            fitting = ", ".join(map(repr, fits))
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

    def check_model(self, population: str) -> None:
        """An error where equations and parameters are none, or do not belong together.

        Raises:
            InvalidValueError: it names the population, the class and what is missing.
        """
        what = f"population {population!r}: neuron {type(self).__name__}"
        equations = asked(f"{what}: equations()", self.equations)
        if not isinstance(equations, Equations):
            raise InvalidValueError(f"{what}: equations() must give Equations, got {shown(equations)}")
        values = asked(f"{what}: parameter_values()", self.parameter_values)
        if not isinstance(values, Mapping):
            raise InvalidValueError(f"{what}: parameter_values() must give a dict, got {shown(values)}")
        missing = [name for name in (*equations.parameters, *equations.variables) if name not in values]
        if missing:
            raise InvalidValueError(
                f"{what}: parameter_values() lacks {', '.join(missing)}; it gives every parameter and every variable's "
                f"initial value"
            )

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
        self.check_sampled(population, values)
        return values

    def check_sampled(self, population: str, values: dict[str, npt.NDArray[np.float64]]) -> None:
        """Raise an error if parameters do not fit each other, ``[neuron]`` each."""


def sample_per_neuron(what: str, value: Any, owner: int, index: int, size: int, seed: int) -> npt.NDArray[np.float64]:
    """A number, an array or an initialiser as one value per neuron of population `owner`, ``[size]``."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return real_array(what, value, (size,))
    words = philox(seed, Purpose.PARAMETER, owner, np.arange(size), index)
    return sampled(what, as_initializer(what, value), uniform(words[0]), 1)


def input_values(steps: int) -> dict[str, float]:
    """The initial values of the variables that make an input late: nothing has arrived."""
    return {f"input_{place}": 0.0 for place in range(1, steps + 1)}


def check_parameter(what: str, value: Any, low: float = float("-inf"), *, open_low: bool = False) -> Any:
    """A parameter as it is kept: a plain number in range, as a float; arrays and initialisers as they are.

    Those are checked when they are sampled, as it is the population that says how many neurons there are.
    """
    if isinstance(value, (list, tuple, np.ndarray, Initializer, str)):
        return value
    return check_real(what, value, low, open_low=open_low)


def check_input_latency(value: object, integration: str) -> int:
    """The steps by which a neuron's input acts late, or an error."""
    steps = check_count("input_latency", value, 0, MAX_INPUT_LATENCY)
    if steps and integration != "linear_euler":
        raise InvalidValueError(
            f"input_latency {steps} needs integration 'linear_euler', under which a variable can take over another's "
            f"value of the step before, got {integration!r}"
        )
    return steps


def check_reset(
    what: str, values: Mapping[str, Any], *, relative: bool, names: tuple[str, str] = ("v_thresh", "v_reset")
) -> None:
    """Raise an error if a spike leaves a neuron at or above its threshold, so that it would spike for ever.

    Args:
        values: `v_thresh` and `v_reset`; initialisers are not checked here.
        relative: whether the threshold is subtracted at a spike, in place of setting the potential to `v_reset`.
        names: what the neuron calls them.
    """
    thresh, reset = values["v_thresh"], 0.0 if relative else values["v_reset"]
    try:
        thresh, reset = np.broadcast_arrays(np.asarray(thresh), np.asarray(reset))
    except ValueError:
        return
    if thresh.dtype.kind not in "iuf" or reset.dtype.kind not in "iuf":
        return
    never = ~(thresh > reset)
    if never.any():
        got = f"{thresh[never].flat[0]:g}"
        if relative:
            raise InvalidValueError(f"{what}v_thresh must be above 0, as it is subtracted at a spike; got {got}")
        raise InvalidValueError(
            f"{what}{names[0]} must be above {names[1]}, or a spike would lead to the next for ever; got {names[0]} "
            f"{got} and {names[1]} {reset[never].flat[0]:g}"
        )
