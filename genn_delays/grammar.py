"""The grammar of equations: arithmetic in ASCII, read by :mod:`ast` and checked node by node.

Equations come from model files and run folders, which strangers write. Nothing of their text is ever evaluated: what
passes here is a tree of numbers, names, ``+ - * / **``, signs and calls of listed functions, and
:mod:`genn_delays.derive.expressions` builds SymPy's objects from that tree.
"""

from __future__ import annotations

import ast
import keyword
import math
import re
from collections.abc import Collection
from difflib import get_close_matches

from .errors import InvalidValueError
from .syntax import expression

FUNCTIONS = {
    "exp": 1, "log": 2, "sqrt": 1, "sin": 1, "cos": 1, "tan": 1, "sinh": 1, "cosh": 1, "tanh": 1, "Abs": 1,
    "asin": 1, "acos": 1, "atan": 1, "asinh": 1, "acosh": 1, "atanh": 1, "erf": 1, "erfc": 1, "exprel": 1,
}  # fmt: skip
"""Functions that equations may use, those that every target has in single precision, and how many arguments they take
at most: ``log(x, b)`` is the logarithm to base b, ``exprel(x)`` is ``(exp(x) - 1) / x`` and 1 at 0."""
CONSTANTS = ("pi",)
"""Numbers that have a name, unless a variable or parameter has it. More of them would hide forgotten parameters."""

LARGEST, SMALLEST, LARGEST_EXPONENT = 1e30, 1e-37, 64
"""Numbers and exponents that may be written: powers of numbers are computed to the last digit, and what is smaller is 0
in single precision."""
_LENGTH, _DEPTH, _SHOWN = 4000, 100, 200
_TOKEN = re.compile(r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|\*\*|[-+*/(),]", re.ASCII)
_COMPARISON = re.compile(r"[<>]|[=!]=")
_BINARY = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)


def expression_tree(text: object, what: str) -> ast.expr:
    """The checked tree of an equation; its nodes are those that the module names, and its names are any.

    Args:
        text: what a user wrote.
        what: name of the text in messages.

    Raises:
        InvalidValueError: it is no arithmetic expression, or too long, too deep or of too large numbers.
    """
    if not isinstance(text, str):
        raise InvalidValueError(f"{what} must be a text, got {text!r}")
    if len(text) > _LENGTH:
        raise InvalidValueError(f"{what} is a text of {len(text)} characters, allowed are at most {_LENGTH}")
    shown = _show(text, what)
    _check_tokens(text, shown)
    try:
        tree = expression(" ".join(text.split()))
        _check_node(tree, shown, 0)
    except SyntaxError as error:
        raise InvalidValueError(f"{shown} is not an expression: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise InvalidValueError(f"{shown} is nested more than {_DEPTH} deep") from error
    return tree


def check_names(tree: ast.expr, text: str, known: Collection[str], what: str) -> None:
    """Raise an error if a checked tree uses a name that is neither in `known`, nor a constant, nor a listed
    function."""
    shown = _show(text, what)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name):
            continue
        name = node.id
        if id(node) in called:
            if name in known:
                raise InvalidValueError(
                    f"{shown} calls {name!r}, which is a variable or a parameter; a product needs *"
                )
            if name not in FUNCTIONS:
                raise InvalidValueError(_undefined(shown, name, known, list(FUNCTIONS)))
        elif name not in known and name not in CONSTANTS:
            if name in FUNCTIONS:
                raise InvalidValueError(f"{shown} uses the function {name!r} without an argument; write {name}(...)")
            raise InvalidValueError(_undefined(shown, name, known, [n for n in known if n != "dt"]))


def _show(text: str, what: str) -> str:
    return f"{what} = {text!r}" if len(text) <= _SHOWN else f"{what} = {text[:_SHOWN]!r}..."


def _undefined(shown: str, name: str, known: Collection[str], nearest: list[str]) -> str:
    same = [other for other in nearest if other.lower() == name.lower()]
    near = same or get_close_matches(name, nearest, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    names, functions = ", ".join(n for n in known if n != "dt"), ", ".join(FUNCTIONS)
    return f"{shown} uses {name!r}, which is not defined; known: {names}; functions: {functions}{hint}"


def _check_tokens(text: str, shown: str) -> None:
    """Check characters first: text beyond ASCII must not reach a parser, which would read letters of other scripts as
    ASCII."""
    if not text.strip():
        raise InvalidValueError(f"{shown} is not an expression: it is empty")
    foreign = next((c for c in text if not c.isascii()), None)
    if foreign is not None:
        raise InvalidValueError(f"{shown} must be an arithmetic expression in ASCII, got the character {foreign!r}")
    if "^" in text:
        raise InvalidValueError(f"{shown} holds '^'; a power is written **, as in {text.replace('^', '**').strip()!r}")
    if _COMPARISON.search(text):
        raise InvalidValueError(
            f"{shown} is a comparison and not an arithmetic expression; write an expression that is >= 0 at a spike"
        )
    if "=" in text:
        raise InvalidValueError(f"{shown} holds '=' and must be an arithmetic expression, a right-hand side alone")
    place, before = 0, ""
    while place < len(text):
        if text[place] in " \t\r\n":
            place += 1
            continue
        found = _TOKEN.match(text, place)
        if found is None:
            kind = "is not an expression, and must be an arithmetic expression"
            hint = "; a point is allowed in numbers only" if text[place] == "." else ""
            raise InvalidValueError(f"{shown} {kind}, got the character {text[place]!r}{hint}")
        token = found[0]
        number, name = found["number"], found["name"]
        if name and (keyword.iskeyword(name) or "__" in name):
            raise InvalidValueError(f"{shown} must be an arithmetic expression, got the word {name!r}")
        if (number or name) and (before[-1:].isalnum() or before[-1:] in ("_", ".")):
            raise InvalidValueError(
                f"{shown} is not an expression: {before!r} stands beside {token!r}; a product needs *"
            )
        if number and float(number) > LARGEST:
            raise InvalidValueError(_too_large(shown))
        if number and float(number) < SMALLEST and re.search("[1-9]", re.split("[eE]", number)[0]):
            raise InvalidValueError(
                f"{shown} holds {token}, a number below {SMALLEST:g}, which is 0 in single precision"
            )
        place, before = found.end(), token


def _too_large(shown: str) -> str:
    return f"{shown} holds a number above 1e30, an exponent above {LARGEST_EXPONENT} or powers in a row"


def _check_node(node: ast.expr, shown: str, depth: int) -> float | None:
    """Check a node and those below it; return its value if it consists of numbers alone."""
    if depth > _DEPTH:
        raise InvalidValueError(f"{shown} is nested more than {_DEPTH} deep")
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        return None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        value = _check_node(node.operand, shown, depth + 1)
        return -value if value is not None and isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and isinstance(node.op, _BINARY):
        left, right = _check_node(node.left, shown, depth + 1), _check_node(node.right, shown, depth + 1)
        if isinstance(node.op, ast.Pow):
            row = any(isinstance(n, ast.BinOp) and isinstance(n.op, ast.Pow) for n in (_bare(node.left), *_below(node)))
            if row or (right is not None and not abs(right) <= LARGEST_EXPONENT):
                raise InvalidValueError(_too_large(shown))
        value = None if left is None or right is None else _value(node.op, left, right)
        if value is not None and not abs(value) <= LARGEST and not math.isnan(value):
            raise InvalidValueError(_too_large(shown))
        return value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        name, count = node.func.id, len(node.args)
        most = FUNCTIONS.get(name, count)
        if count < 1 or count > most:
            raise InvalidValueError(
                f"{shown}: {name} takes {'1 or 2 arguments' if most > 1 else '1 argument'}, got {count}"
            )
        values = [_check_node(argument, shown, depth + 1) for argument in node.args]
        return _called(name, values[0], shown) if len(values) == 1 and values[0] is not None else None
    if isinstance(node, ast.Tuple):
        raise InvalidValueError(f"{shown} must be one arithmetic expression, got {len(node.elts)} between commas")
    if isinstance(node, ast.Call):
        raise InvalidValueError(
            f"{shown} must be an arithmetic expression: only names can be called; a product needs *"
        )
    got = "//" if isinstance(node, ast.BinOp) else type(node).__name__
    raise InvalidValueError(f"{shown} must be an arithmetic expression, got {got}")


def _called(name: str, argument: float, shown: str) -> float:
    """The value of a function of a number, or NaN."""
    function = abs if name == "Abs" else getattr(math, name, None)
    try:
        value = math.nan if function is None else float(function(argument))
    except OverflowError:
        value = math.inf
    except ValueError:
        value = math.nan
    if abs(value) > LARGEST:
        raise InvalidValueError(_too_large(shown))
    return value


def _bare(node: ast.expr) -> ast.expr:
    """A node without its signs."""
    while isinstance(node, ast.UnaryOp):
        node = node.operand
    return node


def _below(power: ast.BinOp) -> list[ast.AST]:
    """All nodes of an exponent."""
    return list(ast.walk(power.right))


def _value(op: ast.operator, left: float, right: float) -> float:
    """The value of an operation on numbers, or NaN, which is found later by exact arithmetic."""
    try:
        if isinstance(op, ast.Pow):
            value = left**right
            return value if isinstance(value, float) else math.nan
        if isinstance(op, ast.Div):
            return left / right
        return {ast.Add: left + right, ast.Sub: left - right, ast.Mult: left * right}[type(op)]
    except ZeroDivisionError:
        return math.nan
    except OverflowError:
        return math.inf
