"""Derived models, cached on disk, because importing SymPy takes longer than starting a compiled network.

An entry is text that goes into kernels. So it is used only if nobody else could have written it, and only after
:mod:`.stored` has checked it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from .. import grammar as _grammar
from ..bodies import elementary as _elementary
from ..errors import GennDelaysError, InvalidValueError, shown
from ..learning.surrogates import Surrogate
from ..neurons import Equations
from ..paths import cache_dir
from ..private import private_folder, read_private, write_private
from . import equations as _equations
from . import exponentials as _exponentials
from . import expressions as _expressions
from . import gates as _gates
from . import integration as _integration
from . import model as _model
from . import names as _names
from . import nonlinear as _nonlinear
from . import printed as _printed
from . import transitions as _transitions
from . import written as _written
from .equations import DiscreteModel
from .expressions import Printed, evaluate
from .stored import read_expression, read_model

T = TypeVar("T")

_DERIVING = (
    _grammar, _elementary, _names, _expressions, _printed, _exponentials, _integration, _transitions, _model, _gates,
    _written, _nonlinear, _equations,
)  # fmt: skip
"""The modules that take part in deriving: an entry of other code is not used."""


@dataclass(frozen=True)
class SurrogateCode:
    """A surrogate as printed code of `x`: the smooth spike and its derivative."""

    spike: Printed
    derivative: Printed


def discrete_model(equations: Equations, detach_reset: bool) -> DiscreteModel:
    """:func:`~genn_delays.derive.equations.derive`, remembered on disk."""
    key = {"equations": asdict(equations), "detach_reset": detach_reset}
    return _remembered(
        "neuron", json.dumps(key), lambda: asdict(_equations.derive(equations, detach_reset)),
        lambda raw: read_model(raw, equations),
    )  # fmt: skip


def surrogate_code(surrogate: Surrogate) -> SurrogateCode:
    """The printed code of a surrogate, remembered on disk.

    Raises:
        InvalidValueError: its spike is no expression of `x` alone that every target has, or does not rise.
    """

    def make() -> dict[str, Any]:
        import sympy

        x, spike = _spike_of(surrogate)
        derivative = sympy.simplify(sympy.diff(spike, x))
        code = SurrogateCode(_expressions.printed(spike), _expressions.printed(sympy.N(derivative, 12)))
        _check_rises(surrogate, code)
        return asdict(code)

    def read(raw: Any) -> SurrogateCode:
        return SurrogateCode(read_expression(raw["spike"], ("x",)), read_expression(raw["derivative"], ("x",)))

    kind = type(surrogate)
    if kind.__module__ == Surrogate.__module__:  # the library's own depend on nothing but the text of their module
        key = f"{kind.__qualname__} {surrogate!r} {_source(sys.modules[kind.__module__])}"
    else:  # a user's may depend on anything, and may have no text: the key is the expression
        import sympy

        key = f"{sympy.srepr(_spike_of(surrogate)[1])} {surrogate.support!r}"
    return _remembered("surrogate", key, make, read)


def _spike_of(surrogate: Surrogate) -> tuple[Any, Any]:
    """The symbol `x` and the smooth spike as an expression of it."""
    import sympy

    x, what = sympy.Symbol("x", real=True), f"surrogate {shown(surrogate)}"
    try:
        spike = sympy.sympify(surrogate.spike(x), strict=True)
    except GennDelaysError:
        raise
    except Exception as error:  # a user's function may raise anything
        raise InvalidValueError(
            f"{what}: spike(x) must give a SymPy expression of x, got {type(error).__name__}: {error}"
        ) from error
    if not isinstance(spike, sympy.Expr) or spike.free_symbols != {x}:
        names = ", ".join(sorted(str(s) for s in getattr(spike, "free_symbols", ()))) or "no symbol"
        raise InvalidValueError(f"{what}: spike(x) must give a SymPy expression of x alone, got {spike} of {names}")
    return x, spike


def _check_rises(surrogate: Surrogate, code: SurrogateCode) -> None:
    """Raise an error if a smooth spike falls, has no finite derivative, or has one where its support says that it is
    0."""
    x = np.linspace(-4.0, 4.0, 161) * (surrogate.support or 1.0)
    with np.errstate(all="ignore"):
        slope = evaluate(code.derivative.py, {"x": x}) + np.zeros_like(x)
    what = f"surrogate {shown(surrogate)}: spike(x)"
    bad = ~(slope >= 0) | ~np.isfinite(slope)
    if bad.any():
        raise InvalidValueError(
            f"{what} must rise with x and have a finite derivative, got {slope[bad][0]:g} at x = {x[bad][0]:g}"
        )
    outside = (slope != 0) & (np.abs(x) >= (surrogate.support or np.inf))
    if outside.any():
        raise InvalidValueError(
            f"{what} must have the derivative 0 where |x| >= support, which is {surrogate.support}, got "
            f"{slope[outside][0]:g} at x = {x[outside][0]:g}"
        )


def _source(module: ModuleType) -> str:
    return inspect.getsource(module)


@lru_cache(maxsize=1)
def _own_source() -> str:
    return "".join(_source(module) for module in _DERIVING)


def _remembered(kind: str, key: str, make: Callable[[], dict[str, Any]], read: Callable[[Any], T]) -> T:
    """The result of ``make()``, or the cached one for the same key and the same deriving code.

    An entry is used if its file is the user's own, its content is whole, and `read` accepts it; otherwise it is made
    again. `read` raises TextError, or any error that values of another type cause.
    """
    digest = hashlib.sha256(f"{kind}\0{key}\0{_own_source()}".encode()).hexdigest()
    path = private_folder(cache_dir() / "derivations", "derived equations") / f"{kind}-{digest[:32]}.json"
    try:
        entry = json.loads(read_private(path) or b"")
        if entry["digest"] == digest and entry["content"] == _content(entry["value"]):
            return read(entry["value"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    value = json.loads(json.dumps(make()))
    try:
        write_private(
            path, json.dumps({"digest": digest, "content": _content(value), "value": value}, indent=1).encode()
        )
    except GennDelaysError as error:
        raise GennDelaysError(f"{error}; the cache folder is chosen by GENN_DELAYS_CACHE") from error
    return read(value)


def _content(value: Any) -> str:
    """A checksum of an entry's content, its order included."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
