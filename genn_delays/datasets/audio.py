"""Recordings as samples: WAV, FLAC, and another sample rate."""

from __future__ import annotations

import io
import struct
import warnings
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError


def read_wav(name: str, content: bytes, sample_rate: int) -> npt.NDArray[np.float64]:
    """``[samples]``, full scale 1, of a mono 16 bit PCM file.

    Args:
        name: of the file, for messages.
        content: of the file.
        sample_rate: samples per second that it must have.

    Raises:
        DatasetError: it is not that; the message names the file and what it is.
    """
    from scipy.io import wavfile  # only where recordings are read

    try:
        with warnings.catch_warnings():
            # A file that ends early is an error here, not a warning; a chunk with, say, the title is neither.
            warnings.simplefilter("error", wavfile.WavFileWarning)
            warnings.filterwarnings("ignore", "Chunk", wavfile.WavFileWarning)
            rate, samples = wavfile.read(io.BytesIO(content))
    except (ValueError, EOFError, struct.error, wavfile.WavFileWarning) as error:
        raise DatasetError(f"{name} is not a readable WAV file: {error}") from error
    if rate != sample_rate or samples.dtype != np.int16 or samples.ndim != 1:
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        found = f"{rate} Hz, {samples.dtype}, {channels} channel(s)"
        raise DatasetError(f"{name} must be mono 16 bit PCM of {sample_rate} Hz; it is {found}")
    return np.asarray(samples / 32768.0, dtype=np.float64)


def read_flac(name: str, content: bytes, soundfile: Any) -> tuple[npt.NDArray[np.float64], int]:
    """``[samples]``, full scale 1, and the sample rate of a FLAC file of any rate and depth.

    Several channels are averaged, as the published preprocessing does.

    Args:
        name: of the file, for messages.
        content: of the file.
        soundfile: the package, see :func:`.sources.need_package`.

    Raises:
        DatasetError: it is no FLAC file, or is damaged; the message names the file.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if file.format != "FLAC":
                raise DatasetError(f"{name} must be a FLAC file; it is {file.format}")
            frames, rate = file.frames, file.samplerate
            samples = file.read(dtype="float64", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        reason = getattr(error, "error_string", str(error))  # the whole message has the address of the buffer, too
        raise DatasetError(f"{name} is not a readable FLAC file: {reason}") from error
    if len(samples) != frames:
        raise DatasetError(f"{name} is not a readable FLAC file: it ends after {len(samples)} of {frames} samples")
    return np.asarray(samples.mean(axis=1), dtype=np.float64), int(rate)


def resample(signal: npt.NDArray[np.float64], rate: int, new_rate: int) -> npt.NDArray[np.float64]:
    """The signal at another sample rate, through a linear-phase filter (Kaiser window, 100 dB).

    Args:
        signal: ``[samples]``.
        rate: its samples per second.
        new_rate: samples per second of the result.

    Returns:
        ``[ceil(samples * new_rate / rate)]``, starting at the same instant.
    """
    if rate == new_rate or signal.size == 0:
        return signal
    from scipy.signal import resample_poly  # only where recordings are read

    common = gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    return np.asarray(resample_poly(signal, up, down, window=_low_pass(up, down)), dtype=np.float64)


@lru_cache(maxsize=8)
def _low_pass(up: int, down: int) -> npt.NDArray[np.float64]:
    """The filter, odd in length, at ``up`` times the old rate.

    It passes up to 91 % of the lower Nyquist frequency and nothing above it, as librosa's default (soxr, HQ) does.
    """
    from scipy.signal import firwin, kaiserord

    lower = 1 / max(up, down)  # the lower Nyquist frequency as a part of that of the rate between
    length, beta = kaiserord(100.0, 0.09 * lower)
    return np.asarray(firwin(length | 1, 0.955 * lower, window=("kaiser", beta)), dtype=np.float64)
