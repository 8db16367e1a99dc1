"""Checks of the figures in a run's files: a file that was edited must not cause a traceback."""

from __future__ import annotations

import math
from typing import Any

from ..errors import RunFolderError
from .folder import RunFolder

NEEDED = ("train_accuracy", "test_accuracy", "step_ms")
"""Figures that a result needs."""
OPTIONAL = ("train_loss", "test_loss", "validation_loss", "validation_accuracy", "seconds")
"""Numbers where they are there; what was no number when it was written is null."""
NEEDED_OF_TARGETS = ("train_loss", "test_loss", "step_ms")
"""In place of :data:`NEEDED` where outputs have real targets, and so no accuracy."""


def check_figures(folder: RunFolder, lines: list[dict[str, Any]], *, labelled: bool = True) -> None:
    """Raise an error if a line of ``metrics.jsonl`` lacks a required figure, or one is not a number.

    Args:
        folder: the run, for the message.
        lines: of ``metrics.jsonl``.
        labelled: outputs have class labels.

    Raises:
        RunFolderError: it names the line and the figure.
    """
    for number, line in enumerate(lines, 1):
        figures = {name: value for name, value in line.items() if "rewirings" in name}
        figures |= {name: line.get(name) for name in (NEEDED if labelled else NEEDED_OF_TARGETS)}
        figures |= {name: line[name] for name in OPTIONAL if line.get(name) is not None}
        for name, value in figures.items():
            if not _is_number(value):
                raise RunFolderError(
                    f"run folder {folder} is damaged: {name} in line {number} of metrics.jsonl must be a number, got "
                    f"{value!r:.80}; restore that file, or begin another run with another --out"
                )


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False
