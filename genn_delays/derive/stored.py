"""From an entry of the cache to a derived model. The entry is not trusted: every text in it is checked.

Derived models are text that goes into kernels. A valid entry has only the names of its own equations, and expressions
of :mod:`.printed`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from ..neurons import Equations
from ..neurons.neuron import NONLINEAR
from ..neurons.neuron import REFRACTORY_STATE as REFRAC
from ..neurons.neuron import RISING_STATE as ABOVE
from .equations import DiscreteModel, describe
from .integration import transition
from .names import GIVEN, derived_name, given_name
from .nonlinear import NO_ADJOINT
from .printed import Printed, TextError, check_numpy, check_printed
from .transitions import Transitions, has_transitions

T = TypeVar("T")

_NAME = re.compile(r"[a-z]+[0-9]?__[A-Za-z0-9_]+", re.ASCII)
_STEPS, _BACK = ("t", *(f"{kind}{n}" for n in range(1, 5) for kind in "xk")), ("start", "j", "m")
"""The roles of a step's and of an adjoint's intermediate values."""


def read_expression(raw: Any, names: Collection[str]) -> Printed:
    """An expression of these names in both languages.

    Raises:
        TextError: it is none.
    """
    if not isinstance(raw, Mapping) or set(raw) != {"c", "py"}:
        raise TextError("not an expression in two languages")
    return check_printed(raw["c"], raw["py"], names)


def read_model(raw: Any, equations: Equations) -> DiscreteModel:
    """The model that was derived from these equations.

    Raises:
        TextError: the entry is not derived from them.
    """
    return _Entry(equations).model(raw)


class _Entry:
    """The allowed names in an entry for these equations."""

    def __init__(self, equations: Equations) -> None:
        self.equations, variables = equations, tuple(equations.variables)
        refractory = equations.refractory is not None
        self.states = (*variables, *([ABOVE] if equations.rising else []), *([REFRAC] if refractory else []))
        self.coefficients = {derived_name(role, s) for s in variables for role in "bc"}
        self.coefficients |= {transition(s, r) for s in variables for r in variables}
        self.coefficients |= {derived_name("steps", REFRAC)} if refractory else set()
        self.given = {*equations.parameters, "dt"}
        self.rates = {*equations.parameters, *self.states}
        later = {derived_name(role, s) for s in self.states for role in "lLh"}
        self.names = self.rates | self.coefficients | later | {"Isyn", *map(given_name, GIVEN)}
        self.nonlinear = equations.integration in NONLINEAR

    def model(self, raw: Any) -> DiscreteModel:
        equations = self.equations
        output = self.states.index(equations.output) if equations.output in equations.variables else 0
        _same(raw["states"], list(self.states))
        _same(raw["equations"], list(describe(equations)))
        _same(raw["output"], output)
        _same(raw["held"], list(equations.held) if equations.refractory is not None else [])
        _same(raw["hold"] is None, equations.refractory is None)
        _same(raw["transitions"] is None, self.nonlinear or not has_transitions(equations))
        _same(raw["threshold"] is None, equations.threshold is None)
        for name in ("update", "adjoint"):
            _same(list(raw[name]), list(self.states))
        if self.nonlinear:
            self.coefficients |= set(_derived(raw["coefficients"], "k"))
            self.names |= self.coefficients
        steps, back = self.values(raw["steps"], _STEPS), self.values(raw["back"], _BACK)
        return DiscreteModel(
            states=self.states,
            equations=describe(equations),
            coefficients=self.numbers(raw["coefficients"], self.coefficients, self.given),
            sensitivity=_table(
                raw["sensitivity"], equations.parameters, lambda e: self.numbers(e, self.coefficients, self.given)
            ),
            step_parameters=_names(raw["step_parameters"], equations.parameters),
            update=self.expressions(raw["update"]),
            jump=self.expressions(raw["jump"]),
            threshold=self.expression(raw["threshold"]),
            adjoint=self.expressions(raw["adjoint"]),
            gradient=read_expression(raw["gradient"], self.names),
            output=output,
            held=tuple(raw["held"]),
            hold=self.expression(raw["hold"]),
            transitions=None if raw["transitions"] is None else self.transitions(raw["transitions"]),
            steps=steps,
            back=back,
            decay=self.numbers(raw["decay"], equations.variables if self.nonlinear else (), self.given),
            untrainable=self.reason(raw["untrainable"]),
        )

    def values(self, raw: Any, roles: tuple[str, ...]) -> dict[str, Printed]:
        """Values under names of their own, each of which those after it may use."""
        found: dict[str, Printed] = {}
        names = _derived(raw, *roles) if self.nonlinear else {}
        _same(list(raw), list(names))
        for name in names:
            if name in self.names:
                raise TextError("a name that there is")
            found[name] = read_expression(raw[name], self.names)
            self.names |= {name}
        return found

    def reason(self, raw: Any) -> str | None:
        """The reason that there is no adjoint, one of the sentences there are."""
        reasons = {text.format(s) for text in NO_ADJOINT.values() for s in self.equations.variables}
        if raw is not None and not (self.nonlinear and raw in reasons):
            raise TextError("a reason that there is none of")
        return None if raw is None else str(raw)

    def transitions(self, raw: Any) -> Transitions:
        variables = tuple(self.equations.variables)
        for name in ("flow", "rates"):
            _same(list(raw[name]), list(variables))
        return Transitions(
            flow=self.expressions(raw["flow"]),
            coefficients=self.numbers(raw["coefficients"], [derived_name("h", s) for s in variables], self.given),
            arrival=read_expression(raw["arrival"], self.names),
            parameters=_names(raw["parameters"], self.equations.parameters),
            spike_time=self.expression(raw["spike_time"]),
            jump=self.expressions(raw["jump"]),
            kept=_names(raw["kept"], variables),
            release=self.expression(raw["release"]),
            kept_at_release=_names(raw["kept_at_release"], variables),
            slope=check_numpy(raw["slope"], self.rates),
            rates=self.numbers(raw["rates"], variables, self.rates),
        )

    def expression(self, raw: Any) -> Printed | None:
        return None if raw is None else read_expression(raw, self.names)

    def expressions(self, raw: Any) -> dict[str, Printed]:
        return _table(raw, self.states, lambda e: read_expression(e, self.names))

    def numbers(self, raw: Any, keys: Collection[str], names: Collection[str]) -> dict[str, str]:
        return _table(raw, keys, lambda e: check_numpy(e, names))


def _derived(raw: Any, *roles: str) -> dict[str, None]:
    """The keys of a table that are derived names of these roles, in order."""
    if not isinstance(raw, Mapping):
        raise TextError("a table of other names")
    return dict.fromkeys(n for n in raw if isinstance(n, str) and _NAME.fullmatch(n) and n.split("__")[0] in roles)


def _same(found: Any, expected: Any) -> None:
    if found != expected or type(found) is not type(expected):
        raise TextError(f"expected {expected!r}")


def _table(raw: Any, keys: Collection[str], read: Callable[[Any], T]) -> dict[str, T]:
    if not isinstance(raw, Mapping) or not set(raw) <= set(keys):
        raise TextError("a table of other names")
    return {key: read(value) for key, value in raw.items()}


def _names(raw: Any, known: Collection[str]) -> tuple[str, ...]:
    if not isinstance(raw, (list, tuple)) or not all(isinstance(name, str) and name in known for name in raw):
        raise TextError("a list of other names")
    return tuple(raw)
