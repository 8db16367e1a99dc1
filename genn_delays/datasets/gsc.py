"""Google Speech Commands 0.02: 35 words by thousands of speakers, as mel spectrograms."""

from __future__ import annotations

from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError
from .archives import source_sha256
from .audio import read_wav
from .dataset import Dataset
from .features import Arrays, cached_arrays
from .log_mel import LOG_MEL_VERSION, halve_rate, log_mel_spectrogram
from .recordings import check_listed, features_of, is_split, read_listing
from .sources import check_digest, downloaded, find_data, shown

# fmt: off
WORDS = (
    "backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward", "four", "go", "happy",
    "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one", "right", "seven", "sheila", "six", "stop",
    "three", "tree", "two", "up", "visual", "wow", "yes", "zero",
)
# fmt: on
"""The classes, in the order of their labels."""

SAMPLE_RATE = 16000
SAMPLES = 16000
"""A recording is one second: longer ones are cropped, shorter ones filled up with zeros."""

GSC_TIMESTEPS = 101
GSC_BANDS = 140

COUNTS = {"training": 84843, "validation": 9981, "test": 11005}
"""Recordings of version 0.02 in each part."""

TEST_LIST, VALIDATION_LIST = "testing_list.txt", "validation_list.txt"
ARCHIVE = "speech_commands_v0.02.tar.gz"
ARCHIVE_SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
MIRRORS = (
    f"https://storage.googleapis.com/download.tensorflow.org/data/{ARCHIVE}",
    f"http://download.tensorflow.org/data/{ARCHIVE}",
)

_FOLDER = "speech_commands_v0.02"
_SHAPE = (GSC_TIMESTEPS, GSC_BANDS)
_MEL: dict[str, Any] = {"num_bands": GSC_BANDS, "fft_size": 256, "hop": 80, "low_hz": 50.0, "high_hz": 14000.0}


class Listing(NamedTuple):
    """The recordings, as paths within the source, each part in order of word and file name."""

    train: list[PurePosixPath]
    test: list[PurePosixPath]


def load_gsc(data_dir: str | PathLike[str] | None = None) -> Dataset:
    """Google Speech Commands 0.02 as mel spectrograms, with its official split.

    ``speech_commands_v0.02.tar.gz``, or a folder of that name or another that holds the lists and the folders of the
    words, is looked for in ``data_dir``, then in ``$GENN_DELAYS_DATA``. A ``data_dir`` without it is an error.
    Otherwise the archive (2.4 GB) is downloaded into the cache folder; its SHA-256 must be the known one. The features
    are cached too (see :func:`genn_delays.paths.cache_dir`): some minutes the first time, 5.4 GB there and in memory.

    ``testing_list.txt`` is the test set, what no list names is the training set. **The recordings of
    ``validation_list.txt`` are in neither**: they are no training examples, and a validation set is held out of the
    training examples here, as for every data set.

    Each recording, one second of 16 kHz, is brought to 8 kHz (:func:`.log_mel.halve_rate`) and to 101 frames of 256
    samples every 80 (:func:`.log_mel.log_mel_spectrogram`). The published bands lie between 50 Hz and 14 kHz although
    the signal ends at 4 kHz, and are narrower than a point of the FFT at the lower end: 53 of the 140 inputs are always
    -100 dB. They are kept, since they are part of the published configuration.

    Args:
        data_dir: where the recordings are.

    Returns:
        float32 ``[examples, 101 frames of 10 ms, 140 mel bands]`` in dB of full scale, -100 (silence) to about 50; the
        class is the index in :data:`WORDS`. 84,843 training and 11,005 test examples.

    Raises:
        DatasetError: a folder or archive does not exist or cannot be read, the lists and the recordings do not fit, a
            recording is in both lists, a file is not mono 16 bit PCM of 16 kHz, or the download fails.

    Source:
        P. Warden: Speech Commands, arXiv 1804.03209. Frames: I. Hammouamri, I. Khalfaoui-Hassani, T. Masquelier,
        arXiv 2306.17670, and its code, without augmentation.
    """
    source = find_data("Google Speech Commands", data_dir, _search, f"{ARCHIVE}, or {TEST_LIST} and a folder per word")
    if source is None:
        source = downloaded(
            "Google Speech Commands 0.02", ARCHIVE, MIRRORS, lambda part: check_digest(part, "sha256", ARCHIVE_SHA256)
        )
    content = source_sha256(source, lambda path: path.suffix == ".wav" or path.name in (TEST_LIST, VALIDATION_LIST))
    key = {"content": content, "code": LOG_MEL_VERSION, "rate": SAMPLE_RATE, "samples": SAMPLES, **_MEL}
    arrays = cached_arrays("gsc", key, is_split(_SHAPE), lambda: _compute(source))
    return Dataset(
        name="gsc",
        citation="Warden 2018, Speech Commands v0.02, arXiv 1804.03209",
        licence="CC BY 4.0",
        num_inputs=GSC_BANDS,
        num_classes=len(WORDS),
        example_timesteps=GSC_TIMESTEPS,
        **cast(Any, arrays),
    )


def _search(place: Path) -> Path | None:
    """The archive or the folder with the lists that ``place`` is or holds; an unpacked copy before an archive."""
    if place.is_file():
        return place if place.name.startswith("speech_commands") else None
    for folder in (place, place / _FOLDER, place / "SpeechCommands" / _FOLDER):
        if (folder / TEST_LIST).is_file():
            return folder
    archive = place / ARCHIVE
    return archive if archive.is_file() else None


def listing(source: Path) -> Listing:
    """The training and the test recordings of an archive or folder.

    Raises:
        DatasetError: a list is missing, a recording is in both lists or is missing, a word is missing or unknown, or
            there are not as many recordings as in version 0.02.
    """
    root, lines, present = read_listing(source, (VALIDATION_LIST, TEST_LIST), ".wav")
    named = {name: [PurePosixPath(line) for line in lines[name]] for name in lines}
    # a folder of noises, of another name than the words, is for mixing and has no class
    spoken = {path for path in present if len(path.parts) == 2 and not path.parts[0].startswith("_")}
    check_listed(source, named, spoken)
    words = {path.parts[0] for path in spoken}
    for wrong, complaint in ((set(WORDS) - words, "lacks the words"), (words - set(WORDS), "has unknown words")):
        if wrong:
            raise DatasetError(f"{source} {complaint}: {shown(sorted(wrong))} (version 0.02 has {len(WORDS)})")
    test, validation = named[TEST_LIST], named[VALIDATION_LIST]
    train = spoken.difference(test, validation)
    for part, found in (("training", train), ("validation", validation), ("test", test)):
        if len(found) != COUNTS[part]:
            raise DatasetError(f"{source} has {len(found)} {part} recordings; version 0.02 has {COUNTS[part]}")
    return Listing([root / path for path in sorted(train)], [root / path for path in sorted(test)])


def label(path: PurePosixPath) -> int:
    """The class of a recording: the index of its folder in :data:`WORDS`."""
    return WORDS.index(path.parent.name)


def _compute(source: Path) -> Arrays:
    return features_of(source, listing(source)._asdict(), _SHAPE, label, frames)


def frames(name: str, content: bytes) -> npt.NDArray[np.float32]:
    """The mel spectrogram of one recording.

    Args:
        name: of the file, for messages.
        content: of the WAV file.

    Returns:
        float32 ``[101 frames, 140 bands]`` in dB.

    Raises:
        DatasetError: the file is damaged, or not mono 16 bit PCM of 16 kHz; the message names it.
    """
    signal = read_wav(name, content, SAMPLE_RATE)[:SAMPLES]
    signal = np.pad(signal, (0, SAMPLES - signal.size))
    return log_mel_spectrogram(halve_rate(signal), SAMPLE_RATE // 2, **_MEL)
