"""The learning curve of a run as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..paths import atomic_path
from ..plots import learning_curve, rewirings
from ..plots.learning_curve import has_accuracies

if TYPE_CHECKING:
    from .result import Result


def draw_learning_curve(path: Path, lines: list[dict[str, Any]], result: Result) -> None:
    """Draw accuracy and loss of the training, validation and test set, and rewirings, over the epochs.

    With real targets there is no accuracy, and no place is left for it.

    Args:
        path: a PNG file.
        lines: of ``metrics.jsonl``.
        result: figures of the run, for the title and the epoch that was chosen.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figures = ["accuracy", "loss"] if has_accuracies(lines) else ["loss"]
    rewired = result.rewiring != "none"
    columns = len(figures) + rewired
    figure = Figure(figsize=({1: 6.4, 2: 8.4, 3: 12.0}[columns], 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    selected = (result.selected_epoch, f"epoch chosen on the {result.selected_by}")
    for number, (ax, name) in enumerate(zip(axes, figures, strict=False)):
        learning_curve(lines, ax, figure=name, selected=None if number else selected)
    if rewired:
        rewirings(lines, axes[-1])
    figure.suptitle(_title(result), fontsize=11)
    with atomic_path(path) as part:
        # no date and no version in the file: the same run gives the same picture
        figure.savefig(part, format="png", dpi=120, metadata={"Software": None})


def _title(result: Result) -> str:
    return (
        f"{result.model}: {result.synapses:,} synapses, sparsity {100 * result.sparsity:.4g} %, "
        f"rewiring {result.rewiring}, seed {result.seed}"
    )
