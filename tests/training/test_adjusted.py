"""Learning rates and weights that are set from outside while a network trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refused import refused

import genn_delays as gd
from genn_delays.errors import RunFolderError

T, EXAMPLES, BATCH = 12, 10, 4
random = np.random.default_rng(0)
X, Y = {"x": (random.random((EXAMPLES, T, 6)) < 0.4).astype(np.float32)}, {"o": random.integers(0, 3, EXAMPLES)}


def compiled_network(backend: Any = "reference", alpha: float = 0.02, schedule: Any = None, rule: Any = None) -> Any:
    network = gd.Network()
    with network:
        x = gd.Population(gd.SpikeInput(), 6, "x")
        h = gd.Population(gd.LeakyIntegrateFire(tau_mem=5.0, v_thresh=0.6), 8, "h", batch_norm=True)
        o = gd.Population(gd.LeakyIntegrate(tau_mem=5.0, readout="sum_softmax"), 3, "o")
        sparse: dict[str, Any] = {"weight": gd.Normal(0.5, 0.8), "delay": gd.UniformInt(0, 4)}
        gd.Connection(x, h, gd.FixedNumber(sparsity=0.5, **sparse), delay_kernel="gaussian")
        gd.Connection(h, o, gd.FixedNumber(sparsity=0.25, **sparse))
    adam = gd.Adam(alpha, schedule=schedule)
    optimisers = {"all_connections": adam, "x_h": {"delay": adam}, "h": {"batch_norm": adam, "tau_mem": adam}}
    rewiring = None if rule is None else {"all_connections": rule}
    compiler = gd.SurrogateCompiler(T, BATCH, backend=backend)
    return compiler.compile(network, optimisers=optimisers, rewiring=rewiring)


def learned(compiled: Any) -> list[bytes]:
    states = [compiled.synapses(c).weight.tobytes() + compiled.delays(c).tobytes() for c in ("x_h", "h_o")]
    return states + [v.tobytes() for p in compiled.populations for v in p.values.values()]


def test_a_rate_that_is_set_is_that_of_compile(backend: Any) -> None:
    """Of weights, delays, batch norm and time constants, on every backend."""
    compiled, other = compiled_network(backend), compiled_network(backend, alpha=0.005)
    compiled.set_learning_rate(0.005)
    for one in (compiled, other):
        one.train(X, Y, 2, callbacks=[])
    assert set(compiled.learning_rates().values()) == {0.005} and len(compiled.learning_rates()) == 6
    assert learned(compiled) == learned(other)
    assert learned(compiled) != learned(compiled_network(backend))


def test_a_rate_of_0_learns_nothing_of_it() -> None:
    compiled = compiled_network()
    before = compiled.synapses("x_h").weight, compiled.delays("x_h"), compiled.synapses("h_o").weight
    compiled.set_learning_rate(0.0, "x_h", "weight")
    compiled.train(X, Y, 1, callbacks=[])
    after = compiled.synapses("x_h").weight, compiled.delays("x_h"), compiled.synapses("h_o").weight
    assert [np.array_equal(a, b) for a, b in zip(before, after, strict=True)] == [True, False, False]


def test_a_schedule_by_a_callback_is_that_of_the_optimiser() -> None:
    decay = gd.OptimiserParamSchedule("alpha", lambda epoch, alpha: 0.02 * 0.5**epoch)
    compiled, other = compiled_network(), compiled_network(schedule=gd.ExponentialDecay(gamma=0.5))
    compiled.train(X, Y, 3, callbacks=[decay])
    other.train(X, Y, 3, callbacks=[])
    assert learned(compiled) == learned(other)
    assert other.learning_rates()["x_h", "weight"] == 0.02 * 0.5**2


def test_a_checkpoint_keeps_the_rates(tmp_path: Path) -> None:
    halve = gd.OptimiserParamSchedule("alpha", lambda epoch, alpha: alpha / 2)
    whole = compiled_network()
    whole.train(X, Y, 2, callbacks=[halve])
    whole.save(tmp_path / "half")
    whole.train(X, Y, 4, callbacks=[halve])
    resumed = compiled_network()
    resumed.load(tmp_path / "half")
    resumed.train(X, Y, 4, callbacks=[halve])
    assert learned(resumed) == learned(whole)
    plain = compiled_network()
    plain.save(tmp_path / "plain")
    assert b"learning_rates" not in (tmp_path / "plain").read_bytes()
    resumed.load(tmp_path / "plain")
    assert set(resumed.learning_rates().values()) == {0.02}


@pytest.mark.parametrize("rates", [3, {"connection x_h": 3}, {"connection x_h": {"weight": -1.0}}])
def test_a_checkpoint_with_rates_that_cannot_be(tmp_path: Path, rates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = compiled_network()
    monkeypatch.setattr("genn_delays.training.contents.written", lambda plan: {"learning_rates": rates})
    compiled.save(tmp_path / "bad")
    with refused("damaged", "learning_rates", error=RunFolderError):
        compiled.load(tmp_path / "bad")


def test_rates_that_cannot_be_set() -> None:
    compiled = compiled_network()
    for alpha in (-0.1, float("nan"), "fast"):
        with refused("learning rate", "0"):
            compiled.set_learning_rate(alpha)
    with refused("learned variable", "h_o, delay", "x_h, delay"):
        compiled.set_learning_rate(0.1, "h_o", "delay")
    with refused("'nobody'"):
        compiled.set_learning_rate(0.1, "nobody")
    with refused("x_h, weight", "ExponentialDecay"):
        compiled_network(schedule=gd.ExponentialDecay()).set_learning_rate(0.1, "x_h", "weight")


def test_weights_are_set_from_a_callback(backend: Any) -> None:
    """Weights clipped after every batch stay within, on every backend, and rewiring goes on."""

    class Clip(gd.Callback):
        def on_batch_end(self, batch: int, metrics: Any) -> None:
            for c in self.compiled_network.network.connections:
                weight = self.compiled_network.synapses(c).weight
                self.compiled_network.set_weights(c, np.clip(weight, -0.3, 0.3))

    compiled = compiled_network(backend, rule=gd.DeepR(l1=0.02))
    metrics, _ = compiled.train(X, Y, 3, callbacks=[Clip()])
    weight = compiled.synapses("x_h").weight
    assert np.abs(weight).max() == np.float32(0.3) and sum(metrics.rewirings.values()) > 0


def test_weights_that_cannot_be_set() -> None:
    compiled = compiled_network(rule=gd.DeepR())
    weight = compiled.synapses("x_h").weight
    compiled.set_weights("x_h", 2 * weight)
    assert np.array_equal(compiled.synapses("x_h").weight, 2 * weight)
    compiled.set_weights("x_h", 0 * weight)
    assert np.array_equal(np.signbit(compiled.synapses("x_h").weight), np.signbit(weight))
    with refused("x_h", "DeepR keeps the signs", "no. 0"):
        compiled.set_weights("x_h", -weight)
    with refused("weights of connection 'x_h'", "shape"):
        compiled.set_weights("x_h", weight[1:])
    with refused("weights of connection 'x_h'", "finite"):
        compiled.set_weights("x_h", np.full(weight.shape, np.nan))


def test_hooks_of_time_steps_are_refused() -> None:
    class Steps(gd.Callback):
        def on_timestep_end(self, timestep: int) -> None:
            """mlGeNN calls this."""

    compiled = compiled_network()
    for act in (lambda c: compiled.train(X, Y, 1, callbacks=c), lambda c: compiled.evaluate(X, Y, callbacks=c)):
        with refused("Steps", "on_timestep_end", "VarRecorder", "SimulationCompiler"):
            act([Steps()])
