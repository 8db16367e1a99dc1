"""Schedules: published values, PyTorch's, and training that goes on after an interruption with the same ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import Case
from refused import refused

from genn_delays import SGD, Adam, Callback, CosineAnnealing, ExponentialDecay, OneCycle
from genn_delays.learning.schedules import Progress, as_schedule


def rates(schedule, alpha, epochs):
    return [schedule.values(alpha, Progress(epoch, epochs, 0, 1))["alpha"] for epoch in range(epochs)]


def test_the_published_one_cycle():
    """2e-4 to 5e-3 over 30 % of 150 epochs, cosine to 2e-8; beta1 0.95 - 0.85 - 0.95."""
    cycle = OneCycle(5e-3)
    values = [cycle.values(1.0, Progress(epoch, 150, 0, 9)) for epoch in range(150)]
    assert values[0]["alpha"] == pytest.approx(2e-4) and values[0]["beta1"] == pytest.approx(0.95)
    assert values[44]["alpha"] == pytest.approx(5e-3) and values[44]["beta1"] == pytest.approx(0.85)
    assert values[149]["alpha"] == pytest.approx(2e-8) and values[149]["beta1"] == pytest.approx(0.95)
    rising, falling = [v["alpha"] for v in values[:45]], [v["alpha"] for v in values[44:]]
    assert rising == sorted(rising) and falling == sorted(falling, reverse=True)


def test_cosine_and_exponential():
    assert rates(CosineAnnealing(), 0.1, 4) == pytest.approx(
        [0.1, 0.1 * (1 + 2**-0.5) / 2, 0.05, 0.1 * (1 - 2**-0.5) / 2]
    )
    assert rates(ExponentialDecay(0.5), 0.1, 3) == pytest.approx([0.1, 0.05, 0.025])


def test_per_batch_counts_batches():
    schedule = ExponentialDecay(0.5, per="batch")
    assert schedule.values(1.0, Progress(1, 4, 1, 3)) == {"alpha": 0.5**4}


class _Rate(Callback):
    """The optimisers' learning rates in the last training step."""

    def on_batch_end(self, batch, metrics):
        net = self.compiled_network
        self.rate = net.plan.optimisers(net._progress)[0].weight.alpha


@pytest.mark.parametrize("optimiser", [Adam, SGD])
def test_a_rate_that_decays_to_nothing_is_no_error(backend, optimiser):
    """``ExponentialDecay(per="batch")`` ended training after 14,393 batches at its default gamma."""
    case = replace(Case.numbered(0), batch_size=2)
    schedule = ExponentialDecay(1e-200, per="batch")  # 0 from the third batch on
    with case.compile(backend, optimisers={"all_connections": {"weight": optimiser(0.1, schedule=schedule)}}) as net:
        rate = _Rate()
        net.train(*case.data(), 1, callbacks=[])
        before = [net.synapses(c).weight.copy() for c in net.network.connections]
        net.train(*case.data(), 3, callbacks=[rate])
        after = [net.synapses(c).weight for c in net.network.connections]
    assert net.step == 6 and rate.rate == 0.0
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("gamma", [0.95, 0.5, 1e-300])
@pytest.mark.parametrize("kind", [Adam, SGD])
def test_schedules_reach_0(gamma, kind):
    optimiser = kind(1e-3, schedule=ExponentialDecay(gamma, per="batch"))
    for batch in (0, 1, 1_066, 14_393, 10_000_000):
        now = optimiser.at(Progress(0, 1, batch, 10_000_001))
        assert now.schedule is None and now.alpha == 1e-3 * gamma**batch and type(now) is kind
    assert optimiser.alpha == 1e-3 and optimiser.schedule is not None


@pytest.mark.torch
@pytest.mark.parametrize("epochs", [2, 10, 150])
def test_against_pytorch(epochs):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    for mine, alpha, theirs in (
        (OneCycle(5e-3), 1.0, lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 5e-3, total_steps=epochs)),
        (CosineAnnealing(1e-3), 0.1, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, epochs, 1e-3)),
        (ExponentialDecay(0.9), 0.1, lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
    ):
        optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=alpha)
        scheduler, expected, momenta = theirs(optimiser), [], []
        for _ in range(epochs):
            expected.append(optimiser.param_groups[0]["lr"])
            momenta.append(optimiser.param_groups[0]["betas"][0])
            optimiser.step()
            if len(expected) < epochs:
                scheduler.step()
        np.testing.assert_allclose(rates(mine, alpha, epochs), expected, rtol=1e-9)
        if isinstance(mine, OneCycle):
            mine_too = [mine.values(1.0, Progress(e, epochs, 0, 1))["beta1"] for e in range(epochs)]
            np.testing.assert_allclose(mine_too, momenta, rtol=1e-9)


@pytest.mark.parametrize(
    "optimiser", [Adam(schedule=OneCycle(0.05)), SGD(0.1, schedule=ExponentialDecay(0.7, per="batch"))]
)
def test_training_goes_on_with_the_same_bits(optimiser, tmp_path, backend):
    case = Case(seed=2)
    x, y = case.data()
    everywhere = {"all_connections": {"weight": optimiser}}
    whole, first, second = (case.compile(backend, optimisers=everywhere) for _ in range(3))
    whole.train(x, y, 6, callbacks=())

    class Stop(Callback):
        def on_epoch_end(self, epoch, metrics):
            self.compiled_network.stop_training = epoch == 2

    first.train(x, y, 6, callbacks=[Stop()])
    first.save(tmp_path / "x.safetensors")
    second.load(tmp_path / "x.safetensors")
    second.train(x, y, 6, callbacks=())
    for c in whole.plan.connections:
        np.testing.assert_array_equal(whole.synapses(c.name).weight, second.synapses(c.name).weight)


def test_a_falling_rate_changes_less_and_less():
    case = Case(seed=2)
    x, y = case.data()
    compiled = case.compile(
        "cpu", optimisers={"all_connections": {"weight": SGD(0.5, schedule=ExponentialDecay(1e-3))}}
    )
    changes, before = [], compiled.synapses("population1_out").weight
    for epoch in range(3):
        compiled.train(x, y, epoch + 1, callbacks=())
        after = compiled.synapses("population1_out").weight
        changes.append(np.abs(after - before).max())
        before = after
    assert changes[0] > 100 * changes[1] > 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OneCycle(0.0), ("OneCycle maximum", "(0, inf)", "0.0")),
        (lambda: OneCycle(0.1, rise=1.5), ("OneCycle rise", "[0, 1]", "1.5")),
        (lambda: OneCycle(0.1, base_momentum=1.0), ("OneCycle base_momentum", "[0, 1)", "1.0")),
        (lambda: CosineAnnealing(-1.0), ("CosineAnnealing minimum", "[0, inf)", "-1.0")),
        (lambda: ExponentialDecay(0.0), ("ExponentialDecay gamma", "(0, 1]", "0.0")),
        (lambda: ExponentialDecay(per="step"), ("ExponentialDecay per", "'step'", "batch, epoch")),
        (lambda: as_schedule("one_cycle"), ("'one_cycle'", "object")),
    ],
)
def test_bad_values(make, words):
    with refused(*words):
        make()
