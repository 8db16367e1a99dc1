"""Files of a data set, read from a folder or straight from an archive; their checksum; their download."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path, PurePosixPath

from ..errors import DatasetError, InvalidValueError
from ..paths import atomic_path, expanded
from .members import members
from .saying import say


def existing_path(what: str, path: str | PathLike[str]) -> Path:
    """``path``, absolute and with ``~`` expanded, if there is such a file or folder.

    Raises:
        DatasetError: there is none; the message starts with ``what``, the argument or variable that named it.
    """
    try:
        found = expanded(path, what).absolute()
    except InvalidValueError as error:
        raise DatasetError(str(error)) from error
    if not found.exists():
        raise DatasetError(f"{what} names {found}, which does not exist")
    return found


def read_files(source: Path, wanted: Callable[[PurePosixPath], bool]) -> dict[str, bytes]:
    """The content of every wanted file, without unpacking anything to disk.

    Args:
        source: a folder (searched with its subfolders, symbolic links among them), a zip archive, or a tar archive,
            alone or compressed by gzip, bzip2 or xz; told apart by content, not by name.
        wanted: says of a path, relative to ``source``, whether the file is part of the data.

    Returns:
        File name (its last part) -> content, in order of name.

    Raises:
        DatasetError: ``source`` is no archive or is damaged, or two wanted files have the same name.
    """
    files: dict[str, bytes] = {}
    for path, content in walk(source, wanted):
        if content is None:
            continue
        if path.name in files:
            raise DatasetError(f"{source} holds {path.name} more than once, lastly as {path}")
        files[path.name] = content
    return dict(sorted(files.items()))


def walk(source: Path, wanted: Callable[[PurePosixPath], bool]) -> Iterator[tuple[PurePosixPath, bytes | None]]:
    """Every file in turn, so that an archive of gigabytes is never in memory as a whole.

    Args:
        source: a folder (searched with its subfolders, symbolic links among them), a zip archive, or a tar archive,
            alone or compressed by gzip, bzip2 or xz; told apart by content, not by name.
        wanted: says of a path, relative to ``source``, whether its content is asked for.

    Yields:
        The path, and the content or None, in the order of the archive; of a folder in order of path. What came of an
        archive is known to be whole when the last file has come: until then its checksums have not been compared.

    Raises:
        DatasetError: ``source`` is no archive or is damaged, or a wanted file is encrypted or is a link in an archive.
    """
    try:
        for path, read in members(source):
            yield path, read() if wanted(path) else None
    except DatasetError:
        raise
    except Exception as error:  # any error that a damaged archive causes in zipfile, tarfile or a decompressor
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{source} cannot be read; is it damaged? ({reason})") from error


def content_sha256(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents, the same for a folder and for any archive of the same files.

    Archives that a host makes on request are not stable from byte to byte, so their own checksum would go stale; that
    of what is inside does not. It is the SHA-256 of one line ``<SHA-256 of the content>  <name>`` per file in order of
    name, so ``cd recordings && LC_ALL=C sha256sum *.wav | sha256sum`` prints it.
    """
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n".encode())
    return total.hexdigest()


def source_sha256(source: Path, part_of_data: Callable[[PurePosixPath], bool]) -> str:
    """SHA-256 that changes whenever the data may have changed: the cache key of features computed from the data.

    Args:
        source: an archive, of which this is the SHA-256, or a folder, of which every part of the data counts with its
            path and content.
        part_of_data: says of a path, relative to the folder, whether the file is part of the data.

    Raises:
        DatasetError: ``source`` cannot be read.
    """
    if source.is_dir():
        total = hashlib.sha256()
        for path, content in walk(source, part_of_data):
            if content is not None:
                total.update(f"{hashlib.sha256(content).hexdigest()}  {path}\n".encode())
        return total.hexdigest()
    return file_digest(source, "sha256")


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file in hexadecimal.

    Args:
        path: the file.
        algorithm: a name that :mod:`hashlib` knows, for example ``"sha256"``.

    Raises:
        DatasetError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error


def download(what: str, urls: Iterable[str], target: Path, check: Callable[[Path], object], advice: str) -> None:
    """Fetch ``target`` from the first mirror that serves a good copy.

    Args:
        what: the data set, for the message.
        urls: mirrors, tried in order.
        target: where the file is put, whole and checked, or not at all.
        check: raises :class:`DatasetError` if the file it is given is not the right one.
        advice: what to do without a download.

    Raises:
        DatasetError: no mirror served a good copy; the message has the reason of each.
        GennDelaysError: ``target`` cannot be written.
    """
    import pooch  # imports requests; only a download needs it

    failures: list[str] = []
    last: Exception | None = None
    with atomic_path(target) as part:
        for url in urls:
            say(f"downloading the {what} from {url}")
            try:
                # pooch's own `retrieve` wants the checksum of the archive; see content_sha256 for why there is none.
                pooch.HTTPDownloader(progressbar=False)(url, str(part), None)
                check(part)
                return
            except (OSError, DatasetError) as error:  # every error of requests is an OSError
                refused = getattr(error, "response", None)  # a 404 arrives with a body that nobody has read
                if refused is not None:
                    refused.close()
                failures.append(f"{url}: {error}")
                last = error
        raise DatasetError(f"cannot download the {what} ({'; '.join(failures)}). {advice}") from last
