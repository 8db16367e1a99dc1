"""Spikes over time, and real-valued activity as an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_count, check_real, shown
from .style import as_axes, numbers, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHADES = ("#000000", "#0072B2", "#D55E00", "#009E73")
Spikes = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def raster(
    spikes: Any,
    ax: Axes | None = None,
    *,
    sizes: int | Mapping[str, int] | None = None,
    dt: float = 1.0,
    duration: float | None = None,
) -> Axes:
    """A tick for every spike: time from left to right, neurons from below.

    Args:
        spikes: ``(times in ms, neurons)``, as a :class:`~genn_delays.SpikeRecorder` gives one example's, or an array
            ``[time, neuron]`` that is not zero where a neuron spikes; or a dict of these by the name of a population,
            drawn one above the other.
        ax: where to draw; a new figure where not given.
        sizes: numbers of neurons, by population where there are several; up to the last one that spikes where not
            given.
        dt: length of a time step in ms, for arrays.
        duration: end of the time axis in ms; the last spike where not given.

    Raises:
        InvalidValueError: the spikes are none of these.
    """
    dt = check_real("raster dt", dt, 0.0, open_low=True)
    named = spikes if isinstance(spikes, Mapping) else {"": spikes}
    wanted = sizes if isinstance(sizes, Mapping) else dict.fromkeys(named, sizes)
    rows = {name: _rows(name, one, wanted.get(name), dt) for name, one in named.items()}
    ax = as_axes(ax, 6.0, 3.8)
    total = sum(size for _, _, size in rows.values())
    first, places, gap = 0, [], max(1, total // 50)
    half = max(0.45, total / 400)  # so that a tick can be seen where neurons are many
    for number, (name, (times, neurons, size)) in enumerate(rows.items()):
        if times.size:
            ax.vlines(
                times, first + neurons - half, first + neurons + half, colors=_SHADES[number % len(_SHADES)],
                linewidths=1.0,
            )  # fmt: skip
        places.append((name, first, size))
        first += size + gap
    _neuron_axis(ax, places, first - gap)
    last = max([float(times.max()) for times, _, _ in rows.values() if times.size], default=0.0)
    ax.set_xlim(0.0, max(last + dt, 1e-9) if duration is None else duration)
    ax.set_xlabel("time (ms)")
    plain(ax, "")
    return ax


def image(values: Any, ax: Axes | None = None, *, dt: float = 1.0, label: str = "input", colours: bool = True) -> Axes:
    """Real-valued activity, brighter where it is larger: time from left to right, neurons from below.

    Args:
        values: ``[time, neuron]``.
        ax: where to draw; a new figure where not given.
        dt: length of a time step in ms.
        label: of the scale of colours.
        colours: whether that scale is drawn.
    """
    array = numbers("values", values, 2)
    dt = check_real("image dt", dt, 0.0, open_low=True)
    ax = as_axes(ax, 6.0, 3.8)
    shown_image = ax.imshow(
        array.T, origin="lower", aspect="auto", cmap="cividis", interpolation="nearest",
        extent=(0.0, array.shape[0] * dt, -0.5, array.shape[1] - 0.5),
    )  # fmt: skip
    ax.set(xlabel="time (ms)", ylabel="neuron")
    if colours:
        ax.figure.colorbar(shown_image, ax=ax, label=label)
    return ax


def _rows(name: str, spikes: Any, size: int | None, dt: float) -> tuple[npt.NDArray[Any], npt.NDArray[Any], int]:
    """Times (ms), neurons and the number of neurons of a population."""
    what = f"spikes of {name!r}" if name else "spikes"
    if isinstance(spikes, tuple) and len(spikes) == 2:
        times, neurons = numbers(f"times of {what}", spikes[0], 1), numbers(f"neurons of {what}", spikes[1], 1)
        if times.shape != neurons.shape:
            raise InvalidValueError(f"{what} must be as many times as neurons, got {times.size} and {neurons.size}")
        neurons = neurons.astype(np.int64)
        most = int(neurons.max(initial=-1)) + 1
    elif isinstance(spikes, np.ndarray):
        steps, neurons = np.nonzero(numbers(what, spikes, 2))
        times, most = steps * dt, spikes.shape[1]
    else:
        raise InvalidValueError(f"{what} must be (times, neurons) or an array [time, neuron], got {shown(spikes)}")
    if times.size and (times.min() < 0 or neurons.min() < 0):
        raise InvalidValueError(f"{what} must have times and neurons of at least 0")
    if size is not None:
        most = check_count(f"number of neurons of {what}", size, most)
    return times, neurons, max(most, 1)


def _neuron_axis(ax: Axes, places: list[tuple[str, int, int]], top: int) -> None:
    """The labels of neurons: numbers of one population, names of several."""
    ax.set_ylim(-0.5, top - 0.5)
    if len(places) == 1:
        ax.set_ylabel(f"neuron of {places[0][0]}" if places[0][0] else "neuron")
        return
    ax.set_yticks([first + (size - 1) / 2 for _, first, size in places], [name for name, _, _ in places])
    ax.tick_params(axis="y", length=0)
    for _, first, _ in places[1:]:
        ax.axhline(first - 0.5, color="0.7", linewidth=0.8)
