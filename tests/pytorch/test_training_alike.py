"""A layer that PyTorch trains and a compiled network: the same synapses after the same steps, to rounding.

Both are one connection onto leaky integrators, of one seed, so that nothing random differs. ``as_module`` and the
neighbours' tests have networks with spiking neurons.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")

import genn_delays as gd  # noqa: E402
from genn_delays.learning.schedules import CosineAnnealing, OneCycle  # noqa: E402
from genn_delays.torch import Adam, SparseDelayed, rewire, shrink  # noqa: E402

pytestmark = pytest.mark.torch

T, B, IN, OUT, LAGS, SEED = 25, 6, 12, 9, 10, 3
EPOCHS, BATCHES = 3, 8
RATE, DELAY_RATE, L1 = 0.05, 0.3, 0.02
CONNECTIVITY = {"delay": gd.UniformInt(0, LAGS), "weight": gd.KaimingUniform()}

RULES = {
    "as published": gd.DeepR(l1=L1, dale=True, growth="gradient"),
    "drift": gd.DeepR(l1=0.1, decoupled_l1=True, growth_delay="redraw"),
    "noise, whole delays": gd.DeepR(l1=L1, temperature=1e-4),
    "best delays": gd.DeepR(l1=L1, growth="gradient", growth_delay="best"),
    "set": gd.SET(interval=3),
    "signed_rigl": gd.SignedRigL(interval=3),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors are so small that threads would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def examples():
    generator = np.random.default_rng(0)
    x = (generator.random((B * BATCHES, T, IN)) < 0.2).astype(np.float32)
    return x, generator.integers(0, OUT, B * BATCHES)


def kernel_of(name):
    """Noise is a function of the delay too, of which a layer with learned ones knows the first and the last alone."""
    return None if "whole" in name else "gaussian"


def compiled(rule, kernel):
    """The synapses that a compiled network has learned, with their real-valued delays, and its last loss."""
    network = gd.Network(seed=SEED)
    with network:
        source = gd.Population(gd.Input(), IN)
        target = gd.Population(gd.LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), OUT)
        connection = gd.Connection(source, target, gd.FixedNumber(0.6, **CONNECTIVITY), delay_kernel=kernel)
    compiler = gd.SurrogateCompiler(example_timesteps=T, batch_size=B, rng_seed=SEED, backend="reference")
    learned = {"weight": gd.Adam(schedule=OneCycle(RATE, per="batch"))}
    if kernel:
        learned["delay"] = gd.Adam(DELAY_RATE, schedule=CosineAnnealing(per="batch"))
    how = {"optimisers": {"all_connections": learned}, "rewiring": {"all_connections": rule}}
    x, y = examples()
    with compiler.compile(network, **how) as found:
        metrics, _ = found.train({source: x}, {target: y}, EPOCHS, shuffle=False, callbacks=())
        state = found.engine.state(connection.index)
        return state.synapses, state.position, metrics.loss


def layer(rule, kernel, kind):
    """The same of a layer."""
    own = SparseDelayed(IN, OUT, 0.6, delay_kernel=kernel, dale=rule.dale, seed=SEED, **CONNECTIVITY)
    optimizers, total = [kind([own.weight], RATE)], EPOCHS * BATCHES
    schedules = [torch.optim.lr_scheduler.OneCycleLR(optimizers[0], RATE, total)]
    if kernel:
        optimizers.append(kind([own.delay], DELAY_RATE))
        schedules.append(torch.optim.lr_scheduler.CosineAnnealingLR(optimizers[1], total))
    x, y = (torch.from_numpy(array) for array in examples())
    for epoch in range(EPOCHS):
        shrink(own, epoch, EPOCHS)
        losses = []
        for k, batch in enumerate(torch.arange(y.numel()).split(B)):
            states = [torch.zeros(batch.numel(), OUT)]
            for current in own(x[batch].transpose(0, 1).contiguous()):
                states.append((1 - 1 / 10.0) * states[-1] + current)
            z = torch.stack(states[1:]).softmax(2).sum(0)
            loss = torch.nn.functional.cross_entropy(z, y[batch])
            losses.append(loss.item())
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            if epoch == k == 0 and rule.signed and not rule.decoupled_l1:  # rewire's hook begins at its first call
                own.weight.grad += rule.l1 * own.weight.detach().sign()
            for optimizer in optimizers:
                optimizer.step()
            rewire(own, rule, optimizers, total_steps=total)
            for schedule in schedules:
                schedule.step() if k + epoch * BATCHES < total - 1 else None
    return own.synapses(), own.delay.detach().clamp(0, LAGS).numpy() if kernel else None, np.mean(losses)


@pytest.mark.parametrize("name", RULES)
def test_layer_and_compiled_network_learn_the_same(name):
    """By PyTorch's Adam and by the layers' own; weights, delays, drops and growth of every step lead here."""
    kernel = kernel_of(name)
    synapses, position, loss = compiled(RULES[name], kernel)
    for kind in (Adam, torch.optim.Adam) if name == "as published" else (torch.optim.Adam,):
        found, delay, last = layer(RULES[name], kernel, kind)
        for ours, theirs in zip(synapses[:2], found[:2], strict=True):
            assert np.array_equal(ours, theirs)
        assert np.abs(synapses.weight - found.weight).max() < 1e-4
        assert last == pytest.approx(loss, rel=1e-4)
        if kernel:
            assert np.abs(position - delay).max() < 1e-3
        else:
            assert np.array_equal(synapses.delay, found.delay)
