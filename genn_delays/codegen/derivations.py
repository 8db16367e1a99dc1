"""What SymPy derived, kept on disk: importing it takes longer than starting a compiled network."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from .. import grammar as _grammar
from ..errors import GennDelaysError
from ..learning.surrogates import Surrogate
from ..neurons import Equations
from ..paths import atomic_write, cache_dir
from . import equations as _equations
from . import exponentials as _exponentials
from . import expressions as _expressions
from . import integration as _integration
from . import printed as _printed
from . import transitions as _transitions
from .equations import DiscreteModel
from .expressions import Printed
from .transitions import Transitions


@dataclass(frozen=True)
class SurrogateCode:
    """A surrogate as printed code of `x`: the smooth spike and its derivative."""

    spike: Printed
    derivative: Printed


def discrete_model(equations: Equations, detach_reset: bool) -> DiscreteModel:
    """:func:`~genn_delays.codegen.equations.derive`, remembered on disk."""
    key = {"equations": asdict(equations), "detach_reset": detach_reset}
    raw = _remembered("neuron", json.dumps(key), lambda: asdict(_equations.derive(equations, detach_reset)))

    def expression(value: Any) -> Printed:
        return Printed(**value)

    return DiscreteModel(
        states=tuple(raw["states"]),
        equations=tuple(raw["equations"]),
        coefficients=raw["coefficients"],
        sensitivity=raw["sensitivity"],
        step_parameters=tuple(raw["step_parameters"]),
        update={k: expression(v) for k, v in raw["update"].items()},
        jump={k: expression(v) for k, v in raw["jump"].items()},
        threshold=None if raw["threshold"] is None else expression(raw["threshold"]),
        adjoint={k: expression(v) for k, v in raw["adjoint"].items()},
        gradient=expression(raw["gradient"]),
        output=raw["output"],
        held=tuple(raw["held"]),
        hold=raw["hold"] and expression(raw["hold"]),
        transitions=raw["transitions"] and _read_transitions(raw["transitions"]),
    )


def _read_transitions(raw: dict[str, Any]) -> Transitions:
    lists = {name: tuple(raw[name]) for name in ("parameters", "kept", "kept_at_release")}
    expressions = {name: raw[name] and Printed(**raw[name]) for name in ("arrival", "spike_time", "release")}
    tables = {name: {k: Printed(**v) for k, v in raw[name].items()} for name in ("flow", "jump")}
    return Transitions(**{**raw, **lists, **expressions, **tables})


def surrogate_code(surrogate: Surrogate) -> SurrogateCode:
    """The printed code of a surrogate, remembered on disk."""

    def make() -> dict[str, Any]:
        import sympy

        x = sympy.Symbol("x", real=True)
        spike = surrogate.spike(x)
        derivative = sympy.simplify(sympy.diff(spike, x))
        code = SurrogateCode(_expressions.printed(spike), _expressions.printed(sympy.N(derivative, 12)))
        return asdict(code)

    raw = _remembered("surrogate", f"{type(surrogate).__qualname__} {surrogate!r} {_source(type(surrogate))}", make)
    return SurrogateCode(Printed(**raw["spike"]), Printed(**raw["derivative"]))


def _source(thing: Any) -> str:
    return inspect.getsource(thing)


@lru_cache(maxsize=1)
def _own_source() -> str:
    modules = (_grammar, _expressions, _printed, _exponentials, _integration, _transitions, _equations)
    return "".join(_source(module) for module in modules)


def _remembered(kind: str, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """``make()``, or what it gave before for the same key and the same deriving code; a damaged entry is made again."""
    digest = hashlib.sha256(f"{kind}\0{key}\0{_own_source()}".encode()).hexdigest()
    path = cache_dir() / "derivations" / f"{kind}-{digest[:32]}.json"
    try:
        entry = json.loads(path.read_text())
        if entry["digest"] == digest:
            value: dict[str, Any] = entry["value"]
            return value
    except (OSError, ValueError, KeyError, TypeError):
        pass
    value = make()
    try:
        atomic_write(path, json.dumps({"digest": digest, "value": value}, indent=1).encode())
    except GennDelaysError as error:
        raise GennDelaysError(f"{error}; the cache folder is chosen by GENN_DELAYS_CACHE") from error
    return value
