"""A data set out of a folder of WAV files by class, through the mel front end of the library's spoken digits.

The folders of the classes hold the recordings; what is no WAV file is passed over, and so is what is hidden. Either
the folder has a part for testing, or a share of every class is held out::

    words/yes/anna_1.wav               words/train/yes/anna_1.wav
    words/yes/ben_1.wav                words/train/no/anna_1.wav
    words/no/anna_1.wav                words/test/yes/ben_1.wav
    words/no/ben_1.wav                 words/test/no/ben_1.wav

Classes count from 0 in the order of their folders' names (``sorted``, so 10 comes before 2), examples in the order of
their paths. A recording has one channel or several, which are averaged, of 8, 16, 24 or 32 bit or real samples.

An example is the mel spectrogram of a recording (:func:`.mel.mel_spectrogram`, independent of its level): a frame every
10 ms over 25 ms, 80 frames of 40 bands where nothing else is asked for. Longer recordings are cut off, shorter ones
followed by silence. Spectrograms are cached.
"""

from __future__ import annotations

from collections import Counter
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError, InvalidValueError
from .archives import source_sha256, walk
from .audio import read_any_wav, resample
from .dataset import Dataset
from .features import cached_features
from .mel import FLOOR_DB, MEL_VERSION, SCALE_DB, mel_spectrogram
from .own import LEAST_RATE, MOST_RATE, OwnData, existing
from .sources import check_disjoint, shown

NUM_BANDS, NUM_FRAMES = 40, 80
FRAME_MS = 25.0
_PARTS = ("train", "test")
_AMIN = 1e-30  # so that silence is 0 whatever the level, as for the spoken digits


def load_wav_folder(path: str | PathLike[str], own: OwnData | None = None) -> Dataset:
    """The data set in a folder of WAV files; ``docs/data.md`` says how it is laid out.

    Args:
        path: the folder.
        own: bands (`num_inputs`), frames (`example_timesteps`), how it is split, to which rate recordings are
            resampled, and what a model asks of it.

    Returns:
        float32 ``[examples, frames of 10 ms, mel bands]``, values 0 .. 1.6.

    Raises:
        DatasetError: there is no such folder, it holds no WAV file or one in the wrong place, fewer than two classes or
            a class without the files to split, or a file cannot be read, is silent or has another sample rate than the
            first. The message names it.
        InvalidValueError: `own` asks for a split of data that have a test part.
    """
    path, own = existing(path), own or OwnData()
    if own.targets != "labels":
        raise DatasetError(
            f"{path} has class labels, as every folder of recordings; the model's loss compares with real values"
        )
    if own.spike_dt is not None:
        raise DatasetError(
            f"{path} has recordings, real values; the model's input takes spikes, and must be an 'input'"
        )
    parts = _parts(path)
    classes = _classes(path, parts)
    if own.num_classes not in (None, len(classes)):
        raise DatasetError(
            f"{path} has {len(classes)} classes ({shown(classes)}); the model's output has {own.num_classes} "
            f"(--set populations.NAME.size={len(classes)} gives it as many)"
        )
    files = [file for part in parts for file in _files(path, part, classes)]
    y = np.array([classes.index(file.parent.name) for file in files], dtype=np.int64)
    train, held_out = _split(path, files, y, own, parted=len(parts) == 2)
    known = set(files)
    digest = source_sha256(path, known.__contains__)
    own.check_content(path, digest)
    bands, frames = own.num_inputs or NUM_BANDS, own.example_timesteps or NUM_FRAMES
    key = {
        "content": digest, "code": MEL_VERSION, "rate": own.sample_rate, "num_bands": bands, "num_frames": frames,
        "frame_ms": FRAME_MS, "amin": _AMIN, "floor_db": FLOOR_DB, "scale_db": SCALE_DB,
    }  # fmt: skip
    shape = (len(files), frames, bands)
    x = cached_features("recordings", key, shape, lambda: _spectrograms(path, files, own.sample_rate, shape))
    if len(parts) == 2:
        check_disjoint(str(path), x[train], x[held_out])
    return Dataset(
        name=str(path), citation="", licence="", num_inputs=bands, num_classes=len(classes), example_timesteps=frames,
        x_train=x[train], y_train=y[train], x_test=x[held_out], y_test=y[held_out], sha256=digest,
    )  # fmt: skip


# --- the folder ------------------------------------------------------------------------------------------------------


def _folders(path: Path) -> list[str]:
    """The names of the folders in a folder that are not hidden, sorted."""
    try:
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error


def _parts(path: Path) -> list[str]:
    """``["train", "test"]``, or ``[""]`` where classes are the first level.

    A class may be called train: the names mean parts where both are there and hold folders.
    """
    names = _folders(path)
    within = [part for part in _PARTS if part in names and _folders(path / part)]
    if not within:
        return [""]
    others = [name for name in names if name not in _PARTS]
    if len(within) == 1 or others:
        lacking = path / ("test" if within == ["train"] else "train")
        reason = f"needs {lacking} with the same classes" if len(within) == 1 else f"{path / others[0]} is in no part"
        raise DatasetError(f"{path / within[0]} holds folders, so that it is a part of the data, and {reason}")
    return [*_PARTS]


def _classes(path: Path, parts: list[str]) -> list[str]:
    """The names of the classes, the same in every part."""
    found = [_folders(path / part) for part in parts]
    if len(found) == 2 and found[0] != found[1]:
        odd = sorted(set(found[0]) ^ set(found[1]))
        there, other = _PARTS if odd[0] in found[0] else _PARTS[::-1]
        raise DatasetError(f"{path / there} has a class {odd[0]!r} that {path / other} lacks; both need the same")
    if len(found[0]) < 2:
        raise DatasetError(
            f"{path} must hold a folder of WAV files for each class, two classes at least; it has "
            f"{len(found[0])} folder(s){': ' * bool(found[0])}{shown(found[0])}"
        )
    return found[0]


def _is_wav(file: PurePosixPath) -> bool:
    return file.suffix.lower() == ".wav" and not any(part.startswith(".") for part in file.parts)


def _files(path: Path, part: str, classes: list[str]) -> list[PurePosixPath]:
    """The WAV files of a part, relative to the folder, sorted; each class has one at least."""
    every = [file for file, _ in walk(path / part, lambda file: False) if _is_wav(file)]
    for file in every:
        if len(file.parts) != 2:
            raise DatasetError(
                f"{path / part / file} must lie in the folder of its class, {path / part / 'CLASS' / file.name}"
            )
    for name in classes:
        if not any(file.parts[0] == name for file in every):
            raise DatasetError(f"{path / part / name} is the folder of a class and holds no WAV file")
    return [PurePosixPath(part) / file for file in every]


def _split(
    path: Path, files: list[PurePosixPath], y: npt.NDArray[np.int64], own: OwnData, *, parted: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of the training and the test examples; `parted` where the folder says which they are."""
    if parted:
        own.check_unsplit(path, "test/")
        test = np.array([file.parts[0] == "test" for file in files])
        return np.flatnonzero(~test), np.flatnonzero(test)
    single = [name for name, count in Counter(file.parent.name for file in files).items() if count < 2]
    if single:
        raise DatasetError(
            f"{path / single[0]} holds one WAV file; a split needs two of every class, one for training and one for "
            "testing"
        )
    return own.split(path, y)


# --- recordings ------------------------------------------------------------------------------------------------------


def _spectrograms(
    path: Path, files: list[PurePosixPath], sample_rate: int | None, shape: tuple[int, int, int]
) -> npt.NDArray[np.float32]:
    """``[file, frames, bands]``, one recording in memory at a time."""
    x = np.zeros(shape, dtype=np.float32)
    rows = dict(zip(files, x, strict=True))
    first: tuple[Path, int] | None = None
    for file, content in walk(path, rows.__contains__):
        if content is None:
            continue
        name = path / file
        signal, rate = read_any_wav(str(name), content)
        if not LEAST_RATE <= rate <= MOST_RATE:
            raise DatasetError(
                f"{name} must have {LEAST_RATE} to {MOST_RATE} samples per second, its header says {rate}"
            )
        first = first or (name, rate)
        if sample_rate is None and rate != first[1]:
            raise DatasetError(
                f"{name} has {rate} samples per second and {first[0]} {first[1]}; they must be the same, or say to "
                "which they are resampled: sample_rate in [training]"
            )
        new_rate = sample_rate or rate
        try:
            rows[file][:] = _spectrogram(resample(signal, rate, new_rate), new_rate, *shape[:0:-1])
        except InvalidValueError as error:
            raise DatasetError(f"{name}: {error}") from error
    return x


def _spectrogram(signal: npt.NDArray[np.float64], rate: int, bands: int, frames: int) -> Any:
    window = int(rate * FRAME_MS / 1000)
    size = max(512, 1 << max(window - 1, 1).bit_length())  # a window is never longer
    return mel_spectrogram(signal, rate, bands, frames, frame_ms=FRAME_MS, fft_size=size, amin=_AMIN)
