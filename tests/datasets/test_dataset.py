"""What a data set must be, the split, and the registry."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genn_delays.datasets import DATASETS, Dataset, Events, load_dataset, stratified_split
from genn_delays.errors import DatasetError, InvalidValueError


def small_dataset() -> Dataset:
    x, y = np.zeros((2, 3, 4), dtype=np.float32), np.array([0, 1])
    return Dataset("small", "nobody", "none", 4, 2, 3, x, y, x, y)


def test_kind() -> None:
    dense = small_dataset()
    assert dense.kind == "dense"
    spikes = [Events(np.array([0.0, 2.5]), np.array([3, 0])), Events(np.array([]), np.array([], dtype=int))]
    assert replace(dense, x_train=spikes, x_test=spikes).kind == "spikes"


def test_repr_is_a_line() -> None:
    dense = replace(small_dataset(), name="frames")
    expected = "2 training and 2 test examples of 4 inputs x 3 time steps, 2 classes)"
    assert repr(dense) == str(dense) == f"Dataset('frames', dense: {expected}"
    assert repr(load_dataset("digits")) == (
        "Dataset('digits', spikes: 1,438 training and 359 test examples of 64 inputs x 30 ms, 10 classes)"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.array([0, 2])}, "training part: labels must be 0 to 1, found 0 to 2"),
        ({"y_test": np.array([0])}, "test part: 2 examples need as many int64 labels"),
        ({"y_test": np.array([0.0, 1.0])}, "found float64"),
        ({"x_test": np.zeros((2, 4, 3), dtype=np.float32)}, r"must be float32 of shape \(2, 3, 4\)"),
        ({"x_train": np.zeros((2, 3, 4))}, "found float64"),
        ({"x_train": [Events(np.array([0]), np.array([0]))] * 2}, "different kinds"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        replace(small_dataset(), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad", [([3], [0]), ([-1], [0]), ([0], [4]), ([0], [-1]), ([0, 1], [0]), ([0], [0.0]), ([np.nan], [0])]
)
def test_spikes_that_do_not_fit_are_refused(bad: tuple[list[float], list[float]]) -> None:
    spikes = [Events(np.array([0]), np.array([0])), Events(np.array(bad[0]), np.array(bad[1]))]
    with pytest.raises(DatasetError, match="example 1 has spikes outside 4 neurons x 3 ms"):
        replace(small_dataset(), x_train=spikes, x_test=spikes)


def test_split_is_the_same_for_ever() -> None:
    """Pinned: a change of these numbers moves examples between training and test for everybody."""
    labels = np.arange(40) % 2
    assert stratified_split(labels, 0.2, seed=0)[1].tolist() == [9, 11, 20, 24, 26, 27, 36, 39]
    assert stratified_split(labels, 0.2, seed=1)[1].tolist() == [1, 3, 7, 12, 20, 24, 27, 38]


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=60),
    st.floats(0.01, 0.99),
    st.integers(0, 2**40),
)
def test_split_holds_out_of_every_class(labels: list[int], fraction: float, seed: int) -> None:
    labels = labels + labels  # at least two of each
    kept, held_out = stratified_split(labels, fraction, seed)
    assert sorted([*kept, *held_out]) == list(range(len(labels)))
    for part in (kept, held_out):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
    for label in set(labels):
        count = labels.count(label)
        expected = min(max(1, round(fraction * count)), count - 1)
        assert sum(labels[i] == label for i in held_out) == expected


def test_split_of_more_examples_keeps_the_order_of_the_first() -> None:
    """The rank of an example depends on (seed, index) alone, not on what else there is."""
    short = stratified_split([0] * 50, 0.5, seed=3)[1]
    long = stratified_split([0] * 50 + [1] * 50, 0.5, seed=3)[1]
    assert np.array_equal(short, long[long < 50])


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), "half", True])
def test_split_refuses_other_fractions(fraction: float) -> None:
    with pytest.raises(InvalidValueError, match=r"fraction must .* \(0, 1\)"):
        stratified_split([0, 0], fraction, seed=0)


@pytest.mark.parametrize(
    ("labels", "seed", "message"),
    [
        ([0, 0, 1], 0, "class 1 has one example"),
        ([], 0, "labels must be a list of integers"),
        ([0.0, 0.0], 0, "labels must be a list of integers"),
        ([[0, 0]], 0, "labels must be a list of integers"),
        ([0, 0], -1, "seed must be from 0 to"),
    ],
)
def test_split_refuses(labels: list[int], seed: int, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        stratified_split(labels, 0.5, seed)


def test_unknown_name() -> None:
    with pytest.raises(InvalidValueError, match=r"unknown dataset 'digit'; known: .*Did you mean 'digits'"):
        load_dataset("digit")


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_data_dir_that_does_not_exist(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"data_dir names .*nowhere, which does not exist"):
        load_dataset(name, tmp_path / "nowhere")


def test_import_is_cheap() -> None:
    """The command line imports this to print its help: nothing that takes long to import is needed for that."""
    heavy = "{'scipy', 'sklearn', 'pooch', 'requests', 'platformdirs', 'h5py', 'soundfile'}"
    code = f"import sys, genn_delays.datasets; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
