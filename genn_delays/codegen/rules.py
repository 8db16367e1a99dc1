"""Rewiring rules' formulas as kernels have them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..bodies import Body
from ..plan.plan import Plan
from ..rewiring import RewiringRule
from .bodies import CUDA, Dialect, Printer, mangled
from .optimisers import comment_of


@dataclass(frozen=True)
class RuleCode:
    """A rewiring rule as templates see it.

    Attributes:
        name: the registered one.
        comment: its documentation, up to its arguments.
        ranks: whether it scores synapses; else it says of each whether it goes.
        reads: the arrays of a connection's state that its criterion reads: ``weight``, ``age``, ``moment0``, ...
        numbers, help_numbers: how the code calls those of its numbers that dropping and growing read.
        drop: statements that give ``score_`` or ``gone_`` out of ``w_``, ``age_`` and the moments.
        help: statements that give ``help_`` out of ``g_`` and ``sign_``.
    """

    name: str
    comment: str
    ranks: bool
    reads: tuple[str, ...]
    numbers: tuple[str, ...]
    help_numbers: tuple[str, ...]
    drop: str
    help: str


@dataclass(frozen=True)
class CUDARuleCode(RuleCode):
    """The same for kernels that take arrays and numbers as arguments.

    Attributes:
        values: parameters of a function of one synapse.
        parameters, passed: those of a kernel, and the arguments with which it passes them on.
        arguments: of the function for synapse k.
    """

    values: tuple[str, ...]
    parameters: tuple[str, ...]
    passed: tuple[str, ...]
    arguments: tuple[str, ...]


def rule_code(rule: type[RewiringRule], dialect: Dialect) -> RuleCode:
    """The code of a rule in a dialect."""
    drop, helps = rule.drop_body(), rule.help_body()
    printer = Printer(dialect)
    return RuleCode(
        rule.registered_name, comment_of(rule), rule.score is not None, state_read(rule), _numbers(rule, drop),
        _numbers(rule, helps), printer.block(drop), printer.block(helps),
    )  # fmt: skip


def cuda_rule_code(rule: type[RewiringRule]) -> CUDARuleCode:
    """The code of a rule for CUDA."""
    code = rule_code(rule, CUDA)
    types = {"weight": ("float", "float"), "age": ("u32", "u16")}
    values, parameters = [], []
    for name in code.reads:
        value, kept = types.get(name, ("float", "float"))
        values.append(f"{value} {'w_' if name == 'weight' else mangled(name)}")
        parameters.append(f"const {kept}* __restrict__ {name}")
    numbers = tuple(f"double {name}" for name in code.numbers)
    return CUDARuleCode(
        **vars(code), values=(*values, *numbers), parameters=(*parameters, *numbers),
        passed=(*code.reads, *code.numbers), arguments=(*(f"{name}[k]" for name in code.reads), *code.numbers),
    )  # fmt: skip


def state_read(rule: type[RewiringRule]) -> tuple[str, ...]:
    """The arrays of a connection's state that the criterion by which synapses are dropped reads."""
    body = rule.drop_body()
    names = {"w": "weight"}
    return tuple(names.get(name, name) for name in body.inputs if name in body.reads() - set(rule.number_names()))


def _numbers(rule: type[RewiringRule], body: Body) -> tuple[str, ...]:
    return tuple(mangled(name) for name in rule.number_names() if name in body.reads())


def drop_numbers(rule: RewiringRule) -> dict[str, float]:
    """The numbers that its criterion reads, by what kernels call them."""
    return dict(zip(_numbers(type(rule), rule.drop_body()), rule.drop_numbers(), strict=True))


def help_numbers(rule: RewiringRule) -> dict[str, float]:
    """The numbers by which it tells how much a synapse would help, by what kernels call them."""
    return dict(zip(_numbers(type(rule), rule.help_body()), rule.help_numbers(), strict=True))


def rules_of(plan: Plan) -> list[type[RewiringRule]]:
    """The classes of a plan's rules, each once, by name."""
    return sorted({type(c.rewiring) for c in plan.connections if c.rewiring}, key=lambda kind: kind.registered_name)


def rule_numbers(plan: Plan) -> list[str]:
    """The names in kernels of the numbers that any of a plan's rules reads, each once."""
    return sorted({mangled(name) for c in plan.connections if c.rewiring for name in c.rewiring.numbers()})


def bodies_of_rules(rules: Iterable[type[RewiringRule]]) -> list[Body]:
    """The bodies that those of rules call."""
    return [called for rule in rules for body in (rule.drop_body(), rule.help_body()) for called in body.called()]
