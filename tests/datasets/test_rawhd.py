"""Raw Heidelberg Digits, on a tiny set of the same layout: labels, split, every way to find it, what can be wrong."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from refused import refused
from tiny_fsdd import wav_bytes
from tiny_rawhd import flac_bytes, recordings, tone, write_archive, write_folder

from genn_delays.datasets import Dataset, load_dataset, mel_spectrogram, rawhd
from genn_delays.datasets.audio import read_flac, resample
from genn_delays.datasets.rawhd import label, load_rawhd
from genn_delays.datasets.sources import DATA_VARIABLE
from genn_delays.errors import DatasetError

TRAIN, TEST = recordings("train", range(2)), recordings("test", range(1))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The set here has 60 recordings, not 10,420."""
    monkeypatch.setattr(rawhd, "TOTAL", len(TRAIN) + len(TEST))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "tiny", TRAIN, TEST)


def same(a: Dataset, b: Dataset) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("x_train", "y_train", "x_test", "y_test"))


def test_sizes_labels_and_split(folder: Path) -> None:
    found = load_dataset("rawhd", folder)
    assert (found.name, found.kind, found.num_inputs, found.num_classes) == ("rawhd", "dense", 40, 20)
    assert found.example_timesteps == 80
    assert found.x_train.shape == (40, 80, 40)
    assert found.x_test.shape == (20, 80, 40)
    assert found.y_train.tolist() == [*range(20), *range(20)], "German digits are classes 10 to 19"
    assert found.y_test.tolist() == list(range(20))


def test_frames_are_those_of_the_recording(folder: Path) -> None:
    found = load_rawhd(folder)
    name = list(TRAIN)[27]
    signal, rate = read_flac(name, TRAIN[name], soundfile)
    assert rate == 48000
    expected = mel_spectrogram(resample(signal, 48000, 22050), 22050)
    assert np.array_equal(found.x_train[27], expected)
    assert expected.max() == np.float32(1.6)
    assert 10 <= np.flatnonzero(expected.max(axis=1) > 0.5)[-1] <= 12, "0.1 s are about 11 frames, the rest is padding"


def test_order_is_that_of_the_lists(folder: Path) -> None:
    names = list(TRAIN)
    expected = load_rawhd(folder)
    (folder / "train_filenames.txt").write_text("\r\n".join(reversed(names)) + "\r\n\r\n")
    found = load_rawhd(folder)
    assert np.array_equal(found.x_train, np.asarray(expected.x_train)[::-1])
    assert np.array_equal(found.y_train, expected.y_train[::-1])
    assert np.array_equal(found.x_test, expected.x_test)


def test_archive_folder_and_environment_give_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_rawhd(folder)
    (tmp_path / "packed").mkdir()
    archive = write_archive(tmp_path / "packed" / "hd_audio.tar.gz", folder)
    other_top = write_archive(tmp_path / "hd_audio_1.0.tar.gz", folder, top="hd_audio")
    shutil.copytree(folder, tmp_path / "unpacked" / "hd_audio")
    for place in (archive, archive.parent, other_top, tmp_path / "unpacked"):
        assert same(load_rawhd(place), expected), place
    monkeypatch.setenv(DATA_VARIABLE, str(archive.parent))
    assert same(load_rawhd(), expected)


def test_cached_until_a_recording_or_a_list_changes(folder: Path, cache: Path) -> None:
    expected = load_rawhd(folder)
    (entry,) = (cache / "features").iterdir()
    assert re.fullmatch(r"rawhd-[0-9a-f]{32}\.npz", entry.name)
    good = entry.read_bytes()
    entry.write_bytes(good[: len(good) // 2])
    assert same(load_rawhd(folder), expected)
    assert entry.read_bytes() == good
    name = next(iter(TRAIN))
    (folder / "audio" / name).write_bytes(flac_bytes(tone(7000)))
    assert not np.array_equal(load_rawhd(folder).x_train[0], expected.x_train[0])
    np.savez(entry, x_train=np.zeros(1))
    (folder / "audio" / name).write_bytes(TRAIN[name])
    assert same(load_rawhd(folder), expected), "an entry of another layout is not used"


def test_label() -> None:
    assert label("lang-german_speaker-03_trial-12_digit-7.flac") == 17
    assert label("lang-english_speaker-03_trial-12_digit-0.flac") == 0
    for wrong in ("lang-french_speaker-03_trial-12_digit-7.flac", "lang-german_speaker-03_trial-12_digit-10.flac", "a"):
        with refused(wrong, "lang-{english,german}", error=DatasetError):
            label(wrong)


# ---- what can be wrong with it


def test_a_training_recording_listed_for_testing(folder: Path) -> None:
    with (folder / "test_filenames.txt").open("a") as file:
        file.write("lang-german_speaker-01_trial-0_digit-3.flac\n")
    with refused("train_filenames.txt and in test_filenames.txt", "trial-0_digit-3.flac", error=DatasetError):
        load_rawhd(folder)


def test_a_training_recording_under_a_test_name(folder: Path) -> None:
    (folder / "audio" / next(iter(TEST))).write_bytes(next(iter(TRAIN.values())))
    with refused(str(folder), "1 of 20 test examples are training examples too", error=DatasetError):
        load_rawhd(folder)


def test_lists_the_wrong_way_round(folder: Path) -> None:
    train, test = folder / "train_filenames.txt", folder / "test_filenames.txt"
    texts = train.read_text(), test.read_text()
    train.write_text(texts[1])
    test.write_text(texts[0])
    with refused("20 training and 40 test recordings", "60 together, more of them for training", error=DatasetError):
        load_rawhd(folder)


def test_lists_and_recordings_that_do_not_fit(folder: Path) -> None:
    train = folder / "train_filenames.txt"
    good, first = train.read_text(), next(iter(TRAIN))
    for text, *parts in (
        (good.replace(f"{first}\n", ""), "has 1 recordings that are in no list", first),
        (good + f"{first}\n", "train_filenames.txt names 1 recordings more than once", first),
        (good + "0_george_0.wav\n", "train_filenames.txt names '0_george_0.wav', expected lang-"),
        (
            good + "lang-german_speaker-99_trial-0_digit-1.flac\n",
            "lacks 1 recordings of train_filenames.txt: audio/lang",
        ),
    ):
        train.write_text(text)
        with refused(str(folder), *parts, error=DatasetError):
            load_rawhd(folder)


def test_incomplete_sets(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_archive(tmp_path / "hd_audio.tar.gz", folder)
    monkeypatch.setattr(rawhd, "TOTAL", 10420)
    with refused("40 training and 20 test recordings", "has 10420 together", error=DatasetError):
        load_rawhd(archive)
    (folder / "test_filenames.txt").unlink()
    with refused("hd_audio.tar.gz lacks test_filenames.txt", error=DatasetError):
        load_rawhd(write_archive(archive, folder))
    with refused(f"data_dir {folder} holds no Raw Heidelberg Digits: expected hd_audio.tar.gz", error=DatasetError):
        load_rawhd(folder)


def test_damaged_archives(folder: Path, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "hd_audio.tar.gz", folder)
    good = archive.read_bytes()
    for content in (b"", b"<html>not found</html>", good[: len(good) // 2]):
        archive.write_bytes(content)
        with refused("hd_audio.tar.gz cannot be read; is it damaged?", error=DatasetError):
            load_rawhd(archive)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a readable FLAC file"),
        (b"<html>not found</html>", "is not a readable FLAC file"),
        (flac_bytes(tone(400))[:100], "is not a readable FLAC file"),
        (wav_bytes((8000 * tone(400)).astype("<i2")), "must be a FLAC file; it is WAV"),
        (flac_bytes(tone(400)[:0]), "is not a readable FLAC file"),
        (flac_bytes(0 * tone(400)), "signal is silent"),
    ],
)
def test_wrong_recordings_are_named(folder: Path, content: bytes, message: str) -> None:
    name = list(TRAIN)[5]
    (folder / "audio" / name).write_bytes(content)
    with refused(name, message, error=DatasetError):
        load_rawhd(folder)


def test_a_recording_cut_short(folder: Path) -> None:
    name = list(TRAIN)[5]
    whole = flac_bytes(np.random.default_rng(0).uniform(-0.5, 0.5, 48000))
    (folder / "audio" / name).write_bytes(whole[: len(whole) // 2])
    with refused(name, "is not a readable FLAC file", error=DatasetError):
        load_rawhd(folder)


def test_channels_are_averaged() -> None:
    left, right = tone(400), tone(900)
    found, _ = read_flac("a.flac", flac_bytes(np.stack([left, right], axis=1)), soundfile)
    assert np.allclose(found, (left + right) / 2, atol=1e-4)


def test_soundfile_is_not_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with refused(
        "needs the package soundfile, which is not installed: pip install 'genn-delays[rawhd]'", error=DatasetError
    ):
        load_rawhd(folder)


def test_an_archive_of_another_data_set_in_the_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "free-spoken-digit-dataset-1.0.9.zip"
    other.write_bytes(b"")
    monkeypatch.setenv(DATA_VARIABLE, str(other))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(rawhd, "MIRRORS", ("http://127.0.0.1:9/hd_audio.tar.gz",))
    with refused("cannot download the Raw Heidelberg Digits", DATA_VARIABLE, error=DatasetError):
        load_rawhd()


# ---- another sample rate


def test_resample_keeps_what_fits_and_drops_the_rest() -> None:
    time = np.arange(24000) / 48000
    found = resample(np.sin(2 * np.pi * 1000 * time), 48000, 22050)
    assert found.shape == (11025,)
    expected = np.sin(2 * np.pi * 1000 * np.arange(11025) / 22050)
    assert np.abs(found - expected)[200:-200].max() < 1e-4, "the same instants, the same level"
    assert np.abs(resample(np.sin(2 * np.pi * 12000 * time), 48000, 22050))[200:-200].max() < 1e-4, "no alias"
    assert np.array_equal(resample(expected, 22050, 22050), expected)
