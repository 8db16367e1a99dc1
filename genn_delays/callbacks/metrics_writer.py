"""Metrics of every epoch as JSON lines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidValueError, RunFolderError, check_path, shown
from ..paths import atomic_write
from .callback import Callback

if TYPE_CHECKING:
    from ..metrics import Metrics


class MetricsWriter(Callback):
    """Writes one JSON object an epoch to a file, whole lines only.

    Every figure is a plain number: ``epoch`` counts from 1, as on the screen; ``rewirings`` is the sum over all
    connections, ``rewirings_<connection>`` the same of one of them, ``newborn_rewirings`` how many of the dropped
    synapses had been
    grown at the rewiring before.

    Lines of epochs that are about to be trained again (after an interruption) are replaced; an incomplete last line is
    removed. NaN, such as the accuracy of outputs with real targets, is written as null.

    Args:
        path: the file, for example ``metrics.jsonl``.
        extra: called with the epoch and its metrics for more figures to write, if given.
    """

    writes = True

    def __init__(self, path: str | Path, extra: Any = None) -> None:
        if extra is not None and not callable(extra):
            raise InvalidValueError(
                f"MetricsWriter extra must be a function of the epoch and its metrics, got {shown(extra)}"
            )
        self.path, self.extra = check_path("MetricsWriter path", path), extra
        self._lines: list[dict[str, Any]] = []

    def on_train_begin(self) -> None:
        lines = read_metrics(self.path)
        self._write(lines)  # a file that cannot be written is an error before anything is computed
        self._lines = [line for line in lines if line["epoch"] <= self.compiled_network.epoch]

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        line: dict[str, Any] = {
            "epoch": epoch + 1,
            "train_loss": metrics.loss,
            "train_accuracy": metrics.accuracy,
            "step_ms": round(metrics.step_ms, 4),
            "rewirings": metrics.rewirings,
            "newborn_rewirings": metrics.newborn_rewirings,
        }
        if metrics.validation is not None:
            line |= {"validation_loss": metrics.validation.loss, "validation_accuracy": metrics.validation.accuracy}
        if self.extra is not None:
            line |= self.extra(epoch, metrics)
        line = _flat(line)
        line = {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in line.items()}
        self._lines.append(line)
        self._write(self._lines)

    def _write(self, lines: list[dict[str, Any]]) -> None:
        atomic_write(self.path, "".join(json.dumps(line) + "\n" for line in lines).encode())


def _flat(line: dict[str, Any]) -> dict[str, Any]:
    """A line with the sum of rewirings and a figure for each connection in place of a table; other lines stay as they
    are."""
    flat: dict[str, Any] = {}
    for key, value in line.items():
        if "rewirings" in key and isinstance(value, dict) and all(type(n) in (int, float) for n in value.values()):
            flat[key] = sum(value.values())
            flat |= {f"{key}_{name}": n for name, n in value.items()}
        else:
            flat[key] = value
    return flat


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics file, oldest first; none where there is no file.

    Files of version 0.1.0, whose epochs count from 0 and whose rewirings are tables, are read as if written today.

    Raises:
        RunFolderError: there is one that cannot be read.
    """
    if not path.is_file():
        return []
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror or error}") from error
    lines = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(entry, dict) or type(entry.get("epoch")) is not int:
            break
        lines.append(entry)
    if lines and lines[0]["epoch"] == 0:
        lines = [{**line, "epoch": line["epoch"] + 1} for line in lines]
    return [_flat(line) for line in lines]
