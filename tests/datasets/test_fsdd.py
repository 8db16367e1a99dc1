"""Free Spoken Digit Dataset: the listing, the split, every way to find it, and what can be wrong with it."""

from __future__ import annotations

import gc
import io
import os
import re
import shutil
import socket
import sys
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tiny_fsdd import wav_bytes, write_zip

from genn_delays.datasets import Dataset, features, fsdd, load_dataset, load_fsdd, mel_spectrogram
from genn_delays.datasets.archives import content_sha256, download, read_files
from genn_delays.datasets.audio import read_wav
from genn_delays.datasets.fsdd import CONTENT_SHA256, find_source, listing
from genn_delays.datasets.sources import DATA_VARIABLE
from genn_delays.errors import DatasetError


def same(a: Dataset, b: Dataset) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("x_train", "y_train", "x_test", "y_test"))


# ---- the real recordings


def test_listing_is_the_files_of_the_archive(real_place: Path) -> None:
    source = find_source(real_place)
    assert source
    files = read_files(source, lambda path: path.parent.name in ("recordings", "") and path.suffix == ".wav")
    assert sorted(recording.file_name for recording in listing()) == sorted(files)
    assert content_sha256(files) == CONTENT_SHA256


def test_listing() -> None:
    recordings = listing()
    assert len(recordings) == len(set(recordings)) == 2500
    assert recordings[0].file_name == "0_george_0.wav"
    assert recordings[-1].file_name == "9_yweweler_49.wav"
    assert all(recording.file_name.startswith(f"{recording.digit}_") for recording in recordings)


def test_sizes_and_official_split(real: Dataset) -> None:
    assert (real.kind, real.num_inputs, real.num_classes, real.example_timesteps) == ("dense", 40, 10, 80)
    assert isinstance(real.x_train, np.ndarray)
    assert isinstance(real.x_test, np.ndarray)
    assert real.x_train.shape == (2250, 80, 40)
    assert real.x_test.shape == (250, 80, 40)
    assert real.x_train.dtype == np.float32
    assert np.bincount(real.y_train).tolist() == [225] * 10
    assert np.bincount(real.y_test).tolist() == [25] * 10


def test_values(real: Dataset) -> None:
    x = np.concatenate([np.asarray(real.x_train), np.asarray(real.x_test)])
    assert x.min() == 0
    assert (x.max(axis=(1, 2)) == np.float32(1.6)).all(), "every recording has its maximum at 1.6"
    assert 0.4 < x.mean() < 0.6


def test_examples_are_the_recordings_that_their_labels_say(real: Dataset, real_place: Path) -> None:
    """Each test example is the spectrogram of a recording 0 to 4 of its digit, in the order of the listing."""
    source = find_source(real_place)
    assert source
    files = read_files(source, lambda path: path.suffix == ".wav")
    for part, numbers in (("test", range(5)), ("train", range(5, 50))):
        listed = [recording for recording in listing() if recording.number in numbers]
        x, y = getattr(real, f"x_{part}"), getattr(real, f"y_{part}")
        assert [recording.digit for recording in listed] == y.tolist()
        for i in range(0, len(listed), 31):
            signal = read_wav(listed[i].file_name, files[listed[i].file_name], 8000)
            assert np.array_equal(x[i], mel_spectrogram(signal, 8000, amin=1e-30))


# ---- ways to find it, on a complete set of tiny recordings


def test_archive_folder_and_environment_give_the_same(
    tiny_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tiny_zip) as archive:
        archive.extractall(tmp_path / "a")
    top = tmp_path / "a" / "free-spoken-digit-dataset-1.0.9"
    (tmp_path / "b").mkdir()
    with tarfile.open(tmp_path / "b" / "free-spoken-digit-dataset-2b2c7c40.tar.gz", "w:gz", compresslevel=1) as tar:
        tar.add(top, "any-name")
    expected = load_fsdd(tiny_zip)
    for place in (tiny_zip.parent, tmp_path / "a", top, top / "recordings", tmp_path / "b"):
        assert same(load_dataset("fsdd", place), expected), place
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "b"))
    assert same(load_fsdd(), expected)


def test_data_dir_comes_before_the_environment(tiny_zip: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert find_source(tiny_zip) == tiny_zip
    assert find_source(None) is None, "a folder for data in general need not hold this data set"


def test_several_versions(tiny_zip: Path, tmp_path: Path) -> None:
    for version in ("1.0.8", "1.0.10"):
        (tmp_path / f"free-spoken-digit-dataset-{version}.zip").touch()
    with pytest.raises(DatasetError, match=r"several data sets, none of them named 1\.0\.9: .*1\.0\.10.*1\.0\.8"):
        find_source(tmp_path)
    (tmp_path / tiny_zip.name).touch()
    assert find_source(tmp_path) == tmp_path / tiny_zip.name


def test_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match=r"data_dir .* holds no Free Spoken Digit Dataset"):
        load_fsdd(tmp_path)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=rf"\${DATA_VARIABLE} names .*nowhere, which does not exist"):
        load_fsdd()


# ---- what can be wrong with it


def test_missing_recordings_are_named(tiny_files: dict[str, bytes], tmp_path: Path) -> None:
    few = {name: content for name, content in tiny_files.items() if "_theo_7." not in name}
    path = write_zip(tmp_path / "fsdd.zip", few)
    with pytest.raises(DatasetError, match=r"fsdd\.zip lacks 10 recordings: 0_theo_7\.wav, 1_theo_7\.wav.*, \.\.\."):
        load_fsdd(path)


def test_recordings_of_another_version_are_named(tiny_files: dict[str, bytes], tmp_path: Path) -> None:
    path = write_zip(tmp_path / "fsdd.zip", {**tiny_files, "0_lucas_0.wav": b""})
    with pytest.raises(DatasetError, match=r"has 1 recordings of another version: 0_lucas_0\.wav \("):
        load_fsdd(path)


def test_files_of_the_file_manager_do_not_count(tiny_files: dict[str, bytes], tmp_path: Path) -> None:
    write_zip(tmp_path / "fsdd.zip", {**tiny_files, "._0_george_0.wav": b"x", "notes.txt": b"x"})
    load_fsdd(tmp_path / "fsdd.zip")


def test_a_recording_twice(tiny_zip: Path, tmp_path: Path) -> None:
    path = tmp_path / "fsdd.zip"
    path.write_bytes(tiny_zip.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("copy/recordings/0_george_0.wav", b"")
    with pytest.raises(DatasetError, match=r"holds 0_george_0\.wav more than once, lastly as copy/recordings"):
        load_fsdd(path)


def test_damaged_archives(tiny_zip: Path, tmp_path: Path) -> None:
    path = tmp_path / "fsdd.zip"
    for content in (b"", b"<html>not found</html>", tiny_zip.read_bytes()[:100_000]):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"fsdd\.zip cannot be read; is it damaged\?"):
            load_fsdd(path)
    flipped = bytearray(tiny_zip.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(DatasetError, match=r"fsdd\.zip cannot be read; is it damaged\? \(Bad CRC-32"):
        load_fsdd(path)


TONE = (8000 * np.sin(np.arange(200))).astype("<i2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav_bytes(TONE, rate=16000), "3_jackson_14.wav must be mono 16 bit PCM of 8000 Hz; it is 16000 Hz, int16"),
        (wav_bytes(TONE, channels=2), "it is 8000 Hz, int16, 2 channel"),
        (wav_bytes(TONE.astype("u1")), "it is 8000 Hz, uint8, 1 channel"),
        (wav_bytes(TONE)[:-50], "3_jackson_14.wav is not a readable WAV file: "),
        (wav_bytes(TONE)[:20], "3_jackson_14.wav is not a readable WAV file: "),
        (b"OggS" + bytes(80), "3_jackson_14.wav is not a readable WAV file: "),
        (b"", "3_jackson_14.wav is not a readable WAV file: "),
        (wav_bytes(TONE[:0]), "3_jackson_14.wav: signal is empty"),
        (wav_bytes(0 * TONE), "3_jackson_14.wav: signal is silent"),
    ],
)
def test_wrong_recordings_are_named(tiny_files: dict[str, bytes], content: bytes, message: str) -> None:
    files = {**tiny_files, "3_jackson_14.wav": content}
    one = [recording for recording in listing() if recording.file_name == "3_jackson_14.wav"]
    with pytest.raises(DatasetError, match=re.escape(message)):
        fsdd._spectrograms(one, files)


def test_text_chunks_in_a_recording_do_no_harm() -> None:
    plain = wav_bytes(TONE)
    note = b"note" + (4).to_bytes(4, "little") + b"abcd"
    longer = plain[:4] + (len(plain) - 8 + len(note)).to_bytes(4, "little") + plain[8:36] + note + plain[36:]
    assert np.array_equal(read_wav("a.wav", longer, 8000), read_wav("a.wav", plain, 8000))


# ---- the cache of features


def test_features_are_cached_and_a_damaged_entry_is_rebuilt(tiny_zip: Path, cache: Path) -> None:
    expected = load_fsdd(tiny_zip)
    (entry,) = (cache / "features").iterdir()
    assert re.fullmatch(r"fsdd-[0-9a-f]{32}\.npz", entry.name)
    good = entry.read_bytes()
    entry.write_bytes(good[: len(good) // 2])
    assert same(load_fsdd(tiny_zip), expected)
    assert entry.read_bytes() == good, "the entry is whole again"
    assert list((cache / "features").iterdir()) == [entry], "no temporary file is left"

    np.savez(entry, features=np.full((2500, 80, 40), 0.25, dtype=np.float32))
    assert (np.asarray(load_fsdd(tiny_zip).x_train) == 0.25).all(), "a good entry is used as it is"


def test_every_kind_of_damage_is_rebuilt(cache: Path) -> None:
    expected = np.arange(1000, dtype=np.float32)

    def load() -> np.ndarray:
        return features.cached_features("name", {}, (1000,), lambda: expected)

    load()
    (entry,) = (cache / "features").iterdir()
    good = entry.read_bytes()
    # a flipped bit in the zip header, the name, NumPy's header, the data, the directory at the end
    places = (2, 35, 60, 70, 150, 2000, len(good) - 60, len(good) - 12)
    flipped = [good[:at] + bytes([good[at] ^ 16]) + good[at + 1 :] for at in places]
    for damaged in (b"", b"nonsense", good[:100], good[:-1], *flipped):
        entry.write_bytes(damaged)
        assert np.array_equal(load(), expected)
    for other in (expected[1:], expected.astype(np.float64)):
        np.savez(entry, features=other)
        assert load() is expected


def test_the_key_is_parameters_code_and_content(cache: Path) -> None:
    made = []

    def compute(value: float) -> np.ndarray:
        made.append(value)
        return np.full((2,), value, dtype=np.float32)

    for key, value in (
        ({"content": "a", "code": 1}, 1.0),
        ({"content": "b", "code": 1}, 2.0),
        ({"content": "a", "code": 2}, 3.0),
        ({"code": 1, "content": "a"}, 4.0),
    ):
        features.cached_features("name", key, (2,), partial(compute, value))
    assert made == [1.0, 2.0, 3.0], "the same key in another order is the same entry"
    features.cached_features("name", {"content": "a", "code": 1}, (2,), partial(compute, 5.0))
    assert made == [1.0, 2.0, 3.0]


def test_a_cache_that_cannot_be_written_is_a_warning(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.warns(RuntimeWarning, match="features are computed anew each time: cannot write"):
        found = features.cached_features("name", {}, (1,), lambda: np.ones(1, dtype=np.float32))
    assert found.tolist() == [1.0]


def test_what_takes_seconds_is_said_once(
    tiny_zip: Path,
    tiny_files: dict[str, bytes],
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fsdd, "CONTENT_SHA256", content_sha256(tiny_files))
    load_dataset("fsdd", tiny_zip)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"genn-delays: data set fsdd: features are computed, once; they are kept in {cache}/features\n"
    load_dataset("fsdd", tiny_zip)
    assert capsys.readouterr().err == "", "now it takes no time"


def test_a_folder_has_no_checksum_but_the_published_one(
    tiny_zip: Path,
    tmp_path: Path,
    tiny_files: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fsdd, "CONTENT_SHA256", content_sha256(tiny_files))
    with zipfile.ZipFile(tiny_zip) as archive:
        archive.extractall(tmp_path / "a")
    (recording,) = (tmp_path / "a").glob("*/recordings/3_theo_7.wav")
    load_fsdd(tmp_path / "a")
    assert "published" not in capsys.readouterr().err
    recording.write_bytes(recording.read_bytes()[:-1] + b"\1")
    load_fsdd(tmp_path / "a")
    assert f"{recording.parent} are not those of version 1.0.9 as published" in capsys.readouterr().err


def test_nothing_is_said_where_asked_or_where_there_is_nobody(
    tiny_zip: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_dataset("fsdd", tiny_zip, quiet=True)
    assert capsys.readouterr().err == ""
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        shutil.rmtree(cache / "features")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            load_dataset("fsdd", tiny_zip)


# ---- the download, from a server on this machine


def test_download_from_the_second_mirror(
    server: tuple[Path, str], tiny_zip: Path, tiny_files: dict[str, bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = server
    (folder / "good.zip").write_bytes(tiny_zip.read_bytes())
    monkeypatch.setattr(fsdd, "MIRRORS", (f"{address}/missing.zip", f"{address}/good.zip"))
    monkeypatch.setattr(fsdd, "CONTENT_SHA256", content_sha256(tiny_files))
    expected = load_fsdd(tiny_zip)
    assert same(load_fsdd(), expected)
    (folder / "good.zip").unlink()
    assert same(load_fsdd(), expected), "the second time nothing is downloaded"
    assert [path.name for path in (cache / "downloads").iterdir()] == ["free-spoken-digit-dataset-1.0.9.archive"]


def leads_to(connection: socket.socket, port: int) -> bool:
    """Whether a socket is open and connected to a port, and not one of the server's own."""
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as same_connection:
            return bool(same_connection.getpeername()[1] == port)
    except OSError:  # closed, or listening
        return False


def test_a_mirror_that_refuses_leaves_no_connection_open(server: tuple[Path, str], tmp_path: Path) -> None:
    _, address = server
    port = int(address.rpartition(":")[2])
    gc.disable()  # what is left open would be closed by it, with a warning, at any later time
    try:
        with pytest.raises(DatasetError, match="404"):
            download("data", [f"{address}/missing"], tmp_path / "file", lambda path: None, "")
        assert not [thing for thing in gc.get_objects() if isinstance(thing, socket.socket) and leads_to(thing, port)]
    finally:
        gc.enable()


def test_wrong_checksum(
    server: tuple[Path, str], tiny_zip: Path, tiny_files: dict[str, bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = server
    (folder / "fake.zip").write_bytes(tiny_zip.read_bytes())
    monkeypatch.setattr(fsdd, "MIRRORS", (f"{address}/fake.zip",))
    found = content_sha256(tiny_files)
    with pytest.raises(
        DatasetError, match=rf"fake\.zip: .*1\.0\.9\.archive: SHA-256 .* is {found}, expected {CONTENT_SHA256}"
    ):
        load_fsdd()
    assert list((cache / "downloads").iterdir()) == [], "what is wrong is not kept"

    kept = cache / "downloads" / "free-spoken-digit-dataset-1.0.9.archive"
    kept.write_bytes(tiny_zip.read_bytes())
    with pytest.raises(DatasetError, match=rf"{re.escape(str(kept))} \(delete it .*{found}, expected {CONTENT_SHA256}"):
        load_fsdd()


def test_no_mirror_answers(server: tuple[Path, str], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsdd, "MIRRORS", (f"{server[1]}/a.zip", f"{server[1]}/b.zip"))
    reasons = rf"cannot download .*a\.zip: .*404.*b\.zip: .*404.*\${DATA_VARIABLE}"
    with pytest.raises(DatasetError, match=reasons) as raised:
        load_fsdd()
    assert isinstance(raised.value.__cause__, OSError)
