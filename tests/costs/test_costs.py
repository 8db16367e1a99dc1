"""Operations that are counted from the plan are those that compiled kernels execute; metrics are those defined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import counted
import numpy as np
import pytest
from refused import refused

import genn_delays as gd
from genn_delays.cli import main
from genn_delays.costs import costs_of, dense_forward, picojoules, training_share, training_step
from genn_delays.costs.activity import measured
from genn_delays.costs.count import inference
from genn_delays.costs.operations import Operations, in_printed
from genn_delays.derive.printed import Printed
from genn_delays.learning.schedules import Progress
from genn_delays.plan.exchanged import Pass
from genn_delays.training.data import prepare_inputs, prepare_labels

T, BATCH = 20, 8
NOW = Progress(0, 1, 0, 1)


def network(
    inputs: Any, readout: str = "sum_var", kernel: Any = None, hidden: Any = None, second: float = 0.3
) -> gd.Network:
    described = gd.Network(seed=1)
    synapse = gd.Exponential(4.0) if hidden == "exponential" else "delta"
    with described:
        a = gd.Population(inputs, 12, "a")
        b = gd.Population(gd.LeakyIntegrateFire(tau_mem=5.0, v_thresh=0.5), 9, "b")
        c = gd.Population(gd.LeakyIntegrate(readout=readout), 3, "c")
        for source, target, sparsity, high in ((a, b, 0.5, 9), (b, c, second, 25 if kernel is None else 12)):
            synapses = gd.FixedNumber(sparsity=sparsity, delay=gd.UniformInt(0, high))
            gd.Connection(source, target, synapses, synapse, delay_kernel=kernel)
    return described


def data(spikes: bool) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, BATCH)
    if not spikes:
        return random.random((BATCH, T, 12)).astype(np.float32), labels
    return [(np.sort(random.random(60) * T), random.integers(0, 12, 60)) for _ in range(BATCH)], labels


WEIGHTS, BOTH = {"weight": gd.SGD(0.1)}, {"weight": gd.SGD(0.1, momentum=0.5, l1=0.1), "delay": gd.SGD(0.1)}
CASES = {
    "spikes": (network(gd.SpikeInput()), WEIGHTS),
    "real": (network(gd.Input()), WEIGHTS),
    "softmax": (network(gd.Input(), "sum_softmax"), WEIGHTS),
    "whole delays, learned": (network(gd.SpikeInput()), BOTH),
    "Gaussian kernel": (network(gd.Input(), kernel=gd.GaussianKernel(3.0)), BOTH),
    "triangle kernel": (network(gd.SpikeInput(), "max_var", gd.TriangleKernel(2.0)), BOTH),
    "few are heard": (network(gd.Input(), second=0.85), WEIGHTS),
    "few are heard, kernel": (network(gd.SpikeInput(), kernel=gd.GaussianKernel(3.0), second=0.85), BOTH),
    "decoupled L1": (network(gd.Input()), {"weight": gd.SGD(0.1, l1=0.1, decoupled_l1=True)}),
}


@pytest.mark.parametrize("name", CASES)
def test_counted_from_the_plan_is_what_is_executed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every floating point operation of the kernels, by a class in the place of `float`; every pass exactly."""
    counted.install(monkeypatch)
    described, learned = CASES[name]
    x, y = data(spikes=isinstance(described.inputs[0].neuron, gd.SpikeInput))
    compiler = gd.SurrogateCompiler(T, BATCH, backend=gd.CPU(threads=1))
    with compiler.compile(described, optimisers={"all_connections": learned}) as compiled:
        engine, plan = compiled.engine, compiled.plan
        engine.busy = 2.0  # type: ignore[attr-defined]  # spikes stay lists
        inputs, count = prepare_inputs(described, {"a": x}, T, 1.0)
        losses = {p.index: p.loss for p in plan.outputs if p.loss}
        labels = prepare_labels(described, {"c": y}, count, losses, T)
        synapses = {c.index: engine.state(c.index).synapses for c in plan.connections}
        widths = {c.index: c.kernel.width(c.max_delay, NOW) for c in plan.connections if c.kernel}
        executed = {}
        counted.operations(engine)
        engine.load(inputs, np.arange(count))
        engine.forward(Pass(training=True, widths=widths))
        executed["forward"] = sum(counted.operations(engine))
        engine.loss(labels)
        counted.operations(engine)  # mostly in double precision, which is not counted
        engine.backward()
        executed["backward"] = sum(counted.operations(engine))
        activity = measured(plan, engine, inputs, np.arange(count))
        compiled._learner.step(0, NOW, count)
        executed["optimiser"] = sum(counted.operations(engine))
    costs = training_step(plan, synapses, activity, NOW)
    assert activity.active[1].sum() > 20, "hidden neurons spike"
    assert executed["forward"] == costs.of("forward").flops
    assert executed["optimiser"] == costs.of("optimiser").flops
    back = costs.of("backward").flops + costs.of("gradients").flops
    readout = executed["backward"] - back  # the readout's way back is counted with the loss
    assert 0 <= readout <= costs.of("loss").flops
    if "softmax" not in name:
        assert readout == 0


def test_printed_operations() -> None:
    known = {
        "a*b + c": 2, "-a": 0, "a - -b": 1, "1e-3f*a": 1, "2.0f - 1.5e+2f": 1, "expf(a)/b": 2, "(a)-b": 1,
        "a > 0.0f ? a*b : -(c)": 1,
    }  # fmt: skip
    assert {text: in_printed(Printed(text, "")) for text in known} == known


def test_energy_is_that_of_the_stated_figures() -> None:
    assert picojoules(Operations(macs=2.0, acs=3.0, others=100.0)) == pytest.approx(2 * 4.6 + 3 * 0.9)


def test_shares_of_training_are_those_of_evci() -> None:
    """Static and SET 1 - s; RigL between; SNFS at least a third: a dense gradient at every step."""
    assert training_share("SET", 0.9) == pytest.approx(0.1) == training_share("static", 0.9)
    assert training_share("dense", 0.9) == 1.0
    assert training_share("RigL", 0.9, 100) == pytest.approx((3 * 0.1 * 100 + 2 * 0.1 + 1) / (3 * 101))
    assert training_share("SNFS", 0.99) == pytest.approx((2 * 0.01 + 1) / 3)


def test_report() -> None:
    """NeuroBench's metrics, against sums over the recorded spikes written out here."""
    described, x = CASES["spikes"][0], data(spikes=True)[0]
    compiler = gd.SurrogateCompiler(T, 3, backend="cpu")
    with compiler.compile(described, optimisers={}) as compiled:
        report = costs_of(compiled, {"a": x}, "small")
        _, recorded = compiled.predict({"a": x}, callbacks=[gd.SpikeRecorder("b")])
        synapses = [compiled.synapses(c) for c in described.connections]
    first = sum(
        int((np.floor(time) + delay < T).sum())
        for times, neurons in x
        for neuron in range(12)
        for time in [np.unique(np.floor(times[neurons == neuron]))]
        for delay in synapses[0].delay[synapses[0].pre == neuron]
    )
    times, neurons = recorded["b_spikes"]
    second = sum(
        int((times[k][neurons[k] == j] + delay < T).sum())
        for k in range(BATCH)
        for j, delay in zip(synapses[1].pre, synapses[1].delay, strict=True)
    )
    n = report.neurobench
    assert n.effective_acs == pytest.approx((first + second) / BATCH) and n.effective_macs == 0.0
    spikes = sum(len(t) for t in times)
    assert n.activation_sparsity == pytest.approx(1 - spikes / (9 * T * BATCH))
    assert n.connection_sparsity == pytest.approx(1 - (54 + 18) / (12 * 9 + 9 * 3))
    assert n.dense == (12 * 9 + 9 * 3) * T
    assert report.step is None and report.tables()["synaptic_operations"] == n.effective_acs
    assert "small" in str(report) and sum(report.held.values()) > 0


def test_a_dense_network_takes_what_dense_says() -> None:
    """Of real-valued input: a synapse for every pair, each at one of the delays."""
    described = gd.Network(seed=0)
    with described:
        a, b = gd.Population(gd.Input(), 5), gd.Population(gd.LeakyIntegrate(readout="sum_var"), 4)
        gd.Connection(a, b, gd.Dense(delay=3))
    compiler = gd.SurrogateCompiler(T, 2, backend="cpu")
    with compiler.compile(described, optimisers={}) as compiled:
        report = costs_of(compiled, {a: np.ones((2, T, 5), np.float32)})
    assert report.inference.of("forward").macs == 2 * report.dense.one_delay == 2 * 20 * (T - 3)
    assert dense_forward(compiled.plan).convolution == 20 * sum(T - d for d in range(4))
    assert inference(compiled.plan, {0: described.connections[0].synapses}, _silent(compiled.plan)).of().acs == 0


def _silent(plan: Any) -> Any:
    from genn_delays.costs import Activity

    return Activity(1, {p.index: np.zeros((p.size, T), np.int64) for p in plan.populations})


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "costs.png"
    assert main(["costs", "digits", "--examples", "20", "--json", "--picture", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["synapses"] == 18_944 and found["examples"] == 20 and picture.stat().st_size > 1000
    assert found["training_step"]["passes"].keys() >= {"forward", "loss", "backward", "gradients", "optimiser"}
    assert main(["costs", "digits", "--examples", "20"]) == 0
    assert "synaptic operations" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digits", "--examples", "0"], ("--examples", "0")),
        (["digits", "--examples", "many"], ("--examples", "many")),
        (["digit"], ("digit", "digits")),
        (["digits", "--checkpoint", "first"], ("--checkpoint", "first", "best")),
        (["digits", "--picture", "costs.gif"], ("--picture", ".gif", ".png")),
        ([""], ("MODEL|RUN", "empty")),
    ],
)
def test_wrong_options(arguments: list[str], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["costs", *arguments]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words) and said.count("\n") == 1, said


def test_shares_need_a_method() -> None:
    with refused("method", "'adam'", "RigL"):
        training_share("adam", 0.5)
