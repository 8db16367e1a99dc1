"""The results of a sweep as data: ``results.jsonl`` and ``results.csv``, one line a run, flat columns."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import RunFolderError
from ..paths import atomic_write
from ..runs.result import Result
from ..runs.settings import value_of
from .spec import Sweep, SweepRun

JSON_LINES, CSV = "results.jsonl", "results.csv"
_FIELDS = [f.name for f in fields(Result) if f.name not in ("seed", "out")]
_NEEDED = ("seed", "epochs", "test_accuracy", "seconds")


def columns(sweep: Sweep) -> list[str]:
    """Names of the columns: the series, every swept setting by its key, the seed, the fields of a run's result, and
    the run's folder. A field that is called like a setting is ``result_`` and its name."""
    found = [f"result_{name}" if name in sweep.swept else name for name in _FIELDS]
    return ["series", *sweep.swept, "seed", *found, "run"]


def read_result(path: Path) -> dict[str, Any] | None:
    """The fields of a run's ``result.json``; None where there is none.

    Raises:
        RunFolderError: it cannot be read, or is damaged.
    """
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} is damaged: {error}; remove it, and the run is resumed") from error
    if not isinstance(found, dict) or any(name not in found for name in _NEEDED):
        raise RunFolderError(f"{path} is damaged: it lacks figures of a result; remove it, and the run is resumed")
    return found


def row(sweep: Sweep, run: SweepRun, result: dict[str, Any]) -> dict[str, Any]:
    """A line of the results: the columns with their values; settings that a run was not given have the model's."""
    given = run.settings
    settings = [_cell(given[key] if key in given else value_of(run.config, key)) for key in sweep.swept]
    values = [run.series, *settings, result["seed"], *(result.get(name) for name in _FIELDS), run.folder]
    return dict(zip(columns(sweep), values, strict=True))


def _cell(value: Any) -> Any:
    """A value of one cell: lists and tables are JSON texts."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def write_results(folder: Path, sweep: Sweep, rows: dict[str, dict[str, Any]]) -> None:
    """Write both files.

    Args:
        folder: of the sweep.
        sweep: whose runs give the order of the lines.
        rows: lines by the folder of the run; runs that are not finished have none.

    Raises:
        GennDelaysError: a file cannot be written.
    """
    ordered = [rows[run.folder] for run in sweep.runs if run.folder in rows]
    atomic_write(folder / JSON_LINES, "".join(json.dumps(line) + "\n" for line in ordered).encode())
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns(sweep), lineterminator="\n")
    writer.writeheader()
    writer.writerows(ordered)
    atomic_write(folder / CSV, text.getvalue().encode())
