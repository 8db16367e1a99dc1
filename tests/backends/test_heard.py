"""Neurons whose spikes reach no loss: nothing is computed backwards for them, and no bit of a result depends on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import Case, unround

import genn_delays as gd
from genn_delays.errors import InvalidValueError
from genn_delays.plan import heard as hearing


class Thin(Case):
    """A random network of so few synapses that many neurons are not heard."""

    def _connect(self, random, source, target):
        delay = gd.UniformInt(1 + self.seed % 4, 3 + self.seed % 4 + int(random.integers(1, 8)))
        kernel = None if self.kernel is None else gd.GaussianKernel(sigma=self.sigma)
        connectivity = gd.FixedNumber(sparsity=0.8, weight=gd.Normal(0.3, 1.5), delay=delay)
        synapse = gd.Exponential(4.0) if self.exponential else "delta"
        limit = min(delay.high + 2, self.time_steps - 1) if self.learn_delays else None
        gd.Connection(source, target, connectivity, synapse, max_delay_steps=limit, delay_kernel=kernel)


def cases():
    for kind in (Case.numbered, Case.published, Case.current_based):
        for seed in range(4):
            case = replace(kind(seed), depth=2 + seed % 2, multapses=False, kernel_count=1)
            yield Thin(**vars(case))


CASES = list(cases())


def run(case):
    with case.compile(gd.CPU(threads=2)) as compiled:
        unround(compiled, case.seed)
        loss, found = compiled.gradients(*case.data())
        gradients = list(found.values())
        if case.learn_delays:
            gradients += compiled.gradients(*case.data(), "delay")[1].values()
        plan = compiled.plan
        synapses = {c.index: compiled.engine.state(c.index).synapses for c in plan.connections}
        ears = hearing.heard(plan, synapses)
        compiled.train(*case.data(), num_epochs=2, callbacks=())
        return loss, gradients, ears, [compiled.synapses(c).weight for c in compiled.network.connections]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_no_bit_depends_on_who_is_heard(number, monkeypatch):
    """Gradients, and weights after training, are those of kernels that compute everything."""
    case = CASES[number]
    loss, gradients, _, weights = run(case)
    monkeypatch.setattr(hearing, "always_heard", lambda p: True)
    loss_all, gradients_all, _, weights_all = run(case)
    assert loss == loss_all
    for found, expected in zip([*gradients, *weights], [*gradients_all, *weights_all], strict=True):
        assert found.tobytes() == expected.tobytes()


def test_many_are_not_heard():
    """The comparison above would mean little were they."""
    shares = [np.mean(np.concatenate(list(run(case)[2].values()))) for case in CASES[::5]]
    assert 0.4 < np.mean(shares) < 0.9


@pytest.mark.parametrize("seed", range(8))
def test_heard_are_those_from_which_a_path_leads_to_an_output(seed):
    case = replace(Case.numbered(seed), depth=3, recurrent=False, skip=seed % 2 == 0, multapses=False)
    with Thin(**vars(case)).compile("cpu") as compiled:
        plan = compiled.plan
        synapses = {c.index: compiled.engine.state(c.index).synapses for c in plan.connections}
    first = np.cumsum([0, *(p.size for p in plan.populations)])
    reaches = np.zeros((first[-1], first[-1]), bool)
    for c in plan.connections:
        reaches[first[c.source] + synapses[c.index].pre, first[c.target] + synapses[c.index].post] = True
    paths = np.linalg.matrix_power(np.eye(first[-1]) + reaches, 5) > 0
    found = hearing.heard(plan, synapses)
    for p in plan.populations[1:-1]:
        rows = paths[first[p.index] : first[p.index + 1], first[plan.outputs[0].index] :]
        np.testing.assert_array_equal(found[p.index], rows.any(axis=1))


def test_variables_of_all_neurons_are_recorded():
    """A neuron that is not heard has variables only if somebody asks for them."""
    case = Thin(**vars(replace(Case.numbered(3), depth=2, skip=False)))
    with case.compile("cpu") as compiled, case.compile("reference") as reference:
        compiled.predict(case.data()[0])
        with pytest.raises(InvalidValueError, match="keep_variables"):
            compiled.engine.variable(1, "v")
        for p in compiled.plan.populations:
            compiled.engine.keep_variables(p.index)
        for each in (compiled, reference):
            each.predict(case.data()[0])
        for p in compiled.plan.populations[1:]:
            found, expected = (each.engine.variable(p.index, "v") for each in (compiled, reference))
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("lanes", [1, 15, 33, 48, 63, 64, 65, 100, 130, 200])
def test_any_number_of_lanes(lanes):
    """Lanes are computed in blocks, and their spikes are kept as bits of words."""
    case = replace(Case.numbered(2 if lanes % 2 else 9), batch_size=lanes)
    with case.compile("cpu") as compiled, case.compile("reference") as reference:
        for each in (compiled, reference):
            for p in each.plan.populations:
                each.engine.keep_variables(p.index)
        (loss, gradients), (loss_r, gradients_r) = (each.gradients(*case.data()) for each in (compiled, reference))
        assert loss == pytest.approx(loss_r, rel=1e-5)
        for found, expected in zip(gradients.values(), gradients_r.values(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
        for p in compiled.plan.populations[1:]:
            np.testing.assert_array_equal(
                compiled.engine.variable(p.index, "v"), reference.engine.variable(p.index, "v")
            )
            if p.spiking:
                np.testing.assert_array_equal(compiled.engine.spikes(p.index), reference.engine.spikes(p.index))
