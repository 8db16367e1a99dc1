"""PyGeNN and mlGeNN, found at run time: they are not on PyPI and never requirements."""

from __future__ import annotations

import importlib
import re
from functools import cache
from importlib import metadata
from types import ModuleType

from ...errors import BackendUnavailableError

NEEDED = {"pygenn": "5.4", "ml_genn": "2.3"}
"""Oldest versions that work."""
NAMES = {"pygenn": "PyGeNN", "ml_genn": "mlGeNN"}
USERS = {
    "pygenn": "backend 'genn' needs",
    "ml_genn": 'GeNN(trainer="ml_genn"), to_ml_genn and from_ml_genn need',
}
PAGES = {
    "pygenn": "https://genn-team.github.io/genn/documentation/5/installation.html",
    "ml_genn": "https://ml-genn.readthedocs.io",
}


def version(package: str) -> str:
    """The version that is installed.

    Raises:
        BackendUnavailableError: it is missing or too old; the message says what was found and what is needed.
    """
    try:
        found = metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise BackendUnavailableError(f"{NAMES[package]} is not installed; {_needed(package)}") from error
    if _numbers(found) < _numbers(NEEDED[package]):
        raise BackendUnavailableError(f"{NAMES[package]} {found} is too old; {_needed(package)}")
    return found


@cache
def load(package: str) -> ModuleType:
    """The package, imported.

    Raises:
        BackendUnavailableError: it is missing, too old, or its import fails; that error is the cause of this one.
    """
    found = version(package)
    try:
        return importlib.import_module(package)
    except Exception as error:  # a missing library or another Python may raise anything: report it
        raise BackendUnavailableError(
            f"{NAMES[package]} {found} is installed but cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _needed(package: str) -> str:
    return f"{USERS[package]} {NAMES[package]} {NEEDED[package]} or later: {PAGES[package]}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])
