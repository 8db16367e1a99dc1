"""What the pages under docs/ show is what happens, and what they list is what there is."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

import genn_delays
from genn_delays.cli import main
from genn_delays.datasets.npz import _FORMS
from genn_delays.runs import sections
from genn_delays.runs.config import SECTIONS
from genn_delays.runs.models import load_model
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.simulated import SIMULATION_SECTIONS, SimulationSettings

DOCS = Path(__file__).parents[1] / "docs"


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def printed(script: str, folder: Path) -> str:
    """What a script prints, run in a folder of its own."""
    (folder / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["training", "simulation", pytest.param("porting_snntorch", marks=pytest.mark.torch)])
def test_the_first_script_of_a_page_prints_what_the_page_says(name, tmp_path):
    if name == "porting_snntorch":
        pytest.importorskip("snntorch", reason="pip install snntorch torch")
    found = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", page(name), re.DOTALL)
    assert found is not None
    assert printed(found[1], tmp_path) == found[2]


def test_the_data_of_ones_own_are_trained_on(tmp_path, monkeypatch, capsys):
    """As the page writes them they are those of the data set by name, to the last figure."""
    found = re.search(
        r"```python\n(import numpy as np\nfrom sklearn.*?)```\n\n```sh\ngenn-delays (.*?) #", page("data"), re.DOTALL
    )
    assert found is not None
    script, command = found.groups()
    monkeypatch.chdir(tmp_path)
    printed(script, tmp_path)
    figures = []
    for arguments in (command.split(), ["train", "digits"]):
        assert main([*arguments, "--epochs", "1", "--json", "--quiet"]) == 0
        result = json.loads(capsys.readouterr().out)
        figures.append([value for key, value in result.items() if key.endswith("accuracy")])
    assert figures[0] == figures[1]


def test_keys_of_npz_files_are_those_that_are_read():
    table = re.search(r"## Keys of an .npz file\n(.*?)\n\n- ", page("data"), re.DOTALL)
    assert table is not None
    listed = {key for key in re.findall(r"`(\w+)`", table[1]) if key not in ("x", "y", "_test")}
    known = {key for form in _FORMS.values() for key in form} - {"x", "y"}
    assert {key for key in known if not key.endswith("_test") or key in ("x_test", "y_test")} == listed


USE_OF_LION = """
import numpy as np
from genn_delays import Connection, FixedNumber, LeakyIntegrate, Network, Population, SpikeInput
from genn_delays import SurrogateCompiler, Uniform

with Network(seed=0) as network:
    a, b = Population(SpikeInput(), 20, name="a"), Population(LeakyIntegrate(readout="sum_var"), 3, name="b")
    Connection(a, b, FixedNumber(sparsity=0.5, weight=Uniform(-1.0, 1.0)))
draws = np.random.default_rng(0)
x, y = (draws.random((16, 10, 20)) < 0.2).astype(np.float32), draws.integers(0, 3, 16)
for backend in ("reference", "cpu"):
    compiler = SurrogateCompiler(example_timesteps=10, batch_size=8, backend=backend)
    with compiler.compile(network, optimisers={"all_connections": {"weight": Lion(1e-3)}}) as compiled:
        compiled.train({a: x}, {b: y}, 2, callbacks=())
        change = compiled.synapses("a_b").weight - network.connections[0].synapses.weight
        print(np.rint(change / 1e-3).astype(int).tolist())
"""


def test_the_optimiser_of_ones_own_runs_on_every_backend(tmp_path):
    """Lion's steps are of one size, so each weight has moved by whole numbers of them, the same on both backends."""
    found = re.search(r"```python\n(from dataclasses import dataclass\n.*?)```", page("own_parts"), re.DOTALL)
    assert found is not None
    one, other = printed(found[1] + USE_OF_LION, tmp_path).splitlines()
    assert one == other and "4" in one


def test_links_between_pages_lead_to_files():
    """In the source too, where pages are read as they are; the build of the documentation checks sections."""
    for path in [*DOCS.glob("*.md"), *DOCS.glob("api/*.md")]:
        for target in re.findall(r"(?<!!)\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


# --- model files -----------------------------------------------------------------------------------------------------


def documented(section: str) -> list[str]:
    """The keys in the table of a section of model files."""
    found = re.search(rf"### `{re.escape(section)}`\n(.*?)(?:\n#|\Z)", page("model_files"), re.DOTALL)
    assert found is not None, section
    return re.findall(r"^\| `(\w+)` \|", found[1], re.MULTILINE)


def keys(config: type, without: tuple[str, ...] = (), besides: tuple[str, ...] = ()) -> set[str]:
    return {f.name for f in fields(config) if f.name not in without} | set(besides)  # type: ignore[arg-type]


SCHEMA = {
    "[model]": keys(sections.ModelConfig, besides=("extends",)),
    "[network]": {"seed"},
    "[[populations]]": keys(sections.PopulationConfig),
    "[[connections]]": keys(sections.ConnectionConfig),
    "[compiler]": keys(sections.CompilerConfig),
    "[training]": keys(sections.TrainingConfig),
    "[rewiring]": keys(sections.RewiringConfig),
    "[simulation]": keys(SimulationSettings),
    "[overrides]": keys(Overrides),
}


@pytest.mark.parametrize("section", SCHEMA)
def test_documented_keys_of_model_files_are_those_that_are_read(section):
    listed = documented(section)
    assert set(listed) == SCHEMA[section] and len(set(listed)) == len(listed)


def test_all_sections_of_model_files_are_documented():
    listed = set(re.findall(r"^### `\[+(\w+)\]+`$", page("model_files"), re.MULTILINE))
    assert listed == {*SECTIONS, *SIMULATION_SECTIONS, "overrides"}


def test_the_models_of_the_page_are_models(tmp_path):
    """The one in TOML, the one that builds on another, and the one in Python."""
    toml = [block.split("```")[0] for block in page("model_files").split("```toml\n")[1:]]
    python = page("model_files").split("```python\n")[1].split("```")[0]
    for number, text in enumerate([*toml, python]):
        path = tmp_path / f"model_{number}.{'py' if text is python else 'toml'}"
        path.write_text(text, encoding="utf-8")
        load_model(str(path))
    assert len(toml) == 2
    assert load_model(str(tmp_path / "model_2.py")).connections[0].connectivity["connectivity"] == "sparse"


# --- the reference ---------------------------------------------------------------------------------------------------


def reference() -> list[tuple[str, str]]:
    """Module and name of everything that the reference lists."""
    found = []
    for path in sorted((DOCS / "api").glob("*.md")):
        for block in path.read_text(encoding="utf-8").split("```{eval-rst}")[1:]:
            module = re.search(r"reference:: ([\w.]+)", block)
            assert module is not None
            found += [(module[1], name) for name in re.findall(r"^   (\w+)$", block, re.MULTILINE)]
    return found


def test_every_public_name_is_in_the_reference_once():
    listed = Counter(name for module, name in reference() if module == "genn_delays")
    assert set(listed) == {name for name in genn_delays.__all__ if name != "__version__"}
    assert set(listed.values()) == {1}


@pytest.mark.parametrize(
    "module", ["analysis", "costs", "datasets", "ops", "plots", pytest.param("torch", marks=pytest.mark.torch)]
)
def test_public_names_of_modules_are_in_the_reference(module):
    if module == "torch":
        pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")
    listed = {name for place, name in reference() if place == f"genn_delays.{module}"}
    names = set(importlib.import_module(f"genn_delays.{module}").__all__)
    assert {name for name in names if not name.isupper()} - {"Examples"} == listed  # a type, no class
