"""The errors a user can meet. Each is one sentence that names the thing, the value and what is allowed.

The command line turns every :class:`GennDelaysError` into one line on standard error and exit status 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class GennDelaysError(Exception):
    """Base of every error this library raises on purpose."""


class InvalidValueError(GennDelaysError, ValueError):
    """A value given by the user is not allowed."""


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


class TrainingError(GennDelaysError):
    """Training cannot go on, for example because the loss is no longer a number."""


class OutOfMemoryError(GennDelaysError, MemoryError):
    """A network needs more memory than there is."""


class InUseError(GennDelaysError, RuntimeError):
    """A compiled network is used by another thread, or belongs to another process."""


class RunFolderError(GennDelaysError):
    """A run folder or a checkpoint cannot be read or written."""


def install_extra(name: str) -> str:
    """How to install one of this package's extras, for messages."""
    return f"pip install 'genn-delays[{name}]' (in a clone: pip install '.[{name}]')"


def unknown(what: str, name: object, known: Iterable[str]) -> InvalidValueError:
    """The error for a name that is not in a registry, with the nearest known name."""
    names = sorted(known)
    same = [known_name for known_name in names if known_name.lower() == str(name).lower()]
    near = same or get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if isinstance(name, type):
        hint = f" That is a class: give an object, {name.__name__}(...)."
    return InvalidValueError(f"unknown {what} {name!r}; known: {', '.join(names) or 'none'}.{hint}")


def check_count(what: str, value: object, low: int = 1, high: int | None = None) -> int:
    """``value`` as an integer in [low, high], or an error that names it."""
    import numbers

    limit = f"at least {low}" if high is None else f"from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InvalidValueError(f"{what} must be a whole number {limit}, got {value!r}")
    number = int(value)
    if number < low or (high is not None and number > high):
        raise InvalidValueError(f"{what} must be {limit}, got {number}")
    return number


def check_real(
    what: str,
    value: object,
    low: float = float("-inf"),
    high: float = float("inf"),
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """``value`` as a finite float within the interval, or an error that names it."""
    import math
    import numbers

    left, right = "(" if open_low or low == -math.inf else "[", ")" if open_high or high == math.inf else "]"
    interval = f"{left}{low:g}, {high:g}{right}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidValueError(f"{what} must be a number in {interval}, got {value!r}")
    x = float(value)
    inside = math.isfinite(x) and low <= x <= high and not (open_low and x == low) and not (open_high and x == high)
    if not inside:
        raise InvalidValueError(f"{what} must lie in {interval}, got {value}")
    return x


def check_flag(what: str, value: object) -> bool:
    """``value`` if it is true or false, or an error that names it."""
    if not isinstance(value, bool):
        raise InvalidValueError(f"{what} must be true or false, got {value!r}")
    return value
