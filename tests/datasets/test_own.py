"""Names and paths of data sets, and settings of data of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from refused import refused

from genn_delays.datasets import DATASETS, OwnData, load_dataset
from genn_delays.datasets.own import is_path, located
from genn_delays.errors import DatasetError


@pytest.mark.parametrize("dataset", ["my.npz", "./words", "words/", "/data/my.npz", "../x", "~/x.npz", "a/b"])
def test_paths(dataset: str) -> None:
    assert is_path(dataset)


@pytest.mark.parametrize("dataset", [*DATASETS, "words", "my.h5", ""])
def test_names(dataset: str) -> None:
    assert not is_path(dataset)
    assert located(dataset, "/somewhere") == dataset


def test_a_relative_path_starts_at_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path.resolve()
    assert located("my.npz", place) == str(place / "my.npz")
    assert located("../my.npz", place / "models") == str(place / "my.npz")
    assert located(str(place / "my.npz"), "/elsewhere") == str(place / "my.npz")
    monkeypatch.chdir(place)
    assert located("words/", Path()) == str(place / "words")
    monkeypatch.setenv("HOME", str(place))
    assert located("~/my.npz", "/elsewhere") == str(place / "my.npz")


def test_a_path_goes_through_links_as_the_system_does(tmp_path: Path) -> None:
    place = tmp_path.resolve()
    (place / "far" / "away").mkdir(parents=True)
    (place / "link").symlink_to(place / "far" / "away")
    assert located("link/../my.npz", place) == str(place / "far" / "my.npz")


@pytest.mark.parametrize("dataset", ["a/\0", "~nobody-of-this-name/my.npz"])
def test_no_path(dataset: str) -> None:
    with refused("dataset"):
        located(dataset, "/")


def test_a_path_that_cannot_be_read(tmp_path: Path) -> None:
    with refused("cannot be read", "too long", error=DatasetError):
        load_dataset(f"{tmp_path}/{'x' * 300}.npz")


def test_a_name_that_is_none_offers_names_and_the_path() -> None:
    with refused("unknown dataset 'digit'", "Did you mean 'digits'?", "by a path: ./digit"):
        load_dataset("digit")


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("test_share", 0, "(0, 1)"),
        ("test_share", 1.0, "(0, 1)"),
        ("test_share", "half", "'half'"),
        ("split_seed", -1, "-1"),
        ("sample_rate", 999, "from 1000 to 768000"),
        ("sample_rate", 1 << 40, "from 1000 to 768000"),
        ("sample_rate", 8000.5, "8000.5"),
        ("num_inputs", 0, "0"),
        ("sha256", "abc", "64 hexadecimal digits"),
        ("sha256", 5, "5"),
    ],
)
def test_settings_out_of_range(setting: str, value: Any, named: str) -> None:
    with refused(setting, named):
        OwnData(**{setting: value})
