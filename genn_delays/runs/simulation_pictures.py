"""The pictures of a simulation, as PNG and PDF files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plots
from ..analysis.spike_trains import SpikeTrains
from ..paths import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEURONS = 800
"""Neurons of all populations that a raster shows, in proportion to the populations, but a few of each."""
FEWEST = 12
WINDOW = 500.0
"""The last so many ms are shown."""
MOST_BINS = 240
"""Bins of rates over time; more of them hide one population behind the other."""


def draw_raster(place: Path, spikes: dict[str, Any], sizes: dict[str, int], duration: float) -> None:
    """Spikes of evenly spaced neurons of every population, at the end of the simulation."""
    figure, axes = _figure(7.2, 4.6, 1)
    total, first = sum(sizes.values()), max(0.0, duration - WINDOW)
    shown, rows = {}, {}
    for name, (times, neurons) in reversed(spikes.items()):  # the first population on top
        number = min(sizes[name], max(FEWEST, round(NEURONS * sizes[name] / total)))
        row = np.full(sizes[name], -1)
        row[np.arange(number) * sizes[name] // number] = np.arange(number)
        kept = (times >= first) & (row[neurons] >= 0)
        label = name if number == sizes[name] else f"{name} ({number} of {sizes[name]:,})"
        shown[label], rows[label] = (times[kept], row[neurons[kept]]), number
    plots.raster(shown, axes[0], sizes=rows, duration=duration)
    axes[0].set_xlim(first, duration)
    _save(figure, place, "raster")


def draw_rates(place: Path, spikes: dict[str, Any], trains: list[SpikeTrains], duration: float) -> None:
    """Rates over time; rates and CVs of inter-spike intervals of the neurons of every population."""
    figure, axes = _figure(7.2, 8.4, 3)
    sizes, width = {t.population: t.counts.size for t in trains}, max(5.0, duration / MOST_BINS)
    plots.population_rates(spikes, axes[0], sizes=sizes, duration=duration, bin_width=width)
    plots.neuron_distributions({t.population: t.rates for t in trains}, axes[1], label="rate (Hz)")
    label = "CV of inter-spike intervals"
    plots.neuron_distributions({t.population: t.cv_isi for t in trains}, axes[2], label=label)
    _save(figure, place, "rates")


def _figure(width: float, height: float, rows: int) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, 1, squeeze=False)[:, 0]


def _save(figure: Figure, place: Path, name: str) -> None:
    for ending, nothing in (("png", {"Software": None}), ("pdf", {"CreationDate": None, "Producer": None})):
        with atomic_path(place / f"{name}.{ending}") as part:  # without a date: the same simulation, the same files
            figure.savefig(part, format=ending, dpi=130, metadata=nothing)
