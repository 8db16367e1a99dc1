"""Checks of every class whose formulas are bodies, when it is registered."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from .language import BodyError
from .tree import Body


def check_class(what: str, cls: type, base: type, fixed: Iterable[str]) -> None:
    """An error where a class cannot be what its formulas say.

    Args:
        base: the class of its kind.
        fixed: members of `base` that backends do not call, as they compute the formulas themselves.

    Raises:
        BodyError: a field that would be none, as the class is no dataclass of its own, or a member of `fixed`.
    """
    check_fields(what, cls, base)
    for name in fixed:
        if inspect.getattr_static(cls, name) is not inspect.getattr_static(base, name):
            raise BodyError(f"{what} must not define `{name}`: every backend computes its formulas")


def check_fields(what: str, cls: type, base: type) -> None:
    """An error where a class has annotated values and no decorator that makes fields of them."""
    for kind in cls.__mro__[: cls.__mro__.index(base)]:
        if "__dataclass_fields__" in vars(kind):
            continue
        for name, annotation in vars(kind).get("__annotations__", {}).items():
            if "ClassVar" not in str(annotation):
                raise BodyError(
                    f"{what}: {name!r} is not one of its arguments, as class {kind.__qualname__} is no dataclass; "
                    f"write @dataclass above the class"
                )


def check_only_read(what: str, body: Body, names: Iterable[str]) -> None:
    """An error where a body gives another value to what it is only given.

    Raises:
        BodyError: it names the body and the first of the names that get a value.
    """
    if assigned := sorted(body.assigned() & set(names)):
        raise BodyError(f"{what} gives {', '.join(assigned)} another value, which it may only read")
