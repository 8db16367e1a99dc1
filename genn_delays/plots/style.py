"""Axes, colours and line styles that all pictures share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "blue": "#0072B2", "vermillion": "#D55E00", "green": "#009E73", "purple": "#CC79A7", "sky": "#56B4E9",
    "orange": "#E69F00", "black": "#000000", "yellow": "#F0E442",
}  # fmt: skip
"""The palette of Okabe and Ito (2008), in the order in which series take their colours."""

_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)))
_MARKERS = "os^Dv*P"


def series_style(number: int) -> dict[str, Any]:
    """The colour and the line style of the series of a number, from 0; 49 in a row differ."""
    colours = [c for name, c in COLOURS.items() if name != "yellow"]  # too light for a line on white
    return {
        "color": colours[number % len(colours)],
        "linestyle": _LINES[(number + number // len(colours)) % len(_LINES)],
    }


def marker(number: int) -> str:
    """The marker of the series of a number, from 0."""
    return _MARKERS[number % len(_MARKERS)]


def as_axes(ax: Axes | None, width: float = 6.0, height: float = 3.8) -> Axes:
    """The axes given, or those of a new figure of this size (inches)."""
    if ax is not None:
        if not hasattr(ax, "plot") or not hasattr(ax, "figure"):
            raise InvalidValueError(f"ax must be axes of matplotlib, or None for new ones, got {shown(ax)}")
        return ax
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        made: Axes = pyplot.subplots(figsize=(width, height), layout="constrained")[1]
        return made
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots()


def plain(ax: Axes, grid: str = "y") -> None:
    """Axes without a frame at the top and at the right, with a faint grid behind what is drawn."""
    ax.spines[["top", "right"]].set_visible(False)
    if grid:
        ax.grid(axis=grid, color="0.9", linewidth=0.8)  # type: ignore[arg-type]
        ax.set_axisbelow(True)


def numbers(what: str, values: Any, ndim: int) -> npt.NDArray[Any]:
    """An array of numbers with so many dimensions.

    Raises:
        InvalidValueError: it is another one.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InvalidValueError(f"{what} must be an array of numbers: {error}") from error
    if array.ndim != ndim or array.dtype.kind not in "biuf":
        raise InvalidValueError(
            f"{what} must be an array of numbers with {ndim} dimension{'s'[: ndim > 1]}, got {array.dtype} of shape "
            f"{array.shape}"
        )
    return array
