"""Google Speech Commands, on a tiny set of the same layout: features, split, what can be wrong with it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from refused import refused
from tiny_fsdd import wav_bytes
from tiny_gsc import COUNTS, recording, write_archive, write_folder

from genn_delays.datasets import Dataset, gsc, load_dataset
from genn_delays.datasets.gsc import GSC_TIMESTEPS, TEST_LIST, VALIDATION_LIST, WORDS, frames, load_gsc
from genn_delays.datasets.log_mel import halve_rate, htk_filters, log_mel_spectrogram
from genn_delays.datasets.sources import DATA_VARIABLE
from genn_delays.errors import DatasetError


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gsc, "COUNTS", COUNTS)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("gsc"))


@pytest.fixture
def folder(shared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared, tmp_path / "tiny"))


def same(a: Dataset, b: Dataset) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("x_train", "y_train", "x_test", "y_test"))


def test_sizes_labels_and_split(shared: Path) -> None:
    found = load_dataset("gsc", shared)
    assert (found.name, found.kind, found.num_inputs, found.num_classes) == ("gsc", "dense", 140, 35)
    assert found.example_timesteps == GSC_TIMESTEPS == 101
    assert found.x_train.shape == (70, 101, 140)
    assert found.x_test.shape == (35, 101, 140)
    assert found.y_test.tolist() == list(range(35))
    assert found.y_train.tolist() == [label for label in range(35) for _ in range(2)]
    assert list(WORDS) == sorted(WORDS)
    assert len(set(WORDS)) == 35


def test_validation_recordings_are_in_neither_part(shared: Path) -> None:
    found = load_gsc(shared)
    examples = np.concatenate([np.asarray(found.x_train), np.asarray(found.x_test)])
    content = {path: frames(path.name, path.read_bytes()) for path in shared.glob("zero/*.wav")}
    held = {path.name[-5]: any(np.array_equal(x, example) for example in examples) for path, x in content.items()}
    assert held == {"0": True, "1": True, "2": False, "3": True}
    assert np.array_equal(found.x_test[34], next(x for path, x in content.items() if path.name.endswith("_3.wav")))


def test_short_recordings_are_filled_up_and_long_ones_cropped() -> None:
    short, whole, long = (frames("a.wav", recording(1000, seconds)) for seconds in (0.5, 1.0, 1.5))
    assert short.shape == whole.shape == long.shape == (101, 140)
    assert np.array_equal(whole, long)
    assert np.array_equal(short[:48], whole[:48])
    assert (short[54:] == -100).all(), "silence is -100 dB"
    loudest = int(whole.max(axis=0).argmax())
    centre = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([50, 14000]) / 700)), 142)[1:-1] / 2595) - 1)
    assert abs(centre[loudest] - 1000) < 32, "the band of the tone, to a point of the FFT"


def test_archive_folder_and_environment_give_the_same(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    expected = load_gsc(shared)
    (tmp_path / "packed").mkdir()
    archive = write_archive(tmp_path / "packed" / "speech_commands_v0.02.tar.gz", shared)
    shutil.copytree(shared, tmp_path / "unpacked" / "SpeechCommands" / "speech_commands_v0.02")
    for place in (archive, archive.parent, tmp_path / "unpacked"):
        assert same(load_gsc(place), expected), place
    monkeypatch.setenv(DATA_VARIABLE, str(archive.parent))
    assert same(load_gsc(), expected)
    assert len(list((cache / "features").iterdir())) == 2, (
        "one for the folders, which hold the same, one for the archive"
    )


def test_a_downloaded_archive_is_used(
    shared: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "downloads").mkdir(parents=True)
    write_archive(cache / "downloads" / "speech_commands_v0.02.tar.gz", shared)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert same(load_gsc(), load_gsc(shared))


# ---- what can be wrong with it


def test_a_recording_in_both_lists(folder: Path) -> None:
    line = (folder / VALIDATION_LIST).read_text().splitlines()[7]
    with (folder / TEST_LIST).open("a") as file:
        file.write(f"{line}\n")
    with refused("validation_list.txt and in testing_list.txt", line, "one part only", error=DatasetError):
        load_gsc(folder)


def test_a_training_recording_listed_for_testing(folder: Path) -> None:
    with (folder / TEST_LIST).open("a") as file:
        file.write(f"zero/{34:08x}_nohash_0.wav\n")
    with refused("has 69 training recordings; version 0.02 has 70", error=DatasetError):
        load_gsc(folder)


def test_a_training_recording_under_a_test_name(folder: Path) -> None:
    shutil.copy(folder / "yes" / f"{33:08x}_nohash_1.wav", folder / "yes" / f"{33:08x}_nohash_3.wav")
    with refused("1 of 35 test examples are training examples too (the first is test example 33)", error=DatasetError):
        load_gsc(folder)


def test_validation_recordings_do_not_become_training_recordings(folder: Path) -> None:
    (folder / VALIDATION_LIST).write_text("")
    with refused("has 105 training recordings; version 0.02 has 70", error=DatasetError):
        load_gsc(folder)
    (folder / VALIDATION_LIST).unlink()
    with refused("lacks validation_list.txt", error=DatasetError):
        load_gsc(folder)


def test_another_version(folder: Path) -> None:
    shutil.move(folder / "zero", folder / "nought")
    with refused("lacks 1 recordings of validation_list.txt: zero/", error=DatasetError):
        load_gsc(folder)
    for name in (VALIDATION_LIST, TEST_LIST):
        (folder / name).write_text((folder / name).read_text().replace("zero/", "nought/"))
    with refused("lacks the words: zero (version 0.02 has 35)", error=DatasetError):
        load_gsc(folder)
    shutil.copytree(folder / "nought", folder / "zero")
    with refused("has unknown words: nought", error=DatasetError):
        load_gsc(folder)


def test_wrong_recordings_are_named(folder: Path) -> None:
    path = folder / "cat" / f"{3:08x}_nohash_1.wav"
    for content, message in (
        (recording(100)[:-50], "is not a readable WAV file"),
        (b"", "is not a readable WAV file"),
        (wav_bytes(np.ones(800, dtype="<i2"), rate=8000), "must be mono 16 bit PCM of 16000 Hz; it is 8000 Hz"),
    ):
        path.write_bytes(content)
        with refused(f"cat/{path.name}", message, error=DatasetError):
            load_gsc(folder)


def test_nothing_there_and_damaged_archives(shared: Path, tmp_path: Path) -> None:
    with refused("holds no Google Speech Commands: expected speech_commands_v0.02.tar.gz", error=DatasetError):
        load_gsc(tmp_path)
    archive = write_archive(tmp_path / "speech_commands_v0.02.tar.gz", shared)
    good = archive.read_bytes()
    for content in (b"", good[: len(good) // 2]):
        archive.write_bytes(content)
        with refused("speech_commands_v0.02.tar.gz cannot be read; is it damaged?", error=DatasetError):
            load_gsc(tmp_path)


# ---- the published features


def test_halve_rate_is_its_definition() -> None:
    signal = np.random.default_rng(0).normal(size=101)
    c = 0.99 / 2
    expected = [
        sum(
            s * c * np.sinc(c * (2 * k - n)) * np.cos(np.pi * c * (2 * k - n) / 12) ** 2
            for n, s in enumerate(signal)
            if abs(c * (2 * k - n)) < 6
        )
        for k in range(51)
    ]
    assert np.allclose(halve_rate(signal), expected, atol=1e-14)


def test_filters() -> None:
    filters = htk_filters(8000, 256, 140, 50.0, 14000.0)
    assert filters.shape == (140, 129)
    assert (filters >= 0).all()
    assert (filters <= 1).all()
    assert int((filters.max(axis=1) == 0).sum()) == 53, "as the docstring of the loader says"
    assert filters[-20:].max() == 0, "above 4 kHz there is nothing"


def test_log_mel_is_its_definition() -> None:
    signal = np.random.default_rng(1).normal(size=1000)
    found = log_mel_spectrogram(signal, 8000, 20, fft_size=256, hop=80, low_hz=50.0, high_hz=4000.0)
    assert found.shape == (13, 20)
    mirrored = np.concatenate([signal[128:0:-1], signal, signal[-2:-130:-1]])
    window = np.sin(np.pi * np.arange(256) / 256) ** 2
    filters = htk_filters(8000, 256, 20, 50.0, 4000.0)
    for frame in (0, 5, 12):
        power = np.abs(np.fft.rfft(window * mirrored[80 * frame : 80 * frame + 256])) ** 2
        assert np.allclose(found[frame], 10 * np.log10(np.maximum(filters @ power, 1e-10)), atol=1e-5)


def test_log_mel_of_torchaudio() -> None:
    """What torchaudio 2.11 gives for a sweep, in dB at a few places: Resample, Spectrogram, MelScale, AmplitudeToDB."""
    time = np.arange(16000) / 16000
    sweep = (0.5 * np.sin(2 * np.pi * (200 + 1500 * time) * time)).astype(np.float32).astype(np.float64)
    found = log_mel_spectrogram(halve_rate(sweep), 8000, 140, fft_size=256, hop=80, low_hz=50.0, high_hz=14000.0)
    assert found.shape == (101, 140)
    assert np.allclose(found[PLACES], TORCHAUDIO, atol=0.01)


PLACES = ([0, 10, 25, 50, 75, 100, 50, 50], [10, 21, 36, 54, 67, 77, 57, 139])
TORCHAUDIO = [25.743, 28.189, 29.132, 29.938, 30.42, 28.596, -9.023, -100.0]


def test_the_digest_is_checked(tmp_path: Path) -> None:
    from genn_delays.datasets.sources import check_digest

    path = tmp_path / "file"
    path.write_bytes(b"abc")
    check_digest(path, "sha256", hashlib.sha256(b"abc").hexdigest())
    with refused("sha256 is ba7816bf", f"expected {gsc.ARCHIVE_SHA256}", error=DatasetError):
        check_digest(path, "sha256", gsc.ARCHIVE_SHA256)
