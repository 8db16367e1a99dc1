"""Classes of users that are incomplete or wrong: one error that names the class and what is wrong with it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts import suite
from own_classes import registered
from refused import refused

import genn_delays as gd
from genn_delays.bodies import BodyError
from genn_delays.errors import GennDelaysError
from genn_delays.learning.optimisers import OPTIMISERS, as_optimiser

STEP = "w = w - real(alpha) * g"
LOSS = {"ground_truth": "example_value", "body": "loss = sum(double(z))\ndz = z"}
READ = {"end": "z = v", "back": "dv = dz"}
KERNEL = {"offset": 1.0, "reach": 1.0, "body": "e = width + 0 * x\nslope = 0 * x"}
EQUATIONS = gd.Equations({"v": ("-v / tau + Isyn", "0")}, "v - 1", ("tau",))


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with registered({}):
        yield


def made(base: type, **members: Any) -> type:
    """A dataclass with these members; those that are annotated become its fields."""
    kind = type("Mine", (base,), {"__annotations__": {}, **members})
    return dataclass(frozen=not issubclass(base, gd.Neuron))(kind)


def number(name: str, value: Any) -> dict[str, Any]:
    return {name: value, "__annotations__": {name: object}}


WHEN_REGISTERED: list[tuple[Callable[[], type], tuple[str, ...]]] = [
    (lambda: made(gd.Optimiser, body="w = = 1"), ("Mine", "invalid syntax")),
    (lambda: made(gd.Optimiser, body=None), ("Mine", "`body`")),
    (lambda: made(gd.Optimiser, body=""), ("Mine", "w no new value")),
    (lambda: made(gd.Optimiser, body="v = w"), ("Mine", "w no new value")),
    (lambda: made(gd.Optimiser, body=STEP, moments=("m",)), ("Mine", "m no new value")),
    (lambda: made(gd.Optimiser, body=f"alpha = alpha / 2\n{STEP}"), ("Mine", "alpha", "only read")),
    (lambda: made(gd.Optimiser, body=f"age = age + 1\n{STEP}"), ("Mine", "age", "only read")),
    (lambda: made(gd.Optimiser, body=STEP, moments="m"), ("Mine", "`moments`", "'m'")),
    (lambda: made(gd.Optimiser, body=STEP, moments=(1,)), ("Mine", "`moments`", "(1,)")),
    (lambda: made(gd.Optimiser, body=STEP, moments=None), ("Mine", "`moments`", "None")),
    (lambda: made(gd.Optimiser, body=STEP, numbers=lambda self: {}), ("Mine", "must not define `numbers`")),
    (lambda: made(gd.Optimiser, body=STEP, formula=classmethod(lambda cls: None)), ("must not define `formula`",)),
    (lambda: made(gd.Optimiser, body="w = w - 1e400 * g"), ("Mine", "too large for real")),
    (lambda: made(gd.Optimiser, body="n = age + 99999999999\nw = w - real(n)"), ("Mine", "too large for u32")),
    (lambda: made(gd.Loss, labelled=True, **LOSS), ("Mine", "must not define `labelled`")),
    (lambda: made(gd.Readout, scan=classmethod(lambda cls: None), **READ), ("Mine", "must not define `scan`")),
    (lambda: made(gd.DelayKernel, **KERNEL | {"body": "x = 2 * x\ne = width + x\nslope = x"}), ("x", "only read")),
    (lambda: made(gd.DelayKernel, **KERNEL | {"body": "width = 2 * width\ne = width\nslope = x"}), ("width",)),
    (lambda: made(gd.RewiringRule, gone="gone = w == 0", drop_body=None), ("must not define `drop_body`",)),
    (lambda: type("Mine", (gd.Adam,), {"body": STEP, **number("rho", 1.0)}), ("'rho'", "Mine", "@dataclass")),
    (lambda: type("Mine", (gd.Loss,), {**LOSS, **number("rho", 1.0)}), ("'rho'", "Mine", "@dataclass")),
    (lambda: type("Mine", (gd.Readout,), {**READ, **number("rho", 1.0)}), ("'rho'", "Mine", "@dataclass")),
    (lambda: type("Mine", (gd.DelayKernel,), {**KERNEL, **number("rho", 1.0)}), ("'rho'", "Mine", "@dataclass")),
    (lambda: type("Mine", (gd.SET,), number("rho", 1.0)), ("'rho'", "Mine", "@dataclass")),
    (lambda: type("Mine", (gd.LeakyIntegrate,), number("rho", 1.0)), ("'rho'", "Mine", "@dataclass")),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), WHEN_REGISTERED, ids=lambda x: "-".join(x) if isinstance(x, tuple) else "")
def test_told_when_it_is_registered(make: Callable[[], type], words: tuple[str, ...]) -> None:
    with refused(*words, error=BodyError):
        gd.register("mine")(make())


def neuron(**members: Any) -> type:
    given = {"equations": lambda self: EQUATIONS, "parameter_values": lambda self: {"v": 0.0, "tau": 5.0}}
    return made(gd.DynamicNeuron, **given | members)


def fails(*_: Any) -> Any:
    raise ZeroDivisionError("division by zero")


WHEN_USED: list[tuple[str, Callable[[], type], tuple[str, ...]]] = [
    ("optimiser", lambda: made(gd.Optimiser, body=STEP, **number("rho", "much")), ("Mine rho", "'much'")),
    ("loss", lambda: made(gd.Loss, **LOSS | {"body": "loss = sum(double(z) * a)\ndz = z"}, **number("a", "x")),
     ("Mine a", "'x'")),
    ("loss", lambda: made(gd.Loss, on=fails, **LOSS), ("Mine", "on()", "ZeroDivisionError")),
    ("loss", lambda: made(gd.Loss, on=lambda *_: 3, **LOSS), ("Mine", "on()", "3")),
    ("loss", lambda: made(gd.Loss, on=lambda *_: made(gd.Loss)(), **LOSS), ("Mine", "`body`")),
    ("readout", lambda: made(gd.Readout, **READ, **number("a", None)), ("Mine a", "None")),
    ("rule", lambda: made(gd.RewiringRule, gone="gone = w == 0", **number("l1", "x")), ("Mine l1", "'x'")),
    ("rule", lambda: made(gd.RewiringRule, gone="gone = w == 0", **number("temperature", "x")), ("Mine temp", "'x'")),
    ("rule", lambda: made(gd.RewiringRule, score="score = w", num_dropped=lambda *_: 2.5), ("num_dropped", "2.5")),
    ("rule", lambda: made(gd.RewiringRule, score="score = w", num_dropped=lambda *_: -4), ("num_dropped", "-4")),
    ("rule", lambda: made(gd.RewiringRule, score="score = w", num_dropped=fails), ("num_dropped", "ZeroDivision")),
    ("rule", lambda: made(gd.RewiringRule, gone="gone = w == 0", due=fails), ("due of Mine", "ZeroDivision")),
    ("neuron", lambda: neuron(equations=lambda self: 3), ("Mine", "equations()", "3")),
    ("neuron", lambda: neuron(equations=fails), ("Mine", "equations()", "ZeroDivisionError")),
    ("neuron", lambda: neuron(parameter_values=lambda self: {"v": 0.0}), ("Mine", "lacks tau")),
    ("neuron", lambda: neuron(parameter_values=lambda self: 7), ("Mine", "a dict", "7")),
    ("weight", lambda: made(gd.Initializer, quantile=fails), ("Mine", "quantile()", "ZeroDivisionError")),
    ("weight", lambda: made(gd.Initializer, quantile=lambda self, u, n: u if n == 1 else None), ("Mine", "shape")),
    ("delay", lambda: made(gd.DelayInitializer, low=0, high=3, cumulative=fails), ("Mine", "cumulative()")),
    ("delay", lambda: made(gd.DelayInitializer, low=0, high=3, cumulative=lambda self: [[1], [1, 2]]), ("Mine",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "make", "words"), WHEN_USED, ids=lambda x: "-".join(x) if isinstance(x, tuple) else ""
)
def test_told_when_it_is_used(place: str, make: Callable[[], type], words: tuple[str, ...]) -> None:
    kind = make()
    gd.register("mine")(kind)
    with pytest.raises(GennDelaysError) as error:
        suite.trained("reference", [suite.Branch(**{place: kind()})])
    message = str(error.value)
    assert "\n" not in message and all(word in message for word in words), message


@pytest.mark.parametrize(
    "variables",
    [["v"], {}, {"v": "-v / tau"}, {"v": ("-v / tau",)}, {"v": (1, None)}, {"v": ("-v / tau", 0)}],
    ids=repr,
)
def test_equations_of_another_form(variables: Any) -> None:
    with refused("equations"):
        gd.Equations(variables, "v - 1", ("tau",))


def test_answers_that_are_lists_are_as_good_as_arrays() -> None:
    gd.register("mine")(made(gd.Initializer, quantile=lambda self, u, n: list(u - 0.5)))
    gd.register("other")(made(gd.DelayInitializer, low=0, high=3, cumulative=lambda self: [0.1, 0.5, 0.7]))
    from genn_delays.delays import DELAY_INITIALIZERS
    from genn_delays.initializers import INITIALIZERS

    suite.trained("reference", [suite.Branch(weight=INITIALIZERS["mine"](), delay=DELAY_INITIALIZERS["other"]())])


def test_a_name_alone_where_the_class_needs_arguments() -> None:
    gd.register("mine")(made(gd.Optimiser, body=STEP, **number("rho", 1.0)))
    assert as_optimiser("connection 'c'", "mine").rho == 1.0  # type: ignore[attr-defined]

    @gd.register("needy")
    @dataclass(frozen=True)
    class Needy(gd.RewiringRule):
        limit: float
        gone = "gone = w < real(limit)"

    with refused("'needy'", "limit", "Needy(limit=...)"):
        suite.compiled("reference", [suite.Branch(rule="needy")])


CELL = """
from dataclasses import dataclass
import genn_delays as gd

@gd.register("cell")
@dataclass(frozen=True)
class Cell(gd.Optimiser):
    body = "w = w - {factor} * real(alpha) * g"
"""


def test_a_cell_that_runs_again_replaces_its_class(kernels: Any) -> None:
    """A notebook's classes have no file; what an earlier run made is refused, as it computes another formula."""
    earlier = None
    for factor in (1.0, 3.0):
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(CELL.format(factor=factor), "<cell>", "exec", dont_inherit=True), space)
        assert OPTIMISERS["cell"] is space["Cell"]
        if earlier is not None:
            with refused("Cell", "registered again", "anew"):
                as_optimiser("connection 'c'", earlier)
        earlier = space["Cell"](0.02)
        suite.assert_same_everywhere(kernels, [suite.Branch(optimiser=earlier)])


def test_a_module_that_is_reloaded_replaces_its_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "cells_of_a_user.py").write_text(CELL.format(factor=1.0))
    module = importlib.import_module("cells_of_a_user")
    try:
        first = module.Cell
        (tmp_path / "cells_of_a_user.py").write_text(CELL.format(factor=22.0))
        importlib.reload(module)
        assert OPTIMISERS["cell"] is module.Cell is not first
        w, g, age = np.ones(1, np.float32), np.ones(1, np.float32), np.ones(1, np.uint16)
        assert OPTIMISERS["cell"](0.01).step(w, g, [], age)[0] == pytest.approx(1 - 0.22)
    finally:
        del sys.modules["cells_of_a_user"]


def test_a_name_that_another_class_has() -> None:
    with refused("'adam'", "registered already", "genn_delays.learning.optimisers.Adam"):
        gd.register("adam")(made(gd.Optimiser, body=STEP))
    for name in ("Adam", "a b", "", "a__b", None, gd.SET):  # the last: a decorator without its parentheses
        with refused("name", repr(name)):
            gd.register(name)  # type: ignore[arg-type]
    kind = made(gd.Optimiser, body=STEP)
    gd.register("mine")(kind)
    with refused("Mine", "'mine'"):
        gd.register("mine_too")(kind)


def test_documentation_never_reaches_the_code_below_it(kernels: Any) -> None:
    """It stands as a comment above the kernel, and a backslash at the end of a line would continue it."""
    kind = made(gd.Optimiser, body=STEP, __doc__="A step \\\n\nof w = w - alpha g \\")
    gd.register("mine")(kind)
    suite.assert_same_everywhere(kernels, [suite.Branch(optimiser=kind(0.02))])
