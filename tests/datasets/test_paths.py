"""The cache folder and the atomic write."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import platformdirs
import pytest

from genn_delays.errors import GennDelaysError
from genn_delays.paths import CACHE_VARIABLE, atomic_path, atomic_write, cache_dir


def test_cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "here"))
    assert cache_dir() == tmp_path / "here"
    assert not cache_dir().exists(), "asking for it does not make it"
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert cache_dir() == Path(platformdirs.user_cache_dir("genn-delays"))
    monkeypatch.setenv(CACHE_VARIABLE, "~/somewhere")
    assert cache_dir() == Path.home() / "somewhere"


def test_atomic_write(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.bin"
    atomic_write(path, b"first")
    atomic_write(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_atomic_write_keeps_to_the_umask(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    atomic_write(tmp_path / "atomic", b"")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")}
    assert len(modes) == 1


def test_a_body_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    path.write_bytes(b"old")
    with pytest.raises(ConnectionError), atomic_path(path) as part:
        assert part.suffix == ".zip"
        part.write_bytes(b"half of the new one")
        raise ConnectionError("an OSError of the body is the body's, not about writing")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_is_one_error_that_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "below", tmp_path):
        with pytest.raises(GennDelaysError, match=f"cannot write {re.escape(str(path))}: "):
            atomic_write(path, b"data")
    with pytest.raises(GennDelaysError, match=r"cannot write .*nothing"), atomic_path(tmp_path / "nothing"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
