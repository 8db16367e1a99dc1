"""Launches of a training step and of an evaluated batch, counted without a GPU."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost

from genn_delays.backends.cuda.device import Buffer, Module
from genn_delays.callbacks import Callback
from genn_delays.cli import main
from genn_delays.neurons import SpikeInput
from genn_delays.runs.build import build_compiler, build_network, compile_arguments
from genn_delays.runs.launches import Launched, count_launches
from genn_delays.runs.models import load_model, model_names
from genn_delays.runs.overrides import Overrides


class Count(Callback):
    """What every batch launches on a device that runs it."""

    def __init__(self, monkeypatch):
        self.batches, self.times = [], Counter()
        launch, clear = Module.launch, Buffer.clear

        def launched(module, kernel, *arguments, **options):
            self.times[kernel] += 1  # every graph is recorded here when it comes for the first time
            launch(module, kernel, *arguments, **options)

        def cleared(buffer):
            self.times[f"clear {buffer.name}"] += 1
            clear(buffer)

        monkeypatch.setattr(Module, "launch", launched)
        monkeypatch.setattr(Buffer, "clear", cleared)

    def on_batch_begin(self, batch):
        device = self.compiled_network.engine.device
        device.settle()
        self.times.clear()
        self.before = device.calls, device.kernels

    def on_batch_end(self, batch, metrics):
        device = self.compiled_network.engine.device
        device.settle()
        calls, kernels = self.before
        self.batches.append(Launched(device.calls - calls, device.kernels - kernels, Counter(self.times)))


SHAPES = [
    ("fsdd_paper", {}),
    ("fsdd_paper", {"delays": "fixed", "rewiring": "deep_r"}),
    ("fsdd_paper", {"batch_size": 2, "hidden": "6,5", "rewiring": "set"}),
    ("digits_eventprop", {"hidden": "20"}),
    ("store_recall", {}),  # on a cycle, whose delays say how many blocks there are
]


@pytest.mark.parametrize(("model", "settings"), SHAPES, ids=str)
def test_counts_are_those_of_a_device_that_runs_it(model, settings, monkeypatch):
    config = Overrides(**{"sparsity": 0.9, "batch_size": 8, **settings}).apply(load_model(model))
    short = replace(config.compiler, example_timesteps=min(config.compiler.example_timesteps, 30))
    config = replace(config, compiler=short)
    counted = count_launches(config)
    network, compiler = build_network(config), build_compiler(config)
    compiler.backend = CUDAOnHost()
    with compiler.compile(network, **compile_arguments(config, network)) as compiled:
        B, T = config.compiler.batch_size, config.compiler.example_timesteps
        x = {
            p: [(np.empty(0), np.empty(0, dtype=np.int64))] * B
            if isinstance(p.neuron, SpikeInput)
            else np.zeros((B, T, p.size), np.float32)
            for p in network.inputs
        }
        y = {p: np.zeros(B, np.int64) for p in network.outputs}
        count = Count(monkeypatch)
        every = max((c.rewiring.every for c in compiled.plan.connections if c.rewiring), default=1)
        compiled.train(x, y, every, callbacks=[count])
        training = max(count.batches, key=lambda batch: batch.kernels)
        assert counted.training == training
        compiled.evaluate(x, y, callbacks=[count])
        assert counted.evaluation == count.batches[-1]


@pytest.mark.parametrize("settings", [{}, {"delays": "fixed", "rewiring": "deep_r"}, {"batch_size": 32}], ids=str)
@pytest.mark.parametrize("model", ["fsdd_paper", "rawhd_paper"])
def test_a_step_is_its_data_and_one_graph_of_few_kernels(model, settings):
    found = count_launches(Overrides(**settings).apply(load_model(model)))
    assert found.training.calls == found.evaluation.calls == 2  # the data's, and one graph
    assert found.training.kernels == sum(found.training.times.values()) <= 30
    assert found.evaluation.kernels == sum(found.evaluation.times.values()) <= 10
    assert found.evaluation_bytes < found.training_bytes


def test_the_table_needs_no_gpu(capsys):
    assert main(["show-code", "fsdd_paper", "--backend", "cuda", "--launches"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("fsdd_paper, batch of 256") and lines[0].endswith("evaluated batch")
    found = {line.rsplit(maxsplit=2)[0]: line.split()[-2:] for line in lines if line}
    assert found["launches (a graph is one)"] == ["2", "2"]
    assert found["update_adam_adam"] == ["2", "-"] and found["summed_loss_2"] == ["1", "1"]
    for column in (-2, -1):
        times = [line.split()[column] for line in lines[lines.index("") + 1 :]]
        assert found["kernels"][column] == str(sum(int(number) for number in times if number != "-"))
    assert main(["show-code", "fsdd_paper", "--launches"]) == 2
    assert "--launches counts what --backend cuda launches, got --backend cpu" in capsys.readouterr().err


EXPERIMENT = Path(__file__).parents[2] / "experiments" / "gpu_step_time" / "README.md"
COUNTED = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in EXPERIMENT.read_text().partition("**Counted, no GPU needed**")[2].splitlines()
    if line.startswith("| `")
]
"""Rows of the experiment's table: network, batch, launches and kernels and MB of a step, the same of evaluation."""
SETTINGS = {
    "whole delays, grown at random": {"delays": "fixed", "rewiring": "deep_r"},
    "hidden 8,192, 99 % sparse": {"hidden": "8192", "sparsity": 0.99},
    "hidden 2 × 4,096, 99 % sparse": {"hidden": "4096,4096", "sparsity": 0.99},
}


@pytest.mark.parametrize("row", COUNTED, ids=lambda row: row[0])
def test_the_table_of_the_experiment_is_what_is_counted(row):
    model, _, what = row[0].partition("`, ")
    config = Overrides(**SETTINGS[what] if what else {}).apply(load_model(model.strip("`")))
    found = count_launches(config)
    assert row[1:] == [
        str(config.compiler.batch_size),
        f"{found.training.calls} / {found.training.kernels}",
        f"{found.training_bytes / 1e6:,.1f}",
        f"{found.evaluation.calls} / {found.evaluation.kernels}",
        f"{found.evaluation_bytes / 1e6:,.1f}",
    ]


@pytest.mark.parametrize("model", sorted(set(model_names(kind="training")) - {row[0].strip("`") for row in COUNTED}))
def test_every_other_model_can_be_counted(model, capsys):
    assert main(["show-code", model, "--backend", "cuda", "--launches"]) == 0
    assert capsys.readouterr().out.startswith(f"{model}, batch of ")
