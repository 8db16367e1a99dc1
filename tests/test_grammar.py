"""Equations are arithmetic: what is anything else is one error of ours, and nothing of a text is ever run."""

from __future__ import annotations

import ast
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refused import refused

from genn_delays import UserNeuron
from genn_delays.derive.equations import derive
from genn_delays.derive.expressions import evaluate, parse, printed
from genn_delays.errors import InvalidValueError
from genn_delays.grammar import FUNCTIONS, expression_tree
from genn_delays.neurons import Equations
from genn_delays.runs.code import annotated_source
from genn_delays.runs.models import load_model

NODES = (
    ast.Constant, ast.Name, ast.UnaryOp, ast.BinOp, ast.Call, ast.Load, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow,
    ast.UAdd, ast.USub,
)  # fmt: skip

NOT_ARITHMETIC = {
    "v.ｓｕｂｓ(v, 1)": ("ASCII", "'ｓ'"),
    "Ｖ": ("ASCII", "'Ｖ'"),
    "v − 1": ("ASCII", "'−'"),
    "v·2": ("ASCII", "'·'"),
    "v\u00a0- 1": ("ASCII",),
    "v.subs(v, 1)": ("'.'", "a point is allowed in numbers only"),
    "v.c": ("'.'",),
    "v. c": ("'.'",),
    "1..real": ("'.'",),
    "1.0.real": ("'.'",),
    "v,a": ("one arithmetic expression", "got 2"),
    "(v, a)": ("one arithmetic expression", "got 2"),
    "v^2": ("'^'", "'v**2'"),
    "": ("empty",),
    " \n": ("empty",),
    "1e400": ("above 1e30",),
    "1e31 * v": ("above 1e30",),
    "9" * 400: ("above 1e30",),
    "1e-400 + v": ("1e-400", "below 1e-37"),
    "v / 1e-99": ("1e-99", "below 1e-37"),
    "lambda: v": ("'lambda'",),
    "lambda": ("'lambda'",),
    "(v := 1)": ("'='",),
    "v = 1": ("'='", "right-hand side"),
    "v == 1": ("comparison",),
    "v if v else 1": ("'if'",),
    "not v": ("'not'",),
    "True": ("'True'",),
    "None": ("'None'",),
    "f'{v}'": ('"\'"',),
    '"v"': ("'\"'",),
    "v[0]": ("'['",),
    "{v}": ("'{'",),
    "v @ v": ("'@'",),
    "v % 2": ("'%'",),
    "v // 2": ("//",),
    "~v": ("'~'",),
    "v; v": ("';'",),
    "v # a comment": ("'#'",),
    "v \\\n+ 1": ("character",),
    "v\x00": ("character",),
    "2v": ("'2' stands beside 'v'", "*"),
    "v a": ("'v' stands beside 'a'",),
    "1_000 * v": ("'1' stands beside '_000'",),
    "0x10": ("'0' stands beside 'x10'",),
    "1j * v": ("'1' stands beside 'j'",),
    "2(v)": ("a product needs *",),
    "(v)(a)": ("calls 'v'", "a product needs *"),
    "v(a)": ("calls 'v'", "a product needs *"),
    "exp(v)(v)": ("a product needs *",),
    "exp()": ("exp takes 1 argument, got 0",),
    "exp(v, a)": ("exp takes 1 argument, got 2",),
    "exp(*v)": ("arithmetic expression",),
    "exp(x=v)": ("'='",),
    "exp": ("function 'exp' without an argument",),
    "abs(v)": ("'abs'", "did you mean 'Abs'?"),
    "tuа": ("ASCII",),  # with a Cyrillic letter
    "__import__('os')": ("'__import__'",),
    "v.__class__": ("'.'",),
    "v__class": ("'v__class'",),
    "eval(v)": ("'eval'", "not defined"),
    "-" * 3000 + "v": ("nested more than 100 deep",),
    "(" * 60 + "v" + "**v)" * 60: ("powers in a row",),
    "exp(" * 101 + "v" + ")" * 101: ("nested more than 100 deep",),
    "(" * 1500 + "v" + ")" * 1500: ("not an expression",),
    "v + " * 2000 + "v": ("8001 characters", "4000"),
    "(1 + 9**9)**9**9": ("powers in a row",),
    "v**(10 * 10)": ("an exponent above 64",),
    "v * 1e25 * 1e25": ("of size 1e+50", "single precision"),
    "v * (1 + 1e20)**2": ("above 1e30",),
    "v - exp(1000)": ("above 1e30",),
    "v - exp(exp(exp(100)))": ("above 1e30",),
    "v - exp(-90)": ("of size 8.19401e-40", "single precision"),
    "v - log(-1)": ("not a finite real number",),
    "v - asin(2)": ("not a finite real number",),
    "v - acos(2) * 3": ("not a finite real number",),
    "v - tan(pi / 2)": ("not a finite real number",),
    "v - 1 / (1 - 1)": ("not a finite real number",),
    "v / 0.0": ("not a finite real number",),
    "v / (1 - 1.0)": ("not a finite real number",),
    "0.0**-1": ("not a finite real number",),
    "v - log(v, 0)": ("not a finite real number",),
    "v - log(v, 1.0)": ("not a finite real number",),
    "v - log(v, -2)": ("not a finite real number",),
}


@pytest.mark.parametrize("text", NOT_ARITHMETIC, ids=lambda text: repr(text[:20]))
def test_what_is_not_arithmetic_is_one_clear_error(text):
    """Whatever place it stands in, and whether it goes in through UserNeuron or not."""
    for variables, threshold in (
        ({"v": (text, "0"), "a": ("-a", None)}, "v - 1"),
        ({"v": ("-v + Isyn", text), "a": ("-a", None)}, "v - 1"),
        ({"v": ("-v + Isyn", "0"), "a": ("-a", None)}, text),
    ):
        with refused(*NOT_ARITHMETIC[text]):
            derive(Equations(variables, threshold, ()), True)
        with refused(*NOT_ARITHMETIC[text]):
            derive(UserNeuron(vars=variables, threshold=threshold).equations(), True)


@pytest.mark.parametrize(
    "value", [3, 2.5, None, b"v", ["v"], np.str_, object()], ids=lambda value: type(value).__name__
)
def test_what_is_no_text_is_refused(value):
    with refused("dv/dt", "must be a text"):
        derive(Equations({"v": (value, "0")}, "v - 1", ()), True)


TOML = """
[model]
name = "stranger"
[[populations]]
name = "in"
neuron = "input"
size = 3
[[populations]]
name = "hidden"
neuron = "user_neuron"
size = 4
vars = {{ v = ["-v / 5 + Isyn", {jump}] }}
threshold = {threshold}
[[populations]]
name = "out"
neuron = "leaky_integrate"
readout = "sum_var"
size = 2
[[connections]]
source = "in"
target = "hidden"
connectivity = "dense"
[[connections]]
source = "hidden"
target = "out"
connectivity = "dense"
[compiler]
example_timesteps = 5
batch_size = 2
[training]
dataset = "digits"
num_epochs = 1
"""
CALLS = (
    "v.ｓｕｂｓ(v, 1)", "v.ｆｕｎｃ", "v.ｅｖａｌｆ(ｓｕｂｓ(v))", "ｅｘｐ(v)", "ｅval(v)", "sin.ｆｄｉｆｆ(v)",
    "v.ｆｒｅｅ_symbols.ｐｏｐ()",
)  # fmt: skip


@pytest.mark.parametrize("text", CALLS)
@pytest.mark.parametrize("backend", ["cpu", "cuda", "genn"])
def test_a_model_file_calls_nothing(text, backend, tmp_path):
    """Full-width letters were read as names that are allowed and became methods of SymPy's objects."""
    path = tmp_path / "model.toml"
    for jump, threshold in ((f'"{text}"', '"v - 1"'), ('"0"', f'"{text}"')):
        path.write_text(TOML.format(jump=jump, threshold=threshold))
        with refused("ASCII"):
            annotated_source(load_model(str(path)), backend)
    path.write_text(TOML.format(jump='"0"', threshold='"v - 1"'))
    assert "dv/dt = -v / 5 + Isyn" in annotated_source(load_model(str(path)), backend)


def test_lines_of_a_text_are_one_line_of_code():
    """What stands on a second line would be code after the comment that shows the equation."""
    model = derive(Equations({"v": ("-v / 5\n\t+ Isyn", "0")}, "v\n- 1", ()), True)
    assert model.equations[0] == "dv/dt = -v / 5 + Isyn"
    assert not any("\n" in line for line in model.equations)


WORDS = st.sampled_from(
    ["v", "a", "exp", "log", "(", ")", "*", "**", "+", "-", "/", "^", ".", ",", " ", "1", "0.5", "1e9", "e", "if",
     "else", "lambda", ":", "=", "[", "]", "'", "f'", "ｓ", "ｖ", "__", "\n", "#", "\\", "@", "pi", "²"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.lists(WORDS, max_size=12).map("".join), st.text(max_size=30)))
def test_every_text_is_arithmetic_or_refused(text):
    try:
        tree = expression_tree(text, "dv/dt")
    except InvalidValueError as error:
        assert type(error) is InvalidValueError and "\n" not in str(error)
        return
    assert text.isascii()
    assert all(isinstance(node, NODES) for node in ast.walk(tree))


def _trees(leaves):
    signs = st.sampled_from("+-*/")
    calls = st.sampled_from(["exp", "tanh", "atan", "sin", "cos", "Abs"])
    return st.one_of(
        st.tuples(leaves, signs, leaves).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(calls, leaves).map(lambda t: f"{t[0]}({t[1]})"),
        leaves.map(lambda t: f"-{t}"),
        leaves.map(lambda t: f"({t})**2" if "**" not in t else t),
    )


@settings(max_examples=150, deadline=None)
@given(st.recursive(st.sampled_from(["v", "a", "2", "0.25", "3.5", "pi"]), _trees, max_leaves=6))
def test_arithmetic_is_what_python_makes_of_it(text):
    import sympy

    functions = {"exp": math.exp, "tanh": math.tanh, "atan": math.atan, "sin": math.sin, "cos": math.cos, "Abs": abs}
    values = {"v": 0.7, "a": 1.3}
    try:
        expected = eval(text, {"__builtins__": {}}, {**functions, **values, "pi": math.pi})
    except (ZeroDivisionError, OverflowError):
        return
    try:
        found = parse(text, {n: sympy.Symbol(n, real=True) for n in values}, "x")
    except InvalidValueError:
        return  # a quotient by 0, or a number that single precision does not have
    assert float(evaluate(printed(found).py, values)) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", ["pi", "E", "I", "gamma", "S2", "beta", "zeta", "Q", "N", "O"])
def test_names_are_their_users(name):
    """Also those that mean something to SymPy; a parameter goes before a constant."""
    text = f"v - {name} * 2"
    model = derive(Equations({"v": ("-v + Isyn", "0")}, text, (name,)), True)
    assert evaluate(model.threshold.py, {"v": 1.0, name: 0.2}) == pytest.approx(0.6)


@pytest.mark.parametrize(
    "zero", ["0", "0.0", "0.", ".0", "-0.0", "0e0", "0.00e5", "1 - 1.0", "sqrt(0.0)", "0.0 * v", "v - v"]
)
def test_zero_is_a_number_however_it_is_written(zero):
    """Zero with a point was refused as too small for single precision."""
    for jump, threshold in ((zero, "v - 1.0"), ("0.0", f"v - 1 + ({zero})"), (zero, f"v - (v + 1)**({zero}) + {zero}")):
        model = derive(Equations({"v": (f"-v / 5 + Isyn + ({zero})", jump)}, threshold, ()), True)
        assert (model.jump["v"].c, model.jump["v"].py) == ("0", "0")
        assert evaluate(model.threshold.py, {"v": 3.0}) == 2


def test_functions_are_known():
    """Every function that equations may use is derived and printed, for every language."""
    for name in FUNCTIONS:
        model = derive(Equations({"v": ("-v + Isyn", "0")}, f"{name}(v) - 1", ()), True)
        called = "portable_exprel" if name == "exprel" else f"{name.lower().replace('abs', 'fabs')}f"
        assert f"{called}(v_)" in model.threshold.c
