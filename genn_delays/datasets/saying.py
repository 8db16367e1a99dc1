"""Messages of loaders on standard error before they do something that takes seconds or more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from .. import streams

_QUIET = ContextVar("_QUIET", default=False)


def say(text: str) -> None:
    """One line on standard error, unless :func:`quietly` holds or there is no such stream any more."""
    if not _QUIET.get():
        streams.say(f"genn-delays: {text}")


@contextlib.contextmanager
def quietly(quiet: bool = True) -> Iterator[None]:
    """Loaders in the body say nothing, in this thread and task, if ``quiet``."""
    before = _QUIET.set(quiet)
    try:
        yield
    finally:
        _QUIET.reset(before)
