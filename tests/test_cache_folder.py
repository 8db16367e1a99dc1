"""Folders that are named by nobody, or by a home that is not there."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest
from refused import refused

from genn_delays.cli import main
from genn_delays.errors import GennDelaysError, InvalidValueError
from genn_delays.paths import CACHE_VARIABLE, cache_dir, expanded


@pytest.fixture
def homeless(monkeypatch):
    """A user without $HOME and without an entry in the list of users, as in a container."""

    def nobody(key: object) -> None:
        raise KeyError(key)

    for name in ("HOME", "XDG_CACHE_HOME", CACHE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(pwd, "getpwnam", nobody)


def test_without_a_home_one_error_names_the_variable(homeless, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with refused(CACHE_VARIABLE, "no home folder", error=GennDelaysError):
        cache_dir()
    assert main(["train", "digits", "--out", "run", "--epochs", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("genn-delays: error: ") and CACHE_VARIABLE in line
    assert main(["info"]) == 0
    assert "cache         none: " in (out := capsys.readouterr().out) and CACHE_VARIABLE in out
    assert list(tmp_path.iterdir()) == []  # no folder of the name ~


def test_with_the_variable_no_home_is_needed(homeless, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    assert main(["train", "digits", "--out", str(tmp_path / "run"), "--epochs", "1", "--quiet"]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--quiet"]) == 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "digits", "--out", "~nosuchuser/run"], ["train", "~nosuchuser/model.toml"],
        ["train", "digits", "--data-dir", "~nosuchuser"], ["evaluate", "~nosuchuser/run"],
        ["show-code", "digits", "--output", "~nosuchuser/code.cpp"],
    ],
)  # fmt: skip
def test_a_home_that_is_not_there_is_one_error(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("genn-delays: error: ") and "~nosuchuser" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variable", [CACHE_VARIABLE, "GENN_DELAYS_DATA"])
def test_variables_too(variable, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, "~nosuchuser/folder")
    assert main(["train", "fsdd", "--out", str(tmp_path / "run"), "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert variable in line and "~nosuchuser" in line


def test_a_home_that_is_there_is_put_in():
    assert expanded("~/x") == Path.home() / "x"
    with refused("the file '~nosuchuser/x'", "full path"):
        expanded("~nosuchuser/x", "the file")
    assert issubclass(InvalidValueError, GennDelaysError)
