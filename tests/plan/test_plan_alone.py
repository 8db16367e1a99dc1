"""A plan stands alone: what runs it needs nothing of the network that it was made of."""

from __future__ import annotations

import ast
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from networks import Case
from rewired import small_network, train

import genn_delays
from genn_delays import DeepR, RigL
from genn_delays.backends import BACKENDS
from genn_delays.network import Connection, Network, Population
from genn_delays.plan.plan import FirstSynapses, Plan

RULES = [DeepR(l1=0.01), DeepR(l1=0.05, dale=True, growth_delay="redraw"), RigL(interval=1, growth_delay="best")]
PACKAGE = Path(genn_delays.__file__).parent


def alone(plan: Plan) -> Plan:
    """The same plan of arrays and numbers; its synapses are given, not drawn by a connection."""
    connections = []
    for c in plan.connections:
        synapses = c.first.draw().copy()
        connections.append(replace(c, first=FirstSynapses(lambda s=synapses: s, lambda: True)))
    return replace(plan, connections=tuple(connections), network=None)


class Alone:
    """A backend that gets plans alone."""

    def __init__(self, backend):
        self.backend = BACKENDS[backend]() if isinstance(backend, str) else backend
        self.name = self.backend.name

    def availability(self):
        return self.backend.availability()

    def versions(self):
        return self.backend.versions()

    def build(self, plan):
        return self.backend.build(alone(plan))


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_plan_alone_trains_to_the_same_bits(rule, backend, tmp_path):
    files = []
    for name, chosen in (("network", backend), ("alone", Alone(backend))):
        with train(small_network(), rule, chosen, 6, alpha=0.05) as compiled:
            assert sum(compiled.rewirings.values()) > 0
            compiled.save(path := tmp_path / name)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def _reached(value, path="plan", seen=None):
    """All that a plan refers to by attributes, items and members."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, np.ndarray | str | int | float | type(None) | type):
        return
    seen.add(id(value))
    yield path, value
    if is_dataclass(value):
        for f in fields(value):
            yield from _reached(getattr(value, f.name), f"{path}.{f.name}", seen)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _reached(item, f"{path}[{key!r}]", seen)
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from _reached(item, f"{path}[{index}]", seen)


@pytest.mark.parametrize("kind", [Case.numbered, Case.published, Case.current_based])
def test_nothing_in_a_plan_leads_to_its_network_but_the_one_reference(kind):
    plan = kind(3).compile("reference").plan
    described = (Network, Connection, Population)
    found = [path for path, value in _reached(replace(plan, network=None)) if isinstance(value, described)]
    assert found == []
    assert isinstance(plan.network, Network)


def test_no_backend_or_template_looks_back():
    """But for mlGeNN's networks, which are converted from ours, and the synapses of simulations, which are drawn by the
    rules of connections before there is a plan of them."""
    drawn = ("backends/cpu/rows.py", "backends/cpu/wiring.py", "backends/cuda/simulation_memory.py",
             "backends/reference/wiring.py")  # fmt: skip
    looks = []
    for path in [*PACKAGE.glob("backends/**/*.py"), *PACKAGE.glob("codegen/**/*.py")]:
        if "ml_genn" in path.parts or path.relative_to(PACKAGE).as_posix() in drawn:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("connectivity", "delay_initializer", "network"):
                looks.append(f"{path.relative_to(PACKAGE)}:{node.lineno} {node.attr}")
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[-1] == "network":
                looks.append(f"{path.relative_to(PACKAGE)}:{node.lineno} import")
    assert looks == []


def test_delays_and_signs_of_the_newborn_are_those_of_the_network():
    """The plan's own tables, for any words, against the initialisers they are of."""
    words = np.random.default_rng(0).integers(0, 1 << 32, 1000, dtype=np.uint32)
    for seed in range(6):
        compiled = Case.numbered(seed).compile("reference")
        for c, connection in zip(compiled.plan.connections, compiled.network.connections, strict=True):
            delays = connection.connectivity.delay_initializer
            np.testing.assert_array_equal(c.delays_of(words), delays.from_words(words))
            assert (c.delay_low, c.delay_high) == (delays.low, delays.high)
