"""The learning curve of a run as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..paths import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .result import Result

# Okabe & Ito's palette, which colour-blind readers can tell apart
_COLOURS = {"train": "#0072B2", "validation": "#D55E00", "test": "#009E73"}
_DIED = {"established": "#555555", "newborn": "#E69F00"}


def draw_learning_curve(path: Path, lines: list[dict[str, Any]], result: Result) -> None:
    """Draw accuracy and loss of the training, validation and test set, and rewirings, over the epochs.

    Args:
        path: a PNG file.
        lines: of ``metrics.jsonl``.
        result: figures of the run, for the title and the epoch that was chosen.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rewired = result.rewiring != "none"
    figure = Figure(figsize=(12.0 if rewired else 8.4, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3 if rewired else 2)
    _accuracy(axes[0], lines, result)
    _series(axes[1], lines, "loss", 1.0)
    axes[1].set_ylabel("loss")
    axes[1].set_ylim(bottom=0.0)
    if rewired:
        _rewirings(axes[2], lines)
    for ax in axes:
        _dress(ax, len(lines))
    figure.suptitle(_title(result), fontsize=11)
    with atomic_path(path) as part:
        # no date and no version in the file: the same run gives the same picture
        figure.savefig(part, format="png", dpi=120, metadata={"Software": None})


def _title(result: Result) -> str:
    return (
        f"{result.model}: {result.synapses:,} synapses, sparsity {100 * result.sparsity:.4g} %, "
        f"rewiring {result.rewiring}, seed {result.seed}"
    )


def _series(ax: Axes, lines: list[dict[str, Any]], figure: str, factor: float) -> None:
    epochs = [line["epoch"] for line in lines]
    marker = "o" if len(lines) < 15 else ""
    for part, colour in _COLOURS.items():
        values = [line.get(f"{part}_{figure}") for line in lines]
        if any(v is not None for v in values):
            shown = [float("nan") if v is None else factor * v for v in values]
            ax.plot(epochs, shown, color=colour, label=part, marker=marker, markersize=3.5, linewidth=1.4)


def _accuracy(ax: Axes, lines: list[dict[str, Any]], result: Result) -> None:
    _series(ax, lines, "accuracy", 100.0)
    ax.axvline(
        result.selected_epoch, color="0.35", linewidth=1.0, linestyle=":",
        label=f"epoch chosen on the {result.selected_by}",
    )  # fmt: skip
    ax.set_ylabel("accuracy (%)")
    ax.legend(loc="lower right", fontsize=8, framealpha=0.9)


def _rewirings(ax: Axes, lines: list[dict[str, Any]]) -> None:
    """Established synapses that died, which is change, and newborn ones, which is search; there may be a thousand
    times as many of these."""
    epochs = [line["epoch"] for line in lines]
    newborn = [line.get("newborn_rewirings", 0) for line in lines]
    dropped = [line["rewirings"] for line in lines]
    parts = {"established": [n - young for n, young in zip(dropped, newborn, strict=True)], "newborn": newborn}
    for part, counts in parts.items():
        if part == "established" or any(counts):
            marker = "o" if len(lines) < 15 else ""
            ax.plot(epochs, counts, color=_DIED[part], label=part, marker=marker, markersize=3.5, linewidth=1.4)
    ax.set_yscale("symlog", linthresh=1.0)
    ax.set_ylim(bottom=0.0)
    ax.set_ylabel("synapses that died in the epoch")
    ax.legend(loc="best", fontsize=8, framealpha=0.9)


def _dress(ax: Axes, epochs: int) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("epoch")
    ax.set_xlim(0.5, epochs + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
