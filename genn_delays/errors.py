"""The errors a user can meet. Each is one sentence that names the thing, the value and what is allowed.

The command line turns every :class:`GennDelaysError` into one line on standard error and exit status 2.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class GennDelaysError(Exception):
    """Base of every error this library raises on purpose."""


class InvalidValueError(GennDelaysError, ValueError):
    """A value given by the user is not allowed."""


class PortingError(GennDelaysError, ImportError):
    """A name of mlGeNN's that has no counterpart here under that name; the message says what to write."""


class DatasetError(GennDelaysError):
    """A data set is missing, incomplete or damaged."""


class BackendUnavailableError(GennDelaysError):
    """A backend cannot run on this machine; the message says what to install."""


class CompileError(GennDelaysError):
    """The generated source did not compile.

    Attributes:
        stage: what was being done, for example ``"compile"`` or ``"load"``.
        log: the compiler's own output, unchanged.
        source: path of the generated source.
    """

    def __init__(self, stage: str, log: str, source: str) -> None:
        super().__init__(f"{stage} of generated code failed; source: {source}\n{log.strip()}")
        self.stage, self.log, self.source = stage, log, source


class GennDelaysWarning(UserWarning):
    """Something works, but is probably not intended."""


class TrainingError(GennDelaysError):
    """Training cannot go on, for example because the loss is no longer a number."""


class OutOfMemoryError(GennDelaysError, MemoryError):
    """A network needs more memory than there is."""


class CommunicationError(GennDelaysError, RuntimeError):
    """Ranks that train together cannot go on together.

    Attributes:
        told: another rank has reported it, so that this one need not.
    """

    def __init__(self, message: str, *, told: bool = False) -> None:
        super().__init__(message)
        self.told = told


class InUseError(GennDelaysError, RuntimeError):
    """A compiled network is used by another thread, or belongs to another process."""


class RunFolderError(GennDelaysError):
    """A run folder or a checkpoint cannot be read or written."""


def install_extra(name: str) -> str:
    """The command that installs one of this package's extras, for messages."""
    return f"pip install 'genn-delays[{name}]' (in a clone: pip install '.[{name}]')"


def shown(value: object) -> str:
    """A value as messages show it: its ``repr`` on one line, cut where it is long."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a foreign __repr__ may raise anything; an integer may have more digits than Python prints
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_SHOWN = 200


def unknown(what: str, name: object, known: Iterable[str]) -> InvalidValueError:
    """The error for a name that is not in a registry, with the nearest known name."""
    names = sorted(known)
    text = name if isinstance(name, str) else shown(name)
    same = [known_name for known_name in names if known_name.lower() == text.lower()]
    near = same or get_close_matches(text[:_SHOWN], names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if isinstance(name, type):
        hint = f" That is a class: give an object, {name.__name__}(...)."
    return InvalidValueError(f"unknown {what} {shown(name)}; known: {', '.join(names) or 'none'}.{hint}")


def check_registered(what: str, value: T, registry: Mapping[str, Any]) -> T:
    """``value`` if its own class is registered, or an error that says how to register it.

    Generated code is made from the class itself. A class that is not registered, such as a subclass of a registered
    one, could be taken for its base on one backend and for itself on another.
    """
    cls = type(value)
    named = registry.get(getattr(cls, "registered_name", ""))  # without a look at what installed packages offer
    if named is not cls and cls not in registry.values():
        kind = cls.__name__
        if named is not None and (named.__module__, named.__qualname__) == (cls.__module__, cls.__qualname__):
            raise InvalidValueError(
                f"{what}: class {kind} has been registered again since this object of it was made; make it anew"
            )
        kinds = ", ".join(sorted(getattr(k, "__name__", str(k)) for k in registry.values()))
        raise InvalidValueError(
            f"{what}: class {kind} is not registered, so backends do not know what it computes; registered: {kinds}. "
            "Register it by a name: @genn_delays.register('...') above the class"
        )
    return value


def check_choice(what: str, value: object, known: Iterable[str]) -> str:
    """``value`` if it is one of the known names, or an error that names them."""
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise unknown(what, value, names)
    return str(value)


def check_switch(what: str, value: object) -> bool:
    """``value`` if it is True or False, or an error that names it."""
    if not isinstance(value, bool):
        raise InvalidValueError(f"{what} must be true or false, got {shown(value)}")
    return value


def check_path(what: str, value: object) -> Path:
    """``value`` as a path: a text that is not empty, or a path object."""
    import os

    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    try:
        named = isinstance(text, str) and text != "" and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # a character that no file system takes
        named = False
    if not isinstance(text, str) or not named:
        raise InvalidValueError(f"{what} must be a path, a text of at least one character, got {shown(value)}")
    return Path(text)


def check_count(what: str, value: object, low: int = 1, high: int | None = None) -> int:
    """``value`` as an integer in [low, high], or an error that names it; without `high` up to 2**31 - 1."""

    limit = f"at least {low}" if high is None else f"from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or _is_duration(value):
        raise InvalidValueError(f"{what} must be a whole number {limit}, got {shown(value)}")
    number, top = int(value), max(low, _LARGEST) if high is None else high
    if not low <= number <= top:
        limit = f"at least {low}" if number < low and high is None else f"from {low} to {top}"
        raise InvalidValueError(f"{what} must be {limit}, got {shown(number)}")
    return number


_LARGEST = (1 << 31) - 1


def check_real(
    what: str,
    value: object,
    low: float = float("-inf"),
    high: float = float("inf"),
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """``value`` as a finite float within the interval, or an error that names it; see :func:`as_float`."""
    import math

    left, right = "(" if open_low or low == -math.inf else "[", ")" if open_high or high == math.inf else "]"
    interval = f"{left}{low:g}, {high:g}{right}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or _is_duration(value):
        raise InvalidValueError(f"{what} must be a number in {interval}, got {shown(value)}")
    given: Any = value
    x = as_float(given)
    inside = math.isfinite(x) and low <= x <= high and not (open_low and x == low) and not (open_high and x == high)
    if not inside:
        raise InvalidValueError(f"{what} must lie in {interval}, got {shown(given) if isinstance(given, int) else x}")
    return x


def as_float(value: Any) -> float:
    """A real number as the float whose shortest decimal it has: ``np.float32(0.9)`` is 0.9, not 0.8999999761581421.

    All real arguments are read by this function, once, when they are given. So nothing is computed from a number that
    was rounded to fewer digits before. Numbers that a float cannot hold become infinite.
    """
    import numpy as np

    if isinstance(value, np.floating) and value.dtype.itemsize < 8:
        return float(str(value))
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _is_duration(value: object) -> bool:
    """True for NumPy's time differences, which NumPy counts among the integers."""
    import numpy as np

    return isinstance(value, np.timedelta64)


def asked(what: str, call: Callable[..., T], *args: Any) -> T:
    """The result of a function of a user's class, or an error that names it where it fails.

    Raises:
        InvalidValueError: the function raised an error that is not of this library, which is the cause.
    """
    try:
        return call(*args)
    except GennDelaysError:
        raise
    except Exception as error:
        raise InvalidValueError(f"{what} failed with {type(error).__name__}: {' '.join(str(error).split())}") from error


def keep(owner: object, **values: object) -> None:
    """Set fields of a dataclass, frozen or not, to their checked values."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)
