"""Classes of installed packages are found by entry points, wherever a registry is asked for names or classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from refused import refused

from genn_delays.rewiring import REWIRING, SET, as_rewiring
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.sections import read_rewiring as from_table

MODULE = """
from dataclasses import dataclass
from genn_delays import SET

@dataclass(frozen=True)
class Gentle(SET):
    fraction: float = 0.1
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package with a rewiring rule that nobody has asked for yet."""
    (tmp_path / "gentle_rules.py").write_text(MODULE)
    info = tmp_path / "gentle_rules-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gentle_rules\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[genn_delays.rewiring_rules]\ngentle = gentle_rules:Gentle\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(REWIRING, "_searched", False)
    yield
    dict.pop(REWIRING, "gentle", None)


@pytest.mark.parametrize(
    "names",
    [list, sorted, lambda r: [*r.keys()], lambda r: [n for n, _ in r.items()], lambda r: [*{**r, "none": None}],
     lambda r: [c.registered_name for c in r.values()], lambda r: [n for n in ("gentle", "nobody") if n in r],
     lambda r: [r["gentle"].registered_name]],
    ids=["iteration", "sorted", "keys", "items", "copy", "values", "contains", "item"],
)  # fmt: skip
def test_every_way_of_asking_finds_installed_classes(installed: None, names: Any) -> None:
    assert "gentle" in names(REWIRING)


def test_a_rule_is_named_by_compile_model_files_and_the_command_line(installed: None) -> None:
    assert type(as_rewiring("connection 'c'", "gentle")).__name__ == "Gentle"
    config = from_table({"rule": "gentle", "interval": 7})
    assert config.rule["fraction"] == 0.1 and config.rule["interval"] == 7
    assert Overrides(rewiring="gentle")._rewiring(from_table({"rule": "set"})).name == "gentle"


def test_an_error_lists_what_is_installed(installed: None) -> None:
    with refused("'gentel'", "gentle", "deep_r"):
        as_rewiring("connection 'c'", "gentel")


def test_deep_r_that_grows_by_the_gradient_has_a_name_of_its_own() -> None:
    """In compile() as in model files and on the command line."""
    rule: Any = as_rewiring("connection 'c'", "deep_r_rigl")
    assert rule.registered_name == "deep_r" and rule.growth == "gradient"
    assert from_table({"rule": "deep_r_rigl"}).rule["growth"] == "gradient"
    assert Overrides(rewiring="deep_r_rigl")._rewiring(from_table({"rule": "none"})).rule["growth"] == "gradient"
    assert type(as_rewiring("connection 'c'", "set")) is SET
