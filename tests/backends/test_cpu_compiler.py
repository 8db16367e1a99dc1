"""The machine's compiler and the kernel cache: compiled once, never trusted when damaged, failures told whole."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from networks import Case

from genn_delays import CPU, GennDelaysError
from genn_delays.backends.cpu.compiler import compile_source, compiler, find_compiler
from genn_delays.errors import BackendUnavailableError, CompileError

SOURCE = 'extern "C" int answer(void) {{ return {}; }}\n'


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENN_DELAYS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_second_start_compiles_nothing(cache):
    first, again = (Case(seed=0).compile("cpu").engine for _ in range(2))
    assert (first.compiled, again.compiled) == (True, False)
    # sizes, seeds, weights and delays are run-time arguments: other networks of the kind compile nothing either
    assert not Case(seed=7, time_steps=31, batch_size=5).compile("cpu").engine.compiled


def test_a_damaged_entry_is_rebuilt(cache):
    library, _ = compile_source(SOURCE.format(42))
    library.write_bytes(library.read_bytes()[:100])
    again, compiled = compile_source(SOURCE.format(42))
    assert compiled and again == library
    assert not compile_source(SOURCE.format(42))[1]


def test_a_half_written_entry_is_rebuilt(cache):
    """Killed between library and checksum."""
    library, _ = compile_source(SOURCE.format(43))
    library.with_suffix(".sha256").unlink()
    assert compile_source(SOURCE.format(43))[1]


def test_entries_written_by_two_processes_at_once(cache):
    """brian2 1081: every process must end with a whole library."""
    code = (
        "import ctypes, sys; from genn_delays.backends.cpu.compiler import compile_source;"
        f"print(ctypes.CDLL(str(compile_source({SOURCE.format(7)!r})[0])).answer())"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [run.communicate(timeout=120)[0].strip() for run in runs] == ["7"] * 4
    assert not [p for p in (cache / "kernels").iterdir() if p.name.startswith(".")], "temporary files left behind"


def test_a_compile_failure_says_all(cache):
    with pytest.raises(CompileError) as caught:
        compile_source("int broken( {\n")
    error = caught.value
    assert error.stage == "compile"
    assert "expected" in error.log and "int broken(" in error.log  # the compiler's own words
    assert Path(error.source).read_text() == "int broken( {\n"
    assert error.source in str(error) and isinstance(error, GennDelaysError)


def test_a_compiler_that_fails(cache, tmp_path, monkeypatch):
    cxx = script(tmp_path / "cxx", 'case "$1" in --version) echo fake 1.0;; *) echo no space left >&2; exit 3;; esac')
    monkeypatch.setenv("CXX", cxx)
    with pytest.raises(CompileError, match="no space left"):
        Case(seed=0).compile("cpu")


def test_a_compiler_that_is_missing(cache, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler --fast")
    with pytest.raises(BackendUnavailableError, match=r"no-such-compiler --fast.*unset CXX"):
        Case(seed=0).compile("cpu")
    assert "no-such-compiler" in CPU().availability().detail


def test_no_compiler_at_all(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("genn_delays.backends.cpu.compiler._has_zig", lambda: False)
    find_compiler.cache_clear()
    try:
        with pytest.raises(BackendUnavailableError, match=r"apt install g\+\+.*genn-delays\[zig\]"):
            find_compiler(None)
    finally:
        find_compiler.cache_clear()


def test_cxx_may_carry_arguments(cache, monkeypatch):
    monkeypatch.setenv("CXX", "c++ -DANSWER=9")
    library, compiled = compile_source('extern "C" int answer(void) { return ANSWER; }\n')
    assert compiled and library.exists()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")
def test_kernels_are_not_loaded_from_a_folder_that_others_can_write(cache):
    compile_source(SOURCE.format(1))
    (cache / "kernels").chmod(0o777)
    with pytest.raises(BackendUnavailableError, match="others can write"):
        compile_source(SOURCE.format(1))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")
@pytest.mark.parametrize("suffix", [".so", ".sha256"])
def test_a_kernel_that_others_can_write_is_built_again(cache, suffix):
    library, _ = compile_source(SOURCE.format(4))
    library.with_suffix(suffix).chmod(0o766)
    assert compile_source(SOURCE.format(4)) == (library, True)
    assert not [p for p in library.parent.iterdir() if p.stat().st_mode & 0o022]
    assert compile_source(SOURCE.format(4)) == (library, False)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")
def test_kernels_are_kept_whatever_the_umask(cache):
    before = os.umask(0)
    try:
        assert [compile_source(SOURCE.format(5))[1] for _ in range(2)] == [True, False]
    finally:
        os.umask(before)


@pytest.mark.parametrize("name", ["-dash", "--help", "relative", "./-o", "-"])
def test_a_cache_of_any_name(name, tmp_path, monkeypatch):
    """A folder that begins with a dash is an option to the compiler, unless its path is absolute."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENN_DELAYS_CACHE", name)
    library, compiled = compile_source(SOURCE.format(6))
    assert compiled and library == tmp_path / Path(name) / "kernels" / library.name


def test_a_cache_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENN_DELAYS_CACHE", str(tmp_path / "file"))
    with pytest.raises(GennDelaysError, match=r"file.*GENN_DELAYS_CACHE"):
        compile_source(SOURCE.format(2))


def test_ziglang_compiles_too(cache, monkeypatch):
    """The wheel brings a compiler where the machine has none."""
    pytest.importorskip("ziglang", reason="needs the extra zig")
    monkeypatch.setenv("CXX", f"{sys.executable} -m ziglang cc")
    case = Case(seed=1)
    found = case.compile("cpu").gradients(*case.data())
    monkeypatch.delenv("CXX")
    assert found[0] == pytest.approx(case.compile("cpu").gradients(*case.data())[0], rel=1e-6)


def test_a_program_that_is_no_compiler(cache, monkeypatch):
    monkeypatch.setenv("CXX", "/bin/true")
    with pytest.raises((CompileError, BackendUnavailableError), match=r"no output|does not run"):
        compile_source(SOURCE.format(3))


@pytest.mark.parametrize("text", ["'", '"', "g++ '-O3", 'g++ "', "g++ \\", " ", "''", "'' x", "\t"])
def test_a_compiler_that_is_no_command_is_named(monkeypatch, text):
    monkeypatch.setenv("CXX", text)
    with pytest.raises(BackendUnavailableError, match="CXX") as caught:
        compiler()
    assert repr(text) in str(caught.value)
    assert not CPU().availability().available  # what `info` asks


@pytest.mark.parametrize("words", [b"g\xfc++ 12", b"\xff\xfe\x00", "größer".encode("utf-16")])
def test_what_a_compiler_prints_may_be_in_any_encoding(monkeypatch, tmp_path, words):
    """It says its version, and refuses everything, in letters that are not UTF-8."""
    (tmp_path / "words").write_bytes(words)
    tool = script(
        tmp_path / "cxx", 'cat "${0%cxx}words"; [ "$1" = --version ] && exit 0; cat "${0%cxx}words" >&2; exit 1'
    )
    monkeypatch.setenv("CXX", tool)
    monkeypatch.setenv("GENN_DELAYS_CACHE", str(tmp_path / "cache"))
    assert CPU().availability().available
    with pytest.raises(CompileError) as caught:
        compile_source("int x;")
    assert words.decode("utf-8", "replace")[:2] in caught.value.log
