"""A confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidValueError
from .style import as_axes, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_NUMBERS = 20
"""Classes up to which the numbers are written into the fields."""


def confusion(counts: Any, ax: Axes | None = None, *, names: Sequence[str] | None = None) -> Axes:
    """Examples by their class (rows) and the class that the network chose (columns), with their numbers.

    A field is the darker, the larger its share of the row.

    Args:
        counts: ``[class, chosen class]``, numbers of examples.
        ax: where to draw; a new figure where not given.
        names: of the classes; their numbers where not given.

    Raises:
        InvalidValueError: it is not square, or names are not as many.
    """
    array = numbers("counts", counts, 2)
    if array.shape[0] != array.shape[1] or not array.size or array.min() < 0:
        raise InvalidValueError(f"counts must be square and at least 0, got shape {array.shape}")
    size = len(array)
    told = [str(n) for n in range(size)] if names is None else [str(name) for name in names]
    if len(told) != size:
        raise InvalidValueError(f"names must be as many as classes, {size}, got {len(told)}")
    ax = as_axes(ax, 4.8, 4.2)
    rows = array.sum(axis=1, keepdims=True)
    shares = np.divide(array, rows, out=np.zeros(array.shape), where=rows > 0)
    drawn = ax.imshow(100 * shares, cmap="Blues", vmin=0.0, vmax=100.0, interpolation="nearest")
    step = 1 if size <= _MOST_NUMBERS else -(-size // _MOST_NUMBERS)
    ax.set_xticks(range(0, size, step), told[::step], rotation=0 if max(map(len, told)) < 4 else 90)
    ax.set_yticks(range(0, size, step), told[::step])
    if size <= _MOST_NUMBERS:
        for row, column in np.argwhere(array > 0):
            dark = shares[row, column] > 0.5
            ax.text(
                column, row, f"{array[row, column]:g}", ha="center", va="center", fontsize=8 if size <= 12 else 6,
                color="white" if dark else "black",
            )  # fmt: skip
    ax.set(xlabel="chosen class", ylabel="class")
    ax.figure.colorbar(drawn, ax=ax, label="share of the class (%)")
    return ax
