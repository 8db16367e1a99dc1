"""Printed expressions: their grammar and their values. Nothing here needs SymPy.

The text comes out of SymPy or out of the cache, and is never run as Python: it is read into a tree, in which only
arithmetic, comparisons and calls of :data:`FUNCTIONS` are allowed, and the tree is computed. What goes into kernels is
checked word by word. A text that passes cannot call, assign or reach anything else.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bodies import Body, compute
from ..bodies.elementary import PORTABLE
from ..syntax import expression
from .exponentials import expm_entry, expm_slope, exprel, exprel_slope
from .names import code_name


@dataclass(frozen=True)
class Printed:
    """One expression in two languages."""

    c: str
    py: str


def _special(name: str) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        from scipy import special  # slow to import and rarely needed

        return getattr(special, name)(x)

    return function


def _portable(body: Body) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        x = np.asarray(x)
        with np.errstate(all="ignore"):  # what overflows is infinite, as in kernels
            return compute(body, {"x": x}, np.float32 if x.dtype == np.float32 else np.float64)[body.outputs[0]]

    return function


_NUMPY = """
exp log sqrt sin cos tan sinh cosh tanh arcsin arccos arctan arctan2 arcsinh arccosh arctanh abs sign floor ceil rint
exp2 expm1 log2 log10 log1p cbrt hypot maximum minimum where less less_equal greater greater_equal equal not_equal
logical_and logical_or logical_not
"""
_C = """
exp log sqrt sin cos tan sinh cosh tanh asin acos atan atan2 asinh acosh atanh fabs pow fmax fmin floor ceil exp2 expm1
log2 log10 log1p cbrt hypot fma erf erfc tgamma lgamma
"""
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in _NUMPY.split()},
    "erf": _special("erf"), "erfc": _special("erfc"), "gamma": _special("gamma"), "loggamma": _special("gammaln"),
    **{name: _portable(body) for name, body in PORTABLE.items()},
    "exprel": exprel, "exprel_slope": exprel_slope, "expm_entry": expm_entry, "expm_slope": expm_slope,
}  # fmt: skip
"""Functions that printed NumPy text may call."""
C_FUNCTIONS = frozenset(f"{name}f" for name in _C.split())
"""Functions that printed C text may call: those that C, CUDA and (without the f) GeNN have; and those of
:data:`~genn_delays.bodies.elementary.PORTABLE`, which the code brings with it."""

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip
_C_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?(?![\w.]))|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign><=|>=|==|!=|&&|\|\||[-+*/(),?:<>!]))",
    re.ASCII,
)
_SIGNS = ("+", "-")
_LONGEST = 1 << 20

Node = Callable[[Mapping[str, Any]], Any]


def words_of(expressions: Iterable[Printed]) -> set[str]:
    """The names that expressions use, as NumPy's text has them."""
    return set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", " ".join(e.py for e in expressions)))


class TextError(ValueError):
    """A text that this library's printers cannot have written."""


def evaluate(expression: str, values: Mapping[str, Any]) -> npt.NDArray[Any]:
    """The value of an expression printed for NumPy, with values for its names."""
    return np.asarray(compiled(expression)(values))


@lru_cache(4096)
def compiled(expression: str) -> Node:
    """A function from values by name to the value of an expression printed for NumPy.

    Raises:
        TextError: it is no such expression.
    """
    return _built(_tree(expression))


def check_numpy(text: object, names: Collection[str]) -> str:
    """Check that a text is an expression for NumPy and uses no other names than these.

    Raises:
        TextError: it is none.
    """
    tree = _tree(text)
    _built(tree)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) not in called and node.id not in names:
            raise TextError(f"{node.id!r} is not known here")
        constant = isinstance(node, ast.BinOp) and not any(isinstance(n, ast.Name) for n in ast.walk(node))
        if constant and isinstance(node.op, ast.Pow):  # type: ignore[attr-defined]
            raise TextError("a power of numbers is printed as a number")  # 9**9**9 would take forever
    return str(text)


def check_c(text: object, names: Collection[str]) -> str:
    """Check that a text is an expression for C, uses no other names than these and calls only :data:`C_FUNCTIONS`.

    Args:
        names: as in expressions; :func:`.names.code_name` gives their names in C.

    Raises:
        TextError: it is none.
    """
    if not isinstance(text, str) or not text or len(text) > _LONGEST or not text.isascii():
        raise TextError("not an expression in C")
    if any(comment in text for comment in ("//", "/*", "++", "--")):
        raise TextError("a comment or a change of a variable in an expression")
    names = {code_name(name) for name in names}
    place, depth, operand, text = 0, 0, True, text.rstrip(" ")  # operand: whether one comes next, or an operator
    while place < len(text):
        found = _C_TOKEN.match(text, place)
        if found is None or "\n" in found[0]:
            raise TextError(f"{text[place : place + 10]!r} has no place in an expression")
        place, name, sign = found.end(), found["name"], found["sign"]
        is_called = name is not None and text[place:].lstrip()[:1] == "("
        if name and not (name in C_FUNCTIONS or name in PORTABLE if is_called else name in names):
            raise TextError(f"{name!r} is not known here")
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth < 0 or (
            operand != (name is not None or sign in (None, "(", "!")) and not (operand and sign in _SIGNS)
        ):
            raise TextError(f"{found[0]!r} stands in a wrong place")
        operand = is_called or not (name or sign in (None, ")"))
    if depth != 0 or operand:
        raise TextError("an expression that does not end")
    return text


def check_printed(c: object, py: object, names: Collection[str]) -> Printed:
    """Check that two texts are one expression of these names.

    Raises:
        TextError: one of them is none.
    """
    return Printed(check_c(c, names), check_numpy(py, names))


def _tree(text: object) -> ast.expr:
    if not isinstance(text, str) or len(text) > _LONGEST or not text.isascii():
        raise TextError("not an expression in NumPy")
    try:
        return expression(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise TextError(f"not an expression in NumPy: {error}") from error


def _built(node: ast.expr) -> Node:
    """A node as a function; operations are Python's own, so that rounding is the same."""
    try:
        return _node(node)
    except RecursionError as error:
        raise TextError("nested too deep") from error


def _node(node: ast.expr) -> Node:
    match node:
        case ast.Constant(value=value) if type(value) in (int, float):
            return lambda known: value
        case ast.Name(id=name):
            return operator.itemgetter(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _node(operand)
            return lambda known: -inner(known)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _node(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _pair(_BINARY[type(op)], _node(left), _node(right))
        case ast.Compare(left=left, ops=[comparison], comparators=[right]) if type(comparison) in _COMPARISONS:
            return _pair(_COMPARISONS[type(comparison)], _node(left), _node(right))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            function, inputs = FUNCTIONS[name], [_node(a) for a in args]
            return lambda known: function(*[value(known) for value in inputs])
    raise TextError(f"{type(node).__name__} has no place in an expression")


def _pair(function: Callable[[Any, Any], Any], left: Node, right: Node) -> Node:
    return lambda known: function(left(known), right(known))
