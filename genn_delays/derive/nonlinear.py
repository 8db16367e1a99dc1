"""Equations of any form: their step by forward Euler or Runge-Kutta, and the adjoint of forward Euler.

Forward Euler (``integration="euler"``): all right-hand sides f are computed of the values before the step, then ::

    x[t] = x'[t-1] + dt f(x'[t-1], Isyn[t])

with `x'`: after the jumps of a spike. Runge-Kutta of order 4 (``"rk4"``; Kutta 1901), the input constant within the
step::

    k1 = f(x'), k2 = f(x' + dt/2 k1), k3 = f(x' + dt/2 k2), k4 = f(x' + dt k3)
    x = x' + dt/6 (((k1 + 2 k2) + 2 k3) + k4)

Expressions are rounded as they are written (:mod:`.written`). What arrives through an exponential synapse is added to
the synaptic current at the end of the step, which is integrated like any other variable.

With the Jacobian ``J = df/dx`` at x'[t], by SymPy, and ``L = lambda[t+1]``, the adjoint of forward Euler is that of
:mod:`.equations` with ``m = L + dt J^T L`` in place of ``M^T L``. It asks for equations in which `Isyn` is added with
a factor that does not vary: else the input of every step would have to be kept. `rk4` has no adjoint, for the same
reason: its inner stages depend on the input in every equation that is not linear.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from ..neurons import Equations
from ..neurons.neuron import REFRACTORY_STATE
from .expressions import derived, given, numpy_text, parse, printed
from .gates import input_gradient
from .model import DiscreteModel, describe
from .names import derived_name, given_name
from .printed import Printed, words_of
from .written import Writer, joined, named

NO_ADJOINT = {
    "rk4": "integration 'rk4' has no adjoint; with integration 'euler' it can be trained",
    "input": "Isyn is not added with a constant factor in d{}/dt, and what arrives is not kept for the adjoint",
}


def derive_nonlinear(equations: Equations, detach_reset: bool) -> DiscreteModel:
    """The discrete model of a neuron under ``"euler"`` or ``"rk4"``, without gates of its threshold.

    Raises:
        InvalidValueError: a name that is not defined, or a function that these rules do not have.
    """
    import sympy

    states = tuple(equations.variables)
    symbols = {n: sympy.Symbol(n, real=True) for n in (*states, *equations.parameters, "Isyn", "dt")}
    texts = {s: (rate, f"d{s}/dt") for s, (rate, _) in equations.variables.items()}
    rhs = {s: parse(text, symbols, what) for s, (text, what) in texts.items()}
    writer = Writer(symbols, (*states, "Isyn"))
    step = _euler if equations.integration == "euler" else _runge_kutta
    update = step(writer, texts, equations.held)
    if equations.impulse is not None:
        update[equations.impulse] = joined(update[equations.impulse], "+", named("Isyn"))
    update = {s: _bare(e) for s, e in update.items()}
    jumps = {
        s: (jump, f"{s} after a spike") for s, (_, jump) in equations.variables.items() if jump is not None
    }  # fmt: skip
    after = {s: parse(text, symbols, what) for s, (text, what) in jumps.items()}
    theta, threshold = None, None
    if equations.threshold is not None:
        theta = parse(equations.threshold, symbols, "threshold")
        threshold = writer.write(equations.threshold, "threshold")
    spiking = {s: writer.write(text, what) for s, (text, what) in jumps.items()} if threshold else {}
    adjoint = _Adjoint(equations, writer, symbols, rhs, after, theta, detach_reset)
    untrainable = adjoint.refusal()
    back, backward, gradient = adjoint.derive(spiking) if untrainable is None else ({}, _nothing(states), _ZERO)
    written = [*writer.steps.values(), *update.values(), *spiking.values(), *([threshold] if threshold else [])]
    used = words_of([*written, *back.values(), *backward.values()])
    return DiscreteModel(
        states=states,
        equations=describe(equations),
        coefficients=writer.coefficients,
        sensitivity={},
        step_parameters=tuple(p for p in equations.parameters if p in used),
        update=update,
        jump=spiking,
        threshold=threshold,
        adjoint=backward,
        gradient=gradient,
        output=states.index(equations.output) if equations.output in states else 0,
        held=(),
        hold=None,
        transitions=None,
        steps=writer.steps,
        back=back,
        decay=_decay(rhs, symbols, (*states, "Isyn")),
        untrainable=untrainable,
    )


_ZERO = Printed(c="0.0f", py="0.0")


def _nothing(states: tuple[str, ...]) -> dict[str, Printed]:
    return dict.fromkeys(states, _ZERO)


def _bare(value: Printed) -> Printed:
    """An operation without the brackets around it."""
    return Printed(c=value.c[1:-1], py=value.py[1:-1]) if value.c.startswith("(") else value


def _euler(writer: Writer, texts: dict[str, tuple[str, str]], held: tuple[str, ...]) -> dict[str, Printed]:
    dt = writer.coefficient(writer.symbols["dt"])
    rates = {s: writer.write(text, what, {}) for s, (text, what) in texts.items()}
    return {s: joined(named(s), "+", joined(dt, "*", rate)) for s, rate in rates.items()}


def _runge_kutta(writer: Writer, texts: dict[str, tuple[str, str]], held: tuple[str, ...]) -> dict[str, Printed]:
    """The stages become steps; variables that are held keep their value in all of them."""
    dt = writer.symbols["dt"]
    spans = [writer.coefficient(dt / 2), writer.coefficient(dt / 2), writer.coefficient(dt)]
    stages: list[dict[str, Printed]] = []
    names: dict[str, str] = {}
    for number in range(4):
        if number:
            before, span = stages[-1], spans[number - 1]
            values = {s: joined(named(s), "+", joined(span, "*", before[s])) for s in texts}
            for s, value in values.items():
                names[s] = derived_name(f"x{number + 1}", s)
                writer.steps[names[s]] = _held(s, value) if s in held else value
        stage = {}
        for s, (text, what) in texts.items():
            name = derived_name(f"k{number + 1}", s)
            rate = writer.write(text, what, dict(names))
            writer.steps[name] = rate
            stage[s] = named(name)
        stages.append(stage)
    sixth, two = writer.coefficient(dt / 6), Printed(c="2.0f", py="2.0")
    update = {}
    for s in texts:
        k1, k2, k3, k4 = (stage[s] for stage in stages)
        total = joined(joined(joined(k1, "+", joined(two, "*", k2)), "+", joined(two, "*", k3)), "+", k4)
        update[s] = joined(named(s), "+", joined(sixth, "*", total))
    return update


def _held(s: str, value: Printed) -> Printed:
    """A variable's value within a step, in which it stands still while the neuron is refractory."""
    counter = named(REFRACTORY_STATE)
    return Printed(c=f"({counter.c} > 0.0f ? {named(s).c} : {value.c})", py=f"where({counter.py} > 0, {s}, {value.py})")


def _decay(rhs: dict[str, Any], symbols: dict[str, Any], varying: tuple[str, ...]) -> dict[str, str]:
    """Rates (per ms) at which variables decay by themselves, where they are constant."""
    import sympy

    moving = {symbols[name] for name in varying}
    slopes = {s: -sympy.diff(rate, symbols[s]) for s, rate in rhs.items()}
    return {s: numpy_text(slope) for s, slope in slopes.items() if slope != 0 and not slope.free_symbols & moving}


class _Adjoint:
    """The adjoint of forward Euler."""

    def __init__(
        self,
        equations: Equations,
        writer: Writer,
        symbols: dict[str, Any],
        rhs: dict[str, Any],
        after: dict[str, Any],
        theta: Any,
        detach_reset: bool,
    ) -> None:
        self.equations, self.writer, self.symbols = equations, writer, symbols
        self.rhs, self.after, self.theta, self.detach_reset = rhs, after, theta, detach_reset
        self.states = tuple(equations.variables)

    def refusal(self) -> str | None:
        """The reason why there is none."""
        import sympy

        if self.equations.integration == "rk4":
            return NO_ADJOINT["rk4"]
        moving = {self.symbols[name] for name in (*self.states, "Isyn")}
        for s, rate in self.rhs.items():
            if sympy.diff(rate, self.symbols["Isyn"]).free_symbols & moving:
                return NO_ADJOINT["input"].format(s)
        return None

    def derive(self, jumps: dict[str, Printed]) -> tuple[dict[str, Printed], dict[str, Printed], Printed]:
        """Intermediate values, lambda[t] by state, and dL/dIsyn[t]; `jumps` as they are written."""
        import sympy

        later = {s: derived("m", s) for s in self.states}
        adjoint = {}
        spike, surrogate, e = (given(n) for n in ("S", "ds", "e"))
        for s in self.states:
            value = sympy.Integer(0)
            for r in self.states:
                straight = sympy.Integer(int(r == s))
                jumped = straight
                if r in self.after and self.theta is not None:
                    jumped = sympy.diff(self.after[r], self.symbols[s])
                value += later[r] * (straight if jumped == straight else (1 - spike) * straight + spike * jumped)
            if self.theta is not None:
                through = e
                if not self.detach_reset:
                    through += sum((self.after[r] - self.symbols[r]) * later[r] for r in self.after)
                value += surrogate * sympy.diff(self.theta, self.symbols[s]) * through
            adjoint[s] = printed(value, portable=True)
        entries = []
        for s, rate in self.rhs.items():
            factor = sympy.diff(rate, self.symbols["Isyn"])
            if factor != 0 and s != self.equations.impulse:
                self.writer.coefficients[derived_name("b", s)] = numpy_text(factor * self.symbols["dt"])
                entries.append(s)
        return self._propagated(jumps), adjoint, input_gradient(self.equations, tuple(entries))

    def _propagated(self, jumps: dict[str, Printed]) -> dict[str, Printed]:
        """``m = L + dt J^T L`` with what it is made of; where hold is 1, held variables pass unchanged."""
        import sympy

        start = {self.symbols[s]: derived("start", s) for s in self.states}
        dt, hold = derived("k", "dt"), given("hold")
        rates = {s: rate.subs({**start, self.symbols["Isyn"]: 0}, simultaneous=True) for s, rate in self.rhs.items()}
        found = []
        for s in self.states:
            value = sympy.Integer(0)
            for r, rate in rates.items():
                slope = sympy.diff(rate, start[self.symbols[s]]).subs(self.symbols["dt"], dt)
                moving = 1 - hold if r in self.equations.held and self.equations.refractory is not None else 1
                value += derived("L", r) * moving * slope
            found.append(derived("L", s) + dt * value)
        shared, found = sympy.cse(found, symbols=(derived("j", str(n)) for n in count()), order="none")
        needed = set().union(*(e.free_symbols for e in [*found, *(value for _, value in shared)]))
        back = {
            derived_name("start", s): _started(s, jumps) for s in self.states if start[self.symbols[s]] in needed
        }  # fmt: skip
        back |= {derived_name("j", str(n)): printed(value, portable=True) for n, (_, value) in enumerate(shared)}
        return back | {
            derived_name("m", s): printed(e, portable=True) for s, e in zip(self.states, found, strict=True)
        }  # fmt: skip


def _started(s: str, jumps: dict[str, Printed]) -> Printed:
    """A variable after the jumps of a spike. Between the two where spikes are smooth, as in finite differences."""
    if s not in jumps:
        return named(s)
    spike, jump = given_name("S"), jumps[s]
    between = f"(1 - {spike}) * {s} + {spike} * {jump.py}"
    return Printed(
        c=f"S > 0.0f ? {jump.c} : {named(s).c}",
        py=f"where({spike} == 0, {s}, where({spike} == 1, {jump.py}, {between}))",
    )
