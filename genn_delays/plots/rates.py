"""Rates of populations: over time, and of their neurons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_count, check_real
from .style import COLOURS, as_axes, numbers, plain, series_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def population_rates(
    spikes: Mapping[str, Any],
    ax: Axes | None = None,
    *,
    sizes: Mapping[str, int],
    duration: float,
    bin_width: float = 5.0,
) -> Axes:
    """The mean rate of every population over time, in Hz.

    Args:
        spikes: by name of a population its ``(times in ms, neurons)``.
        ax: where to draw; a new figure where not given.
        sizes: numbers of neurons.
        duration: in ms.
        bin_width: in ms, over which spikes are counted; the last bin ends with the duration.

    Raises:
        InvalidValueError: a size is missing, or these are no spikes.
    """
    duration = check_real("population_rates duration", duration, 0.0, open_low=True)
    width = min(check_real("population_rates bin_width", bin_width, 0.0, open_low=True), duration)
    edges = np.append(np.arange(0.0, duration - 1e-9 * duration, width), duration)
    ax = as_axes(ax, 6.0, 3.8)
    for number, (name, one) in enumerate(spikes.items()):
        if name not in sizes:
            raise InvalidValueError(f"sizes of population_rates must have population {name!r}, got {sorted(sizes)}")
        size = check_count(f"number of neurons of {name!r}", sizes[name])
        counts, _ = np.histogram(numbers(f"times of spikes of {name!r}", one[0], 1), edges)
        ax.stairs(counts / size / np.diff(edges) * 1000.0, edges, label=name, baseline=None, **series_style(number))
    ax.set(xlabel="time (ms)", ylabel="rate (Hz)", xlim=(0.0, duration))
    ax.set_ylim(bottom=0.0)
    if len(spikes) > 1:
        ax.legend(fontsize="small", ncols=2, frameon=False)
    plain(ax)
    return ax


def neuron_distributions(values: Mapping[str, npt.NDArray[Any]], ax: Axes | None = None, *, label: str) -> Axes:
    """A number of every neuron, such as its rate, as a box for each population: median, quartiles, and whiskers to the
    last neuron within 1.5 times the box; a cross at the mean.

    Args:
        values: by name of a population ``[neuron]``; what is not a number is left out.
        ax: where to draw; a new figure where not given.
        label: of the numbers, with their unit.
    """
    shown = {name: numbers(f"values of {name!r}", v, 1) for name, v in values.items()}
    known = [v[~np.isnan(v)] for v in shown.values()]
    ax = as_axes(ax, 6.0, 3.8)
    for place, v in enumerate(known, 1):  # by hand: matplotlib's boxplot imports pyplot
        if v.size:
            low, median, high = np.quantile(v, [0.25, 0.5, 0.75])
            reach = 1.5 * (high - low)
            least, most = v[v >= low - reach].min(), v[v <= high + reach].max()
            ax.bar(place, high - low, 0.5, low, fill=False, edgecolor=COLOURS["blue"])
            ax.vlines([place, place], [least, high], [low, most], colors=COLOURS["blue"])
            ax.hlines([least, most], place - 0.12, place + 0.12, colors=COLOURS["blue"])
            ax.plot([place - 0.25, place + 0.25], [median, median], color=COLOURS["vermillion"])
            ax.plot(place, v.mean(), "x", color=COLOURS["black"])
    ax.set_xlim(0.4, len(known) + 0.6)
    ax.set_xticks(range(1, len(shown) + 1), list(shown))
    ax.set(xlabel="population", ylabel=label)
    ax.set_ylim(bottom=0.0)
    plain(ax)
    return ax
