"""Writes HDF5 files of the layout of Spiking Heidelberg Digits and Spiking Speech Commands."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import h5py
import numpy as np

Spikes = tuple[np.ndarray, np.ndarray]


def examples(count: int, seed: int, seconds: float = 0.9) -> list[Spikes]:
    """Random spikes, sorted by time: half precision seconds and channels, as in the published files."""
    random = np.random.default_rng(seed)
    return [
        (
            np.sort(random.uniform(0.01, seconds, size)).astype(np.float16),
            random.integers(0, 700, size).astype(np.uint16),
        )
        for size in random.integers(50, 400, count)
    ]


def write_h5(path: Path, spikes: list[Spikes], labels: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for column, (name, kind) in enumerate((("times", np.float16), ("units", np.uint16))):
            data = file.create_dataset(f"spikes/{name}", (len(spikes),), dtype=h5py.vlen_dtype(np.dtype(kind)))
            for i, example in enumerate(spikes):
                data[i] = example[column]
        file["labels"] = labels
        file["extra/speaker"] = np.zeros(len(labels), dtype=np.uint16)
    return path


def pack_zip(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, path.name)
    return packed


def pack_gzip(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed
