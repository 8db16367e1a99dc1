"""Values of options: what is no number stays a text, for the library's own error that names it."""

from __future__ import annotations

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
