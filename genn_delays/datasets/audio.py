"""Recordings as samples: WAV, FLAC, and another sample rate."""

from __future__ import annotations

import io
import struct
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID = bytes.fromhex("000000001000800000aa00389b71")  # follows the format where it is given in the long form


def read_wav(name: str, content: bytes, sample_rate: int) -> npt.NDArray[np.float64]:
    """``[samples]``, full scale 1, of a mono 16 bit PCM file.

    The sizes in its header must be those of the file: where a header says less than there is, as one does that was
    never completed, the recording would be shorter than it is, or empty.

    Args:
        name: of the file, for messages.
        content: of the file.
        sample_rate: samples per second that it must have.

    Returns:
        At least one sample.

    Raises:
        DatasetError: it is not that; the message names the file and what it is.
    """
    try:
        chunks = _riff_chunks(content)
        kind, samples = chunks[b"fmt "], chunks[b"data"]
        form, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", kind)
        if form == _EXTENSIBLE and kind[26:40] == _GUID:
            (form,) = struct.unpack_from("<H", kind, 24)
    except KeyError as error:
        raise DatasetError(f"{name} is not a readable WAV file: it has no part {error}") from error
    except (ValueError, struct.error) as error:
        raise DatasetError(f"{name} is not a readable WAV file: {error}") from error
    if (form, channels, rate, frame, bits) != (_PCM, 1, sample_rate, 2, 16):
        names = {_PCM: f"{'u' * (bits <= 8)}int{bits}", _FLOAT: f"float{bits}"}
        found = f"{rate} Hz, {names.get(form, f'format {form}')}, {channels} channel(s), {frame} bytes a sample"
        raise DatasetError(f"{name} must be mono 16 bit PCM of {sample_rate} Hz; it is {found}")
    if len(samples) % 2:
        raise DatasetError(f"{name} is not a readable WAV file: it ends within a sample")
    if not samples:
        raise DatasetError(f"{name}: signal is empty")
    return np.asarray(np.frombuffer(samples, dtype="<i2") / 32768.0, dtype=np.float64)


def read_any_wav(name: str, content: bytes) -> tuple[npt.NDArray[np.float64], int]:
    """``[samples]``, full scale 1, and the sample rate of a WAV file of any rate, of PCM or real samples.

    Several channels are averaged, as :func:`read_flac` does.

    Args:
        name: of the file, for messages.
        content: of the file.

    Returns:
        At least one sample, all finite.

    Raises:
        DatasetError: it is no such file, or damaged, or empty; the message names the file.
    """
    import warnings

    from scipy.io import wavfile  # only where recordings are read

    try:
        chunks = _riff_chunks(content)  # stricter than SciPy, which reads what is left of a file
        for chunk in (b"fmt ", b"data"):
            if chunk not in chunks:
                raise ValueError(f"it has no part {chunk!r}")
        if not chunks[b"data"]:
            raise DatasetError(f"{name}: signal is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of parts that it does not know, such as titles
            rate, samples = wavfile.read(io.BytesIO(content))
    except DatasetError:
        raise
    except Exception as error:  # damage in a header can surface as any error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{name} is not a readable WAV file: {reason}") from error
    if samples.size == 0 or rate < 1:
        raise DatasetError(f"{name}: signal is empty" if rate else f"{name}: its sample rate is 0")
    signal = samples.astype(np.float64)
    if samples.dtype.kind in "iu":  # 24 bits are in the upper part of 32
        half = 2.0 ** (8 * samples.dtype.itemsize - 1)
        signal = signal / half - (samples.dtype.kind == "u")
    if signal.ndim == 2:
        signal = signal.mean(axis=1)
    if not np.isfinite(signal).all():
        raise DatasetError(f"{name}: signal is not finite at sample {int(np.argmin(np.isfinite(signal)))}")
    return signal, int(rate)


def _riff_chunks(content: bytes) -> dict[bytes, bytes]:
    """Name -> content of the chunks of a WAV file, those of titles and the like included; a ValueError says what is
    wrong."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError("it does not begin with RIFF and WAVE")
    size = int.from_bytes(content[4:8], "little") + 8
    if not 0 <= len(content) - size <= 1:  # a byte that fills up is not always counted
        raise ValueError(f"its header says that it has {size} bytes, it has {len(content)}")
    content = content[:size]
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at < len(content):
        chunk, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        end = at + 8 + length
        if end > len(content):
            raise ValueError(f"its part {chunk!r} of {length} bytes ends {end - len(content)} bytes behind the file")
        if chunk in (b"fmt ", b"data") and chunk in chunks:
            raise ValueError(f"it has two parts {chunk!r}")
        chunks[chunk] = content[at + 8 : end]
        at = end + length % 2
    return chunks


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
    if not frames:
        raise DatasetError(f"{name}: signal is empty")
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
