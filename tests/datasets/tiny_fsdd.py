"""Writes recordings, and archives of the data set's layout."""

from __future__ import annotations

import io
import wave
import zipfile
from pathlib import Path

import numpy as np

from genn_delays.datasets.fsdd import SAMPLE_RATE


def wav_bytes(samples: np.ndarray, rate: int = SAMPLE_RATE, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(samples.dtype.itemsize)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def write_zip(path: Path, files: dict[str, bytes], top: str = "free-spoken-digit-dataset-1.0.9/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{top}README.md", "not a recording")
        archive.writestr(f"{top}acquire_data/0_george_0.wav", b"not in recordings/")
        for name, content in files.items():
            archive.writestr(f"{top}recordings/{name}", content)
    return path
