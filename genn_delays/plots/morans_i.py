"""Distributions of Moran's I, one below the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, shown
from .style import as_axes, marker, numbers, plain, series_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SPREAD = 0.3


def morans_i(groups: Mapping[str, npt.ArrayLike], ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Draw the values of several groups as points, a row each, with the median and the quartiles of every group.

    Args:
        groups: by name the values of Moran's I, such as ``{"untrained": ..., "trained": ...}``; the first at the top.
        ax: to draw into.
        title: above the picture.

    Raises:
        InvalidValueError: there is no group, or one without finite numbers.
    """
    if not isinstance(groups, Mapping) or not groups:
        raise InvalidValueError(f"groups must be Moran's I by name, one at least, got {shown(groups)}")
    parts = {str(name): numbers(f"Moran's I of {name!r}", values, 1) for name, values in groups.items()}
    for name, values in parts.items():
        if not values.size or not np.isfinite(values).all():
            raise InvalidValueError(f"Moran's I of {name!r} must be finite numbers, one at least")
    ax = as_axes(ax, 5.4, 0.9 + 0.9 * len(parts))
    for row, values in enumerate(parts.values()):
        colour = series_style(row)["color"]
        low, middle, high = np.percentile(values, (25, 50, 75))
        ax.fill_betweenx([row - 0.38, row + 0.38], low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot([middle, middle], [row - 0.38, row + 0.38], color=colour, linewidth=2.0)
        ax.plot(
            values, row + _beside(values), marker(row), color=colour, markersize=4.5, markeredgecolor="white",
            markeredgewidth=0.4, linestyle="",
        )  # fmt: skip
    labels = [f"{name}\n(n = {values.size})" for name, values in parts.items()]
    ax.set_yticks(range(len(parts)), labels)
    ax.set_ylim(len(parts) - 0.45, -0.55)
    ax.set_ylabel("fields")
    ax.set_xlabel("highest Moran's I of a field (line: median; band: quartiles)")
    ax.tick_params(axis="y", length=0)
    plain(ax, "x")
    if title:
        ax.set_title(title, fontsize=10)
    return ax


def _beside(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Offsets that keep points of nearly equal values apart; the same values give the same picture."""
    golden = 0.5 * (np.sqrt(5.0) - 1.0)
    offsets = np.empty(values.size)
    offsets[np.argsort(values, kind="stable")] = ((np.arange(values.size) * golden) % 1.0 - 0.5) * 2 * _SPREAD
    return offsets if values.size > 1 else np.zeros(1)
