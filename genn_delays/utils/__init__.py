"""mlGeNN's utilities that ported scripts use; see :mod:`.data`."""

from typing import TYPE_CHECKING

from ..porting import missing_from

__all__: list[str] = []

if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
