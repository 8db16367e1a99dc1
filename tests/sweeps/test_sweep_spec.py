"""Sweep files: their runs, folders and columns; every mistake is one error before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from genn_delays.cli import main
from genn_delays.runs.models import load_model
from genn_delays.runs.overrides import Overrides
from genn_delays.sweeps.rows import columns
from genn_delays.sweeps.spec import read_sweep

SPEC = """
[sweep]
model = "fsdd_paper"
name = "figure3"
seeds = [0, 1]

[set]
validation = 0.0
training.optimiser.l1 = 0.01

[grid]
sparsity = [0.5, 0.875]

[[series]]
name = "learned structure"
set = { rewiring = "deep_r_rigl", dale = true }

[[series]]
name = "fixed, no L1"
seeds = [7]
set = { rewiring = "none", training.optimiser.l1 = 0.0 }
grid = { delays = ["fixed", "learned"], sparsity = [0.99] }
"""


@pytest.fixture
def sweep(tmp_path: Path):
    """Writes a sweep file, with texts replaced."""

    def write(*replacements: tuple[str, str], text: str = SPEC) -> Path:
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = tmp_path / "sweep.toml"
        path.write_text(text)
        return path

    return write


def test_runs_are_the_combinations_of_each_series_in_order(sweep):
    found = read_sweep(sweep())
    assert found.name == "figure3"
    assert [run.folder for run in found.runs] == [
        "learned-structure/sparsity=0.5_seed=0",
        "learned-structure/sparsity=0.5_seed=1",
        "learned-structure/sparsity=0.875_seed=0",
        "learned-structure/sparsity=0.875_seed=1",
        "fixed-no-L1/sparsity=0.99_delays=fixed_seed=7",
        "fixed-no-L1/sparsity=0.99_delays=learned_seed=7",
    ]  # fmt: skip
    assert columns(found)[:7] == [
        "series", "sparsity", "rewiring", "dale", "training.optimiser.l1", "delays", "seed",
    ]  # fmt: skip
    assert "result_sparsity" in columns(found) and columns(found)[-1] == "run"
    last = found.runs[-1]
    overrides = Overrides(sparsity=0.99, delays="learned", rewiring="none", seed=7, validation=0.0, threads=1)
    expected = overrides.apply(load_model("fsdd_paper"))
    assert last.config.training.optimiser["l1"] == 0.0 and expected.training.optimiser["l1"] == 0.01
    assert (last.config.connections, last.config.rewiring, last.config.compiler, last.config.seed) == (
        expected.connections, expected.rewiring, expected.compiler, expected.seed,
    )  # fmt: skip
    assert found.runs[0].config.rewiring.rule["dale"] is True
    assert read_sweep(sweep(), threads=2).runs[0].config.compiler.threads == 2


def test_the_examples_of_the_documentation_are_sweeps(sweep):
    page = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text(encoding="utf-8")
    short, full = (block.split("```")[0] for block in page.split("```toml\n")[1:] if "[sweep]" in block)
    runs = read_sweep(sweep(text=short)).runs
    assert len(runs) == 18 and runs[-1].folder == "sparsity=0.97_l1=0.01_seed=2"
    found = read_sweep(sweep(text=full))
    assert found.name == "figure3" and len(found.runs) == 2 * 3 + 2 * 2 * 3


def test_without_series_seeds_or_grid_there_is_one_run_of_the_model(sweep):
    found = read_sweep(sweep(text='[sweep]\nmodel = "digits"\n'))
    (run,) = found.runs
    assert (found.name, run.series, run.folder, found.swept) == ("sweep", "sweep", "run", ())
    assert run.config.seed == load_model("digits").seed


def test_a_model_of_a_path_lies_beside_the_sweep_file(sweep, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine.py").write_text("def build():\n    raise ValueError('it was run')\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["sweep", str(sweep(text='[sweep]\nmodel = "mine.py"\n'))]) == 2


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ("[1e-3, 0.01]", ["l1=0.001", "l1=0.01"]),
        ("[0, 0.5]", ["l1=0", "l1=0.5"]),
    ],
)
def test_folders_are_named_by_values(sweep, values, names):
    text = f'[sweep]\nmodel = "digits"\n[grid]\ntraining.optimiser.l1 = {values}\n'
    assert [run.folder for run in read_sweep(sweep(text=text)).runs] == names


def test_folders_of_tables_and_lists_are_names_and_differ(sweep):
    text = """
[sweep]
model = "digits"
[grid]
hidden = [64, [32, 32], "16,16"]
training.optimiser = ["sgd", {kind = "adam", alpha = 0.1}, {kind = "adam", alpha = 0.2}]
"""
    names = [run.folder for run in read_sweep(sweep(text=text)).runs]
    assert names[0] == "hidden=64_optimiser=sgd" and names[3] == "hidden=32,32_optimiser=sgd"
    assert names[1].startswith("hidden=64_optimiser=adam-") and len(set(names)) == 9


def test_keys_that_end_alike_are_told_apart_in_names(sweep):
    text = """
[sweep]
model = "digits"
[grid]
populations.hidden.tau_mem = [20.0]
populations.digit.tau_mem = [30.0]
"""
    (run,) = read_sweep(sweep(text=text)).runs
    assert run.folder == "hidden-tau_mem=20.0_digit-tau_mem=30.0"


BAD = {
    "unknown setting": (
        [("sparsity = [0.5", "sparsitty = [0.5")],
        ["series 'learned structure'", "'sparsitty'", "Did you mean 'sparsity'?"],
    ),
    "unknown key": (
        [("training.optimiser.l1 = 0.01", "training.optimiser.alfa = 1")],
        ["training.optimiser.alfa", "Did you mean 'alpha'?"],
    ),
    "empty list": ([("[0.5, 0.875]", "[]")], ["sparsity in the grid of the sweep", "at least one value, got []"]),
    "empty list of a series": (
        [('["fixed", "learned"]', "[]")],
        ["delays in the grid of series 'fixed, no L1'", "at least one value, got []"],
    ),
    "empty seeds": ([("seeds = [0, 1]", "seeds = []")], ["seeds of the sweep", "at least one value"]),
    "no list": ([("[0.5, 0.875]", "0.5")], ["sparsity in the grid of the sweep", "list", "got 0.5"]),
    "twice": ([("[0.5, 0.875]", "[0.5, 0.5]")], ["sparsity in the grid", "has 0.5 twice"]),
    "the same twice": (
        [("sparsity = [0.5, 0.875]", 'hidden = [[32, 32], "32,32"]')],
        ["two runs of series 'learned structure' are the same", "hidden=32,32_seed=0"],
    ),
    "wrong type": (
        [("validation = 0.0", 'validation = "none"')],
        ["series 'learned structure' at sparsity = 0.5", "--validation", "'none'"],
    ),
    "does not fit": (
        [("[0.5, 0.875]", "[0.5, 1.5]")],
        ["at sparsity = 1.5, seed = 0", "--sparsity must lie in [0, 1), got 1.5"],
    ),
    "wrong seed": ([("[0, 1]", "[0, -1]")], ["seeds of the sweep", "got -1"]),
    "seed twice": ([("validation = 0.0", "seed = 3")], ["seeds twice"]),
    "in set and grid": ([("validation = 0.0", "sparsity = 0.1")], ["the sweep has sparsity twice, in set and in grid"]),
    "no model": ([('model = "fsdd_paper"\n', "")], ["series 'learned structure' has no model"]),
    "unknown model": ([('"fsdd_paper"', '"fsdd_papr"')], ["'fsdd_papr'", "Did you mean 'fsdd_paper'?"]),
    "missing model": ([('"fsdd_paper"', '"gone.toml"')], ["there is no model file", "gone.toml"]),
    "model of another type": ([('"fsdd_paper"', "3")], ["model of series 'learned structure'", "got 3"]),
    "unknown section": ([("[grid]", "[grids]")], ["'grids'", "Did you mean 'grid'?"]),
    "unknown key of [sweep]": ([("seeds = [0", "seed = [0")], ["key of [sweep] 'seed'", "Did you mean 'seeds'?"]),
    "unknown key of a series": ([("seeds = [7]", "sets = [7]")], ["key of [[series]] 'fixed, no L1' 'sets'"]),
    "no section [sweep]": ([("[sweep]", "[swept]")], ["'swept'", "Did you mean 'sweep'?"]),
    "series without a name": ([('name = "learned structure"\n', "")], ["name of [[series]] number 1"]),
    "series of one name": ([('"fixed, no L1"', '"learned-structure"')], ["must differ", "'learned structure'"]),
    "a name that is no folder": ([('"figure3"', '"../figure3"')], ["name in [sweep]", "'../figure3'"]),
    "no TOML": ([("[grid]", "[grid")], ["is not a TOML file"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_one_error_before_anything_is_computed(sweep, tmp_path, capsys, case):
    replacements, parts = BAD[case]
    path = sweep(*replacements)
    assert main(["sweep", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and not (tmp_path / "out").exists()
    (line,) = said.err.splitlines()
    assert line.startswith(f"genn-delays: error: {path}") and "Traceback" not in line
    for part in parts:
        assert part in line, line


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["gone.toml"], "cannot read gone.toml"),
        ([""], "SPEC must not be empty"),
        (["SPEC", "--processes", "0"], "--processes must be from 1 to 4096, got 0"),
        (["SPEC", "--processes", "two"], "--processes must be a whole number"),
        (["SPEC", "--threads", "0"], "--threads must be from 1 to 1024, got 0"),
        (["SPEC", "--threads", "none"], "--threads must be a whole number"),
        (["SPEC", "--seeds", "1"], "unknown option of sweep '--seeds'"),
        (["SPEC", "--processes", "2", "--scheduler", "tcp://127.0.0.1:1"], "--processes is of local runs"),
    ],
)
def test_a_wrong_command_is_one_error(sweep, tmp_path, capsys, arguments, part):
    path = sweep()
    given = [str(path) if argument == "SPEC" else argument for argument in arguments]
    assert main(["sweep", *given, "--out", str(tmp_path / "out")]) == 2
    assert part in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["data", "training.dataset"])
def test_data_of_ones_own_lie_beside_the_sweep_file(sweep, key, monkeypatch):
    path = sweep(("validation = 0.0", f'{key} = "digits.npz"'))
    monkeypatch.chdir(path.parent.parent)
    assert {run.config.training.dataset for run in read_sweep(path).runs} == {str(path.parent.resolve() / "digits.npz")}
