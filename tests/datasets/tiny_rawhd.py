"""Writes FLAC recordings, and folders and archives of the layout of Raw Heidelberg Digits."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import soundfile

RATE = 48000


def flac_bytes(samples: np.ndarray, rate: int = RATE) -> bytes:
    """A FLAC file; samples ``[samples]`` or ``[samples, channels]``, full scale 1."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def tone(hertz: float, seconds: float = 0.1, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def recordings(part: str, trials: range, languages: tuple[str, ...] = ("english", "german")) -> dict[str, bytes]:
    """A recording of every digit for each trial; its pitch says which one it is, a little different in each part."""
    files = {}
    for trial in trials:
        for i, language in enumerate(languages):
            for digit in range(10):
                name = f"lang-{language}_speaker-{4 if part == 'test' else 1:02d}_trial-{trial}_digit-{digit}.flac"
                files[name] = flac_bytes(tone(400 * (digit + 1) + 100 * i + trial + (50 if part == "test" else 0)))
    return files


def write_folder(folder: Path, train: dict[str, bytes], test: dict[str, bytes]) -> Path:
    (folder / "audio").mkdir(parents=True)
    for name, content in {**train, **test}.items():
        (folder / "audio" / name).write_bytes(content)
    (folder / "train_filenames.txt").write_text("".join(f"{name}\n" for name in train))
    (folder / "test_filenames.txt").write_text("".join(f"{name}\n" for name in test))
    return folder


def write_archive(path: Path, folder: Path, top: str = ".") -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        tar.add(folder, top)
    return path
