"""The mel spectrogram of the published Google Speech Commands experiments, with NumPy alone.

The conventions are torchaudio's, which the published preprocessing calls; its result for a few signals is pinned by a
test. They differ from :mod:`.mel` in the mel scale, the filters' height, the padding and the reference of dB.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

LOG_MEL_VERSION = 1
"""Counts changes of the numbers computed here. Cached features of another version are not used."""

AMIN = 1e-10
"""The least power; it is -100 dB."""

_ZEROS = 6  # zero crossings of the resampling filter on either side
_ROLLOFF = 0.99


def log_mel_spectrogram(
    signal: npt.NDArray[np.float64],
    sample_rate: int,
    num_bands: int,
    *,
    fft_size: int,
    hop: int,
    low_hz: float,
    high_hz: float,
) -> npt.NDArray[np.float32]:
    """Mel power in dB of full scale.

    1. ``fft_size // 2`` samples are mirrored at both ends, then there is a frame every ``hop`` samples, so
       ``1 + n // hop`` of them, each weighted with a periodic Hann window;
    2. ``P[f, q] = |FFT(frame f)[q]|^2``;
    3. ``S[f, b] = sum_q M[b, q] P[f, q]`` with the filters of :func:`htk_filters`;
    4. ``x = 10 log10(max(S, 1e-10))``.

    Args:
        signal: ``[samples]``, full scale 1, more than ``fft_size // 2`` samples.
        sample_rate: samples per second.
        num_bands: mel bands.
        fft_size: points of the FFT, and samples of the window.
        hop: samples from a frame to the next.
        low_hz: where the lowest band begins.
        high_hz: where the highest band ends.

    Returns:
        float32 ``[1 + samples // hop, num_bands]`` in dB, -100 and above.

    Source:
        ``torchaudio.transforms.Spectrogram``, ``MelScale`` and ``AmplitudeToDB``, with their defaults.
    """
    padded = np.pad(signal, fft_size // 2, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft_size) / fft_size)
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_size)[::hop]
    spectrum = np.fft.rfft(frames * window, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    bands = power @ htk_filters(sample_rate, fft_size, num_bands, low_hz, high_hz).T
    return np.asarray(10 * np.log10(np.maximum(bands, AMIN)), dtype=np.float32)


@lru_cache(maxsize=8)
def htk_filters(
    sample_rate: int, fft_size: int, num_bands: int, low_hz: float, high_hz: float
) -> npt.NDArray[np.float64]:
    """Triangular filters of height 1, equally spaced on the mel scale ``2595 log10(1 + f / 700)``.

    A band that lies between two points of the FFT, or above half the sample rate, has a filter of zeros.

    Args:
        sample_rate: samples per second.
        fft_size: points of the FFT.
        num_bands: number of filters.
        low_hz: where the first filter begins.
        high_hz: where the last filter ends; may lie above half the sample rate.

    Returns:
        float64 ``[num_bands, fft_size // 2 + 1]``, read-only (it is shared between calls).

    Source:
        ``torchaudio.functional.melscale_fbanks(norm=None, mel_scale="htk")``.
    """
    mels = np.linspace(2595 * np.log10(1 + low_hz / 700), 2595 * np.log10(1 + high_hz / 700), num_bands + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)[:, None]
    frequencies = np.linspace(0, sample_rate // 2, fft_size // 2 + 1)
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling))
    filters.flags.writeable = False
    return filters


def halve_rate(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The signal at half its sample rate, through a sinc filter with a squared cosine as window.

    ``y[k] = sum_n s[n] h(2 k - n)`` with ``h(m) = c sinc(c m) cos(pi c m / 12)^2`` for ``|c m| < 6``, ``c = 0.99 / 2``,
    zeros before and after the signal.

    Args:
        signal: ``[samples]``.

    Returns:
        ``[ceil(samples / 2)]``.

    Source:
        ``torchaudio.transforms.Resample(16000, 8000)`` with its defaults.
    """
    cutoff = _ROLLOFF / 2
    reach = int(np.ceil(_ZEROS / cutoff))
    t = np.clip(cutoff * np.arange(-reach, reach + 1), -_ZEROS, _ZEROS)
    kernel = cutoff * np.sinc(t) * np.cos(np.pi * t / (2 * _ZEROS)) ** 2
    return np.convolve(signal, kernel)[reach : reach + signal.size : 2]
