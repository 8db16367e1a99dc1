"""Statistics of spike trains: rates, irregularity, synchrony and rhythm of a population."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_count, check_real

F64 = npt.NDArray[np.float64]
BIN = 3.0
"""Width in ms of the bins of :attr:`SpikeTrains.synchrony`."""
FEWEST_SPIKES = 3
"""Neurons with fewer spikes, and so fewer than two intervals, have no CV."""
CORRELATION_BIN = 2.0
"""Width in ms of the bins of :attr:`SpikeTrains.correlation`."""
RHYTHM_BIN, RHYTHM_SPAN = 1.0, 1000.0
"""Width in ms of the bins of :attr:`SpikeTrains.rhythm`, and of the spans whose spectra are averaged."""
RHYTHM_HEIGHT = 20.0
"""A rhythm's power over the spectrum's median. Independent spikes exceed it in fewer than one of a thousand cases, even
in a single span."""


@dataclass(frozen=True)
class SpikeTrains:
    """Statistics of the spikes of a population between two moments.

    Attributes:
        population: its name.
        start, stop: in ms.
        counts: spikes of every neuron, int64 ``[neuron]``.
        cv_isi: of every neuron the coefficient of variation of its inter-spike intervals, their standard deviation over
            their mean; not a number for fewer than three spikes. 1 for a Poisson process, 0 for a clock.
        synchrony: variance over mean of the population's spike counts in bins of 3 ms, as Potjans & Diesmann (2014, doi
            10.1093/cercor/bhs358) measure it: 1 for independent Poisson processes. Not a number without spikes.
        correlation: correlation coefficient of the spike counts of two neurons in bins of 2 ms, mean over all pairs of
            neurons that spike: 0 where they are independent, 1 where all do the same. Not a number for fewer than two
            such neurons. The bins are those of the reference data of Potjans and Diesmann's circuit.
        rhythm: frequency in Hz, below 500, of the highest peak in the power spectrum of the population's spikes; not a
            number where none stands out. Spectra of spans of 1 s (of the whole time where it is shorter) are averaged
            (Welch 1967, doi 10.1109/TAU.1967.1161901), so it is known to 1 Hz. A peak stands out if it is 20 times the
            median of the spectrum, and twice the power at its lowest frequency, which a slow drift would have.
    """

    population: str
    start: float
    stop: float
    counts: npt.NDArray[np.int64]
    cv_isi: F64
    synchrony: float
    correlation: float = float("nan")
    rhythm: float = float("nan")

    @property
    def rates(self) -> F64:
        """Spikes a second (Hz) of every neuron, ``[neuron]``."""
        return self.counts.astype(np.float64) * (1000.0 / (self.stop - self.start))

    @property
    def rate(self) -> float:
        """Mean of :attr:`rates`."""
        return float(self.rates.mean())

    @property
    def cv(self) -> float:
        """Mean of :attr:`cv_isi` over the neurons that have one; not a number where none has."""
        known = self.cv_isi[~np.isnan(self.cv_isi)]
        return float(known.mean()) if known.size else float("nan")

    @property
    def silent(self) -> int:
        """Neurons without a spike."""
        return int((self.counts == 0).sum())


def spike_trains(
    times: Any, neurons: Any, size: int, stop: float, *, start: float = 0.0, population: str = ""
) -> SpikeTrains:
    """Statistics of spikes, as ``simulation.spikes(population)`` gives them.

    Args:
        times: in ms ``[spike]``, in any order; those outside ``start <= t < stop`` are left out.
        neurons: of every spike its neuron, ``[spike]``.
        size: number of neurons.
        stop: in ms, above `start`.
        start: in ms, at least 0.
        population: its name, for the result.

    Raises:
        InvalidValueError: these are no spikes of so many neurons, or the time between is empty.
    """
    size = check_count("size", size)
    start = check_real("start", start, 0.0)
    stop = check_real("stop", stop, start, open_low=True)
    times, neurons = np.asarray(times, np.float64), np.asarray(neurons)
    if times.shape != neurons.shape or times.ndim != 1 or (neurons.size and neurons.dtype.kind not in "iu"):
        raise InvalidValueError(
            f"spikes must be as many times as neurons, [spike] each, got {times.shape} and {neurons.shape}"
        )
    if neurons.size and not 0 <= neurons.min() <= neurons.max() < size:
        wrong = neurons[(neurons < 0) | (neurons >= size)][0]
        raise InvalidValueError(f"neurons of spikes must be from 0 to {size - 1}, got {wrong}")
    within = (times >= start) & (times < stop)
    times, neurons = times[within], neurons[within].astype(np.int64)
    counts = np.bincount(neurons, minlength=size)
    return SpikeTrains(
        population, start, stop, counts, _cv_isi(times, neurons, counts), _synchrony(times, start, stop),
        _correlation(times, neurons, size, start, stop), _rhythm(times, start, stop),
    )  # fmt: skip


def _cv_isi(times: F64, neurons: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> F64:
    order = np.lexsort((times, neurons))
    times, neurons = times[order], neurons[order]
    same = neurons[1:] == neurons[:-1]
    intervals, owner = np.diff(times)[same], neurons[1:][same]
    number = np.maximum(counts - 1, 1)
    mean = np.bincount(owner, intervals, counts.size) / number
    variance = np.bincount(owner, (intervals - mean[owner]) ** 2, counts.size) / number
    enough = counts >= FEWEST_SPIKES
    found = np.full(counts.size, np.nan)
    found[enough] = np.sqrt(variance[enough]) / mean[enough]
    return found


def _bins(times: F64, start: float, stop: float, width: float) -> tuple[npt.NDArray[np.int64], int]:
    """Of every spike its bin, and the number of whole bins; the rest of the time is left out."""
    # a time on a border, such as 0.3 = 3 * 0.1, is the next bin's in spite of its rounding
    return np.floor((times - start) / width + 1e-9).astype(np.int64), int((stop - start) / width + 1e-9)


def _synchrony(times: F64, start: float, stop: float) -> float:
    index, bins = _bins(times, start, stop, BIN)
    if bins < 2:
        return float("nan")
    counts = np.bincount(index[index < bins], minlength=bins)
    return float(counts.var() / counts.mean()) if counts.any() else float("nan")


def _correlation(times: F64, neurons: npt.NDArray[np.int64], size: int, start: float, stop: float) -> float:
    """With counts z of a neuron shifted and scaled to mean 0 and variance 1, the sum over all pairs of the mean product
    is (Var(sum of z) - neurons) / 2."""
    index, bins = _bins(times, start, stop, CORRELATION_BIN)
    if bins < 2:
        return float("nan")
    within = index < bins
    key, counts = np.unique(neurons[within] * bins + index[within], return_counts=True)
    neuron, bin_ = key // bins, key % bins
    mean = np.bincount(neuron, counts, size) / bins
    variance = np.bincount(neuron, counts.astype(np.float64) ** 2, size) / bins - mean**2
    varying = variance > 1e-12
    number = int(varying.sum())
    if number < 2:
        return float("nan")
    scale = np.zeros(size)
    scale[varying] = variance[varying] ** -0.5
    total = np.bincount(bin_, counts * scale[neuron], bins)
    return float((total.var() - number) / (number * (number - 1)))


def _rhythm(times: F64, start: float, stop: float) -> float:
    from scipy import signal  # slow to import

    index, bins = _bins(times, start, stop, RHYTHM_BIN)
    span = min(bins, int(RHYTHM_SPAN / RHYTHM_BIN))
    if span < 32:
        return float("nan")
    counts = np.bincount(index[index < bins], minlength=bins).astype(np.float64)
    frequency, power = signal.welch(counts - counts.mean(), fs=1000.0 / RHYTHM_BIN, nperseg=span)
    highest = int(power[1:].argmax()) + 1
    stands_out = power[highest] > max(RHYTHM_HEIGHT * np.median(power[1:]), 2 * power[1])
    return float(frequency[highest]) if stands_out else float("nan")
