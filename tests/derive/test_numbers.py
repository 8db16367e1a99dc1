"""Numbers and functions in expressions mean the same on every target: what has no literal there is given one."""

from __future__ import annotations

import ctypes
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
from sympy.functions.special.error_functions import erf
from sympy.printing.c import get_math_macros, known_functions_C99

from genn_delays import (
    Connection,
    Dense,
    Input,
    LeakyIntegrate,
    Network,
    Normal,
    Population,
    SurrogateCompiler,
    UserNeuron,
)
from genn_delays.backends.cpu.compiler import find_compiler
from genn_delays.codegen.cuda import emit_cuda
from genn_delays.codegen.emit import emit
from genn_delays.codegen.genn import _code, listing
from genn_delays.derive.equations import derive
from genn_delays.derive.expressions import evaluate, printed
from genn_delays.derive.printed import C_FUNCTIONS
from genn_delays.errors import InvalidValueError
from genn_delays.neurons import Equations

X = sympy.Symbol("x", real=True)
POINTS = (0.3, 0.7)
"""Where functions are compared; acosh is, 1 further."""
OTHERS = {"atan2": 2, "hypot": 2, "fma": 3, "Max": 2, "Min": 2}


def function_of(name: str) -> Any:
    """SymPy's function of a name in its C printer, and how many arguments it has."""
    from sympy.codegen import cfunctions

    found = getattr(sympy, name, None) or getattr(cfunctions, name)
    return found, OTHERS.get(name, 1)


def values_of(name: str, *arguments: Any) -> Any:
    f, count = function_of(name)
    arguments = tuple(a + 1 for a in arguments) if name == "acosh" else arguments
    return f(*(*arguments, sympy.Rational(2, 3), sympy.Rational(1, 5))[:count])


FUNCTIONS = [name for name in known_functions_C99 if hasattr(sympy, name) or name not in ("Mod",)]
NUMBERS = {
    **{str(n): n for n in get_math_macros() if isinstance(n, sympy.Expr)},
    **{str(n): n for n in (sympy.E, sympy.pi, sympy.EulerGamma, sympy.Catalan, sympy.GoldenRatio,
                           sympy.TribonacciConstant)},
    **{f"{name}({a})": values_of(name, a) for name in FUNCTIONS for a in (sympy.Rational(1, 3), sympy.Integer(1))
       if name != "acosh" and values_of(name, a).is_finite is not False},
    **{str(n): n for n in (sympy.log(2) / 7, sympy.cbrt(2), sympy.exp(-2), sympy.sqrt(2) * sympy.pi, sympy.sqrt(3) / 2,
                           sympy.log(10), sympy.exp(2), sympy.sin(1), sympy.Float("0.1"), sympy.Rational(1, 3))},
}  # fmt: skip


def c_value(texts: list[str], folder: Path) -> list[list[float]]:
    """The values of expressions of x in C, with all warnings."""
    source = folder / "f.cpp"
    body = "\n".join(f'extern "C" float f{i}(float x_) {{ (void)x_; return {text}; }}' for i, text in enumerate(texts))
    source.write_text(f"#include <math.h>\n{body}\n")
    library = folder / "f.so"
    flags = ["-O1", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*find_compiler().command, *flags, str(source), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    found = []
    for i in range(len(texts)):
        f = getattr(loaded, f"f{i}")
        f.restype, f.argtypes = ctypes.c_float, [ctypes.c_float]
        found.append([f(x) for x in POINTS])
    return found


def cuda_compiles(texts: list[str]) -> None:
    from genn_delays.backends.cuda.compiler import compile_cubin

    pytest.importorskip("cuda.bindings.nvrtc", reason="needs the extra cuda")
    body = "\n".join(f"    y[{i}] = {text};" for i, text in enumerate(texts))
    source = f'extern "C" __global__ void f(float x_, float* y) {{\n{body}\n}}\n'
    assert compile_cubin(source, "sm_80")


@cache
def codes() -> dict[str, Any]:
    return {name: printed(X - n) for name, n in NUMBERS.items()}


def test_every_number_of_sympys_is_a_literal(tmp_path):
    """`exp(1)` printed as `e`, the adjoint's error, and `log(2)` as M_LN2, which CUDA does not have."""
    assert len(NUMBERS) > 60
    for name, code in codes().items():
        for text in (code.c, code.py, _code(code.c)):
            words = re.findall(r"[A-Za-z_]\w*", re.sub(r"\d[\d.]*(e[+-]?\d+)?F?", "", text))
            assert set(words) <= {"x", "x_"}, (name, text)
    texts = [code.c for code in codes().values()]
    expected = [float(sympy.expand_func(n).evalf(20)) for n in NUMBERS.values()]
    for name, y, found, code in zip(codes(), expected, c_value(texts, tmp_path), codes().values(), strict=True):
        for x, value in zip(POINTS, found, strict=True):
            assert value == pytest.approx(np.float32(x) - np.float32(y), rel=1e-6, abs=2e-7 * max(1, abs(y))), name
            assert float(evaluate(code.py, {"x": x})) == pytest.approx(x - y, rel=1e-14, abs=1e-14), name
    cuda_compiles(texts)


def test_a_literal_in_single_precision_is_the_nearest(tmp_path):
    """Rounding to 9 digits and then to single precision may come to its neighbour."""
    random = np.random.default_rng(0)
    numbers = [sympy.Float(repr(float(v)), 17) for v in random.lognormal(0, 10, 2000)]
    texts = [printed(n * X).c for n in numbers]
    for n, text in zip(numbers, texts, strict=True):
        assert np.float32(re.match(r"[\d.e+-]+", text)[0].rstrip("*")) == np.float32(float(n)), text


def test_every_function_of_the_printer_is_right_or_refused(tmp_path):
    names, texts, numbers = [], [], []
    for name in FUNCTIONS:
        expression = values_of(name, X)
        try:
            code = printed(expression)
        except InvalidValueError as error:
            assert "functions of targets: " in str(error)
            continue
        assert set(re.findall(r"(\w+)\(", code.c)) <= C_FUNCTIONS
        names.append(name)
        texts.append(code.c)
        numbers.append([float(sympy.expand_func(expression).subs(X, x).evalf(20)) for x in POINTS])
        for x, y in zip(POINTS, numbers[-1], strict=True):
            assert float(evaluate(code.py, {"x": x})) == pytest.approx(y, rel=1e-12, abs=1e-14), name
    assert len(names) >= 28
    for name, found, expected in zip(names, c_value(texts, tmp_path), numbers, strict=True):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6), name
    cuda_compiles(texts)


@pytest.mark.parametrize(
    "expression",
    [sympy.zeta(X), sympy.besselj(0, X), sympy.Function("f")(X), sympy.DiracDelta(X), sympy.I * X,
     sympy.sqrt(-1 - sympy.exp(1)) * X, sympy.oo * X, sympy.Piecewise((X, X > 0)), sympy.Integral(erf(X), X),
     sympy.Derivative(sympy.Function("f")(X), X)],
    ids=str,
)  # fmt: skip
def test_what_no_target_has_is_refused(expression):
    with pytest.raises(InvalidValueError, match=r"not every target has|not a finite real number"):
        printed(expression)


TEXTS = {
    "exp(1) / 4": 0.6795704571147613,
    "log(2)": 0.6931471805599453,
    "sqrt(2) / 3": 0.47140452079103173,
    "log(10) / 3": 0.767528364331349,
    "pi / 5": 0.6283185307179586,
    "sin(1)": 0.8414709848078965,
    "log(8, 2) / 4": 0.75,
    "exp(-1) + tanh(1) * erf(1) / 2": 0.6887774407363383,
}


def network(number: str) -> Network:
    """A number in a right-hand side, a threshold and a jump."""
    described = Network(seed=3)
    with described:
        a = Population(Input(), 5, name="in")
        neuron = UserNeuron(
            vars={"v": (f"-v * ({number}) / 4 + Isyn", f"v * ({number}) / 2 - 0.1")}, threshold=f"v - ({number})"
        )
        h, o = Population(neuron, 8, name="hidden"), Population(LeakyIntegrate(readout="sum_var"), 3, name="out")
        Connection(a, h, Dense(weight=Normal(0.1, 0.4)))
        Connection(h, o, Dense(weight=Normal(0, 1)))
    return described


def gradients(number: str, backend: Any) -> list[Any]:
    x = {"in": np.random.default_rng(1).random((4, 15, 5)).astype(np.float32)}
    with SurrogateCompiler(15, 4, backend=backend, detach_reset=False).compile(network(number)) as compiled:
        loss, found = compiled.gradients(x, {"out": np.array([0, 1, 2, 0])})
        return [np.float32(loss), *found.values()]


@pytest.mark.parametrize("text", TEXTS)
def test_a_number_in_an_equation_is_its_value(text, backend):
    """The same bits as with the digits: the reference's gradient was 2.5 times its maximum off with `v - exp(1)`."""
    for found, expected in zip(gradients(text, backend), gradients(repr(TEXTS[text]), backend), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_no_name_of_the_math_library_is_in_generated_code():
    for text in TEXTS:
        plan = SurrogateCompiler(15, 4, backend="reference").compile(network(text)).plan
        for source in (emit(plan), emit_cuda(plan), listing(plan)):
            code = re.sub(r"//.*", "", source)
            assert not re.search(r"\bM_[A-Z]", code)
            assert f"{TEXTS[text]:.5f}"[:6] in code or text.startswith("log(8")  # a rational number


def test_the_name_pi_may_be_a_parameters():
    model = derive(Equations({"v": ("-v + Isyn", "0")}, "v - pi", ("pi",)), True)
    assert model.threshold.c == "-pi_ + v_" and model.step_parameters == ("pi",)
    model = derive(Equations({"v": ("-v + Isyn", "0")}, "v - pi", ()), True)
    assert model.threshold.c == "v_ - 3.14159265F"
