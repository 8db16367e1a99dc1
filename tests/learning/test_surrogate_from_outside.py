"""Surrogates of a user's own, whether or not their class has a text; ``tests/contracts`` has them on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from own_classes import Logistic
from refused import refused

import genn_delays as gd
from genn_delays import Surrogate
from genn_delays.derive.derivations import surrogate_code
from genn_delays.derive.expressions import evaluate


def test_its_derivative_is_that_of_the_formula() -> None:
    x = np.linspace(-3, 3, 61)
    s = 1 / (1 + np.exp(-4.0 * x))
    np.testing.assert_allclose(evaluate(surrogate_code(Logistic()).derivative.py, {"x": x}), 4 * s * (1 - s), rtol=1e-9)


def test_a_class_without_a_text_works() -> None:
    """As in a notebook; two classes of one name are told apart by what they compute."""
    found = []
    for factor in (1, 2):
        space: dict[str, Any] = {"Surrogate": Surrogate, "factor": factor}
        exec(
            "class Made(Surrogate):\n    def spike(self, x):\n        return (1 + x / (1 + abs(factor * x))) / 2", space
        )
        found.append(surrogate_code(space["Made"]()))
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("spike", "part"),
    [
        (lambda x: -x, "must rise"), (lambda x: "x", "SymPy expression"), (lambda x: None, "SymPy expression"),
        (lambda x: 1 / 0, "ZeroDivisionError"), (lambda x: x * __import__("sympy").Symbol("y"), "x alone"),
    ],
)  # fmt: skip
def test_what_is_no_surrogate_is_refused(spike: Any, part: str) -> None:
    kind = type("Odd", (Surrogate,), {"spike": lambda self, x: spike(x)})
    with refused("Odd", part):
        surrogate_code(kind())


def test_a_support_outside_of_which_it_is_not_0() -> None:
    kind = type("Cut", (Logistic,), {"support": 0.1})
    with refused("Cut", "support", "0.1"):
        surrogate_code(kind())
    with refused("support"):
        gd.register("cut")(type("Cut", (Logistic,), {"support": -1.0}))
