"""Accuracy, loss and rewirings over the epochs of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidValueError, check_choice, shown
from .style import COLOURS, as_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS: dict[str, dict[str, Any]] = {
    "train": {"color": COLOURS["blue"], "linestyle": "--", "marker": "o"},
    "validation": {"color": COLOURS["vermillion"], "linestyle": "-.", "marker": "s"},
    "test": {"color": COLOURS["green"], "linestyle": "-", "marker": "^"},
}
"""The parts of a data set with the style of their lines."""
_DIED: dict[str, dict[str, Any]] = {
    "established": {"color": "#555555", "linestyle": "-", "marker": "o"},
    "newborn": {"color": COLOURS["orange"], "linestyle": "--", "marker": "s"},
}
_FEW = 15
"""Epochs from which on lines have no marker at each."""
Lines = Sequence[Mapping[str, Any]]


def has_accuracies(lines: Lines) -> bool:
    """True if any line has an accuracy; runs with real targets have losses alone."""
    return any(line.get(f"{part}_accuracy") is not None for line in lines for part in PARTS)


def learning_curve(
    lines: Lines,
    ax: Axes | None = None,
    *,
    figure: str = "accuracy",
    parts: Sequence[str] = tuple(PARTS),
    name: str | None = None,
    selected: tuple[int, str] | None = None,
    **style: Any,
) -> Axes:
    """The accuracy (in percent) or the loss of the training, validation and test set over the epochs.

    Args:
        lines: those of ``metrics.jsonl``, one an epoch: `epoch` and figures such as ``test_accuracy``, shares of 1. A
            figure that a line lacks is not drawn.
        ax: where to draw; a new figure where not given. To compare runs give the axes of the first again.
        figure: ``"accuracy"`` or ``"loss"``.
        parts: of the data set, among ``"train"``, ``"validation"`` and ``"test"``.
        name: of the run, written before the part in the legend.
        selected: an epoch to be marked by a dotted line, and its name.
        style: of the lines in place of a part's own, as matplotlib's ``plot`` takes it.

    Raises:
        InvalidValueError: there are no lines, or one is without its epoch; another figure or part.
    """
    check_choice("figure", figure, ("accuracy", "loss"))
    epochs, ax = _epochs(lines), as_axes(ax, 5.2, 3.8)
    for part in parts:
        check_choice("part", part, PARTS)
        values = [line.get(f"{part}_{figure}") for line in lines]
        if any(v is not None for v in values):
            factor = 100.0 if figure == "accuracy" else 1.0
            shares = [float("nan") if v is None else factor * v for v in values]
            label = part if name is None else f"{name}, {part}" if len(parts) > 1 else name
            _line(ax, epochs, shares, label, {**PARTS[part], **style})
    if selected is not None:
        ax.axvline(selected[0], color="0.35", linewidth=1.0, linestyle=":", label=selected[1])
    ax.set_ylabel("accuracy (%)" if figure == "accuracy" else "loss")
    if figure == "loss":
        ax.set_ylim(bottom=0.0, auto=None)  # another run drawn into these axes may be higher
    _epoch_axis(ax, epochs)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="best", fontsize=8, framealpha=0.9)
    return ax


def rewirings(lines: Lines, ax: Axes | None = None) -> Axes:
    """Established synapses that died in an epoch, which is change, and newborn ones, which is search; there may be a
    thousand times as many of these.

    Args:
        lines: those of ``metrics.jsonl``, with `rewirings` and, not in old files, `newborn_rewirings`.
        ax: where to draw; a new figure where not given.
    """
    epochs, ax = _epochs(lines), as_axes(ax, 5.2, 3.8)
    newborn = [line.get("newborn_rewirings", 0) for line in lines]
    dropped = [line.get("rewirings", 0) for line in lines]
    parts = {"established": [n - young for n, young in zip(dropped, newborn, strict=True)], "newborn": newborn}
    for part, counts in parts.items():
        if part == "established" or any(counts):
            _line(ax, epochs, counts, part, _DIED[part])
    ax.set_yscale("symlog", linthresh=1.0)
    ax.set_ylim(bottom=0.0, auto=None)
    ax.set_ylabel("synapses that died in the epoch")
    _epoch_axis(ax, epochs)
    ax.legend(loc="best", fontsize=8, framealpha=0.9)
    return ax


def _epochs(lines: Lines) -> list[int]:
    try:
        found = [int(line["epoch"]) for line in lines]
    except (TypeError, KeyError, ValueError) as error:
        raise InvalidValueError(f"lines must be tables with an 'epoch' each, got {shown(lines)}") from error
    if not found:
        raise InvalidValueError("lines must be at least one, that of an epoch, got none")
    return found


def _line(ax: Axes, epochs: list[int], values: list[float], label: str, style: dict[str, Any]) -> None:
    every = max(1, len(epochs) // _FEW)
    ax.plot(epochs, values, label=label, markersize=3.5, linewidth=1.4, markevery=every, **style)


def _epoch_axis(ax: Axes, epochs: list[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("epoch")
    every = [float(x) for line in ax.get_lines() for x in np.asarray(line.get_xdata())]  # other runs' too
    ax.set_xlim(min([*every, *epochs]) - 0.5, max([*every, *epochs]) + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    plain(ax)
