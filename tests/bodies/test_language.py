"""What bodies may say, and the errors of those that may not."""

from __future__ import annotations

import numpy as np
import pytest

from genn_delays.bodies import BodyError, Type, compute, read

REAL, DOUBLE, U32, INT = Type.REAL, Type.DOUBLE, Type.U32, Type.INT

WRONG = [
    ("y = x + d", "'x' is real and 'd' is double"),
    ("y = x * n", "'n' is u32"),
    ("y = real(n) / n", "'n' is u32"),
    ("y = z", "'z' has no value"),
    ("y = n / n", "divided by //"),
    ("y = x // x", "does not take real"),
    ("y = x\ny = d", "'y' is real and is given a value of type double"),
    ("if x > 0:\n    y = x", "its output 'y' gets no value"),
    ("y = exp(x)", "takes double"),
    ("y = sqrt(x, x)", "1 argument"),
    ("y = open(x)", "no function 'open'"),
    ("import os\ny = x", "not an assignment"),
    ("y = x.real", "not an expression"),
    ("y = [x]", "not an expression"),
    ("y = x if x else 0", "condition must be bool"),
    ("while x:\n    y = x", "condition must be bool"),
    ("for i in range(n):\n    y = x", "not an assignment"),
    ("y, z = x, x", "not an assignment"),
    ("sqrt = x\ny = x", "'sqrt' is a function"),
    ("y = n + 0.5", "not a whole number"),
    ("y = x +", "not a sequence of assignments"),
    ("y = __import__('os')", "no function"),
    ("y = " + "(" * 300 + "x" + ")" * 300, "not a sequence of assignments"),
    ("y = " + "-" * 5000 + "x", "nested too deep|not a sequence"),
    ("y = x" + " + x" * 10_000, "at most"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text[:20] for text, _ in WRONG])
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(BodyError, match=message):
        read("a test", text, {"x": REAL, "d": DOUBLE, "n": U32}, ("y",))


def test_every_operation_is_rounded_on_its_own() -> None:
    """In single precision, in the order in which they stand; a sum of three the other way round differs."""
    x = np.float32([1e8, 1.0, -1e8])
    forward = read("sum", "y = a + b + c", dict.fromkeys("abc", REAL), ("y",))
    nested = read("sum", "y = a + (b + c)", dict.fromkeys("abc", REAL), ("y",))
    a, b, c = (np.float32(v) for v in x)
    assert compute(forward, {"a": a, "b": b, "c": c})["y"] == np.float32(np.float32(a + b) + c)
    assert compute(forward, {"a": a, "b": c, "c": b})["y"] == 1.0
    assert compute(nested, {"a": a, "b": b, "c": c})["y"] == 0.0


def test_branches_and_loops_by_element() -> None:
    text = """
        y = x
        if x < 0:
            y = -x
        else:
            y = 2 * x
        n = count
        while n > 0:
            y = y + 1
            n = n - 1
        """
    body = read("mixed", text, {"x": REAL, "count": U32}, ("y",))
    found = compute(body, {"x": [-1.0, 2.0, 3.0], "count": [0, 1, 5]})["y"]
    assert found.dtype == np.float32 and found.tolist() == [1.0, 5.0, 11.0]


def test_a_branch_that_is_not_taken_warns_of_nothing() -> None:
    body = read("root", "y = sqrt(x) if x > 0 else 0", {"x": REAL}, ("y",))
    with np.errstate(all="raise"):
        assert compute(body, {"x": np.float32([-1.0, 4.0])})["y"].tolist() == [0.0, 2.0]


def test_whole_numbers_wrap() -> None:
    body = read("wrap", "y = a * b + c", dict.fromkeys("abc", U32), ("y",))
    with np.errstate(all="raise"):
        assert compute(body, {"a": 2**31, "b": 2, "c": 7})["y"] == 7
