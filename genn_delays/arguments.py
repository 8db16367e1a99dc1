"""Constructors' arguments that mlGeNN's users meet: given by name, with the defaults of a network, or refused."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from .errors import InvalidValueError, shown, unknown

C = TypeVar("C", bound=type)

DefaultParams = Mapping[type, Mapping[str, Any]]
"""By class the values of arguments that are not given."""
NO_DEFAULT_PARAMS: DefaultParams = {}
default_params: ContextVar[DefaultParams] = ContextVar("genn_delays_default_params", default=NO_DEFAULT_PARAMS)
"""Those of the network whose ``with`` block is open."""


def check_default_params(value: Any) -> DefaultParams:
    """The `default_params` of a network, or an error that names the class or the argument that is not one."""
    if not isinstance(value, Mapping):
        raise InvalidValueError(f"default_params must be a dict by class, got {shown(value)}")
    for kind, values in value.items():
        if not isinstance(kind, type) or not hasattr(kind, "takes_default_params"):
            raise InvalidValueError(
                f"default_params must be by classes such as LeakyIntegrateFire, whose arguments are given by name, got "
                f"{shown(kind)}"
            )
        if not isinstance(values, Mapping):
            raise InvalidValueError(
                f"default_params of {kind.__name__} must be a dict by argument, got {shown(values)}"
            )
        known = inspect.signature(kind).parameters
        for name in values:
            if name not in known:
                raise unknown(f"argument of {kind.__name__} in default_params", name, known)
    return value


def keywords_only(kind: C) -> C:
    """Make a dataclass raise one clear error where keyword-only arguments are given by position.

    mlGeNN has another order: by position, ``LeakyIntegrateFire(1.0, 0.0, 0.0, 20.0)`` would be a time
    constant of 1 ms and a threshold of 0 in place of a threshold of 1 and a time constant of 20 ms.
    """
    made: Any = kind.__init__  # type: ignore[misc]
    signature = inspect.signature(made)
    own = [name for name in inspect.get_annotations(kind) if name in signature.parameters]
    names = [*own, *(name for name in signature.parameters if name not in own)]  # those of the base come last
    names.remove("self")
    ordered = [signature.parameters[name] for name in names]
    by_place = [p.name for p in ordered if p.kind is p.POSITIONAL_OR_KEYWORD]
    also: tuple[str, ...] = getattr(kind, "also_by_place", ())  # fields of a base, which cannot stand after own ones
    by_place += also
    by_name = [name for name in names if name not in by_place]

    @functools.wraps(made)
    def construct(self: Any, *args: Any, **arguments: Any) -> None:
        if len(args) > len(by_place):
            raise InvalidValueError(
                f"{type(self).__name__} takes {by_name[0]} by name, {type(self).__name__}({by_name[0]}=...), as "
                f"mlGeNN's order is another; got {len(args)} without a name; by name: {', '.join(by_name)}"
            )
        if (given := default_params.get()) and type(self) in given:
            taken = by_place[: len(args)]
            arguments = {k: v for k, v in given[type(self)].items() if k not in taken} | arguments
        plain = len(by_place) - len(also)
        for name, value in zip(also, args[plain:], strict=False):
            if name in arguments:
                raise InvalidValueError(f"{type(self).__name__} got {name} twice, by position and by name")
            arguments[name] = value
        made(self, *args[:plain], **arguments)

    construct.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[signature.parameters["self"], *ordered]
    )
    kind.__init__ = construct  # type: ignore[misc]
    kind.takes_default_params = True  # type: ignore[attr-defined]
    return kind


def refuses(**reasons: str) -> Callable[[C], C]:
    """A decorator of classes whose constructor raises an error for arguments that mlGeNN's class of this name has.

    Args:
        reasons: by argument what to write in its place.
    """

    def refusing(kind: C) -> C:
        made: Any = kind.__init__  # type: ignore[misc]
        bare = made is object.__init__
        itself = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        signature = inspect.Signature(itself) if bare else inspect.signature(made)

        @functools.wraps(made)
        def construct(self: Any, *args: Any, **arguments: Any) -> None:
            for name in arguments:
                if name in reasons:
                    raise InvalidValueError(
                        f"{type(self).__name__} has no argument {name!r}, which mlGeNN's has: {reasons[name]}"
                    )
            made(self, *args, **arguments)

        construct.__signature__ = signature  # type: ignore[attr-defined]
        kind.__init__ = construct  # type: ignore[misc]
        return kind

    return refusing
