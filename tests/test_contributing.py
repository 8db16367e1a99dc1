"""The recipes of CONTRIBUTING.md work as they stand: what they register learns the same on every backend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contracts import suite
from own_classes import registered

from genn_delays.learning.surrogates import SURROGATES
from genn_delays.plan.protocol import Engine
from genn_delays.registry import registries

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"\n### An? ([a-z ]+)\n.*?```python\n(.*?)```", TEXT, re.DOTALL))
SECTIONS = [*suite.KINDS, "surrogate", "backend"]
"""What has a recipe, but for initialisers of weights, which are like those of delays."""


def spelt(kind: str) -> str:
    return kind.replace("initializer", "initialiser")


@pytest.fixture
def added() -> Iterator[dict[str, Any]]:
    """The classes of all recipes, registered, by kind."""
    before = {registry.kind: set(registry.values()) for registry in registries()}
    with registered({}):
        for title, text in RECIPES.items():
            code = compile(text, f"CONTRIBUTING.md: {title}", "exec", dont_inherit=True)
            exec(code, {"__name__": "__main__"})
        yield {r.kind: [c for c in r.values() if c not in before[r.kind]] for r in registries()}


def test_there_is_one_for_every_kind() -> None:
    assert {spelt(kind) for kind in SECTIONS if kind != "initializer"} == set(RECIPES)
    for title, text in RECIPES.items():
        assert len(text.splitlines()) <= 20, title


def test_what_they_register_learns_the_same_everywhere(kernels: Any, added: dict[str, Any]) -> None:
    """All in one network, a branch for each."""
    ways = []
    for kind, (_, make) in suite.KINDS.items():
        ways += make({f"{c.registered_name}": c for c in added[kind]})
        assert bool(added[kind]) == (kind != "initializer"), kind
    ways = [way for way in ways if suite.fits(way, event_prop=False)]
    (surrogate,) = (SURROGATES[c.registered_name]() for c in added["surrogate"])
    suite.assert_same_everywhere(kernels, ways, surrogate=surrogate)


def test_the_backend_is_one() -> None:
    space: dict[str, Any] = {}
    exec(RECIPES["backend"], space)
    backend = space["Mine"]()
    with suite.compiled(backend, [suite.Branch()]) as net:
        assert isinstance(net.engine, Engine)
    suite.assert_same_everywhere(backend, [suite.Branch()])


def test_files_that_it_names_are_there() -> None:
    for path in set(re.findall(r"`((?:tests|genn_delays|docs)/[\w/.]+)`", TEXT)):
        assert (ROOT / path).exists(), path
