"""Settings of runs as flat tables, and those in which runs differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..plan.summary import format_number
from ..runs.config import Config

_LONG = 12
"""Lists of more values are told by their number."""


def settings_of(config: Config) -> dict[str, Any]:
    """Every setting of a run by its place: ``populations.hidden.size``, ``connections.mel_hidden.delay.high``.

    Populations and connections are told by their names, so that runs of different layers can be compared.
    """
    tables = config.tables()
    populations = {p.pop("name"): p for p in tables.pop("populations")}
    connections: dict[str, Any] = {}
    for c in tables.pop("connections"):
        name, number = c.pop("name", None) or f"{c['source']}_{c['target']}", 1
        while f"{name}{number if number > 1 else ''}" in connections:
            number += 1
        connections[f"{name}{number if number > 1 else ''}"] = c
    model = tables.pop("model")
    ordered = {"model": {"name": model["name"]}, **tables, "populations": populations, "connections": connections}
    found: dict[str, Any] = {}
    _flatten("", ordered, found)
    return found


def differences(every: Sequence[Mapping[str, Any]]) -> list[tuple[str, tuple[Any, ...]]]:
    """The settings that are not the same in all runs, each with its value in every run; None where a run has none.

    What some runs lack as a whole, such as a population or a schedule, is one row: its kind.
    """
    tables = [{part for name in one for part in _above(name)} for one in every]
    found: dict[str, tuple[Any, ...]] = {}
    for name in dict.fromkeys(name for one in every for name in one):
        lacking = next((part for part in _above(name) if not all(part in table for table in tables)), None)
        if lacking is not None:
            found[lacking] = tuple(_kind_of(one, lacking) for one in every)
        else:
            found[name] = tuple(one.get(name) for one in every)
    return [(name, values) for name, values in found.items() if any(value != values[0] for value in values)]


def _above(name: str) -> list[str]:
    """The tables that a setting is in, the outermost first: ``a``, ``a.b`` of ``a.b.c``."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _kind_of(one: Mapping[str, Any], table: str) -> str | None:
    """The kind of thing that a table of a run describes; None where the run has no such table."""
    if not any(name.startswith(f"{table}.") for name in one):
        return None
    kinds = [one.get(f"{table}.{key}") for key in ("kind", "neuron", "connectivity", "rule")]
    kind = next((k for k in kinds if k is not None), "given")
    size = one.get(f"{table}.size")
    return str(kind) if size is None else f"{size} x {kind}"


def setting_text(value: Any) -> str:
    """A setting as a table shows it; long lists by their number and a digest."""
    if value is None:
        return "-"
    if isinstance(value, list):
        if len(value) > _LONG:
            return f"{len(value):,} values, {hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]}"
        return ", ".join(setting_text(entry) for entry in value) or "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else format_number(value)


def _flatten(place: str, value: Any, found: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for key, entry in value.items():
            _flatten(f"{place}.{key}" if place else str(key), entry, found)
    else:
        found[place] = value
