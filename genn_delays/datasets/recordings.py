"""Large data sets of one recording a file: from lists of paths to features, one recording in memory at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError
from .archives import walk
from .features import Arrays
from .sources import check_disjoint, shown


def read_listing(
    source: Path, lists: Sequence[str], suffix: str
) -> tuple[PurePosixPath, dict[str, list[str]], set[PurePosixPath]]:
    """The lists of a data set, and the recordings that are there.

    Args:
        source: an archive or a folder.
        lists: file names of the lists, one recording a line.
        suffix: of the recordings, for example ``".flac"``.

    Returns:
        The folder within ``source`` that holds the lists; list name -> its lines that are not empty; the paths of all
        recordings below that folder, relative to it. Hidden files do not count.

    Raises:
        DatasetError: a list is missing, is there twice or names a recording twice.
    """
    texts: dict[str, tuple[PurePosixPath, bytes]] = {}
    present: list[PurePosixPath] = []
    for path, content in walk(source, lambda path: path.name in lists):
        if content is not None:
            if path.name in texts:
                raise DatasetError(f"{source} holds {path.name} more than once, lastly as {path}")
            texts[path.name] = (path.parent, content)
        elif path.suffix == suffix and not path.name.startswith("."):
            present.append(path)
    for name in lists:
        if name not in texts:
            raise DatasetError(f"{source} lacks {name}, one of the lists that say what is for training and for testing")
    lines = {
        name: [line.strip() for line in texts[name][1].decode("utf-8", errors="replace").splitlines() if line.strip()]
        for name in lists
    }
    for name in lists:
        twice = [line for line, count in Counter(lines[name]).items() if count > 1]
        if twice:
            raise DatasetError(f"{source}: {name} names {len(twice)} recordings more than once: {shown(twice)}")
    root = texts[lists[0]][0]
    return root, lines, {path.relative_to(root) for path in present if path.is_relative_to(root)}


def check_listed(source: Path, lists: Mapping[str, Iterable[PurePosixPath]], present: set[PurePosixPath]) -> None:
    """Check that every listed recording is there, and in one list only.

    Args:
        source: for messages.
        lists: list name -> the recordings that it names.
        present: the recordings that are there.

    Raises:
        DatasetError: a recording is in two lists or is missing.
    """
    first: dict[PurePosixPath, str] = {}
    for name, paths in lists.items():
        paths = sorted(paths)
        both = [path for path in paths if path in first]
        if both:
            raise DatasetError(
                f"{source}: {len(both)} recordings are in {first[both[0]]} and in {name}: {shown(map(str, both))}; "
                "a recording belongs to one part only"
            )
        missing = [path for path in paths if path not in present]
        if missing:
            raise DatasetError(f"{source} lacks {len(missing)} recordings of {name}: {shown(map(str, missing))}")
        first.update(dict.fromkeys(paths, name))


def features_of(
    source: Path,
    parts: Mapping[str, Sequence[PurePosixPath]],
    shape: tuple[int, int],
    label: Callable[[PurePosixPath], int],
    features: Callable[[str, bytes], npt.NDArray[np.float32]],
) -> Arrays:
    """Features and labels of every recording.

    Args:
        source: an archive or a folder.
        parts: ``"train"`` and ``"test"`` -> paths within ``source``, in the order of the result.
        shape: ``(time steps, inputs)`` of an example.
        label: the class of a recording.
        features: path, for messages, and content of a file -> float32 of ``shape``.

    Returns:
        ``x_train``, ``x_test``: float32 ``[examples, time, input]``; ``y_train``, ``y_test``: int64 ``[examples]``.

    Raises:
        DatasetError: a recording cannot be read, or is for training and for testing under two names.
    """
    arrays: Arrays = {}
    rows: dict[PurePosixPath, npt.NDArray[np.float32]] = {}
    for part, paths in parts.items():
        x = np.zeros((len(paths), *shape), dtype=np.float32)
        rows.update(zip(paths, x, strict=True))
        arrays[f"x_{part}"], arrays[f"y_{part}"] = x, np.array([label(path) for path in paths], dtype=np.int64)
    for path, content in walk(source, rows.__contains__):
        if content is not None:
            rows[path][:] = features(str(path), content)
    check_disjoint(str(source), arrays["x_train"], arrays["x_test"])
    return arrays


def is_split(shape: tuple[int, int]) -> Callable[[Arrays], bool]:
    """True if arrays from the cache have the form that :func:`features_of` returns; for
    :func:`.features.cached_arrays`."""

    def fits(arrays: Arrays) -> bool:
        return len(arrays) == 4 and all(
            arrays[f"x_{part}"].shape == (*arrays[f"y_{part}"].shape, *shape)
            and arrays[f"x_{part}"].dtype == np.float32
            and arrays[f"y_{part}"].dtype == np.int64
            for part in ("train", "test")
        )

    return fits
