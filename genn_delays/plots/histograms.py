"""Histograms of synapses: excitatory ones upwards, inhibitory ones downwards, so that no colour is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..analysis import Fans, Histogram
from ..errors import InvalidValueError, shown
from .style import COLOURS, as_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIGNS = {"excitatory": (COLOURS["vermillion"], 1), "inhibitory": (COLOURS["blue"], -1), "zero": ("0.6", 1)}


def histogram(found: Histogram, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Draw the synapses of a histogram: excitatory ones upwards, inhibitory ones downwards.

    Args:
        found: such as :func:`~genn_delays.analysis.delays_by_sign` gives.
        ax: to draw into.
        title: above the picture; the name of the connection where not given.

    Raises:
        InvalidValueError: it is no histogram.
    """
    _check(found, Histogram)
    ax = as_axes(ax, 4.8, 3.2)
    widths, base = np.diff(found.edges), np.zeros(found.edges.size - 1)
    for name, (colour, direction) in _SIGNS.items():
        counts = found.counts.get(name, np.zeros(0, np.int64))
        if counts.any():
            ax.bar(
                found.edges[:-1], direction * counts, widths, align="edge", color=colour, label=name, linewidth=0.3,
                edgecolor="white", bottom=base if direction > 0 else None,
            )  # fmt: skip
            base = base + counts if direction > 0 else base
    ax.axhline(0.0, color="black", linewidth=0.8)
    ax.set_xlim(found.edges[0], found.edges[-1])
    ax.set(xlabel=found.of, ylabel="synapses")
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.10g}")
    plain(ax)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=8, framealpha=0.9)
    ax.set_title(found.connection if title is None else title, fontsize=10)
    return ax


def fan_in(found: Fans, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Draw how many neurons receive how many synapses.

    Args:
        found: as :func:`~genn_delays.analysis.fans` gives it.
        ax, title: see :func:`histogram`.
    """
    _check(found, Fans)
    return _fan(
        found.fan_in, "synapses received by a neuron (fan-in)", found.connection if title is None else title, ax
    )


def fan_out(found: Fans, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Draw how many neurons send how many synapses; see :func:`fan_in`."""
    _check(found, Fans)
    return _fan(found.fan_out, "synapses sent by a neuron (fan-out)", found.connection if title is None else title, ax)


def _fan(counts: npt.NDArray[np.int64], label: str, title: str, ax: Axes | None) -> Axes:
    from matplotlib.ticker import MaxNLocator

    ax = as_axes(ax, 4.8, 3.2)
    low, high = int(counts.min()), int(counts.max())
    width = max(1, -(-(high - low + 1) // 40))
    edges = np.arange(low, high + width + 1, width) - 0.5
    ax.hist(counts, edges.tolist(), color="0.45", edgecolor="white", linewidth=0.3)
    mean = float(counts.mean())
    ax.axvline(mean, color="black", linestyle="--", linewidth=1.2, label=f"mean {mean:.4g}")
    ax.set(xlabel=label, ylabel="neurons", xlim=(edges[0] - 0.5, edges[-1] + 0.5))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    plain(ax)
    ax.legend(fontsize=8, framealpha=0.9)
    ax.set_title(title, fontsize=10)
    return ax


def _check(found: object, kind: type[Histogram] | type[Fans]) -> None:
    if not isinstance(found, kind):
        raise InvalidValueError(f"a {kind.__name__} of genn_delays.analysis is drawn, got {shown(found)}")
