"""Data of one's own, given by a path in the place of a data set's name: an ``.npz`` file or a folder of recordings.

A text is a path if it has a ``/`` (on Windows also ``\\``) in it or ends in ``.npz``; anything else is a name. A
relative path in a model file starts at that file's folder, one on the command line at the current folder. A run keeps
it absolute, with the SHA-256 of the content, so that it goes on, and is evaluated, on the same data or not at all.

:mod:`.npz` describes the keys of a file, :mod:`.wav_folder` the layout of a folder.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError, InvalidValueError, check_choice, check_count, check_path, check_real, keep, unknown
from ..paths import expanded
from ..random import MAX_SEED
from .dataset import stratified_split

ENDING = ".npz"
TEST_SHARE = 0.2
"""Share of every class that is held out for testing where data have no test part and nothing else is asked for."""
SPLIT_SEED = 0
"""The split, whatever the seed of a run: runs of several seeds are tested on the same examples."""
LEAST_RATE, MOST_RATE = 1_000, 768_000
"""Samples per second of recordings; a damaged header may say any number, and spectra grow with it."""


@dataclass(frozen=True)
class OwnData:
    """Settings with which data of one's own are read, and what a model asks of them. Data sets by name need none.

    Args:
        test_share: share of every class that is held out for testing, in (0, 1), of data without a test part;
            :data:`TEST_SHARE` where not given.
        split_seed: which examples these are, :data:`SPLIT_SEED` where not given.
        sample_rate: samples per second to which recordings are resampled; where not given they must all have the same.
        num_inputs: mel bands of recordings, 40 where not given.
        example_timesteps: frames of 10 ms of recordings, 80 where not given.
        num_classes: of the model; other data are an error.
        targets: of the model: "labels", whole numbers; "example" for real targets of an example, ``[example, neuron]``;
            or "step" for those of every time step, ``[example, time, neuron]``.
        spike_dt: length of a time step in ms of a model whose input takes spikes; dense arrays of 0 and 1 become
            spikes then.
        sha256: of the content, in hexadecimal; other data are an error.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    test_share: float | None = None
    split_seed: int | None = None
    sample_rate: int | None = None
    num_inputs: int | None = None
    example_timesteps: int | None = None
    num_classes: int | None = None
    targets: Literal["labels", "example", "step"] = "labels"
    spike_dt: float | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if self.test_share is not None:
            keep(self, test_share=check_real("test_share", self.test_share, 0, 1, open_low=True, open_high=True))
        if self.split_seed is not None:
            check_count("split_seed", self.split_seed, 0, MAX_SEED)
        if self.sample_rate is not None:
            check_count("sample_rate", self.sample_rate, LEAST_RATE, MOST_RATE)
        check_choice("targets", self.targets, ("labels", "example", "step"))
        if self.spike_dt is not None:
            keep(self, spike_dt=check_real("spike_dt", self.spike_dt, 0, open_low=True))
        for name in ("num_inputs", "example_timesteps", "num_classes"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        if self.sha256 is not None and not (isinstance(self.sha256, str) and re.fullmatch("[0-9a-f]{64}", self.sha256)):
            raise InvalidValueError(f"sha256 must be 64 hexadecimal digits in small letters, got {self.sha256!r}")

    def check_content(self, path: Path, found: str) -> None:
        """Raise an error if data of this SHA-256 are not those that were meant."""
        if self.sha256 not in (None, found):
            raise DatasetError(
                f"the content of {path} has changed since it was used: its SHA-256 is {found}, and was {self.sha256}; "
                "restore it, or name the unchanged data's new place (--data)"
            )

    def check_unsplit(self, path: Path, what: str) -> None:
        """Raise an error if a split is asked for of data that have a test part, for example ``"x_test"``."""
        for name in ("test_share", "split_seed"):
            if getattr(self, name) is not None:
                raise InvalidValueError(
                    f"{name} = {getattr(self, name):g} is for data without a test part, and {path} has one ({what}); "
                    f"leave {name} out"
                )

    def split(self, path: Path, labels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Indices of the training and of the test examples; the same share of every class is for testing.

        Raises:
            DatasetError: a class has a single example.
        """
        share = TEST_SHARE if self.test_share is None else self.test_share
        try:
            return stratified_split(labels, share, SPLIT_SEED if self.split_seed is None else self.split_seed)
        except InvalidValueError as error:
            raise DatasetError(f"{path}: {error}, one for training and one for testing") from error


def is_path(dataset: str) -> bool:
    """True if a data set is given by a path and not by its name."""
    return dataset.endswith(ENDING) or any(mark in dataset for mark in ("/", os.sep, os.altsep) if mark)


def located(dataset: Any, folder: str | PathLike[str]) -> Any:
    """A data set as runs keep it: a relative path starts at a folder and becomes absolute; a name stays as it is.

    Raises:
        InvalidValueError: the path has a home folder that does not exist, or a character that no path has.
    """
    if not isinstance(dataset, str) or not is_path(dataset):
        return dataset
    path = Path(folder) / expanded(check_path("dataset", dataset), "dataset")
    # links on the way are followed, as ".." behind one means another folder than it seems; the last one may change
    return str(Path(os.path.realpath(path.parent)) / path.name)


def check_dataset(what: str, dataset: Any, names: Mapping[str, Any]) -> None:
    """Raise an error if something is neither a path nor one of the names."""
    if isinstance(dataset, str) and (dataset in names or is_path(dataset)):
        return
    hint = f": ./{dataset}" if isinstance(dataset, str) and dataset else ""
    raise InvalidValueError(f"{unknown(what, dataset, names)} Data of your own are given by a path{hint}")


def existing(dataset: str | PathLike[str]) -> Path:
    """The path of data of one's own, if there are any.

    Raises:
        DatasetError: there is nothing, or neither an ``.npz`` file nor a folder.
    """
    path = Path(located(os.fspath(dataset), Path()))
    try:
        kind = path.stat().st_mode
    except FileNotFoundError as error:
        raise DatasetError(
            f"there is no data set {path}; if it was moved, name its new place (--data, or dataset in [training])"
        ) from error
    except OSError as error:  # no permission, a name that is too long
        raise DatasetError(f"data set {path} cannot be read: {error.strerror or error}") from error
    if not stat.S_ISDIR(kind) and (path.suffix != ENDING or not stat.S_ISREG(kind)):
        raise DatasetError(f"data set {path} must be an {ENDING} file or a folder of recordings")
    return path
