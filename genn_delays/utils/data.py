"""Spikes under the names of mlGeNN's ``utils.data``: an example is a pair ``(times in ms, neurons)``.

mlGeNN's functions give ``PreprocessedSpikes``; these give what ``train``, ``evaluate`` and ``predict`` take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..datasets.dataset import Events
from ..datasets.yin_yang import sample_points
from ..errors import InvalidValueError, check_count, check_real
from ..porting import missing_from

__all__ = [
    "calc_latest_spike_time",
    "calc_max_spikes",
    "generate_yin_yang_dataset",
    "linear_latency_encode_data",
    "log_latency_encode_data",
    "preprocess_spikes",
    "preprocess_tonic_spikes",
]


def preprocess_spikes(times: Any, ids: Any, num_neurons: int) -> Events:
    """An example of spikes in any order, sorted by neuron and time.

    Args:
        times: in ms, ``[spike]``.
        ids: neurons, whole numbers below `num_neurons`, ``[spike]``.

    Raises:
        InvalidValueError: they differ in length, or a neuron does not exist.
    """
    num_neurons = check_count("num_neurons", num_neurons)
    when, which = np.asarray(times), np.asarray(ids)
    if when.ndim != 1 or when.shape != which.shape:
        raise InvalidValueError(f"times and ids must be of one length, got shapes {when.shape} and {which.shape}")
    if which.size and which.dtype.kind not in "iu":
        raise InvalidValueError(f"ids must be whole numbers, got dtype {which.dtype}")
    which = which.astype(np.int64)
    if which.size and not 0 <= which.min() <= which.max() < num_neurons:
        bad = which[(which < 0) | (which >= num_neurons)][0]
        raise InvalidValueError(f"ids must lie in [0, {num_neurons}), got {bad}")
    order = np.lexsort((when, which))
    return Events(when[order], which[order])


def preprocess_tonic_spikes(
    events: Any,
    ordering: Sequence[str],
    shape: Sequence[int],
    time_scale: float = 1.0 / 1000.0,
    dt: float | None = None,
    histogram_thresh: int | None = None,
) -> Events:
    """An example of a Tonic data set, ``(events, label)``, as spikes of flat neurons.

    A neuron's number is ``p + polarities (x + width y)``, as in mlGeNN; a sensor without ``y`` is one row.

    Args:
        events: a structured array with fields ``t``, ``x``, ``p`` and perhaps ``y``.
        ordering: the names of its fields, ``dataset.ordering``.
        shape: width, height and polarities of the sensor, ``dataset.sensor_size``.
        time_scale: from the times of `events` to ms.
        dt: bins of so many ms, for `histogram_thresh`.
        histogram_thresh: a neuron spikes in a bin that has so many events or more, at the bin's begin; all events are
            spikes where not given.

    Raises:
        InvalidValueError: a field is missing, or one of `dt` and `histogram_thresh` is.
    """
    missing = [name for name in "txp" if name not in ordering]
    if missing:
        raise InvalidValueError(f"ordering must name the fields t, x and p, got {list(ordering)} without {missing[0]}")
    if (dt is None) is not (histogram_thresh is None):
        raise InvalidValueError("dt and histogram_thresh must be given together")
    width, height, polarities = (check_count("shape", size) for size in shape)
    place = events["x"].astype(np.int64)
    if "y" in ordering:
        place = place + width * events["y"].astype(np.int64)
    neurons = place if polarities == 1 else events["p"].astype(np.int64) + polarities * place
    times = events["t"] * check_real("time_scale", time_scale, 0.0, open_low=True)
    size = width * height * polarities
    if dt is None or histogram_thresh is None:
        return preprocess_spikes(times, neurons, size)
    step = check_real("dt", dt, 0.0, open_low=True)
    bins, counts = np.unique(np.stack([neurons, np.floor(times / step).astype(np.int64)]), axis=1, return_counts=True)
    busy = bins[:, counts >= check_count("histogram_thresh", histogram_thresh)]
    return preprocess_spikes(busy[1] * step, busy[0], size)


def linear_latency_encode_data(data: Any, max_time: float, min_time: float = 0.0, thresh: float = 1) -> list[Events]:
    """Values 0 to 255 as one spike each, the brighter the earlier: 255 at `min_time`, 0 at `max_time`.

    Args:
        data: ``[example, ...]``, flattened to neurons.
        max_time, min_time: in ms.
        thresh: values up to this do not spike.
    """
    first = check_real("min_time", min_time, 0.0)
    last = check_real("max_time", max_time, first)

    def spread(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return first + (255.0 - values) / 255.0 * (last - first)

    return [_latency(example, thresh, spread) for example in _examples(data)]


def log_latency_encode_data(data: Any, tau_eff: float, thresh: float) -> list[Events]:
    """Values as one spike each, at ``tau_eff ln(x / (x - thresh))``: when a membrane driven by `x` gets to `thresh`.

    Args:
        data: ``[example, ...]``, flattened to neurons.
        tau_eff: in ms.
        thresh: values up to this do not spike; at least 0.
    """
    tau = check_real("tau_eff", tau_eff, 0.0, open_low=True)
    low = check_real("thresh", thresh, 0.0)

    def climb(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return tau * np.log(values / (values - low))

    return [_latency(example, low, climb) for example in _examples(data)]


def _examples(data: Any) -> npt.NDArray[np.float64]:
    """Values ``[example, neuron]``."""
    values = np.asarray(data)
    if values.ndim < 2 or values.dtype.kind not in "iuf":
        raise InvalidValueError(f"data must be numbers [example, ...], got {values.dtype} of shape {values.shape}")
    flat: npt.NDArray[np.float64] = values.reshape(len(values), -1).astype(np.float64)
    return flat


def _latency(example: npt.NDArray[np.float64], thresh: float, time_of: Any) -> Events:
    neurons = np.flatnonzero(example > thresh)
    return Events(time_of(example[neurons]), neurons)


def calc_max_spikes(spikes: Sequence[Events]) -> int:
    """The largest number of spikes of an example, of all its neurons."""
    return max((len(times) for times, _ in spikes), default=0)


def calc_latest_spike_time(spikes: Sequence[Events]) -> float:
    """The time of the last spike of all examples, in ms."""
    return max((float(np.max(times)) for times, _ in spikes if len(times)), default=0.0)


def generate_yin_yang_dataset(
    size: int, scale: float, offset: float = 0.0, bias: bool = True
) -> tuple[list[Events], npt.NDArray[np.int64]]:
    """The Yin-Yang task (see :func:`genn_delays.datasets.yin_yang.load_yin_yang`) with other times of its spikes.

    Points are ours, the same at every call; classes come in turn. A value x spikes at ``offset + scale x`` ms.

    Args:
        size: examples.
        scale, offset: in ms.
        bias: a first neuron that spikes at `offset`.

    Returns:
        Spikes of 4 or 5 neurons, and labels 0, 1, 2.
    """
    labels = np.arange(check_count("size", size), dtype=np.int64) % 3
    points = sample_points(labels)
    values = np.concatenate([points, 1.0 - points], axis=1)
    if bias:
        values = np.concatenate([np.zeros((len(values), 1)), values], axis=1)
    times = check_real("offset", offset, 0.0) + values * check_real("scale", scale, 0.0, open_low=True)
    return [Events(row, np.arange(row.size)) for row in times], labels


if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
