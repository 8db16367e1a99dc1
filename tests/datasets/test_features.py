"""Features in the cache: what is damaged, or could be somebody else's, is made again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from genn_delays.datasets.features import cached_features
from genn_delays.datasets.sources import downloaded
from genn_delays.errors import DatasetError

posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")
SHAPE = (4, 30, 5)


def compute() -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE).astype(np.float32)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENN_DELAYS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def features(made: list[int]) -> np.ndarray:
    def counted() -> np.ndarray:
        made.append(1)
        return compute()

    return cached_features("test", {"version": 1}, SHAPE, counted)


def test_200_flipped_bits_change_no_feature(cache):
    made: list[int] = []
    features(made)
    (path,) = (cache / "features").glob("*.npz")
    whole, random = path.read_bytes(), np.random.default_rng(1)
    for bit in random.integers(8 * len(whole), size=200):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(bytes(damaged))
        np.testing.assert_array_equal(features(made), compute())
    assert len(made) > 150


@posix
def test_features_that_others_can_write_are_made_again(cache):
    """Other numbers with a right checksum are still other numbers."""
    made: list[int] = []
    features(made)
    (path,) = (cache / "features").glob("*.npz")
    np.savez(path, features=np.zeros(SHAPE, np.float32))
    path.chmod(0o666)
    np.testing.assert_array_equal(features(made), compute())
    assert len(made) == 2 and path.stat().st_mode & 0o022 == 0
    features(made)
    assert len(made) == 2


@posix
def test_features_are_kept_whatever_the_umask(cache):
    made: list[int] = []
    before = os.umask(0)
    try:
        for _ in range(2):
            features(made)
    finally:
        os.umask(before)
    assert len(made) == 1


@posix
def test_a_download_that_others_can_write_is_checked_again(cache, tmp_path):
    (tmp_path / "served").write_text("data")
    served = (tmp_path / "served").as_uri()

    def check(path: Path) -> None:
        if path.read_text() != "data":
            raise DatasetError("another file")

    target = cache / "downloads" / "file"
    target.parent.mkdir(parents=True)
    target.write_text("others")
    assert downloaded("Test", "file", [served], check).read_text() == "others"  # checked once, when it came
    target.chmod(0o666)
    with pytest.raises(DatasetError):
        downloaded("Test", "file", [served], check)
    target.write_text("data")
    assert downloaded("Test", "file", [served], check) == target
