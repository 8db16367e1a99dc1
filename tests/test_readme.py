"""What the README shows is what happens."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from genn_delays.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_script_prints_what_the_readme_says(tmp_path):
    found = re.search(r"```python\n(from genn_delays import .*?)```\n\n```\n(.*?)```", README, re.DOTALL)
    assert found is not None
    script, expected = found.groups()
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected


def test_the_simulation_prints_what_the_readme_says():
    section = README[README.index("## Simulation\n") : README.index("## Describing a network\n")]
    script, expected = re.findall(r"```(?:python)?\n(.*?)```", section, re.DOTALL)[:2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected


def test_the_data_of_ones_own_are_trained_on(tmp_path, monkeypatch, capsys):
    """As the readme writes them they are those of the data set by name, to the last figure."""
    found = re.search(
        r"```python\n(import numpy as np\nfrom sklearn.*?)```\n\n```sh\ngenn-delays (.*?) #", README, re.DOTALL
    )
    assert found is not None
    script, command = found.groups()
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-c", script], check=True, timeout=600)
    figures = []
    for arguments in (command.split(), ["train", "digits"]):
        assert main([*arguments, "--epochs", "1", "--json", "--quiet"]) == 0
        result = json.loads(capsys.readouterr().out)
        figures.append([value for key, value in result.items() if key.endswith("accuracy")])
    assert figures[0] == figures[1]


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
    found = re.search(r"```python\n(from dataclasses import dataclass\n.*?)```", README, re.DOTALL)
    assert found is not None
    (tmp_path / "script.py").write_text(found.group(1) + USE_OF_LION, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    one, other = done.stdout.splitlines()
    assert one == other and "4" in one
