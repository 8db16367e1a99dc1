"""The pictures of an analysed run, as PNG and PDF files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plots
from ..paths import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .analysis_figures import Analysis


def draw(found: Analysis, place: Path, units: int) -> None:
    """Draw all pictures of an analysis into a folder."""
    for name, figure in (
        ("receptive_fields", _fields(found, units)),
        ("morans_i", _moran(found)),
        ("synapses", _synapses(found)),
        ("behaviour", _behaviour(found)),
    ):
        if figure is None:
            continue
        for ending, nothing in (("png", {"Software": None}), ("pdf", {"CreationDate": None, "Producer": None})):
            with atomic_path(place / f"{name}.{ending}") as part:  # without a date: the same run, the same files
                figure.savefig(part, format=ending, dpi=130, metadata=nothing)


def _figure(width: float, height: float, rows: int, columns: int) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _fields(found: Analysis, units: int) -> Figure:
    """Fields of the highest I after training: before training above, after it below."""
    trained, untrained = found.trained, found.untrained
    best = np.argsort(-trained.moran.highest, kind="stable")[:units]
    numbers = trained.moran.fields[best]
    figure, axes = _figure(1.2 + 2.6 * len(numbers), 5.2, 2, len(numbers))
    for row, (name, part) in enumerate((("untrained", untrained), ("trained", trained))):
        limit = float(np.abs(part.fields.values[numbers]).max()) or 1.0
        i_of = dict(zip(part.moran.fields.tolist(), part.moran.highest.tolist(), strict=True))
        for column, number in enumerate(numbers):
            ax: Axes = axes[row, column]
            value = f"I = {i_of[int(number)]:.3f}" if int(number) in i_of else "constant"
            plots.receptive_field(
                part.fields.values[number], ax, limit=limit, source=part.fields.source, colorbar=False,
                title=f"{part.fields.population} {part.fields.units[number]}, {name}\n{value}",
            )  # fmt: skip
            if column:
                ax.set_ylabel("")
            ax.set_xlabel("time steps before" if row else "")
        bar = figure.colorbar(axes[row, 0].images[0], ax=axes[row, :].tolist(), pad=0.01)
        bar.set_label("sum of signed weights\nblue inhibits, orange excites", fontsize=8)
    return figure


def _moran(found: Analysis) -> Figure:
    figure, axes = _figure(5.6, 2.8, 1, 1)
    c = found.comparison
    title = f"{found.model}: U = {c.u:g} of {c.sizes[0] * c.sizes[1]}, p = {c.p:.3g}"
    groups = {"untrained": found.untrained.moran.highest, "trained": found.trained.moran.highest}
    plots.morans_i(groups, axes[0, 0], title=title)
    return figure


def _behaviour(found: Analysis) -> Figure | None:
    """The confusion matrix where there are classes, and beside it rewiring over time where anything was rewired."""
    rewiring = found.rewiring
    dropped, newborn = np.zeros(0, np.int64), np.zeros(0, np.int64)
    if rewiring is not None and rewiring.established:
        newborn = np.sum(list(rewiring.newborn.values()), axis=0)
        dropped = newborn + np.sum(list(rewiring.established.values()), axis=0)
    columns = int(found.classes is not None) + int(dropped.any())
    if not columns:
        return None
    figure, axes = _figure(4.9 * columns, 4.2, 1, columns)
    if found.classes is not None:
        plots.confusion(found.classes.confusion, axes[0, 0])
        axes[0, 0].set_title(f"test accuracy {100 * found.classes.accuracy:.2f} %", fontsize=10)
    if rewiring is not None and dropped.any():
        lines = [
            {"epoch": int(epoch), "rewirings": int(all_of), "newborn_rewirings": int(young)}
            for epoch, all_of, young in zip(rewiring.epochs, dropped, newborn, strict=True)
        ]
        plots.rewirings(lines, axes[0, -1])
    return figure


def _synapses(found: Analysis) -> Figure:
    """A row for every connection."""
    figure, axes = _figure(18.0, 3.0 * len(found.connections), len(found.connections), 5)
    for row, figures in zip(axes, found.connections.values(), strict=True):
        plots.histogram(figures.delays, row[0])
        plots.histogram(figures.weights, row[1])
        plots.fan_in(figures.fans, row[2])
        plots.fan_out(figures.fans, row[3])
        if figures.ages is not None:
            plots.histogram(figures.ages, row[4])
        else:
            row[4].set_axis_off()
    return figure
