"""Tests run once per backend where they take the `backend` fixture."""

from __future__ import annotations

import pytest

from genn_delays.backends import BACKENDS


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    """The name of every backend of this version, one after the other."""
    found = BACKENDS[request.param]().availability()
    if not found.available:
        pytest.skip(found.detail)
    return str(request.param)
