"""State variables over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidValueError, check_real
from .style import as_axes, marker, numbers, plain, series_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def traces(
    values: Any,
    ax: Axes | None = None,
    *,
    dt: float = 1.0,
    names: Sequence[str] | None = None,
    label: str = "v",
    threshold: float | None = None,
    highlight: int | None = None,
) -> Axes:
    """A line for every neuron.

    Args:
        values: ``[time, neuron]``, as a :class:`~genn_delays.VarRecorder` gives one example's.
        ax: where to draw; a new figure where not given.
        dt: length of a time step in ms.
        names: of the neurons; their numbers where not given.
        label: of the axis: the variable and its unit.
        threshold: drawn as a dashed line.
        highlight: a neuron whose line is thicker, such as that of the right class.

    Raises:
        InvalidValueError: the values are no such array, or names are not as many.
    """
    array = numbers("values", values, 2)
    dt = check_real("traces dt", dt, 0.0, open_low=True)
    told = [str(n) for n in range(array.shape[1])] if names is None else [str(name) for name in names]
    if len(told) != array.shape[1]:
        raise InvalidValueError(f"names must be as many as neurons, {array.shape[1]}, got {len(told)}")
    ax = as_axes(ax, 6.0, 3.8)
    time = np.arange(array.shape[0]) * dt
    every = max(1, array.shape[0] // 8)
    for n, name in enumerate(told):
        width = 2.6 if n == highlight else 1.1
        ax.plot(
            time, array[:, n], label=name, linewidth=width, marker=marker(n), markersize=3.5,
            markevery=(n * every // max(len(told), 1), every), **series_style(n),
        )  # fmt: skip
    if threshold is not None:
        ax.axhline(threshold, color="0.35", linewidth=1.0, linestyle=(0, (4, 3)), label="threshold")
    ax.set(xlabel="time (ms)", ylabel=label)
    ax.margins(x=0.0)
    plain(ax)
    if 1 < len(told) <= 24:
        ax.legend(fontsize=8, framealpha=0.9, ncols=1 + len(told) // 8, handlelength=2.6)
    return ax
