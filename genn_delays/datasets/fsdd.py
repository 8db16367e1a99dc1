"""Free Spoken Digit Dataset 1.0.9: five speakers, ten English digits, fifty recordings of each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError, InvalidValueError
from ..paths import cache_dir
from .archives import content_sha256, download, read_files
from .audio import read_wav
from .dataset import Dataset
from .features import cached_features
from .mel import FLOOR_DB, MEL_VERSION, SCALE_DB, mel_spectrogram
from .saying import say
from .sources import DATA_VARIABLE as DATA_VARIABLE
from .sources import find_data, shown

SPEAKERS = ("george", "jackson", "nicolas", "theo", "yweweler")
RECORDINGS_PER_DIGIT = 50
TEST_NUMBERS = range(5)
"""The official test set: recordings 0 to 4 of every speaker and digit (the data set's README)."""

SAMPLE_RATE = 8000
FSDD_TIMESTEPS = 80
FSDD_BANDS = 40

CONTENT_SHA256 = "917f6ba5bd04fc07c2dbabf863c8ef2b90c8d0fb67438afac7930333a71fe6a3"
"""Of the 2,500 recordings at tag v1.0.9, as :func:`.archives.content_sha256` computes it."""

_COMMIT = "2b2c7c40d93a401feccf428247dcd2317431fdd6"  # tag v1.0.9
_HOME = "https://github.com/Jakobovski/free-spoken-digit-dataset"
MIRRORS = (
    f"{_HOME}/archive/{_COMMIT}.zip",
    f"https://codeload.github.com/Jakobovski/free-spoken-digit-dataset/zip/{_COMMIT}",
    f"{_HOME}/archive/refs/tags/v1.0.9.tar.gz",
)
"""Archives of the same commit. The record at Zenodo that the README's badge leads to is 1.0.8, with four speakers."""

_ARCHIVE_NAMES = ("*free-spoken-digit-dataset-*.zip", "*free-spoken-digit-dataset-*.tar.gz")

# The recordings differ by 40 dB in level. With librosa's absolute least power of 1e-10, the silence and the padding of
# every fourth recording would be a constant of up to 0.3 that depends on its level; with this one they are 0.
_MEL: dict[str, Any] = {"num_bands": FSDD_BANDS, "num_frames": FSDD_TIMESTEPS, "amin": 1e-30}


class Recording(NamedTuple):
    """One file of the listing: ``{digit}_{speaker}_{number}.wav``."""

    digit: int
    speaker: str
    number: int

    @property
    def file_name(self) -> str:
        return f"{self.digit}_{self.speaker}_{self.number}.wav"


def listing() -> list[Recording]:
    """The 2,500 recordings of version 1.0.9 in their order here: by digit, then speaker, then number."""
    return [Recording(*key) for key in product(range(10), SPEAKERS, range(RECORDINGS_PER_DIGIT))]


def load_fsdd(data_dir: str | PathLike[str] | None = None) -> Dataset:
    """Free Spoken Digit Dataset 1.0.9 as mel spectrograms, with its official split.

    The recordings are looked for in ``data_dir``, then in ``$GENN_DELAYS_DATA``; each may be an archive (zip or tar),
    or a folder that holds one, or that holds ``recordings/``, itself or in an unpacked top folder. A ``data_dir``
    without them is an error; a ``$GENN_DELAYS_DATA`` without them is not, since other data sets are looked for there
    too. Otherwise the archive of the tag's commit is downloaded into the cache folder, and the SHA-256 over all its
    recordings must be the known one. The features are cached too (see :func:`genn_delays.paths.cache_dir`).

    Args:
        data_dir: where the recordings are.

    Returns:
        float32 ``[examples, 80 frames of 10 ms, 40 mel bands]``, values 0 .. 1.6 (see
        :func:`.mel.mel_spectrogram`, here at 8 kHz and independent of the recording's level), 2,250 training and 250
        test examples in the order of :func:`listing`.

    Raises:
        DatasetError: a folder or archive does not exist or cannot be read, recordings are missing or unknown, a file
            is not mono 16 bit PCM of 8 kHz, or the download fails or is not what it should be.

    Source:
        Z. Jackson et al.: Free Spoken Digit Dataset, v1.0.9, https://github.com/Jakobovski/free-spoken-digit-dataset.
    """
    source = find_source(data_dir)
    files = _checked_files(source) if source else _downloaded_files()
    recordings = listing()
    content = content_sha256(files)
    if source and content != CONTENT_SHA256:  # a folder and a plain tar have no checksums of their own
        say(f"the recordings in {source} are not those of version 1.0.9 as published; are some of them damaged?")
    key = {
        "content": content,
        "code": MEL_VERSION,
        "rate": SAMPLE_RATE,
        **_MEL,
        "floor_db": FLOOR_DB,
        "scale_db": SCALE_DB,
    }
    x = cached_features(
        "fsdd", key, (len(recordings), FSDD_TIMESTEPS, FSDD_BANDS), lambda: _spectrograms(recordings, files)
    )
    y = np.array([recording.digit for recording in recordings], dtype=np.int64)
    test = np.array([recording.number in TEST_NUMBERS for recording in recordings])
    return Dataset(
        name="fsdd",
        citation=f"Z. Jackson et al., Free Spoken Digit Dataset v1.0.9, {_HOME}",
        licence="CC BY-SA 4.0",
        num_inputs=FSDD_BANDS,
        num_classes=10,
        example_timesteps=FSDD_TIMESTEPS,
        x_train=x[~test],
        y_train=y[~test],
        x_test=x[test],
        y_test=y[test],
    )


def find_source(data_dir: str | PathLike[str] | None) -> Path | None:
    """The archive or folder with the recordings on this machine, or None where they have to be downloaded.

    Raises:
        DatasetError: ``data_dir`` or ``$GENN_DELAYS_DATA`` does not exist, or ``data_dir`` holds no recordings.
    """
    expected = f"{' or '.join(_ARCHIVE_NAMES)}, or a folder recordings/"
    return find_data("Free Spoken Digit Dataset", data_dir, _search, expected)


def _search(place: Path) -> Path | None:
    """The archive or the folder ``recordings`` that ``place`` is or holds; an unpacked copy before an archive."""
    if place.is_file() or place.name == "recordings":
        return place
    if (place / "recordings").is_dir():
        return place / "recordings"
    unpacked = [path for path in place.glob("*free-spoken-digit-dataset*/recordings") if path.is_dir()]
    packed = [path for pattern in _ARCHIVE_NAMES for path in place.glob(pattern) if path.is_file()]
    candidates = {str(path.relative_to(place)): path for path in sorted(unpacked) + sorted(packed)}
    ours = [path for name, path in candidates.items() if "1.0.9" in name or _COMMIT[:7] in name]
    if not ours and len(candidates) > 1:
        raise DatasetError(f"{place} holds several data sets, none of them named 1.0.9: {', '.join(candidates)}")
    return next(iter(ours or candidates.values()), None)


def _checked_files(source: Path) -> dict[str, bytes]:
    """The recordings in ``source`` if they are exactly those of version 1.0.9."""
    folder = "" if source.is_dir() else "recordings"  # paths within the folder do not show its own name

    def wanted(path: PurePosixPath) -> bool:
        return path.parent.name == folder and path.suffix == ".wav" and not path.name.startswith(".")

    files = read_files(source, wanted)
    expected = [recording.file_name for recording in listing()]
    missing = [name for name in expected if name not in files]
    unknown = sorted(files.keys() - set(expected))
    for names, complaint in ((missing, "lacks {} recordings"), (unknown, "has {} recordings of another version")):
        if names:
            raise DatasetError(
                f"{source} {complaint.format(len(names))}: {shown(names)} (Free Spoken Digit Dataset 1.0.9 has "
                f"{len(expected)}: {len(SPEAKERS)} speakers, 10 digits, {RECORDINGS_PER_DIGIT} of each)"
            )
    return files


def _downloaded_files() -> dict[str, bytes]:
    """The recordings from the cache folder, downloaded if they are not there yet."""
    target = cache_dir() / "downloads" / "free-spoken-digit-dataset-1.0.9.archive"
    if not target.exists():
        advice = f"Or fetch {MIRRORS[0]} in another way and name the file in ${DATA_VARIABLE}."
        download("Free Spoken Digit Dataset 1.0.9", MIRRORS, target, lambda part: _check_sum(part, target.name), advice)
    return _check_sum(target, f"{target} (delete it to download it again)")


def _check_sum(path: Path, called: str) -> dict[str, bytes]:
    files = _checked_files(path)
    found = content_sha256(files)
    if found != CONTENT_SHA256:
        raise DatasetError(f"{called}: SHA-256 of the recordings is {found}, expected {CONTENT_SHA256}")
    return files


def _spectrograms(recordings: list[Recording], files: Mapping[str, bytes]) -> npt.NDArray[np.float32]:
    """``[recordings, frames, bands]``."""
    x = np.empty((len(recordings), FSDD_TIMESTEPS, FSDD_BANDS), dtype=np.float32)
    for row, recording in zip(x, recordings, strict=True):
        signal = read_wav(recording.file_name, files[recording.file_name], SAMPLE_RATE)
        try:
            row[:] = mel_spectrogram(signal, SAMPLE_RATE, **_MEL)
        except InvalidValueError as error:
            raise DatasetError(f"{recording.file_name}: {error}") from error
    return x
