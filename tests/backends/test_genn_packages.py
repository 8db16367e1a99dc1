"""PyGeNN and mlGeNN are found at run time: missing, too old or broken is told, each in its own words."""

from __future__ import annotations

import importlib
from importlib import metadata

import pytest
from networks import Case
from refused import refused

from genn_delays import GeNN
from genn_delays.backends.genn import build, packages
from genn_delays.errors import BackendUnavailableError


@pytest.fixture(autouse=True)
def forgetful():
    packages.load.cache_clear()
    yield
    packages.load.cache_clear()


def have(monkeypatch, found):
    """What versions are installed, by name; None for a package that is not."""

    def version(name):
        if found.get(name) is None:
            raise metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(packages.metadata, "version", version)


def test_missing(monkeypatch):
    have(monkeypatch, {})
    for package, name in packages.NAMES.items():
        needed = packages.NEEDED[package]
        with refused(f"{name} is not installed", f"{name} {needed}", "https://", error=BackendUnavailableError):
            packages.load(package)
    assert not GeNN().availability().available
    assert "PyGeNN is not installed" in GeNN().availability().detail
    with refused("PyGeNN is not installed", error=BackendUnavailableError):
        Case.numbered(0).compile("genn")


def test_what_needs_mlgenn_is_named(monkeypatch):
    have(monkeypatch, {"pygenn": "5.4.0"})
    with refused("mlGeNN is not installed", "to_ml_genn", 'trainer="ml_genn"', error=BackendUnavailableError):
        packages.load("ml_genn")


def test_without_make_nothing_is_built(monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: None if name == "make" else "/usr/bin/" + name)
    with refused("make", "apt install make", error=BackendUnavailableError):
        build.check_tools()


@pytest.mark.parametrize("old", ["4.9.0", "5.3.9", "5.3.0_RC1"])
def test_too_old(monkeypatch, old):
    have(monkeypatch, {"pygenn": old})
    with refused(f"PyGeNN {old} is too old", "PyGeNN 5.4 or later", error=BackendUnavailableError):
        packages.load("pygenn")


@pytest.mark.parametrize("new", ["5.4.0", "5.10.1", "6.0"])
def test_new_enough(monkeypatch, new):
    have(monkeypatch, {"pygenn": new})
    assert packages.version("pygenn") == new


def test_an_import_that_fails_is_told_with_its_cause(monkeypatch):
    """Not "not installed" of a package whose import fails for another reason (spikingjelly 459)."""
    have(monkeypatch, {"pygenn": "5.4.0"})
    cause = OSError("libcuda.so.1: cannot open shared object file")

    def broken(name):
        raise cause

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(BackendUnavailableError) as caught:
        packages.load("pygenn")
    assert "5.4.0 is installed but cannot be imported: OSError: libcuda.so.1" in str(caught.value)
    assert caught.value.__cause__ is cause
