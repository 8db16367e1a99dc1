"""Sources of data sets: a folder of the user's or a download; required packages; checks of the files."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError, install_extra
from ..paths import cache_dir
from ..private import is_own, make_private
from .archives import download, existing_path, file_digest

DATA_VARIABLE = "GENN_DELAYS_DATA"

Found = TypeVar("Found")


def find_data(
    what: str, data_dir: str | PathLike[str] | None, search: Callable[[Path], Found | None], expected: str
) -> Found | None:
    """The result of ``search`` in ``data_dir``, else in ``$GENN_DELAYS_DATA``; None if a download is needed.

    A ``data_dir`` without the data is an error; a ``$GENN_DELAYS_DATA`` without it is not, since other data sets are
    looked for there too.

    Args:
        what: the data set, for the message.
        data_dir: the folder or file that the user names.
        search: the data in a folder or file, or None if it is not there.
        expected: what the folder should hold, for the message.

    Raises:
        DatasetError: ``data_dir`` or ``$GENN_DELAYS_DATA`` does not exist, or ``data_dir`` holds no such data.
    """
    if data_dir is not None:
        place = existing_path("data_dir", data_dir)
        found = search(place)
        if found is None:
            raise DatasetError(f"data_dir {place} holds no {what}: expected {expected}")
        return found
    variable = os.environ.get(DATA_VARIABLE)
    return search(existing_path(f"${DATA_VARIABLE}", variable)) if variable else None


def need_package(package: str, extra: str, data_set: str) -> Any:
    """The imported package, or an error that says what to install.

    Args:
        package: the name that is imported.
        extra: the extra of this library that brings it.
        data_set: what needs it, for the message.

    Raises:
        DatasetError: the package is not installed, or is and cannot be imported. The original error is chained.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:  # it is installed, but one of its own requirements is not
            raise _broken(package, data_set, error) from error
        raise DatasetError(
            f"data set {data_set} needs the package {package}, which is not installed: {install_extra(extra)}"
        ) from error
    except (ImportError, OSError) as error:  # OSError: a shared library that is not there
        raise _broken(package, data_set, error) from error


def _broken(package: str, data_set: str, error: Exception) -> DatasetError:
    reason = " ".join(str(error).split())
    return DatasetError(f"data set {data_set} needs the package {package}, which cannot be imported: {reason}")


def downloaded(what: str, file_name: str, urls: Sequence[str], check: Callable[[Path], object]) -> Path:
    """The file in the cache folder, downloaded if it is not there yet.

    Args:
        what: the data set, for the message.
        file_name: the name in the cache folder.
        urls: mirrors, tried in order.
        check: raises :class:`DatasetError` if the file it is given is not the right one; asked once, after
            the download, and again where somebody else may have changed the file.

    Raises:
        DatasetError: no mirror served a good copy.
        GennDelaysError: the cache folder cannot be written.
    """
    target = cache_dir() / "downloads" / file_name
    if not (target.exists() and _is_believed(target, check)):
        advice = f"Or fetch {urls[0]} in another way and name its folder in ${DATA_VARIABLE}."
        download(what, urls, target, check, advice)
        make_private(target)
    return target


def _is_believed(target: Path, check: Callable[[Path], object]) -> bool:
    """True if a cached file can be trusted: nobody else could have written it, or its check passes again."""
    if is_own(target.stat()):
        return True
    try:
        check(target)
    except DatasetError:
        return False
    return True


def check_digest(path: Path, algorithm: str, expected: str) -> None:
    """Raise a DatasetError unless the file has the published digest, for example ``"sha256"``, in hexadecimal."""
    found = file_digest(path, algorithm)
    if found != expected:
        raise DatasetError(f"{algorithm} is {found}, expected {expected}")


def shown(names: Iterable[str], count: int = 5) -> str:
    """The first few names, for a message."""
    every = list(names)
    return ", ".join(every[:count]) + (", ..." if len(every) > count else "")


def check_disjoint(source: str, x_train: npt.NDArray[np.float32], x_test: npt.NDArray[np.float32]) -> None:
    """Raise a DatasetError if more than 1 % of the test examples are training examples too, bit for bit.

    That is what a training file that is listed as a test file, or copied to its name, looks like. A few equal examples
    are not: silent recordings, for one, are all alike.

    Args:
        source: where the examples are from, for the message.
        x_train: ``[examples, time, neuron]``.
        x_test: ``[examples, time, neuron]``.
    """

    def digests(x: npt.NDArray[np.float32]) -> list[bytes]:
        return [hashlib.blake2b(example.tobytes(), digest_size=16).digest() for example in x]

    known = set(digests(x_train))
    both = [i for i, digest in enumerate(digests(x_test)) if digest in known]
    if len(both) > 0.01 * len(x_test):
        raise DatasetError(
            f"{source}: {len(both)} of {len(x_test)} test examples are training examples too (the first is test "
            f"example {both[0]}); is a training file in the place of a test file?"
        )
