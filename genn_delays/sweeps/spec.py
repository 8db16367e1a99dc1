"""Sweep files: a model, lists of settings and seeds, read into runs.

The format is described in ``docs/command_line.md`` ("Sweep files").
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..datasets.own import located
from ..errors import GennDelaysError, InvalidValueError, check_count, shown
from ..paths import expanded
from ..random import MAX_SEED
from ..runs.build import validate
from ..runs.config import Config, read_toml
from ..runs.models import load_model, model_names
from ..runs.settings import flat, with_settings
from ..runs.tables import Table, as_table, as_text, check_keys

_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*", re.ASCII)
_SAFE = re.compile(r"[A-Za-z0-9.+\-,]{1,32}")
_SERIES_KEYS = ("name", "model", "seeds", "set", "grid")
_LONGEST = 120


@dataclass(frozen=True)
class SweepRun:
    """A run of a sweep.

    Attributes:
        series: name of its series; of the sweep where there are none.
        settings: all of its settings by key, the seed among them where the sweep gives seeds.
        folder: its folder below that of the sweep.
        config: its configuration.
    """

    series: str
    settings: dict[str, Any]
    folder: str
    config: Config


@dataclass(frozen=True)
class Sweep:
    """All runs of a sweep file, in its order.

    Attributes:
        name: of the sweep.
        swept: keys of the settings in which runs may differ: columns of the results.
        runs: with their configurations, checked.
    """

    name: str
    swept: tuple[str, ...]
    runs: tuple[SweepRun, ...]


def read_sweep(path: Path, threads: int | None = None) -> Sweep:
    """The runs of a sweep file.

    Args:
        path: of the file.
        threads: of every run; None for those of the settings, else 1.

    Raises:
        InvalidValueError: the file cannot be read, or a run of it cannot be: a setting that does not exist, an empty
            list, a value that is not allowed. The message names the file, the series and the setting.
    """
    tables = read_toml(path)
    try:
        return _read(path, tables, threads)
    except GennDelaysError as error:
        raise InvalidValueError(f"{path}: {error}") from error


def _read(path: Path, tables: Table, threads: int | None) -> Sweep:
    check_keys("a sweep file", tables, ("sweep", "set", "grid", "series"))
    if "sweep" not in tables:
        raise InvalidValueError("a sweep file lacks its section [sweep] with the model")
    head = as_table("[sweep]", tables["sweep"])
    check_keys("[sweep]", head, ("name", "model", "seeds"))
    name = head.get("name", path.stem)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidValueError(f"name in [sweep] must consist of letters, digits, '.', '-' and '_', got {name!r}")
    base = _Part("the sweep", {**head, "set": tables.get("set", {}), "grid": tables.get("grid", {})})
    entries = tables.get("series", [])
    if not isinstance(entries, list) or ("series" in tables and not entries):
        raise InvalidValueError(f"[[series]] must be a list of at least one table, got {shown(entries)}")
    parts = []
    for number, entry in enumerate(entries, 1):
        table = as_table(f"[[series]] number {number}", entry)
        own = as_text(f"name of [[series]] number {number}", table.get("name"))
        if not _plain(own):
            raise InvalidValueError(f"name of [[series]] number {number} must have a letter or a digit, got {own!r}")
        check_keys(f"[[series]] {own!r}", table, _SERIES_KEYS)
        parts.append((own, _Part(f"series {own!r}", table)))
    names = [own for own, _ in parts]
    for own in names:
        if (same := [other for other in names if _plain(other) == _plain(own)])[1:]:
            raise InvalidValueError(
                f"names of [[series]] name folders and must differ in their letters and digits, got {same[0]!r} and "
                f"{same[1]!r}"
            )
    models: dict[str, Config] = {}
    runs: list[SweepRun] = []
    if not parts:
        runs = _runs(path, name, "", base, models, threads)
    for own, part in parts:
        runs += _runs(path, own, f"{_plain(own)}/", base.with_(part), models, threads)
    folders = [run.folder for run in runs]
    for number, folder in enumerate(folders):
        if folder in folders[:number]:
            raise InvalidValueError(f"two runs of series {runs[number].series!r} are the same: both are {folder}")
    swept = [*base.grid, *(key for _, part in parts for key in (*part.set, *part.grid))]
    return Sweep(name, tuple(key for key in dict.fromkeys(swept) if key != "seed"), tuple(runs))


class _Part:
    """The settings of a whole sweep or of a series."""

    def __init__(self, where: str, table: Mapping[str, Any]) -> None:
        self.where = where
        self.model: Any = table.get("model")
        self.set = flat(as_table(f"set of {where}", table.get("set", {})))
        self.grid = flat(as_table(f"grid of {where}", table.get("grid", {})))
        for key, values in self.grid.items():
            _check_list(f"{key} in the grid of {where}", values)
            if key in self.set:
                raise InvalidValueError(f"{where} has {key} twice, in set and in grid")
        self.seeds: Any = table.get("seeds")
        if self.seeds is not None:
            what = f"seeds of {where}"
            for seed in _check_list(what, self.seeds):
                check_count(what, seed, 0, MAX_SEED)
            if "seed" in self.set or "seed" in self.grid:
                raise InvalidValueError(f"{where} has its seeds twice: as seeds and as the setting seed")

    def with_(self, own: _Part) -> _Part:
        """These settings, with those of a series in their places."""
        made = _Part(own.where, {})
        made.model = self.model if own.model is None else own.model
        made.seeds = self.seeds if own.seeds is None and not {"seed"} & {*own.set, *own.grid} else own.seeds
        made.set = {key: value for key, value in self.set.items() if key not in own.grid} | own.set
        made.grid = {key: value for key, value in self.grid.items() if key not in own.set} | own.grid
        if own.seeds is not None:
            made.set.pop("seed", None)
            made.grid.pop("seed", None)
        return made


def _check_list(what: str, values: Any) -> list[Any]:
    if not isinstance(values, list) or not values:
        raise InvalidValueError(f"{what} must be a list of at least one value, got {shown(values)}")
    for number, value in enumerate(values):
        if value in values[:number] and any(type(v) is type(value) for v in values[:number] if v == value):
            raise InvalidValueError(f"{what} has {shown(value)} twice")
    return values


def _runs(
    path: Path, series: str, above: str, part: _Part, models: dict[str, Config], threads: int | None
) -> list[SweepRun]:
    """The runs of a series, their folders below `above`."""
    if part.model is None:
        raise InvalidValueError(f"{part.where} has no model: [sweep] or each [[series]] must name one")
    grid = part.grid if part.seeds is None else {**part.grid, "seed": part.seeds}
    short = _short_names(grid)
    found = []
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        settings = {**part.set, **point}
        name = "_".join(f"{short[key]}={_word(value)}" for key, value in point.items()) or "run"
        if len(name) > _LONGEST:
            name = f"{name[:_LONGEST]}-{_digest(name)}"
        try:
            config = _model(path, part, models)
            config = with_settings(config, {key: _located(key, value, path.parent) for key, value in settings.items()})
            validate(config)
        except GennDelaysError as error:
            at = f" at {', '.join(f'{key} = {shown(value)}' for key, value in point.items())}" if point else ""
            raise InvalidValueError(f"{part.where}{at}: {error}") from error
        count = threads if threads is not None else config.compiler.threads or 1
        config = replace(config, compiler=replace(config.compiler, threads=count))
        found.append(SweepRun(series, settings, above + name, config))
    return found


def _model(path: Path, part: _Part, models: dict[str, Config]) -> Config:
    """The model of a series; that of a path lies beside the sweep file."""
    name = as_text(f"model of {part.where}", part.model)
    if name not in models:
        given = expanded(name, "model")
        is_path = name not in model_names() and given.suffix in (".toml", ".py")
        models[name] = load_model(str(path.parent / given) if is_path else name)
    return models[name]


def _located(key: str, value: Any, folder: Path) -> Any:
    """A setting's value; places of data as full paths. Data of one's own lie beside the sweep file."""
    if key in ("data", "training.dataset"):
        return located(value, folder)
    if key in ("data_dir", "training.data_dir") and isinstance(value, str) and value:
        return str(expanded(value, "data_dir").absolute())
    return value


# --- names of folders ------------------------------------------------------------------------------------------------


def _short_names(keys: Mapping[str, Any]) -> dict[str, str]:
    """For every key as many of its last parts as make it different from all others."""
    parts = {key: re.sub(r'["*]+', "all", key).split(".") for key in keys}
    found = {}
    for key, own in parts.items():
        length = 1
        while length < len(own) and any(other[-length:] == own[-length:] for k, other in parts.items() if k != key):
            length += 1
        found[key] = "-".join(_word(part) for part in own[-length:])
    return found


def _word(value: Any) -> str:
    """A value as a part of a folder's name; one that has other characters ends in a digest of it."""
    text = value if isinstance(value, str) else _text(value)
    if isinstance(value, list) and all(isinstance(entry, int) for entry in value):
        text = ",".join(str(entry) for entry in value)
    if re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII) or _SAFE.fullmatch(text):
        return text
    kind = value.get("kind") if isinstance(value, dict) else None
    plain = _plain(str(kind or text))
    return f"{plain}-{_digest(text)}" if plain else _digest(text)


def _plain(text: str) -> str:
    """A text as a part of a path that shells need no quotes for."""
    return re.sub(r"[^\w.+\-]+", "-", text, flags=re.ASCII).strip("-.")[:40].strip("-.")


def _text(value: Any) -> str:
    return str(value) if isinstance(value, float) else json.dumps(value, default=str)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
