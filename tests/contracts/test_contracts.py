"""Every registered class on every backend and in both ways of training; a user's are among them, see ``suite.py``."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from own_classes import OWN, registered

import genn_delays as gd
from contracts import suite
from genn_delays.backends import BACKENDS
from genn_delays.learning.surrogates import SURROGATES
from genn_delays.registry import registries


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    """Registering is all that a class needs to be tried here."""
    with registered():
        yield


def test_every_registry_is_tried() -> None:
    tried = [registry for registry, _ in suite.KINDS.values()]
    assert {id(r) for r in (*tried, SURROGATES)} == {id(r) for r in registries()}
    kinds = {type(e) for registry in registries() for e in suite.examples(registry)}
    assert set(OWN.values()) <= kinds


@pytest.mark.parametrize("kind", suite.KINDS)
def test_with_surrogates(kernels: Any, kind: str) -> None:
    suite.assert_same_everywhere(kernels, suite.branches(kind, event_prop=False))


@pytest.mark.parametrize("kind", ["optimiser", "loss", "readout", "rewiring rule"])
def test_with_event_prop(kernels: Any, kind: str) -> None:
    suite.assert_same_everywhere(kernels, suite.branches(kind, event_prop=True), event_prop=True)


def test_surrogates(kernels: Any) -> None:
    for surrogate in suite.examples(SURROGATES):
        suite.assert_same_everywhere(kernels, [suite.Branch()], surrogate=surrogate)


@pytest.mark.genn
@pytest.mark.parametrize("kind", ["optimiser", "loss", "readout"])
def test_on_genn(kind: str) -> None:
    found = BACKENDS["genn"]().availability()
    if not found.available:
        pytest.skip(found.detail)
    suite.assert_same_everywhere("genn", suite.branches(kind, event_prop=True), event_prop=True)


def test_objects_are_copied_and_pickled_as_they_are() -> None:
    """So are compilers that hold them."""
    for registry in registries():
        for example in suite.examples(registry):
            for copied in (copy.deepcopy(example), pickle.loads(pickle.dumps(example))):
                assert type(copied) is type(example) and repr(copied) == repr(example)
    compiler = gd.SurrogateCompiler(8, 4, losses=OWN["tilted_error"](), surrogate=OWN["logistic_own"]())
    assert pickle.loads(pickle.dumps(compiler)).losses == compiler.losses
