"""Spiking Heidelberg Digits and Spiking Speech Commands, on tiny files of the same layout."""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refused import refused
from tiny_spikes import examples, pack_gzip, pack_zip, write_h5

from genn_delays.datasets import Dataset, load_dataset, shd
from genn_delays.datasets.shd import SHD, SSC, count_frames, load_shd, load_ssc
from genn_delays.datasets.sources import DATA_VARIABLE
from genn_delays.errors import DatasetError

TRAIN, TEST = examples(40, seed=0, seconds=1.39), examples(20, seed=1, seconds=1.2)
Y_TRAIN, Y_TEST = np.arange(40) % 20, np.arange(20)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sets here have 60 examples, not 10,420 and 95,848."""
    monkeypatch.setattr(shd, "SHD", replace(SHD, total=60))
    monkeypatch.setattr(shd, "SSC", replace(SSC, total=60))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "tiny"
    place.mkdir()
    write_h5(place / "shd_train.h5", TRAIN, Y_TRAIN)
    write_h5(place / "shd_test.h5", TEST, Y_TEST)
    return place


def same(a: Dataset, b: Dataset) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("x_train", "y_train", "x_test", "y_test"))


# ---- frames


def published_frames(times: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The definition, spike by spike in order of time: the frames of the published code, as many as the example has."""
    after = 1000 * times
    after = after - after[0]
    frames = np.zeros((int(np.ceil(after[-1] / 10)), 140))
    for t, unit in zip(after, units, strict=True):
        frames[min(int(t // 10), len(frames) - 1), int(unit) // 5] += 1
    return frames


@given(st.integers(0, 2**32), st.sampled_from([np.float16, np.float32, np.float64]), st.floats(0.02, 1.9))
def test_frames_are_the_published_ones(seed: int, kind: type[np.floating], seconds: float) -> None:
    random = np.random.default_rng(seed)
    times = np.sort(random.uniform(0, seconds, 300)).astype(kind)
    units = random.integers(0, 700, 300).astype(np.uint16)
    expected = published_frames(times, units)
    found = count_frames(times, units, 200)
    assert found.dtype == np.float32
    assert np.array_equal(found[: len(expected)], expected)
    assert not found[len(expected) :].any(), "short examples are filled up with zeros"
    assert np.array_equal(count_frames(times, units, 10), found[:10]), "long examples lose their tail, nothing else"


def test_time_starts_with_the_first_spike_and_the_last_spike_stays_in_the_last_frame() -> None:
    times, units = np.array([0.5, 0.509, 0.51, 0.52]), np.array([0, 4, 5, 699])
    found = count_frames(times, units, 4)
    assert np.argwhere(found).tolist() == [[0, 0], [1, 1], [1, 139]]
    assert found[0, 0] == 2
    assert count_frames(times[:1], units[:1], 4).sum() == 1, "one spike has no duration, and a frame all the same"
    assert count_frames(times[:0], units[:0], 4).sum() == 0


# ---- the data sets


def test_sizes_labels_and_split(folder: Path) -> None:
    found = load_dataset("shd", folder)
    assert (found.name, found.kind, found.num_inputs, found.num_classes) == ("shd", "dense", 140, 20)
    assert found.example_timesteps == 140
    assert found.x_train.shape == (40, 140, 140)
    assert found.x_test.shape == (20, 140, 140)
    assert found.y_train.tolist() == Y_TRAIN.tolist()
    assert found.y_test.tolist() == Y_TEST.tolist()
    for x, spikes in ((found.x_train, TRAIN), (found.x_test, TEST)):
        for example, (times, units) in zip(x, spikes, strict=True):
            assert np.array_equal(example, count_frames(times, units, 140))
            assert example.sum() == times.size, "an example of less than 1.4 s loses no spike"


def test_ssc_leaves_its_validation_file_alone(folder: Path) -> None:
    for part in ("train", "test"):
        shutil.copy(folder / f"shd_{part}.h5", folder / f"ssc_{part}.h5")
    (folder / "ssc_valid.h5").write_bytes(b"not read")
    found = load_dataset("ssc", folder)
    assert (found.num_inputs, found.num_classes, found.example_timesteps) == (140, 35, 100)
    assert found.x_train.shape == (40, 100, 140)
    assert np.array_equal(found.x_train, np.asarray(load_shd(folder).x_train)[:, :100])
    assert found.y_test.tolist() == Y_TEST.tolist()


def test_test_examples_are_never_training_examples(folder: Path) -> None:
    """The published code validates on the test set; here what is held out comes from the training file."""
    found = load_shd(folder)
    write_h5(folder / "shd_test.h5", examples(20, seed=7), Y_TEST)
    other = load_shd(folder)
    assert np.array_equal(found.x_train, other.x_train)
    assert np.array_equal(found.y_train, other.y_train)
    assert not np.array_equal(found.x_test, other.x_test)


def test_packed_unpacked_and_environment_give_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_shd(folder)
    for i, (pack, below) in enumerate(((pack_zip, ""), (pack_gzip, "SHD"), (pack_zip, "shd"))):
        place = tmp_path / f"packed{i}" / below
        place.mkdir(parents=True)
        for part in ("train", "test"):
            shutil.move(pack(folder / f"shd_{part}.h5"), place)
        assert same(load_shd(tmp_path / f"packed{i}"), expected)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "packed1"))
    assert same(load_shd(), expected)


def test_cached_until_a_file_changes(folder: Path, cache: Path) -> None:
    expected = load_shd(folder)
    (entry,) = (cache / "features").iterdir()
    assert re.fullmatch(r"shd-[0-9a-f]{32}\.npz", entry.name)
    good = entry.read_bytes()
    entry.write_bytes(good[:-100])
    assert same(load_shd(folder), expected)
    assert entry.read_bytes() == good
    write_h5(folder / "shd_train.h5", TRAIN, Y_TRAIN[::-1])
    assert load_shd(folder).y_train.tolist() == Y_TRAIN[::-1].tolist()


def test_downloaded_files_are_used(folder: Path, cache: Path) -> None:
    (cache / "downloads").mkdir(parents=True)
    for part in ("train", "test"):
        shutil.move(pack_zip(folder / f"shd_{part}.h5"), cache / "downloads")
    assert same(load_shd(), load_shd(folder))


def test_download_of_the_published_files_only(
    server: tuple[Path, str], folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, address = server
    (served / "good").mkdir()
    (served / "bad").mkdir()
    md5 = {}
    for part in ("train", "test"):
        packed = pack_zip(folder / f"shd_{part}.h5")
        md5[part] = hashlib.md5(packed.read_bytes()).hexdigest()
        (served / "bad" / packed.name).write_bytes(b"<html>moved</html>")
        shutil.move(packed, served / "good")
    monkeypatch.setattr(shd, "HOSTS", (f"{address}/bad", f"{address}/good"))
    monkeypatch.setattr(shd, "SHD", replace(SHD, total=60, md5=md5))
    expected = load_shd(folder)
    assert same(load_shd(), expected)
    names = ["shd_test.h5.zip", "shd_train.h5.zip"]
    assert sorted(path.name for path in (cache / "downloads").iterdir()) == names
    shutil.rmtree(cache / "downloads")
    monkeypatch.setattr(shd, "HOSTS", (f"{address}/bad", f"{address}/none"))
    with refused(
        f"{address}/bad/shd_train.h5.zip: md5 is ", f"expected {md5['train']}", "404", DATA_VARIABLE, error=DatasetError
    ):
        load_shd()
    assert list((cache / "downloads").iterdir()) == [], "what is wrong is not kept"


# ---- what can be wrong with it


def test_files_of_another_part(folder: Path) -> None:
    train, test = folder / "shd_train.h5", folder / "shd_test.h5"
    good = train.read_bytes(), test.read_bytes()
    test.write_bytes(good[0])
    with refused("shd_train.h5 and", "shd_test.h5 are the same file", error=DatasetError):
        load_shd(folder)
    train.write_bytes(good[1])
    with refused("shd_train.h5 has 20 examples", "shd_test.h5 has 40", "has 60 together, more of", error=DatasetError):
        load_shd(folder)
    write_h5(train, TRAIN, Y_TRAIN)
    write_h5(test, TRAIN[5:25], Y_TEST)
    with refused("shd_test.h5: 20 of 20 test examples are training examples too", error=DatasetError):
        load_shd(folder)
    write_h5(test, TEST[:10], Y_TEST[:10])
    with refused("shd_test.h5 has 10", "Spiking Heidelberg Digits has 60 together", error=DatasetError):
        load_shd(folder)


def test_missing_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused(f"data_dir {tmp_path} holds no Spiking Heidelberg Digits: expected shd_train.h5", error=DatasetError):
        load_shd(tmp_path)
    with refused("holds no Spiking Speech Commands: expected ssc_train.h5 and ssc_test.h5", error=DatasetError):
        load_ssc(folder)
    with refused("shd_train.h5 holds no Spiking Heidelberg Digits", error=DatasetError):
        load_shd(folder / "shd_train.h5")
    (folder / "shd_test.h5").unlink()
    for place in (str(folder), None):
        monkeypatch.setenv(DATA_VARIABLE, str(folder))
        with refused(f"{folder} lacks shd_test.h5 (or shd_test.h5.zip, shd_test.h5.gz)", error=DatasetError):
            load_shd(place)


def test_damaged_files(folder: Path) -> None:
    path = folder / "shd_train.h5"
    good, zipped = path.read_bytes(), pack_zip(path).read_bytes()
    packed = gzip.compress(good)
    path.with_name("shd_train.h5.zip").unlink()
    flipped = bytearray(zipped)
    flipped[len(flipped) // 2] ^= 1
    for content in (b"", b"<html>not found</html>", good[:3000], zipped[:-200], bytes(flipped), packed[:-500]):
        path.write_bytes(content)
        with refused("shd_train.h5 cannot be read; is it damaged?", error=DatasetError):
            load_shd(folder)
    path.unlink()
    (folder / "notes.txt").write_text("")
    pack_zip(folder / "notes.txt").rename(folder / "shd_train.h5.zip")
    with refused("shd_train.h5.zip must hold one .h5 file, found 0", error=DatasetError):
        load_shd(folder)


@pytest.mark.parametrize(
    "method", ["gzip", zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_flipped_bit_of_a_packed_file(tmp_path: Path, method: str | int) -> None:
    """An error of ours, or every spike as it was."""
    plain = write_h5(tmp_path / "shd_test.h5", TEST, Y_TEST)
    x, y = shd.read_spikes(plain, SHD, h5py)
    path = tmp_path / "shd_test.h5.packed"
    if method == "gzip":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        with zipfile.ZipFile(path, "w", int(method)) as archive:
            archive.write(plain, plain.name)
    good = path.read_bytes()
    chosen = random.Random(0)
    for flip in range(60):
        spoiled = bytearray(good)
        first = 0 if flip % 2 else -200 if flip % 4 else len(good) // 2  # headers, lists at the end, content
        spoiled[first + chosen.randrange(60)] ^= 1 << chosen.randrange(8)
        path.write_bytes(spoiled)
        try:
            found = shd.read_spikes(path, SHD, h5py)
        except DatasetError as error:
            assert str(path) in str(error)
        else:
            assert np.array_equal(found[0], x)
            assert np.array_equal(found[1], y)


@pytest.mark.parametrize(
    ("times", "units", "message"),
    [
        ([0.1, 0.2], [0, 700], "spikes/units must be 0 to 699, found 0 to 700"),
        ([0.1, 0.2], [0], "needs as many real times as whole units, found float16 of shape (2,)"),
        ([10.0, 900.0], [0, 1], "spikes/times must be 0 to 2.8 s, found 10.0 to 900.0"),
        ([-0.1, 0.2], [0, 1], "spikes/times must be 0 to 2.8 s"),
        ([0.1, np.nan], [0, 1], "spikes/times must be 0 to 2.8 s"),
    ],
)
def test_wrong_examples_are_named(folder: Path, times: list[float], units: list[int], message: str) -> None:
    spikes = list(TRAIN)
    spikes[33] = np.array(times, dtype=np.float16), np.array(units, dtype=np.uint16)
    write_h5(folder / "shd_train.h5", spikes, Y_TRAIN)
    with refused("shd_train.h5, example 33: ", message, error=DatasetError):
        load_shd(folder)


def test_wrong_layouts_are_named(folder: Path) -> None:
    path = folder / "shd_train.h5"
    for labels, message in (
        (Y_TRAIN + 1, "labels must be 0 to 19, found 1 to 20"),
        (Y_TRAIN - 1, "labels must be 0 to 19, found -1 to 18"),
        (Y_TRAIN[:-1], "must be of one length, found 40, 40 and 39"),
        (Y_TRAIN / 2, "labels must be 0 to 19, found 0.0 to 9.5"),
    ):
        write_h5(path, TRAIN, labels)
        with refused("shd_train.h5", message, error=DatasetError):
            load_shd(folder)
    with h5py.File(path, "w") as file:
        file["spikes/times/more"] = np.zeros(3)
    with refused("shd_train.h5 has no data set spikes/times; expected", error=DatasetError):
        load_shd(folder)


# ---- the package


def test_h5py_is_not_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DatasetError) as caught:
        load_shd(folder)
    assert str(caught.value) == (
        "data set shd needs the package h5py, which is not installed: "
        "pip install 'genn-delays[shd]' (in a clone: pip install '.[shd]')"
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    "source", ["import a_package_that_is_not_there", "raise OSError('libhdf5.so: no such file\\n(see above)')"]
)
def test_h5py_is_installed_and_cannot_be_imported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    (tmp_path / "site" / "h5py").mkdir(parents=True)
    (tmp_path / "site" / "h5py" / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "h5py")
    with refused("h5py, which cannot be imported: ", error=DatasetError):
        load_shd(folder)
