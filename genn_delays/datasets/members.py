"""The files of a folder or an archive, one by one. An archive is read to its end, so that all its checksums are
compared.

gzip, bzip2, xz and zip carry checksums of their content, and whatever is read of such an archive is what was put into
it. A tar carries checksums of its headers alone: in one that is not compressed, as in a folder, damage within a file
cannot be seen.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, cast

from ..errors import DatasetError

_CHUNK = 1 << 20


class Member(NamedTuple):
    """A file.

    Attributes:
        path: relative to the folder, or within the archive.
        read: gives the content; to be called before the next member is asked for, as an archive may be a stream. What
            it gives is known to be whole only when the last member has been passed.
    """

    path: PurePosixPath
    read: Callable[[], bytes]


def members(source: Path) -> Iterator[Member]:
    """Every file of a folder (in order of path) or an archive (in its own order), recognised by its content.

    Raises:
        DatasetError: a file cannot be given as it is in the archive, because it is encrypted or a link.
        Exception: damage surfaces as any of a dozen errors of zipfile, tarfile and the decompressors.
    """
    if source.is_dir():
        yield from _folder(source)
        return
    with source.open("rb") as file:
        if is_zip(file):
            yield from _zip(source, file)
        else:
            with closing(decompressed(file)) as stream:
                yield from _tar(source, stream)


def is_zip(file: IO[bytes]) -> bool:
    """True if a file begins as a zip archive does. (``zipfile.is_zipfile`` would also find a zip within a tar.)"""
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    return start in (b"PK\3\4", b"PK\5\6")  # the second begins one without files


def decompressed(file: IO[bytes]) -> IO[bytes]:
    """The content of a gzip, bzip2 or xz file, told by how it begins; of any other file the file itself.

    When it has been read to its end, every checksum has been compared.
    """
    file.seek(0)
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if start.startswith(b"BZh"):
        return io.BufferedReader(_Streams(file, bz2.BZ2Decompressor), _CHUNK)
    if start == b"\xfd7zXZ\0":
        return io.BufferedReader(_Streams(file, partial(lzma.LZMADecompressor, lzma.FORMAT_XZ)), _CHUNK)
    return file


class _Streams(io.RawIOBase):
    """The compressed streams of a file, one after the other, and after them nothing but zeros.

    ``BZ2File`` and ``LZMAFile`` pass over whatever follows the first stream and is not another one: a second stream
    with a bad header is lost without a word.
    """

    def __init__(self, file: IO[bytes], begin: Callable[[], Any]) -> None:
        self._file, self._begin = file, begin
        self._stream = begin()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._stream.eof:
                given = self._behind(self._stream.unused_data)
                if not given:
                    return 0
                self._stream = self._begin()
            else:
                given = self._file.read(_CHUNK) if self._stream.needs_input else b""
                if self._stream.needs_input and not given:
                    raise EOFError("it ends within compressed data")
            found = self._stream.decompress(given, len(buffer))
            if found:
                buffer[: len(found)] = found
                return len(found)

    def _behind(self, rest: bytes) -> bytes:
        """The bytes after a stream, without the zeros that pad a block; empty at the end of the file."""
        while not (found := rest.lstrip(b"\0")):
            rest = self._file.read(_CHUNK)
            if not rest:
                break
        return found


def _folder(source: Path) -> Iterator[Member]:
    def unreadable(error: OSError) -> None:
        raise error

    found: list[Path] = []
    above: dict[Path, frozenset[tuple[int, int]]] = {}  # folder -> itself and those it lies in
    for place, below, names in os.walk(source, onerror=unreadable, followlinks=True):
        folder = Path(place)
        known = folder.stat()
        inside = above.get(folder.parent, frozenset())
        if (known.st_dev, known.st_ino) in inside:
            below.clear()  # a link that leads back to a folder it lies in, all of whose files come anyway
            continue
        above[folder] = inside | {(known.st_dev, known.st_ino)}
        found += (folder / name for name in names)
    for path in sorted(found):
        yield Member(PurePosixPath(path.relative_to(source).as_posix()), partial(_read_file, path))


def _read_file(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise DatasetError(f"{path} is not a file that holds anything")  # a pipe, which would be waited for
    return path.read_bytes()


def _zip(source: Path, file: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        _check_end(file, archive)
        for info in archive.infolist():
            what = f"{source} holds {info.filename}"
            if stat.S_ISLNK(info.external_attr >> 16):
                yield Member(
                    PurePosixPath(info.filename), partial(_refuse, f"{what} as a symbolic link, not as a file")
                )
            elif info.flag_bits & 1:
                raise DatasetError(f"{what} encrypted; unpack it, and give the folder")
            else:
                with archive.open(info) as content:
                    if not info.filename.endswith("/"):
                        yield Member(PurePosixPath(info.filename), content.read)
                    while content.read(_CHUNK):  # its checksum is compared at its end, wanted or not
                        pass


def _check_end(file: IO[bytes], archive: zipfile.ZipFile) -> None:
    """Check that the list of files is the last thing in the file, and that all of it was read."""
    end = struct.Struct("<4s4H2LH")
    file.seek(0, os.SEEK_END)
    file.seek(max(file.tell() - end.size - len(archive.comment), 0))
    mark, *_, count, _, _, comment = end.unpack(file.read(end.size))
    if mark != b"PK\5\6" or comment != len(archive.comment):
        raise zipfile.BadZipFile("something follows its list of files, or is missing there")
    if count not in (0xFFFF, len(archive.infolist())):  # 0xFFFF: the number is elsewhere
        raise zipfile.BadZipFile(f"it says that it holds {count} files, and lists {len(archive.infolist())}")


class _Header(tarfile.TarInfo):
    """A header of a tar; one that is damaged or missing is an error. `tarfile` takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the block of zeros at the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {tarfile_.offset} of the tar") from error


def _tar(source: Path, stream: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if member.islnk() or member.issym():
                kind = "hard" if member.islnk() else "symbolic"
                what = f"{source} holds {member.name} as a {kind} link to {member.linkname}, not as a file"
                yield Member(path, partial(_refuse, what))
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                yield Member(path, content.read)
        rest = cast("IO[bytes]", archive.fileobj)  # behind the block of zeros that ends the list
        while found := rest.read(_CHUNK):
            if found.strip(b"\0"):
                raise tarfile.ReadError("something follows the end of the tar")


def _refuse(message: str) -> bytes:
    raise DatasetError(message)
