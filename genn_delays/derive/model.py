"""A neuron model as kernels need it: its step and its adjoint, printed for C and for NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..neurons import Equations
from .printed import Printed
from .transitions import Transitions


@dataclass(frozen=True)
class DiscreteModel:
    """A neuron model ready to be put into a kernel.

    Attributes:
        states: names of the state variables.
        equations: the model as the user wrote it, one line an equation, for comments.
        coefficients: name and NumPy expression (of the parameters and `dt`) of every per-neuron coefficient.
        sensitivity: for every other parameter the derivatives of the coefficients that depend on it (NumPy
        expressions). step_parameters: parameters that the step itself uses.
        steps: intermediate values of the update, in order.
        update: for every state, its value before a spike is accounted for.
        jump: for every state that a spike changes, its value after it.
        threshold: the neuron spikes where this is >= 0.
        back: intermediate values of the adjoint, in order.
        adjoint: for every state, lambda[t] out of ``L__<state>`` (lambda[t+1]), ``S__``, ``ds__`` and ``e__``.
        gradient: dL/dIsyn[t] out of ``l__<state>`` (lambda[t]).
        output: index of the state that a readout reads.
        held: states that stand still while the neuron is refractory.
        hold: whether the neuron is refractory from here on to the next step, as 0 or 1; None where it never is.
        transitions: changes at spikes and arrivals in continuous time, for EventProp; None without an impulse, and of
            nonlinear equations.
        decay: of nonlinear equations the rates (per ms, NumPy expressions of the parameters) at which variables decay
            by themselves, where they are constant.
        untrainable: why there is no adjoint; None where there is one.
    """

    states: tuple[str, ...]
    equations: tuple[str, ...]
    coefficients: dict[str, str]
    sensitivity: dict[str, dict[str, str]]
    step_parameters: tuple[str, ...]
    update: dict[str, Printed]
    jump: dict[str, Printed]
    threshold: Printed | None
    adjoint: dict[str, Printed]
    gradient: Printed
    output: int
    held: tuple[str, ...]
    hold: Printed | None
    transitions: Transitions | None
    steps: dict[str, Printed] = field(default_factory=dict)
    back: dict[str, Printed] = field(default_factory=dict)
    decay: dict[str, str] = field(default_factory=dict)
    untrainable: str | None = None


def describe(equations: Equations) -> tuple[str, ...]:
    """The equations as text, one a line."""

    def line(text: str) -> str:
        return " ".join(text.split())  # a line break would end the comment in generated code

    arriving = {equations.impulse: ", plus what arrives"}
    lines = [f"d{s}/dt = {line(rhs)}{arriving.get(s, '')}" for s, (rhs, _) in equations.variables.items()]
    if equations.threshold is not None:
        reached = ", when it gets there" if equations.rising else ""
        lines.append(f"spike where {line(equations.threshold)} >= 0{reached}")
        lines += [f"at a spike {s} = {line(jump)}" for s, (_, jump) in equations.variables.items() if jump is not None]
    if equations.refractory is not None:
        lines.append(f"no spike and {', '.join(equations.held)} held for {equations.refractory} after a spike")
    return (*lines, f"integration: {equations.integration}")
