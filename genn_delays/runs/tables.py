"""From the tables of a model file to objects: every key is an argument of the constructor that a registry names."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..delays import DELAY_INITIALIZERS
from ..errors import GennDelaysError, InvalidValueError, as_float, unknown
from ..initializers import INITIALIZERS
from ..learning import SCHEDULES
from ..learning.readouts import READOUTS
from ..synapses import SYNAPSES

Table = dict[str, Any]
Registry = Mapping[str, Any]

_REQUIRED = inspect.Parameter.empty
_NESTED: dict[str, tuple[str, Registry]] = {
    "delay": ("delay initializer", DELAY_INITIALIZERS),
    "schedule": ("schedule", SCHEDULES),
    "readout": ("readout", READOUTS),
    "synapse": ("synapse", SYNAPSES),  # of a drive; connections read their own
}
"""Arguments that are tables of their own, and what they hold; other tables with a ``kind`` are initialisers."""


def check_keys(section: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    """An error for the first key that a section does not have, with the nearest one that it has."""
    known = list(known)
    for key in table:
        if key not in known:
            raise unknown(f"key of {section}", key, known)


def as_table(section: str, value: Any) -> Table:
    """A copy of a table, or an error that says what stands in its place."""
    if not isinstance(value, Mapping):
        raise InvalidValueError(f"{section} must be a table, got {value!r}")
    return dict(value)


def as_text(what: str, value: Any) -> str:
    """A text of at least one character."""
    if not isinstance(value, str) or not value:
        raise InvalidValueError(f"{what} must be a text of at least one character, got {value!r}")
    return value


def arguments_of(constructor: Callable[..., Any]) -> dict[str, Any]:
    """The constructor's arguments with their defaults; ``inspect.Parameter.empty`` stands for none."""
    if dataclasses.is_dataclass(constructor):
        made = {f.name: f.default_factory for f in dataclasses.fields(constructor)}
    else:
        made = {}
    found = {}
    for name, parameter in inspect.signature(constructor).parameters.items():
        factory = made.get(name, dataclasses.MISSING)
        found[name] = parameter.default if factory is dataclasses.MISSING else factory()
    return found


def complete(
    what: str, registry: Registry, section: str, value: Any, key: str = "kind", other: Iterable[str] = ()
) -> Table:
    """The table of a registered thing with every argument in it, defaults included.

    Args:
        what: kind of the registry, for messages.
        section: of the table, for messages.
        value: the table, or the name alone.
        key: the table's key that holds the name.
        other: keys of the table that are not arguments; they are left out of the result.

    Returns:
        ``{key: name, argument: value, ...}`` in the order of the constructor. Arguments whose default is None are
        left out: TOML has no None.
    """
    table = {key: value} if isinstance(value, str) else as_table(section, value)
    if key not in table:
        known = ", ".join(sorted(registry))
        raise InvalidValueError(f"{section} lacks {key!r}, the name of its {what}; known: {known}")
    name = table[key]
    if not isinstance(name, str) or name not in registry:
        raise unknown(f"{what} in {section}", name, registry)
    arguments, other = arguments_of(registry[name]), list(other)
    check_keys(f"{section} with {key} = {name!r}", table, [key, *arguments, *other])
    found: Table = {key: name}
    for argument, default in arguments.items():
        given = table.get(argument, default)
        if given is _REQUIRED:
            raise InvalidValueError(f"{section} lacks {argument!r}, which {what} {name!r} needs")
        if given is not None:
            found[argument] = complete_value(f"{section} {argument}", argument, given)
    return found


def complete_value(section: str, argument: str, value: Any) -> Any:
    """An argument; where it is an initialiser or a schedule, with all of that one's arguments."""
    if argument in _NESTED and isinstance(value, Mapping if argument == "readout" else (str, Mapping)):
        return complete(*_NESTED[argument], section, value)
    if (argument == "weight" and isinstance(value, str)) or (isinstance(value, Mapping) and "kind" in value):
        return complete("initializer", INITIALIZERS, section, value)
    if isinstance(value, Mapping):
        return {key: complete_value(f"{section} {key}", key, entry) for key, entry in value.items()}
    return value


def construct(registry: Registry, section: str, table: Mapping[str, Any], key: str = "kind") -> Any:
    """The object that a completed table describes.

    Raises:
        InvalidValueError: the constructor refused an argument; the message starts with the section.
    """
    arguments = {name: _argument(section, name, value) for name, value in table.items() if name != key}
    return within(section, registry[table[key]], **arguments)


def _argument(section: str, name: str, value: Any) -> Any:
    if isinstance(value, Mapping) and "kind" in value:
        return construct(_NESTED[name][1] if name in _NESTED else INITIALIZERS, f"{section} {name}", value)
    if name == "vars" and isinstance(value, Mapping):  # TOML has no None: a variable without a jump is [rhs]
        return {variable: _right_hand_side(section, variable, entry) for variable, entry in value.items()}
    if isinstance(value, Mapping):
        return {key: _argument(section, key, entry) for key, entry in value.items()}
    return value


def _right_hand_side(section: str, variable: str, entry: Any) -> tuple[str, str | None]:
    texts = [entry] if isinstance(entry, str) else entry
    if not isinstance(texts, (list, tuple)) or len(texts) not in (1, 2) or not all(isinstance(t, str) for t in texts):
        raise InvalidValueError(
            f"{section} vars {variable} must be [right-hand side, value after a spike] or [right-hand side], "
            f"got {entry!r}"
        )
    return texts[0], texts[1] if len(texts) == 2 else None


def within(section: str, function: Callable[..., Any], *args: Any, **arguments: Any) -> Any:
    """``function(*args, **arguments)``, its error preceded by the section it comes from."""
    try:
        return function(*args, **arguments)
    except InvalidValueError as error:
        raise InvalidValueError(f"{section}: {error}") from error
    except GennDelaysError:
        raise
    except (TypeError, ValueError, AttributeError, KeyError) as error:  # a value of an unexpected type
        raise InvalidValueError(f"{section}: {type(error).__name__}: {error}") from error


def plain(section: str, value: Any) -> Any:
    """A value as TOML can hold it: NumPy scalars and arrays, tuples and mappings become plain ones.

    Raises:
        InvalidValueError: something else is in it.
    """
    if isinstance(value, Mapping):
        return {
            as_text(f"key of {section}", key): plain(f"{section} {key}", entry)
            for key, entry in value.items()
            if entry is not None
        }
    if isinstance(value, np.ndarray):
        value = list(value) if value.ndim else value[()]
    if isinstance(value, (list, tuple)):
        return [plain(f"{section}[{number}]", entry) for number, entry in enumerate(value)]
    if isinstance(value, np.generic):
        value = as_float(value) if isinstance(value, np.floating) else value.item()
    if not isinstance(value, (str, bool, int, float)):
        raise InvalidValueError(f"{section} must be a text, a number, a list or a table, got {value!r}")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise InvalidValueError(f"{section} must be a number of at most 64 bits, got one of {value.bit_length()}")
    if isinstance(value, str):
        check_utf8(section, value)
    return value


def check_utf8(what: str, text: str) -> None:
    """Raise an error if a text cannot be written to a file, such as a path that is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidValueError(f"{what} must be UTF-8, as config.toml keeps it, got {text!r}") from error
