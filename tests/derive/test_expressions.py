"""Expressions printed for C mean what they mean in NumPy."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
import sympy

from genn_delays.backends.cpu.compiler import find_compiler
from genn_delays.derive.exponentials import exprel, exprel_slope
from genn_delays.derive.expressions import evaluate, printed

TEXTS = [
    "a / u**2", "a * u**2", "a**2 / u", "1 / (u * a)**2", "a - u**2",
    "-u**2", "sqrt(u) / a**2", "(a / u)**2 / u**2", "a**3",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_c_and_numpy_agree(text: str, tmp_path: Path) -> None:
    """Squares are printed as products, which must stay whole under a fraction."""
    code = printed(sympy.sympify(text, locals={n: sympy.Symbol(n, real=True) for n in "au"}))
    source = tmp_path / "f.cpp"
    source.write_text(f'#include <math.h>\nextern "C" float f(float a_, float u_) {{ return {code.c}; }}\n')
    library = tmp_path / "f.so"
    subprocess.run(
        [*find_compiler().command, "-O1", "-ffp-contract=off", "-shared", "-fPIC", source, "-o", library], check=True
    )
    f = ctypes.CDLL(str(library)).f
    f.restype, f.argtypes = ctypes.c_float, [ctypes.c_float, ctypes.c_float]
    a, u = np.float32(1.7), np.float32(0.3)
    assert f(a, u) == pytest.approx(float(evaluate(code.py, {"a": a, "u": u})), rel=1e-6)


def test_exprel_is_smooth_at_zero() -> None:
    values = np.logspace(-12, 1, 60)
    for x in (*-values, *values):
        w = sympy.Float(x, 60)
        assert exprel(x) == pytest.approx(float((sympy.exp(w) - 1) / w), rel=1e-9)
        assert exprel_slope(x) == pytest.approx(float((sympy.exp(w) * (w - 1) + 1) / w**2), rel=1e-9)
    assert (exprel(0.0), exprel_slope(0.0)) == (1.0, 0.5)
