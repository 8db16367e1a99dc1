"""What rewiring does to a network that has learned its data: its L1 must not take apart what is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genn_delays import (
    Adam,
    Connection,
    DeepR,
    FixedNumber,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.datasets import load_dataset


def trained(rule: DeepR | None, seed: int) -> tuple[float, float, float]:
    """Digits, 64-256-10, 75 % sparse, 20 epochs, after which the training data are known by heart.

    Gives the test accuracy; and of all synapses the share of established ones that died in the last epoch, and of those
    that are in the end as they were born.
    """
    digits, network = load_dataset("digits"), Network(seed=seed)
    with network:
        pixels = Population(SpikeInput(), 64)
        hidden = Population(LeakyIntegrateFire(tau_mem=30.0), 256)
        digit = Population(LeakyIntegrate(tau_mem=30.0, readout="sum_softmax"), 10)
        for source, target, gain in ((pixels, hidden, 2.5), (hidden, digit, 1.5)):
            delay = UniformInt(0, 10)
            Connection(source, target, FixedNumber(sparsity=0.75, weight=KaimingUniform(gain), delay=delay))
    compiler = SurrogateCompiler(example_timesteps=30, batch_size=64, rng_seed=seed)
    rewiring: dict[str, Any] = {} if rule is None else {"rewiring": {"all_connections": rule}}
    compiled = compiler.compile(network, optimisers={"all_connections": {"weight": Adam(3e-3)}}, **rewiring)
    with compiled:
        last, _ = compiled.train({pixels: digits.x_train}, {digit: digits.y_train}, 20, callbacks=())
        found, _ = compiled.evaluate({pixels: digits.x_test}, {digit: digits.y_test})
        weights = np.concatenate([compiled.synapses(c).weight for c in network.connections])
    died = sum(last.rewirings.values()) - sum(last.newborn_rewirings.values())
    return found.accuracy, died / weights.size, float((np.abs(weights) < 1e-9).mean())


@pytest.mark.parametrize("rule", [DeepR(), DeepR(l1=0.1, decoupled_l1=True)], ids=["default", "drift"])
def test_what_was_learned_is_not_taken_apart(rule):
    """With the default of before, l1 = 0.01, two thirds of the synapses were newborn ones after every step."""
    fixed, rewired = ([trained(r, seed) for seed in (0, 1)] for r in (None, rule))
    accuracy, died, unused = np.mean(rewired, axis=0)
    assert accuracy > np.mean(fixed, axis=0)[0] - 0.02 and accuracy > 0.94
    assert died < 0.1 and unused < 0.05


def test_a_strong_l1_within_the_gradient_does():
    """So that the test above can fail."""
    accuracy, _, unused = trained(DeepR(l1=0.01), 0)
    assert accuracy < 0.94 and unused > 0.4
