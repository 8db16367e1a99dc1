"""A neuron written by its user, as equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidValueError
from .leaky_integrate_fire import check_integration
from .neuron import RESERVED, DynamicNeuron, Equations, Integration


@dataclass
class UserNeuron(DynamicNeuron):
    """A neuron given by equations; the update and its adjoint are derived from them.

    Example: an adaptive neuron whose threshold rises with every spike::

        UserNeuron(
            vars={"v": ("-v / tau_mem + Isyn", "0"), "a": ("-a / tau_a", "a + 1")},
            threshold="v - v_thresh - beta * a",
            param_vals={"tau_mem": 10.0, "tau_a": 50.0, "v_thresh": 1.0, "beta": 0.2},
        )

    Args:
        vars: for every variable its right-hand side (per ms; linear in the variables and `Isyn`) and its value after
            a spike, or None where a spike leaves it alone.
        threshold: spikes where this is >= 0; None for a neuron that does not spike.
        param_vals: parameters: numbers, arrays ``[neuron]`` or initialisers.
        var_vals: initial values of the variables, 0 where not given.
        output_var_name: the variable a readout reads.
        integration: ``"linear_euler"`` or ``"exact"``.
    """

    vars: Mapping[str, tuple[str, str | None]]
    threshold: str | None = None
    param_vals: Mapping[str, Any] = field(default_factory=dict)
    var_vals: Mapping[str, Any] = field(default_factory=dict)
    output_var_name: str = "v"
    integration: Integration = "linear_euler"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integration(self.integration)
        if not self.vars:
            raise InvalidValueError("UserNeuron needs at least one variable in vars, got none")
        for name in [*self.vars, *self.param_vals]:
            if not name.isidentifier() or name in RESERVED:
                raise InvalidValueError(f"UserNeuron: {name!r} cannot be a name; reserved: {', '.join(RESERVED)}")
        for name in self.var_vals:
            if name not in self.vars:
                raise InvalidValueError(f"UserNeuron: var_vals names {name!r}; variables: {', '.join(self.vars)}")
        if self.readout is not None and (self.threshold is not None or self.output_var_name not in self.vars):
            raise InvalidValueError(
                f"UserNeuron: readout {self.readout!r} needs a neuron that does not spike and output_var_name out of "
                f"{', '.join(self.vars)}, got {self.output_var_name!r}"
            )

    def equations(self) -> Equations:
        return Equations(
            dict(self.vars), self.threshold, tuple(self.param_vals), self.integration, self.output_var_name
        )

    def parameter_values(self) -> dict[str, Any]:
        return {**self.param_vals, **{name: self.var_vals.get(name, 0.0) for name in self.vars}}
