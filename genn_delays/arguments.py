"""How constructors take their arguments."""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from .errors import InvalidValueError

C = TypeVar("C", bound=type)


def keywords_only(kind: C) -> C:
    """A class whose arguments are given by name, with one clear error where they are not.

    Theirs stand in another order in mlGeNN: taken by place, ``LeakyIntegrateFire(1.0, 0.0, 0.0, 20.0)`` would be a time
    constant of 1 ms and a threshold of 0 in place of a threshold of 1 and a time constant of 20 ms.
    """
    made: Any = kind.__init__  # type: ignore[misc]
    signature = inspect.signature(made)
    own = [name for name in kind.__annotations__ if name in signature.parameters]
    names = [*own, *(name for name in signature.parameters if name not in own)]  # those of the base come last
    names.remove("self")

    @functools.wraps(made)
    def construct(self: Any, *args: Any, **arguments: Any) -> None:
        if args:
            raise InvalidValueError(
                f"{type(self).__name__} takes its arguments by name, such as {type(self).__name__}({names[0]}=...), "
                f"because their order is not mlGeNN's; got {len(args)} without; names: {', '.join(names)}"
            )
        made(self, **arguments)

    ordered = [signature.parameters[name] for name in ["self", *names]]
    construct.__signature__ = signature.replace(parameters=ordered)  # type: ignore[attr-defined]
    kind.__init__ = construct  # type: ignore[misc]
    return kind
