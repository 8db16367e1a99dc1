"""Values of options: what is no number stays a text, for the library's own error that names it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def whole(text: str) -> Any:
    """A whole number, or the text for the error that names it."""
    try:
        return int(text)
    except ValueError:
        return text


def real(text: str) -> Any:
    """A number, or the text for the error that names it."""
    try:
        return float(text)
    except ValueError:
        return text


def own_data(args: argparse.Namespace) -> str | None:
    """The data set of ``--data``: a name, or a path that starts at the current folder."""
    from ..datasets.own import located

    found: str | None = located(args.data, Path())
    return found
