"""Spiking Heidelberg Digits and Spiking Speech Commands: spikes of 700 model nerve fibres, counted in frames."""

from __future__ import annotations

import gzip
import lzma
import math
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError
from .archives import file_digest
from .dataset import Dataset
from .features import Arrays, cached_arrays
from .members import is_zip
from .recordings import is_split
from .sources import check_digest, check_disjoint, downloaded, find_data, need_package

UNITS = 700
"""Input channels of the files."""

BIN = 5
"""Neighbouring channels that are counted together."""

SHD_INPUTS = UNITS // BIN
TIME_STEP = 10
"""Length of a frame in ms."""

CODE_VERSION = 1
"""Counts changes of the numbers computed here. Cached features of another version are not used."""

_FORMS = (".h5", ".h5.zip", ".h5.gz")
_ROWS = 256  # read at a time
# errors of h5py, zipfile and gzip for a damaged file
# fmt: off
_DAMAGE = (
    OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, MemoryError, struct.error,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)
# fmt: on


@dataclass(frozen=True)
class Published:
    """The published facts of one of the two data sets.

    Attributes:
        name: its name in the registry; ``{name}_{part}.h5`` are its files.
        title: its name in full.
        num_classes: labels are 0 .. ``num_classes - 1``.
        num_frames: frames of an example.
        total: training and test examples together.
        md5: of ``{name}_{part}.h5.zip`` as it is published, for train and test.
    """

    name: str
    title: str
    num_classes: int
    num_frames: int
    total: int
    md5: dict[str, str]


SHD = Published(
    name="shd",
    title="Spiking Heidelberg Digits",
    num_classes=20,
    num_frames=140,
    total=10420,
    md5={"train": "f3252aeb598ac776c1b526422d90eecb", "test": "1503a5064faa34311c398fb0a1ed0a6f"},
)
SSC = Published(
    name="ssc",
    title="Spiking Speech Commands",
    num_classes=35,
    num_frames=100,
    total=75466 + 20382,
    md5={"train": "d102be95e7144fcc0553d1f45ba94170", "test": "a35ff1e9cffdd02a20eb850c17c37748"},
)
HOSTS = ("https://zenkelab.org/datasets", "https://compneuro.net/datasets")


def load_shd(data_dir: str | PathLike[str] | None = None) -> Dataset:
    """Spiking Heidelberg Digits as counts in frames, with its official split; two of its speakers are test only.

    ``shd_train.h5`` and ``shd_test.h5``, each also as ``.h5.zip`` or ``.h5.gz``, are looked for in ``data_dir``, then
    in ``$GENN_DELAYS_DATA``, there or in a folder ``SHD`` or ``shd``. A ``data_dir`` without them is an error.
    Otherwise they are downloaded into the cache folder, and their MD5 must be the known one. The frames are cached too
    (see :func:`genn_delays.paths.cache_dir`). Needs h5py (extra ``shd``).

    The data set has no validation part. The published code chooses its best epoch on the test set; here the test set
    is never used for that, and a validation set is held out of the training examples.

    Args:
        data_dir: the folder with the files.

    Returns:
        float32 ``[examples, 140 frames of 10 ms, 140 inputs]``: spikes of 5 neighbouring channels in a frame (see
        :func:`count_frames`). 1.4 s is the length that the authors' own code takes for these files; an example of that
        length loses nothing, a longer one its tail.

    Raises:
        DatasetError: a file is missing, damaged, of another layout or in the place of another, h5py is missing, or the
            download fails.

    Source:
        B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke: The Heidelberg spiking data sets for the systematic evaluation
        of spiking neural networks. IEEE TNNLS 2020, doi 10.1109/TNNLS.2020.3044364. Frames: I. Hammouamri,
        I. Khalfaoui-Hassani, T. Masquelier, arXiv 2306.17670.
    """
    return _load(SHD, data_dir)


def load_ssc(data_dir: str | PathLike[str] | None = None) -> Dataset:
    """Spiking Speech Commands as counts in frames, with its official split.

    ``ssc_train.h5`` and ``ssc_test.h5`` are found, downloaded and cached as those of :func:`load_shd` are, a folder
    ``SSC`` or ``ssc`` included. The frames take 5.4 GB in the cache and in memory. Needs h5py (extra ``shd``).

    **The examples of ``ssc_valid.h5`` are neither training nor test examples**, and the file is not read: a validation
    set is held out of the training examples here, as for every data set.

    Args:
        data_dir: the folder with the files.

    Returns:
        float32 ``[examples, 100 frames of 10 ms, 140 inputs]``: spikes of 5 neighbouring channels in a frame (see
        :func:`count_frames`); 75,466 training and 20,382 test examples. The recordings are of one second, so an example
        loses at most what the model of the ear adds at its end.

    Raises:
        DatasetError: as for :func:`load_shd`.

    Source:
        As for :func:`load_shd`; the recordings are those of P. Warden: Speech Commands, arXiv 1804.03209.
    """
    return _load(SSC, data_dir)


def count_frames(
    times: npt.NDArray[np.floating[Any]], units: npt.NDArray[np.integer[Any]], num_frames: int
) -> npt.NDArray[np.float32]:
    """Spikes per frame of 10 ms and per 5 neighbouring channels.

    As published, time starts with the example's first spike, and a spike at the very end of the last frame belongs to
    it::

        m = 1000 times - min(1000 times)                              [ms]
        frame = min(floor(m / 10), max(ceil(max(m) / 10), 1) - 1)     input = floor(unit / 5)

    in the precision of ``times``: half precision in the published files, in which a spike within half a millisecond of
    a border may fall on its other side, here as there. Frames from ``num_frames`` on are dropped, missing ones are 0.

    Args:
        times: ``[spikes]`` in s.
        units: ``[spikes]``, channel 0 .. 699.
        num_frames: frames of the result.

    Returns:
        float32 ``[num_frames, 140]``, all 0 for an example without spikes.

    Source:
        Hammouamri et al., arXiv 2306.17670: their binning on SpikingJelly's frames of fixed duration.

    Example:
        >>> times, units = np.array([0.5, 0.5, 0.512]), np.array([0, 4, 699])
        >>> np.argwhere(count_frames(times, units, 3)).tolist()
        [[0, 0], [1, 139]]
    """
    if times.size == 0:
        return np.zeros((num_frames, SHD_INPUTS), dtype=np.float32)
    milliseconds = 1000 * times
    milliseconds = milliseconds - milliseconds.min()
    last = max(math.ceil(milliseconds.max() / TIME_STEP), 1) - 1
    frame = np.minimum((milliseconds // TIME_STEP).astype(np.int64), last)
    kept = frame < num_frames
    place = frame[kept] * SHD_INPUTS + units[kept].astype(np.int64) // BIN
    counts = np.bincount(place, minlength=num_frames * SHD_INPUTS)
    return counts.reshape(num_frames, SHD_INPUTS).astype(np.float32)


def _load(published: Published, data_dir: str | PathLike[str] | None) -> Dataset:
    name = published.name
    expected = " and ".join(f"{name}_{part}.h5" for part in published.md5) + " (or .h5.zip, .h5.gz)"
    files = find_data(published.title, data_dir, lambda place: _search(published, place), expected)
    h5py = need_package("h5py", "shd", name)
    if files is None:
        files = {part: _downloaded(published, part) for part in published.md5}
    digests = {part: file_digest(path, "sha256") for part, path in files.items()}
    if digests["train"] == digests["test"]:
        raise DatasetError(
            f"{files['train']} and {files['test']} are the same file; one is for training, one for testing"
        )
    shape = (published.num_frames, SHD_INPUTS)
    key = {"content": digests, "code": CODE_VERSION, "shape": shape, "time_step": TIME_STEP, "bin": BIN}
    arrays = cached_arrays(name, key, is_split(shape), lambda: _compute(published, files, h5py))
    return Dataset(
        name=name,
        citation="Cramer et al. 2020, The Heidelberg spiking data sets, doi 10.1109/TNNLS.2020.3044364",
        licence="CC BY 4.0",
        num_inputs=SHD_INPUTS,
        num_classes=published.num_classes,
        example_timesteps=published.num_frames,
        **cast(Any, arrays),
    )


def _search(published: Published, place: Path) -> dict[str, Path] | None:
    """Both files from the first folder that has any of them; an unpacked file before a packed one."""
    for folder in (place, place / published.name.upper(), place / published.name):
        found: dict[str, Path] = {}
        for part in published.md5:
            forms = (folder / f"{published.name}_{part}{form}" for form in _FORMS)
            path = next((path for path in forms if path.is_file()), None)
            if path is not None:
                found[part] = path
        missing = [f"{published.name}_{part}.h5" for part in published.md5 if part not in found]
        if found and missing:
            raise DatasetError(f"{folder} lacks {missing[0]} (or {missing[0]}.zip, {missing[0]}.gz)")
        if found:
            return found
    return None


def _downloaded(published: Published, part: str) -> Path:
    file_name = f"{published.name}_{part}.h5.zip"
    urls = [f"{host}/{file_name}" for host in HOSTS]
    return downloaded(published.title, file_name, urls, lambda path: check_digest(path, "md5", published.md5[part]))


def _compute(published: Published, files: dict[str, Path], h5py: Any) -> Arrays:
    arrays: Arrays = {}
    for part, path in files.items():
        arrays[f"x_{part}"], arrays[f"y_{part}"] = read_spikes(path, published, h5py)
    found = {part: len(arrays[f"y_{part}"]) for part in files}
    if sum(found.values()) != published.total or found["train"] <= found["test"]:
        raise DatasetError(
            f"{files['train']} has {found['train']} examples and {files['test']} has {found['test']}; "
            f"{published.title} has {published.total} together, more of them for training"
        )
    check_disjoint(str(files["test"]), arrays["x_train"], arrays["x_test"])
    return arrays


def read_spikes(path: Path, published: Published, h5py: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Frames ``[examples, time, input]`` and labels ``[examples]`` of one file.

    Args:
        path: HDF5, alone, zipped or gzipped, with ``spikes/times`` in s, ``spikes/units`` and ``labels``.
        published: which data set it is.
        h5py: the package.

    Raises:
        DatasetError: the file cannot be read, or its content is not what it should be; the message names the file and
            the example.
    """
    try:
        with _unpacked(path) as plain, h5py.File(plain, "r") as file:
            times, units, labels = (
                _dataset(path, file, name, h5py) for name in ("spikes/times", "spikes/units", "labels")
            )
            if not len(times) == len(units) == len(labels):
                raise DatasetError(
                    f"{path}: spikes/times, spikes/units and labels must be of one length, found {len(times)}, "
                    f"{len(units)} and {len(labels)}"
                )
            y = np.asarray(labels[:])
            if (
                y.dtype.kind not in "iu"
                or y.ndim != 1
                or (y.size and not 0 <= y.min() <= y.max() < published.num_classes)
            ):
                raise DatasetError(f"{path}: labels must be 0 to {published.num_classes - 1}, found {_range(y)}")
            x = np.zeros((len(y), published.num_frames, SHD_INPUTS), dtype=np.float32)
            for start in range(0, len(y), _ROWS):
                rows = slice(start, start + _ROWS)
                for i, (t, u) in enumerate(zip(times[rows], units[rows], strict=True), start):
                    _check_example(f"{path}, example {i}", t, u, published.num_frames)
                    x[i] = count_frames(t, u, published.num_frames)
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{path} cannot be read; is it damaged? ({reason})") from error
    return x, y.astype(np.int64)


def _range(values: npt.NDArray[Any]) -> str:
    return f"{values.min()} to {values.max()}" if values.dtype.kind in "iuf" and values.size else str(values.dtype)


def _dataset(path: Path, file: Any, name: str, h5py: Any) -> Any:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise DatasetError(f"{path} has no data set {name}; expected spikes/times, spikes/units and labels")
    return found


def _check_example(what: str, times: npt.NDArray[Any], units: npt.NDArray[Any], num_frames: int) -> None:
    if times.ndim != 1 or times.shape != units.shape or times.dtype.kind != "f" or units.dtype.kind not in "iu":
        raise DatasetError(
            f"{what}: needs as many real times as whole units, found {times.dtype} of shape {times.shape} and "
            f"{units.dtype} of shape {units.shape}"
        )
    if times.size == 0:
        return
    longest = 2 * num_frames * TIME_STEP / 1000
    if not np.isfinite(times).all() or times.min() < 0 or times.max() > longest:
        raise DatasetError(f"{what}: spikes/times must be 0 to {longest:g} s, found {_range(times)}")
    if units.min() < 0 or units.max() >= UNITS:
        raise DatasetError(f"{what}: spikes/units must be 0 to {UNITS - 1}, found {_range(units)}")


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The HDF5 file itself, unpacked to a temporary file where it is packed; told apart by content."""
    with tempfile.TemporaryFile() as plain, path.open("rb") as packed:
        if is_zip(packed):
            with zipfile.ZipFile(packed) as archive:
                inside = [name for name in archive.namelist() if name.endswith(".h5") and "__MACOSX" not in name]
                if len(inside) != 1:
                    raise DatasetError(f"{path} must hold one .h5 file, found {len(inside)}")
                with archive.open(inside[0]) as content:
                    shutil.copyfileobj(content, plain, 1 << 20)
        else:
            packed.seek(0)
            if packed.read(2) != b"\x1f\x8b":
                packed.seek(0)
                yield packed
                return
            packed.seek(0)
            with gzip.open(packed) as content:
                shutil.copyfileobj(cast("IO[bytes]", content), plain, 1 << 20)
        plain.seek(0)
        yield plain
