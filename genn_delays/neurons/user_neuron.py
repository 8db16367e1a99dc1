"""A neuron written by its user, as equations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import keywords_only
from ..errors import InvalidValueError, check_choice, check_switch, shown
from ..grammar import expression_tree
from .neuron import INTEGRATIONS, NEURONS, DynamicNeuron, Equations, Integration, Neuron, check_name, check_parameter


@NEURONS.register("user_neuron")
@keywords_only
@dataclass(kw_only=True)
class UserNeuron(DynamicNeuron):
    """A neuron given by equations; the update and its adjoint are derived from them.

    Example: an adaptive neuron whose threshold rises with every spike::

        UserNeuron(
            vars={"v": ("-v / tau_mem + Isyn", "0"), "a": ("-a / tau_a", "a + 1")},
            threshold="v - v_thresh - beta * a",
            param_vals={"tau_mem": 10.0, "tau_a": 50.0, "v_thresh": 1.0, "beta": 0.2},
        )

    Args:
        vars: for every variable its right-hand side (per ms) and its value after a spike, or None where a spike leaves
            it alone. Equations are arithmetic in ASCII (``+ - * / **``, brackets, `pi` and the functions of
            :data:`genn_delays.grammar.FUNCTIONS`); their text is read and never run.
        threshold: spikes where this is >= 0; None for a neuron that does not spike.
        param_vals: parameters: numbers, arrays ``[neuron]`` or initialisers.
        var_vals: initial values of the variables, 0 where not given.
        output_var_name: the variable a readout reads.
        integration: ``"linear_euler"`` or ``"exact"``, for right-hand sides that are linear in the variables and
            `Isyn`; ``"euler"`` (forward Euler) or ``"rk4"`` (Runge-Kutta, not for training) for any. Under these two,
            functions of variables are `exp`, `exprel` (``(exp(x) - 1) / x``), `log`, `sqrt`, `Abs`, `sin`, `cos`,
            `tan`, `sinh`, `cosh` and `tanh`, and expressions are computed as they are written.
        tau_refrac: refractory period in ms, in which the variable `output_var_name` stands still; None for none.
        rising: spike only in the step in which the threshold is reached, and not again before it has been below.
    """

    vars: Mapping[str, tuple[str, str | None]]
    threshold: str | None = None
    param_vals: Mapping[str, Any] = field(default_factory=dict)
    var_vals: Mapping[str, Any] = field(default_factory=dict)
    output_var_name: str = "v"
    integration: Integration = "linear_euler"
    tau_refrac: Any = None
    rising: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("integration", self.integration, INTEGRATIONS)
        for what, value in (("vars", self.vars), ("param_vals", self.param_vals), ("var_vals", self.var_vals)):
            if not isinstance(value, Mapping):
                raise InvalidValueError(f"UserNeuron {what} must be a dict by name, got {shown(value)}")
        if not self.vars:
            raise InvalidValueError("UserNeuron needs at least one variable in vars, got none")
        self._check_names()
        self._check_texts()
        self._check_gates()
        self._check_readout(spiking=self.threshold is not None)
        if self.readout is not None and self.threshold is None and self.output_var_name not in self.vars:
            raise InvalidValueError(
                f"UserNeuron: readout {self.readout!r} needs output_var_name out of {', '.join(self.vars)}, got "
                f"{self.output_var_name!r}"
            )

    @classmethod
    def examples(cls) -> list[Neuron]:
        return [
            cls(
                vars={"u": ("-u / tau + Isyn", "c * u * u / (1 + u**2)"), "r": ("(u - r) / 15", "r - 0.1")},
                threshold="u + 0.3 * r * r - 0.5",
                param_vals={"tau": 6.0, "c": 0.2},
            ),
            cls(
                vars={"x": ("(x - x**3 / 3 - y + Isyn) / tau", None), "y": ("0.08 * (x + 0.7 - 0.8 * y)", "y + 0.1")},
                threshold="x - 0.4",
                param_vals={"tau": 4.0},
                var_vals={"x": -0.2},
                output_var_name="x",
                integration="euler",
                tau_refrac=2.0,
                rising=True,
            ),
        ]

    def _check_names(self) -> None:
        for name in [*self.vars, *self.param_vals]:
            check_name("UserNeuron", name)
        for name in self.var_vals:
            if name not in self.vars:
                raise InvalidValueError(f"UserNeuron: var_vals names {name!r}; variables: {', '.join(self.vars)}")
        for name in self.param_vals:
            if name in self.vars:
                raise InvalidValueError(f"UserNeuron: {name!r} is both a variable and a parameter; names must differ")

    def _check_texts(self) -> None:
        """Check the equations: right-hand sides may use the input current, threshold and jumps only variables and
        parameters."""
        at_spike: dict[str, str | None] = {"threshold": self.threshold}
        rates: dict[str, str] = {}
        for name, equation in self.vars.items():
            if not isinstance(equation, (tuple, list)) or len(equation) != 2 or not isinstance(equation[0], str):
                raise InvalidValueError(
                    f"UserNeuron: vars[{name!r}] must be (right-hand side, value after a spike), got {shown(equation)}"
                )
            rates[f"d{name}/dt"], at_spike[f"{name} after a spike"] = equation
        for what, text in at_spike.items():
            if text is not None and not isinstance(text, str):
                raise InvalidValueError(f"UserNeuron: {what} must be a text or None, got {shown(text)}")
            if text is not None and (found := re.search(r"\b(Isyn|dt)\b", text)):
                raise InvalidValueError(
                    f"UserNeuron: {what} = {text!r} uses {found[0]!r}; allowed are variables and parameters"
                )
        for what, text in {**rates, **at_spike}.items():
            if text is not None:
                expression_tree(text, f"UserNeuron: {what}")

    def _check_gates(self) -> None:
        check_switch("UserNeuron rising", self.rising)
        for what, given in (("rising", self.rising), ("tau_refrac", self.tau_refrac is not None)):
            if given and self.threshold is None:
                raise InvalidValueError(f"UserNeuron {what} is of neurons with a threshold, got threshold None")
        if self.tau_refrac is None:
            return
        self.tau_refrac = check_parameter("tau_refrac", self.tau_refrac, 0.0, open_low=True)
        if self.output_var_name not in self.vars:
            raise InvalidValueError(
                f"UserNeuron tau_refrac: output_var_name must be the variable that stands still, out of "
                f"{', '.join(self.vars)}, got {self.output_var_name!r}"
            )
        if "tau_refrac" in (*self.vars, *self.param_vals):
            raise InvalidValueError("UserNeuron: 'tau_refrac' is given as an argument and in vars or param_vals")

    def with_parameters(self, values: dict[str, npt.NDArray[np.float64]]) -> UserNeuron:
        lists = {name: value.tolist() for name, value in values.items()}
        period = lists.pop("tau_refrac", self.tau_refrac) if self.tau_refrac is not None else None
        return replace(self, param_vals={**self.param_vals, **lists}, tau_refrac=period)

    def equations(self) -> Equations:
        equations = Equations(
            dict(self.vars), self.threshold, tuple(self.param_vals), self.integration, self.output_var_name,
            rising=self.rising,
        )  # fmt: skip
        return equations.with_refractory(self.tau_refrac, self.output_var_name)

    def parameter_values(self) -> dict[str, Any]:
        period = {} if self.tau_refrac is None else {"tau_refrac": self.tau_refrac}
        return {**self.param_vals, **{name: self.var_vals.get(name, 0.0) for name in self.vars}, **period}
