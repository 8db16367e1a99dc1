"""Folders and archives, read as they are: whole, or one error. Nothing is altered or missing without a word."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from refused import refused
from tiny_fsdd import wav_bytes

from genn_delays.datasets.archives import read_files, walk
from genn_delays.errors import DatasetError

Files = dict[str, bytes]


def recordings(size: int = 3000, count: int = 3) -> Files:
    noise = np.random.default_rng(0)
    return {
        f"recordings/{i}.wav": wav_bytes(noise.integers(-(2**15), 2**15, size // 2).astype("<i2")) for i in range(count)
    }


def as_tar(files: Files, kind: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def as_zip(files: Files, method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("notes/", b"")
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def packed_streams(pack: Callable[[bytes], bytes]) -> Callable[[Files], bytes]:
    """The tar in two compressed streams, as parallel compressors and `cat` make them."""

    def packed(files: Files) -> bytes:
        whole = as_tar(files)
        return pack(whole[:4000]) + pack(whole[4000:])

    return packed


FORMATS: dict[str, Callable[[Files], bytes]] = {
    "tar": as_tar,
    "gnu.tar": lambda files: as_tar(files, tarfile.GNU_FORMAT),
    "tar.gz": lambda files: gzip.compress(as_tar(files), 1),
    "tar.bz2": lambda files: bz2.compress(as_tar(files)),
    "tar.xz": lambda files: lzma.compress(as_tar(files), preset=0),
    "streams.tar.gz": packed_streams(gzip.compress),
    "streams.tar.bz2": packed_streams(bz2.compress),
    "streams.tar.xz": packed_streams(lzma.compress),
    "stored.zip": as_zip,
    "deflated.zip": lambda files: as_zip(files, zipfile.ZIP_DEFLATED),
    "bzip2.zip": lambda files: as_zip(files, zipfile.ZIP_BZIP2),
    "lzma.zip": lambda files: as_zip(files, zipfile.ZIP_LZMA),
}


def found_in(path: Path, content: bytes, wanted: Callable[[PurePosixPath], bool] = lambda path: True) -> Files | None:
    """What is read of an archive of this content; None where it is refused, by an error of ours that names it."""
    path.write_bytes(content)
    try:
        return {str(name): data for name, data in walk(path, wanted) if data is not None}
    except DatasetError as error:
        assert str(path) in str(error)
        return None


@pytest.mark.parametrize("kind", FORMATS)
def test_whole_archives(kind: str, tmp_path: Path) -> None:
    files = recordings()
    assert found_in(tmp_path / "archive", FORMATS[kind](files)) == files
    assert found_in(tmp_path / "archive", FORMATS[kind]({})) == {}


def unprotected(kind: str, files: Files) -> list[range]:
    """The bytes of a plain tar that no checksum covers: the files themselves."""
    if not kind.endswith("tar"):
        return []
    whole = FORMATS[kind](files)
    return [range(whole.index(content), whole.index(content) + len(content)) for content in files.values()]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_flipped_bit_alters_and_hides_nothing(kind: str, tmp_path: Path) -> None:
    """200 flips anywhere: an error, or every file as it was (a date in a header, say, is nobody's content)."""
    files = recordings()
    good = FORMATS[kind](files)
    free = unprotected(kind, files)
    places = [at for at in range(len(good)) if not any(at in part for part in free)]
    chosen = random.Random(kind)
    refusals = 0
    for _ in range(200):
        spoiled = bytearray(good)
        spoiled[chosen.choice(places)] ^= 1 << chosen.randrange(8)
        found = found_in(tmp_path / "archive", bytes(spoiled))
        assert found is None or found == files
        refusals += found is None
    assert refusals > (20 if free else 120), "of most of its bytes it matters what they are"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_flipped_bit_in_a_file_that_is_not_wanted(kind: str, tmp_path: Path) -> None:
    """The archive is damaged, whoever asks for what."""
    files = recordings()
    good = FORMATS[kind](files)
    free = unprotected(kind, files)
    one = {name: content for name, content in files.items() if name == "recordings/1.wav"}
    chosen = random.Random(kind)
    for _ in range(40):
        at = chosen.randrange(len(good) // 4, 3 * len(good) // 4)
        if not any(at in part for part in free):
            spoiled = bytearray(good)
            spoiled[at] ^= 1 << chosen.randrange(8)
            found = found_in(tmp_path / "archive", bytes(spoiled), lambda path: path.name == "1.wav")
            assert found is None or found == one


@pytest.mark.parametrize("kind", FORMATS)
def test_cut_off_or_with_something_behind(kind: str, tmp_path: Path) -> None:
    files = recordings()
    good = FORMATS[kind](files)
    chosen = random.Random(kind)
    for length in [*range(0, 40), *(chosen.randrange(len(good)) for _ in range(40)), len(good) - 1]:
        found = found_in(tmp_path / "archive", good[:length])
        assert found is None or (found == files and not good[length:].strip(b"\0"))
    for behind in (b"x", b"garbage" * 100, b"\0" * 512 + b"x" * 512, as_tar(recordings(count=1))):
        assert found_in(tmp_path / "archive", good + behind) is None
    if not kind.endswith("zip"):
        assert found_in(tmp_path / "archive", good + bytes(1024)) == files, "zeros fill up a block"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_bad_header_does_not_end_a_tar(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Nothing is wrong with the compression: it is the tar that was damaged, in the header of each file in turn."""
    files = recordings()
    tar = as_tar(files)
    for number, content in enumerate(files.values()):
        at = tar.index(content) - 512
        for spoiled in (tar[: at + 5] + b"~" + tar[at + 6 :], tar[:at], tar[: at + 100], tar[: at + 600]):
            assert found_in(tmp_path / "archive", pack(spoiled)) is None, number


def test_a_zip_inside_a_tar_is_not_the_archive(tmp_path: Path) -> None:
    files = {**recordings(count=1), "inner.zip": as_zip({"other.wav": b"other"})}
    assert found_in(tmp_path / "archive.tar", as_tar(files)) == files


def test_encrypted_zip(tmp_path: Path) -> None:
    path = tmp_path / "fsdd.zip"
    content = bytearray(as_zip(recordings()))
    content[content.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with refused(str(path), "holds recordings/2.wav encrypted", error=DatasetError):
        read_files(path, lambda path: True)


def test_what_is_damaged_is_said(tmp_path: Path) -> None:
    path = tmp_path / "fsdd"
    whole = as_tar(recordings())
    xz = bytearray(lzma.compress(whole))
    xz[len(xz) // 2] ^= 1
    for content, reason in (
        (bytes(xz), "Corrupt input data"),
        (bz2.compress(whole)[:-1], "ends within compressed data"),
        (bz2.compress(whole) + b"BZ", "within compressed data"),
        (whole[:5] + b"~" + whole[6:], "bad checksum"),
        (as_zip(recordings()) + b"x", "follows its list of files"),
        (b"no archive at all", "truncated header"),
    ):
        path.write_bytes(content)
        with refused(str(path), "cannot be read; is it damaged?", reason, error=DatasetError):
            list(walk(path, lambda path: False))


def test_a_recording_that_is_a_link_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "fsdd.tar"
    (tmp_path / "a.wav").write_bytes(b"a")
    os.link(tmp_path / "a.wav", tmp_path / "b.wav")
    (tmp_path / "c.wav").symlink_to("a.wav")
    for name, kind in (("b.wav", "hard"), ("c.wav", "symbolic")):
        with tarfile.open(path, "w") as archive:
            archive.add(tmp_path / "a.wav", "a.wav")
            archive.add(tmp_path / name, name)
        with refused(str(path), f"holds {name} as a {kind} link to a.wav", error=DatasetError):
            read_files(path, lambda path: path.suffix == ".wav")
        assert read_files(path, lambda path: path.name == "a.wav") == {"a.wav": b"a"}
    link = zipfile.ZipInfo("c.wav")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "fsdd.zip", "w") as archive:
        archive.writestr(link, "a.wav")
    with refused("fsdd.zip", "holds c.wav as a symbolic link", error=DatasetError):
        read_files(tmp_path / "fsdd.zip", lambda path: True)


# ---- folders


def test_folders_that_are_links_are_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, elsewhere = tmp_path / "source", tmp_path / "elsewhere"
    (source / "own").mkdir(parents=True)
    (elsewhere / "below").mkdir(parents=True)
    (source / "own" / "a.wav").write_bytes(b"a")
    (elsewhere / "below" / "b.wav").write_bytes(b"b")
    (source / "linked").symlink_to(elsewhere, target_is_directory=True)
    (source / "c.wav").symlink_to(source / "own" / "a.wav")
    (source / "own" / "below").mkdir()
    (source / "own" / "below" / "back").symlink_to(source, target_is_directory=True)
    (elsewhere / "self").symlink_to(elsewhere, target_is_directory=True)
    found = {str(path): content for path, content in walk(source, lambda path: True)}
    assert found == {"c.wav": b"a", "linked/below/b.wav": b"b", "own/a.wav": b"a"}
    assert list(found) == sorted(found)
    (tmp_path / "whole").symlink_to(source, target_is_directory=True)
    monkeypatch.chdir(source)
    for same in (tmp_path / "whole", Path()):
        assert {str(path) for path, _ in walk(same, lambda path: False)} == set(found)


def test_what_cannot_be_read_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere")
    with refused(str(tmp_path), "gone.wav", error=DatasetError):
        read_files(tmp_path, lambda path: path.suffix == ".wav")
    assert read_files(tmp_path, lambda path: False) == {}
    (tmp_path / "gone.wav").unlink()
    os.mkfifo(tmp_path / "pipe.wav")
    with refused("pipe.wav", error=DatasetError):
        read_files(tmp_path, lambda path: path.suffix == ".wav")
