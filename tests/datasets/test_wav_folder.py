"""A folder of recordings by class as a data set, and every fault of it as one error that names the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refused import refused
from scipy.io import wavfile
from tiny_fsdd import wav_bytes

from genn_delays.datasets import OwnData, load_dataset, load_wav_folder, mel_spectrogram, stratified_split
from genn_delays.datasets.audio import read_any_wav, resample
from genn_delays.errors import DatasetError

RATE = 8000
SETTINGS = OwnData(num_inputs=8, example_timesteps=6)


def tone(hertz: float, rate: int = RATE, seconds: float = 0.05) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def write(path: Path, signal: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav_bytes((16000 * signal).astype("<i2"), rate))


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Three classes of five tones of different pitch each."""
    for index, name in enumerate(("no", "stop", "yes")):
        for number in range(5):
            write(tmp_path / "words" / name / f"{number}.wav", tone(400 * (index + 1) + 10 * number))
    return tmp_path / "words"


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    """Two classes with a part for testing."""
    for part, numbers in (("train", range(3)), ("test", range(3, 5))):
        for index, name in enumerate(("no", "yes")):
            for number in numbers:
                write(tmp_path / "parted" / part / name / f"{number}.wav", tone(400 * (index + 1) + 10 * number))
    return tmp_path / "parted"


def features(path: Path) -> np.ndarray:
    """The spectrogram of a file that is 16 bit PCM."""
    rate, samples = wavfile.read(path)
    return mel_spectrogram(samples / 32768.0, rate, 8, 6, amin=1e-30)


# --- what is loaded --------------------------------------------------------------------------------------------------


def test_classes_are_the_sorted_folders(words: Path) -> None:
    found = load_wav_folder(words, SETTINGS)
    assert (found.kind, found.num_inputs, found.example_timesteps, found.num_classes) == ("dense", 8, 6, 3)
    files = [words / name / f"{number}.wav" for name in ("no", "stop", "yes") for number in range(5)]
    y = np.repeat(np.arange(3), 5)
    train, test = stratified_split(y, 0.2, 0)
    np.testing.assert_array_equal(found.y_train, y[train])
    np.testing.assert_array_equal(found.y_test, y[test])
    np.testing.assert_array_equal(found.x_train, [features(files[i]) for i in train])
    np.testing.assert_array_equal(found.x_test, [features(files[i]) for i in test])


def test_parts(parted: Path) -> None:
    found = load_dataset(f"{parted}/", own=SETTINGS)
    np.testing.assert_array_equal(found.y_train, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(found.y_test, [0, 0, 1, 1])
    np.testing.assert_array_equal(found.x_train[4], features(parted / "train" / "yes" / "1.wav"))
    np.testing.assert_array_equal(found.x_test[3], features(parted / "test" / "yes" / "4.wav"))


def test_the_spectrogram_is_that_of_the_spoken_digits(words: Path) -> None:
    found = load_wav_folder(words)
    assert found.x_train.shape == (12, 80, 40)
    assert found.x_train.max() == np.float32(1.6) and found.x_train.min() == 0


def test_what_is_no_recording_is_passed_over(words: Path) -> None:
    before = load_wav_folder(words, SETTINGS)
    (words / "readme.txt").write_text("x")
    (words / "no" / "labels.csv").write_text("x")
    (words / "no" / "._0.wav").write_bytes(b"x")
    (words / ".git").mkdir()
    (words / ".git" / "x.wav").write_bytes(b"x")
    found = load_wav_folder(words, SETTINGS)
    np.testing.assert_array_equal(found.x_train, before.x_train)
    assert found.sha256 == before.sha256


def test_classes_may_be_called_train_and_test(words: Path) -> None:
    (words / "no").rename(words / "test")
    (words / "yes").rename(words / "train")
    assert load_wav_folder(words, SETTINGS).num_classes == 3


def test_the_split_asked_for(words: Path) -> None:
    found = load_wav_folder(words, OwnData(num_inputs=8, example_timesteps=6, test_share=0.4, split_seed=2))
    assert len(found.y_test) == 6
    _, test = stratified_split(np.repeat(np.arange(3), 5), 0.4, 2)
    np.testing.assert_array_equal(found.x_test[0], features(words / "no" / f"{test[0]}.wav"))


def test_features_are_computed_once(words: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = load_wav_folder(words, SETTINGS)
    assert "features are computed" in capsys.readouterr().err
    again = load_wav_folder(words, SETTINGS)
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(first.x_test, again.x_test)
    write(words / "no" / "0.wav", tone(2000))
    assert load_wav_folder(words, SETTINGS).sha256 != first.sha256
    assert "features are computed" in capsys.readouterr().err


def test_another_rate_is_resampled_where_it_is_asked_for(words: Path) -> None:
    signal = tone(700, 16000)
    write(words / "no" / "0.wav", signal, 16000)
    found = load_wav_folder(words, OwnData(num_inputs=8, example_timesteps=6, sample_rate=RATE))
    expected = mel_spectrogram(resample((16000 * signal).astype("<i2") / 32768.0, 16000, RATE), RATE, 8, 6, amin=1e-30)
    every = [*found.x_train, *found.x_test]
    assert any(np.array_equal(x, expected) for x in every)


def test_high_rates_have_longer_windows(words: Path) -> None:
    """25 ms at 48 kHz are 1,200 samples, all of which count."""
    for path in words.rglob("*.wav"):
        write(path, tone(500, 48000), 48000)
    found = load_wav_folder(words, OwnData(num_inputs=40, example_timesteps=6))
    assert np.isfinite(found.x_train).all() and found.x_train.shape[2] == 40


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([0, 128, 192, 255], np.uint8), [-1, 0, 0.5, 127 / 128]),
        (np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
        (np.array([-(2**31), 0, 2**30], np.int32), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.25], np.float32), [-1, 0, 0.25]),
        (np.array([-1, 0, 0.25], np.float64), [-1, 0, 0.25]),
        (np.array([[0, 16384], [16384, 16384]], np.int16), [0.25, 0.5]),
    ],
    ids=["8 bit", "16 bit", "32 bit", "float32", "float64", "stereo"],
)
def test_samples_of_any_type(tmp_path: Path, samples: np.ndarray, expected: list[float]) -> None:
    wavfile.write(tmp_path / "x.wav", 11025, samples)
    signal, rate = read_any_wav("x.wav", (tmp_path / "x.wav").read_bytes())
    assert rate == 11025
    np.testing.assert_array_equal(signal, expected)


def test_samples_of_24_bits() -> None:
    content = wav_bytes(np.zeros(2, np.int16))
    data = b"\x00\x00\x40" + b"\x00\x00\x80"
    header = bytearray(content[:40])
    header[4:8] = (36 + len(data)).to_bytes(4, "little")
    header[28:36] = (24000).to_bytes(4, "little") + (3).to_bytes(2, "little") + (24).to_bytes(2, "little")
    signal, rate = read_any_wav("x.wav", bytes(header) + len(data).to_bytes(4, "little") + data)
    assert rate == RATE
    np.testing.assert_array_equal(signal, [0.5, -1])


# --- faults ----------------------------------------------------------------------------------------------------------


def fault(folder: Path, *named: str, own: OwnData = SETTINGS) -> None:
    with refused(*named, error=DatasetError):
        load_wav_folder(folder, own)


def test_no_recordings(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    fault(empty, str(empty), "two classes at least", "0 folder(s)")
    write(empty / "x.wav", tone(500))
    fault(empty, str(empty), "0 folder(s)")
    write(empty / "only" / "x.wav", tone(500))
    fault(empty, "two classes at least", "1 folder(s): only")


def test_a_class_without_recordings(words: Path, parted: Path) -> None:
    (words / "maybe").mkdir()
    (words / "maybe" / "x.mp3").write_bytes(b"x")
    fault(words, str(words / "maybe"), "holds no WAV file")
    for path in (parted / "test" / "yes").iterdir():
        path.unlink()
    fault(parted, str(parted / "test" / "yes"), "holds no WAV file")


@pytest.mark.parametrize("place", ["x.wav", "no/anna/x.wav"])
def test_a_recording_in_the_wrong_place(words: Path, place: str) -> None:
    write(words / place, tone(500))
    fault(words, str(words / place), "in the folder of its class")


def test_a_class_with_one_file(words: Path) -> None:
    for number in range(4):
        (words / "yes" / f"{number}.wav").unlink()
    fault(words, str(words / "yes"), "one WAV file", "two of every class")


def test_parts_that_do_not_fit(parted: Path) -> None:
    write(parted / "train" / "maybe" / "x.wav", tone(900))
    fault(parted, str(parted / "train"), "'maybe'", str(parted / "test"), "lacks")
    write(parted / "test" / "maybe" / "x.wav", tone(910))
    write(parted / "valid" / "yes" / "x.wav", tone(900))
    fault(parted, "valid", "in no part")


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_alone(parted: Path, part: str) -> None:
    (parted / part).rename(parted / f".{part}")
    other = {"train": "test", "test": "train"}[part]
    fault(parted, str(parted / other), f"needs {parted / part}")


def test_training_recordings_in_the_test_part(parted: Path) -> None:
    content = (parted / "train" / "no" / "0.wav").read_bytes()
    (parted / "test" / "no" / "3.wav").write_bytes(content)
    fault(parted, str(parted), "test examples are training examples too")


def test_a_split_of_a_folder_with_parts(parted: Path) -> None:
    with refused("test_share", "test/"):
        load_wav_folder(parted, OwnData(test_share=0.5))


def test_another_number_of_classes(words: Path) -> None:
    fault(words, str(words), "3 classes (no, stop, yes)", "output has 4", own=OwnData(num_classes=4))


def test_an_input_of_spikes(words: Path) -> None:
    fault(words, str(words), "takes spikes", "'input'", own=OwnData(spike_dt=1.0))


def test_a_loss_of_real_values(words: Path) -> None:
    fault(words, str(words), "class labels", "real values", own=OwnData(targets="example"))


BROKEN: dict[str, tuple[Any, list[str]]] = {
    "empty file": (b"", ["not a readable WAV file"]),
    "text": (b"hello, world", ["not a readable WAV file", "RIFF"]),
    "cut": (wav_bytes((8000 * tone(500)).astype("<i2"))[:-7], ["not a readable WAV file", "its header says"]),
    "no samples": (wav_bytes(np.zeros(0, "<i2")), ["signal is empty"]),
    "silent": (wav_bytes(np.zeros(400, "<i2")), ["silent"]),
    "only RIFF": (b"RIFF\4\0\0\0WAVE", ["not a readable WAV file", "no part"]),
    "a rate that no recording has": (wav_bytes((8000 * tone(500)).astype("<i2"), 1 << 30), ["768000", "1073741824"]),
    "another rate": (wav_bytes((8000 * tone(500)).astype("<i2"), 16000), ["16000", "8000", "sample_rate"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_recording_is_named(words: Path, name: str) -> None:
    content, named = BROKEN[name]
    (words / "stop" / "2.wav").write_bytes(content)
    fault(words, str(words / "stop" / "2.wav"), *named)


def test_a_recording_that_is_not_finite(words: Path) -> None:
    wavfile.write(words / "stop" / "2.wav", RATE, np.array([0.0, np.nan, 1.0], np.float32))
    fault(words, str(words / "stop" / "2.wav"), "not finite at sample 1")


@pytest.mark.parametrize("seed", range(40))
def test_any_damage_to_a_header_is_one_error_or_a_recording(seed: int) -> None:
    content = bytearray(wav_bytes((8000 * tone(500)).astype("<i2")))
    draws = np.random.default_rng(seed)
    for at in draws.integers(12, 44, 3):
        content[at] = int(draws.integers(256))
    try:
        signal, rate = read_any_wav("x.wav", bytes(content))
    except DatasetError as error:
        assert "x.wav" in str(error) and "\n" not in str(error)
    else:
        assert signal.ndim == 1 and signal.size and np.isfinite(signal).all() and rate > 0


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permissions that this user does not pass over")
def test_a_recording_that_may_not_be_read(words: Path) -> None:
    (words / "stop" / "2.wav").chmod(0)
    fault(words, "2.wav", "cannot be read")


def test_more_bands_than_the_rate_has(words: Path) -> None:
    fault(words, str(words / "no" / "0.wav"), "num_bands=300", own=OwnData(num_inputs=300, example_timesteps=6))
