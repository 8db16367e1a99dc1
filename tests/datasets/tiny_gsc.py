"""Writes folders and archives of the layout of Google Speech Commands, with four recordings of every word."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
from tiny_fsdd import wav_bytes

from genn_delays.datasets.gsc import SAMPLE_RATE, TEST_LIST, VALIDATION_LIST, WORDS

COUNTS = {"training": 2 * len(WORDS), "validation": len(WORDS), "test": len(WORDS)}


def recording(hertz: float, seconds: float = 1.0) -> bytes:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return wav_bytes((8000 * np.sin(2 * np.pi * hertz * time)).astype("<i2"), rate=SAMPLE_RATE)


def write_folder(folder: Path) -> Path:
    """Recording 0 and 1 of each word are for training, 2 for validation, 3 for testing; the pitch says which it is."""
    for i, word in enumerate(WORDS):
        (folder / word).mkdir(parents=True)
        for number in range(4):
            content = recording(100 * (i + 1) + 10 * number, 1.0 if number else 0.5)
            (folder / word / f"{i:08x}_nohash_{number}.wav").write_bytes(content)
    (folder / "_background_noise_").mkdir()
    (folder / "_background_noise_" / "pink_noise.wav").write_bytes(recording(50, 0.1))
    for name, number in ((VALIDATION_LIST, 2), (TEST_LIST, 3)):
        lines = [f"{word}/{i:08x}_nohash_{number}.wav\n" for i, word in enumerate(WORDS)]
        (folder / name).write_text("".join(lines))
    return folder


def write_archive(path: Path, folder: Path) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        tar.add(folder, ".")
    return path
