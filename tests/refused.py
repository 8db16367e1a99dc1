"""What every test of bad input checks: one error of ours, that names the thing, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from genn_delays.errors import GennDelaysError, InvalidValueError


@contextmanager
def refused(*parts: str, error: type[GennDelaysError] = InvalidValueError) -> Iterator[None]:
    """The body raises `error` itself, on one line that holds every part."""
    with pytest.raises(error) as caught:
        yield
    assert caught.type is error
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"
