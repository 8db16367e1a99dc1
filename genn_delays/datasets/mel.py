"""The mel spectrogram of the published Raw Heidelberg Digits experiments, with NumPy alone.

The conventions are librosa's (0.10 and later), which the published preprocessing calls; a test compares the two.
librosa itself would bring 26 packages for these few lines.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_count, check_real

MEL_VERSION = 1
"""Counts changes of the numbers computed here. Cached features of another version are not used."""

FLOOR_DB = 80.0
"""Power more than this below the recording's maximum counts as silence (dB)."""

SCALE_DB = 50.0
"""dB per unit of the result, so values lie in 0 .. 1.6."""


def mel_spectrogram(
    signal: npt.ArrayLike,
    sample_rate: int,
    num_bands: int = 40,
    num_frames: int = 80,
    *,
    pre_emphasis: float = 0.95,
    frame_ms: float = 25.0,
    hop_ms: float = 10.0,
    fft_size: int = 512,
    amin: float = 1e-10,
) -> npt.NDArray[np.float32]:
    """Mel power in dB below the recording's maximum, shifted and scaled to 0 .. 1.6.

    In this order, for a signal ``s`` of ``n`` samples:

    1. pre-emphasis: ``y[0] = s[0]``, ``y[k] = s[k] - 0.95 s[k - 1]``;
    2. frames: ``fft_size // 2`` zeros on both sides, then a frame every ``int(hop)`` samples, so frame ``f`` is centred
       on sample ``f * hop`` and there are ``1 + n // hop`` of them; each is weighted with a periodic Hann window of
       ``min(int(frame), fft_size)`` samples in the middle of ``fft_size``;
    3. power: ``P[f, q] = |FFT(frame f)[q]|^2``;
    4. bands: ``S[f, b] = sum_q M[b, q] P[f, q]`` with the filters of :func:`mel_filters`;
    5. the first ``num_frames`` frames are kept, a short recording is filled up with ``S = 0``;
    6. ``D = 10 log10(max(S, amin) / max S)``, the maximum over the kept frames;
    7. ``x = (max(D, -80) + 80) / 50``.

    Cropping comes before the maximum, as in the published code: the loudest moment of what the network sees is always
    at 1.6, and nothing that it does not see changes its input. Filling up before the logarithm makes padding what
    silence is: exactly 0, unless ``amin`` lies higher than 80 dB below the maximum. That happens with quiet recordings
    (``max S < 1e8 amin``, that is 0.01); their silence then is a positive constant that tells how loud they were. A
    smaller ``amin`` makes the result independent of the recording level.

    Args:
        signal: ``[samples]``, real, full scale 1 (16 bit samples divided by 32768).
        sample_rate: samples per second; the signal is not resampled.
        num_bands: mel bands between 0 Hz and half the sample rate.
        num_frames: frames of the result.
        pre_emphasis: coefficient of the first step, 0 for none, at most 1.
        frame_ms: length of the window in ms.
        hop_ms: time from a frame to the next in ms.
        fft_size: points of the FFT, the greatest length of the window.
        amin: the least power, in units of full scale squared; librosa's default.

    Returns:
        float32 ``[num_frames, num_bands]``, 0 (80 dB or more below the maximum) to 1.6 (the maximum).

    Raises:
        InvalidValueError: the signal is empty, not a list of real numbers, not finite or silent, or a parameter is not
            allowed.

    Source:
        Mészáros, Knight & Nowotny 2024, doi 10.3389/fncom.2024.1460309; ``librosa.stft``, ``librosa.filters.mel`` and
        ``librosa.power_to_db(ref=np.max)``.

    Example:
        >>> t = np.arange(8000) / 8000
        >>> mel_spectrogram(np.sin(2 * np.pi * 440 * t), sample_rate=8000).shape
        (80, 40)
    """
    samples = _checked_signal(signal)
    sample_rate = check_count("sample_rate", sample_rate)
    num_bands, num_frames = check_count("num_bands", num_bands), check_count("num_frames", num_frames)
    fft_size = check_count("fft_size", fft_size, low=2)
    pre_emphasis = check_real("pre_emphasis", pre_emphasis, 0, 1)
    amin = check_real("amin", amin, 0, open_low=True)
    window_samples = min(_samples("frame_ms", frame_ms, sample_rate), fft_size)
    hop = _samples("hop_ms", hop_ms, sample_rate)

    emphasised = np.append(samples[:1], samples[1:] - pre_emphasis * samples[:-1])
    padded = np.pad(emphasised, fft_size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_size)[::hop][:num_frames]
    spectrum = np.fft.rfft(frames * _centred_window(window_samples, fft_size), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    bands = power @ mel_filters(sample_rate, fft_size, num_bands).T

    return _scaled_decibels(bands, num_frames, amin)


def _scaled_decibels(bands: npt.NDArray[np.float64], num_frames: int, amin: float) -> npt.NDArray[np.float32]:
    """Power ``[frames, bands]`` in dB below its maximum, filled up to `num_frames`, shifted and scaled."""
    loudest = float(bands.max())
    if loudest < amin:
        raise InvalidValueError(
            f"signal is silent in its first {num_frames} frames: no power above {amin:g} to measure dB against"
        )
    decibels = np.full((num_frames, bands.shape[1]), 10 * np.log10(amin / loudest))
    decibels[: len(bands)] = 10 * np.log10(np.maximum(bands, amin) / loudest)
    return np.asarray((np.maximum(decibels, -FLOOR_DB) + FLOOR_DB) / SCALE_DB, dtype=np.float32)


@lru_cache(maxsize=16)
def mel_filters(sample_rate: int, fft_size: int, num_bands: int) -> npt.NDArray[np.float64]:
    """Triangular filters, equally spaced on Slaney's mel scale from 0 Hz to half the sample rate.

    Band ``b`` rises from edge ``b`` to edge ``b + 1`` and falls to edge ``b + 2``, and is scaled by
    ``2 / (edge[b + 2] - edge[b])``, so each band passes the same power of white noise.

    Args:
        sample_rate: samples per second.
        fft_size: points of the FFT.
        num_bands: number of filters.

    Returns:
        float64 ``[num_bands, fft_size // 2 + 1]`` in 1/Hz, read-only (it is shared between calls).

    Raises:
        InvalidValueError: so many bands that one of them lies between two points of the FFT and is always silent.

    Source:
        M. Slaney: Auditory Toolbox, 1998; ``librosa.filters.mel(htk=False, norm="slaney")``.
    """
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(sample_rate / 2), num_bands + 2))[:, None]
    frequencies = np.fft.rfftfreq(fft_size, 1 / sample_rate)
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    empty = np.flatnonzero(filters.max(axis=1) == 0)
    if empty.size:
        raise InvalidValueError(
            f"num_bands={num_bands} is too many for fft_size={fft_size} at {sample_rate} Hz: "
            f"band {empty[0]} lies between two points of the FFT"
        )
    filters.flags.writeable = False
    return filters


_LINEAR_HZ = 1000.0  # Slaney's scale is linear up to here, logarithmic above
_HZ_PER_MEL = 200.0 / 3
_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    if hz < _LINEAR_HZ:
        return hz / _HZ_PER_MEL
    return float(_LINEAR_HZ / _HZ_PER_MEL + np.log(hz / _LINEAR_HZ) / _LOG_STEP)


def _mel_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    corner = _LINEAR_HZ / _HZ_PER_MEL
    above = _LINEAR_HZ * np.exp(_LOG_STEP * np.maximum(mel - corner, 0))
    return np.asarray(np.where(mel < corner, mel * _HZ_PER_MEL, above))


@lru_cache(maxsize=16)
def _centred_window(length: int, fft_size: int) -> npt.NDArray[np.float64]:
    """A periodic Hann window in the middle of ``fft_size`` samples."""
    window = np.zeros(fft_size)
    start = (fft_size - length) // 2
    window[start : start + length] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    window.flags.writeable = False
    return window


def _samples(name: str, milliseconds: float, sample_rate: int) -> int:
    """A duration in whole samples, rounded down as the published code does."""
    count = int(sample_rate * check_real(name, milliseconds, 0, open_low=True) / 1000)
    if count < 1:
        raise InvalidValueError(f"{name}={milliseconds:g} is less than one sample at {sample_rate} Hz")
    return count


def _checked_signal(signal: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(signal)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.floating):
        # Integers are refused, not guessed at: the full scale they are meant against is not known here.
        raise InvalidValueError(
            "signal must be a list of real samples with full scale 1 (16 bit samples divided by 32768), "
            f"got {array.dtype} of shape {array.shape}"
        )
    if array.size == 0:
        raise InvalidValueError("signal is empty")
    if not np.isfinite(array).all():
        raise InvalidValueError(f"signal is not finite at sample {int(np.flatnonzero(~np.isfinite(array))[0])}")
    return array.astype(np.float64)
