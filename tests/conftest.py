"""Tests run once per backend where they take the `backend` fixture, or `any_backend` where nothing is learned."""

from __future__ import annotations

from typing import Any

import pytest
from cuda_on_host import CUDAOnHost

from genn_delays.backends import BACKENDS
from genn_delays.backends.cpu import compiler

EVALUATORS = {"genn"}
"""Backends that do not train with a surrogate; what they learn is tested in files of their own."""

AS_SHIPPED = {
    "test_against_reference.py", "test_few_lanes.py", "test_one_pass.py", "test_reproducible.py", "test_rewiring.py",
    "test_emit.py", "test_nonlinear.py", "test_every_bit.py", "test_vectors.py",
}  # fmt: skip
"""Tests that hold kernels against `reference`, compiled with the flags that users get, as the self-test is by CI."""


@pytest.fixture(autouse=True)
def compiled_quickly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All other tests compile with -Og, in a quarter of the time and to the same bits."""
    if request.path.name not in AS_SHIPPED:
        monkeypatch.setattr(compiler, "FLAGS", tuple("-Og" if flag == "-O3" else flag for flag in compiler.FLAGS))


def _present(name: str) -> str:
    found = BACKENDS[name]().availability()
    if not found.available:
        pytest.skip(found.detail)
    return name


def _names(names: set[str]) -> list[Any]:
    """Backends as parameters of a fixture, with the markers of what they need."""
    marks = {"cuda": [pytest.mark.cuda], "genn": [pytest.mark.genn]}
    return [pytest.param(name, marks=marks.get(name, [])) for name in sorted(names)]


def _trainer(request: pytest.FixtureRequest) -> Any:
    return CUDAOnHost() if request.param == CUDAOnHost.name else _present(str(request.param))


@pytest.fixture(params=[*_names(BACKENDS.keys() - EVALUATORS), CUDAOnHost.name])
def backend(request: pytest.FixtureRequest) -> Any:
    """Every backend of this version that trains whatever can be planned, one after the other."""
    return _trainer(request)


@pytest.fixture(params=[*_names(BACKENDS.keys() - EVALUATORS - {"reference"}), CUDAOnHost.name])
def kernels(request: pytest.FixtureRequest) -> Any:
    """The same without `reference`, for tests that compare with it."""
    return _trainer(request)


@pytest.fixture(params=_names(set(BACKENDS)))
def any_backend(request: pytest.FixtureRequest) -> str:
    """The name of every backend of this version, one after the other."""
    return _present(str(request.param))
