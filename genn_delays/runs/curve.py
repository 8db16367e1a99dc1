"""The learning curve of a run as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..paths import atomic_path
from ..plots import learning_curve, rewirings

if TYPE_CHECKING:
    from .result import Result


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
    learning_curve(lines, axes[0], selected=(result.selected_epoch, f"epoch chosen on the {result.selected_by}"))
    learning_curve(lines, axes[1], figure="loss")
    if rewired:
        rewirings(lines, axes[2])
    figure.suptitle(_title(result), fontsize=11)
    with atomic_path(path) as part:
        # no date and no version in the file: the same run gives the same picture
        figure.savefig(part, format="png", dpi=120, metadata={"Software": None})


def _title(result: Result) -> str:
    return (
        f"{result.model}: {result.synapses:,} synapses, sparsity {100 * result.sparsity:.4g} %, "
        f"rewiring {result.rewiring}, seed {result.seed}"
    )
