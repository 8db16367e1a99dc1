"""Classes of installed packages are found by entry points, wherever a registry is asked for names or classes."""

from __future__ import annotations

import sys
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
    sys.modules.pop("gentle_rules", None)


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


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("raise RuntimeError('no such driver')", "RuntimeError: no such driver"),
        ("import a_module_that_nobody_has", "ModuleNotFoundError"),
        ("x = 1", "AttributeError"),
        (MODULE.replace("Gentle(SET)", "Gentle"), "derived from RewiringRule"),
        (MODULE + "    gone = 3\n    score = None\n", "`gone` and `score`"),
        (MODULE.replace("@dataclass(frozen=True)", ""), "@dataclass"),
    ],
    ids=lambda x: x if "\n" not in x else "",
)
def test_a_broken_class_of_a_package_is_told_each_time(
    installed: None, tmp_path: Path, module: str, reason: str
) -> None:
    """With the package's and the class's name; what is registered already is not asked for in packages."""
    (tmp_path / "gentle_rules.py").write_text(module)
    sys.modules.pop("gentle_rules", None)
    for ask in (lambda: list(REWIRING), lambda: as_rewiring("connection 'c'", "gentle"), lambda: REWIRING["gentle"]):
        with refused("'gentle_rules'", "'gentle_rules:Gentle'", "'gentle'", reason):
            ask()
    assert type(as_rewiring("connection 'c'", SET())) is SET


def test_a_package_cannot_take_a_name_of_the_library(installed: None, tmp_path: Path) -> None:
    points = tmp_path / "gentle_rules-1.0.dist-info" / "entry_points.txt"
    points.write_text("[genn_delays.rewiring_rules]\nset = gentle_rules:Gentle\n")
    with refused("'gentle_rules'", "'set'", "registered already"):
        list(REWIRING)
