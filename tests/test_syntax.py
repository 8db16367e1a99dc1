"""Parsing from many threads at once."""

from __future__ import annotations

import ast
import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genn_delays import syntax
from genn_delays.grammar import expression_tree

PACKAGE = Path(syntax.__file__).parent


class Cycle:
    """Garbage whose end gives another thread a turn, in the middle of a parse."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        for _ in range(50):
            pass


@pytest.fixture
def hurried():
    """Threads that take turns at every chance, and a collector that often runs."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(50, 2, 2)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)


def test_threads_parse_at_the_same_time(hurried):
    """Python's own parser fails here before 3.12.1."""
    text = "a = 1 + 2 * (3 - b)\n" * 100
    start = threading.Barrier(4)

    def parse(_):
        start.wait()
        for _ in range(60):
            for _ in range(20):
                Cycle()
            syntax.statements(text)
            expression_tree("(v + 2) * exp(-v / 3)", "equation")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(parse, range(4)))


def test_nothing_else_parses():
    """One place calls Python's parser, or what calls it."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and path.name != "syntax.py":
                assert (node.value.id, node.attr) not in {("ast", "parse"), ("ast", "literal_eval")}, path
