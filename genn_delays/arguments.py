"""Constructors whose arguments must be given by name."""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from .errors import InvalidValueError

C = TypeVar("C", bound=type)


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
    by_name = [name for name in names if name not in by_place]

    @functools.wraps(made)
    def construct(self: Any, *args: Any, **arguments: Any) -> None:
        if len(args) > len(by_place):
            raise InvalidValueError(
                f"{type(self).__name__} takes {by_name[0]} by name, {type(self).__name__}({by_name[0]}=...), as "
                f"mlGeNN's order is another; got {len(args)} without a name; by name: {', '.join(by_name)}"
            )
        made(self, *args, **arguments)

    construct.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[signature.parameters["self"], *ordered]
    )
    kind.__init__ = construct  # type: ignore[misc]
    return kind
