"""Raw Heidelberg Digits: twelve speakers, the ten digits in English and in German, as mel spectrograms."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError, InvalidValueError
from .archives import source_sha256
from .audio import read_flac, resample
from .dataset import Dataset
from .features import Arrays, cached_arrays
from .mel import FLOOR_DB, MEL_VERSION, SCALE_DB, mel_spectrogram
from .recordings import check_listed, features_of, is_split, read_listing
from .sources import downloaded, find_data, need_package, shown

RAWHD_TIMESTEPS = 80
RAWHD_BANDS = 40
RAWHD_CLASSES = 20
SAMPLE_RATE = 22050
"""The sample rate in Hz to which the recordings, of 48 kHz, are resampled."""

TOTAL = 10420
"""Recordings in version 1.0, training and test together."""

LISTS = ("train_filenames.txt", "test_filenames.txt")
ARCHIVE = "hd_audio.tar.gz"
MIRRORS = (f"https://zenkelab.org/datasets/{ARCHIVE}", f"https://compneuro.net/datasets/{ARCHIVE}")
"""No digest of this archive is known; its content is checked against its own lists instead."""

CODE_VERSION = 1
"""Counts changes of the numbers computed here. Cached features of another version are not used."""

_NAME = re.compile(r"lang-(english|german)_speaker-\d+_trial-\d+_digit-(\d)\.flac")
_LAYOUT = "lang-{english,german}_speaker-NN_trial-N_digit-N.flac"
_FIRST_CLASS = {"english": 0, "german": 10}
_SHAPE = (RAWHD_TIMESTEPS, RAWHD_BANDS)


class Listing(NamedTuple):
    """The recordings, as paths within the source, each part in the order of its list."""

    train: list[PurePosixPath]
    test: list[PurePosixPath]


def load_rawhd(data_dir: str | PathLike[str] | None = None) -> Dataset:
    """Raw Heidelberg Digits 1.0 as mel spectrograms, with its official split, in which two speakers are test only.

    The recordings are looked for in ``data_dir``, then in ``$GENN_DELAYS_DATA``; each may be ``hd_audio.tar.gz``, or a
    folder that holds it, or that holds ``audio/`` and the two lists, itself or in a folder ``hd_audio``. A ``data_dir``
    without them is an error. Otherwise the archive is downloaded into the cache folder. The features are cached too
    (see :func:`genn_delays.paths.cache_dir`). Needs soundfile (extra ``rawhd``).

    Class = digit, plus 10 if it is spoken in German. The recordings are resampled from 48 kHz to 22,050 Hz.

    Args:
        data_dir: where the recordings are.

    Returns:
        float32 ``[examples, 80 frames of 10 ms, 40 mel bands]``, values 0 .. 1.6 (see :func:`.mel.mel_spectrogram`,
        here with librosa's least power, as published), in the order of the lists.

    Raises:
        DatasetError: a folder or archive does not exist or cannot be read, soundfile is missing, the lists and the
            recordings do not fit, a recording is in both lists, or the download fails.

    Source:
        B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke: The Heidelberg spiking data sets for the systematic evaluation
        of spiking neural networks. IEEE TNNLS 2020, doi 10.1109/TNNLS.2020.3044364. Frames: Mészáros, Knight & Nowotny
        2024, doi 10.3389/fncom.2024.1460309.
    """
    source = find_data("Raw Heidelberg Digits", data_dir, _search, f"{ARCHIVE}, or audio/ and {' and '.join(LISTS)}")
    soundfile = need_package("soundfile", "rawhd", "rawhd")
    if source is None:
        source = downloaded("Raw Heidelberg Digits", ARCHIVE, MIRRORS, listing)
    key = {
        "content": source_sha256(source, lambda path: path.suffix == ".flac" or path.name in LISTS),
        "code": [MEL_VERSION, CODE_VERSION],
        "rate": SAMPLE_RATE,
        "bands": RAWHD_BANDS,
        "frames": RAWHD_TIMESTEPS,
        "floor_db": FLOOR_DB,
        "scale_db": SCALE_DB,
    }
    arrays = cached_arrays("rawhd", key, is_split(_SHAPE), lambda: _compute(source, soundfile))
    return Dataset(
        name="rawhd",
        citation="Cramer et al. 2020, The Heidelberg spiking data sets, doi 10.1109/TNNLS.2020.3044364",
        licence="CC BY 4.0",
        num_inputs=RAWHD_BANDS,
        num_classes=RAWHD_CLASSES,
        example_timesteps=RAWHD_TIMESTEPS,
        **cast(Any, arrays),
    )


def _search(place: Path) -> Path | None:
    """The archive or the folder with the lists that ``place`` is or holds; an unpacked copy before an archive."""
    if place.is_file():
        return place if place.name.startswith("hd_audio") else None
    for folder in (place, place / "hd_audio"):
        if all((folder / name).is_file() for name in LISTS):
            return folder
    archive = place / ARCHIVE
    return archive if archive.is_file() else None


def listing(source: Path) -> Listing:
    """The lists of an archive or folder, checked against each other and against the recordings that are there.

    Raises:
        DatasetError: a list is missing or is not a list of recordings, a recording is named twice or in both lists,
            a recording is missing or in no list, or there are not as many as in version 1.0.
    """
    root, lines, present = read_listing(source, LISTS, ".flac")
    named: dict[str, list[PurePosixPath]] = {}
    for name in LISTS:
        wrong = [line for line in lines[name] if not _NAME.fullmatch(PurePosixPath(line).name)]
        if wrong:
            raise DatasetError(f"{source}: {name} names {wrong[0]!r}, expected {_LAYOUT}")
        named[name] = [PurePosixPath("audio", PurePosixPath(line).name) for line in lines[name]]
    check_listed(source, named, present)
    train, test = named.values()
    unlisted = sorted(path.name for path in present.difference(train, test) if path.parent.name == "audio")
    if unlisted:
        raise DatasetError(f"{source} has {len(unlisted)} recordings that are in no list: {shown(unlisted)}")
    if len(train) + len(test) != TOTAL or len(train) <= len(test):
        raise DatasetError(
            f"{source} has {len(train)} training and {len(test)} test recordings; Raw Heidelberg Digits 1.0 has "
            f"{TOTAL} together, more of them for training"
        )
    return Listing([root / path for path in train], [root / path for path in test])


def label(recording: str) -> int:
    """The class of a recording by its name: the digit, plus 10 if it is spoken in German.

    Raises:
        DatasetError: it is no name of a recording.

    Example:
        >>> label("lang-german_speaker-03_trial-12_digit-7.flac")
        17
    """
    match = _NAME.fullmatch(recording)
    if not match:
        raise DatasetError(f"{recording!r} is not the name of a recording, expected {_LAYOUT}")
    return _FIRST_CLASS[match[1]] + int(match[2])


def _compute(source: Path, soundfile: Any) -> Arrays:
    def features(name: str, content: bytes) -> npt.NDArray[np.float32]:
        return frames(name, content, soundfile)

    return features_of(source, listing(source)._asdict(), _SHAPE, lambda path: label(path.name), features)


def frames(name: str, content: bytes, soundfile: Any) -> npt.NDArray[np.float32]:
    """The mel spectrogram of one recording.

    Args:
        name: of the file, for messages.
        content: of the FLAC file.
        soundfile: the package.

    Returns:
        float32 ``[80 frames, 40 bands]``.

    Raises:
        DatasetError: the file is damaged, empty or silent; the message names it.
    """
    signal, rate = read_flac(name, content, soundfile)
    try:
        return mel_spectrogram(
            resample(signal, rate, SAMPLE_RATE), SAMPLE_RATE, num_bands=RAWHD_BANDS, num_frames=RAWHD_TIMESTEPS
        )
    except InvalidValueError as error:
        raise DatasetError(f"{name}: {error}") from error
