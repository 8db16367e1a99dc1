"""Readouts: what each makes of a variable or of spikes, by a direct formula; which neurons they are for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp

import numpy as np
import pytest
from networks import Case, largest_difference
from own_classes import registered
from refused import refused

from genn_delays.learning.readouts import READOUTS, Readout
from genn_delays.runs.build import validate
from genn_delays.runs.config import Config
from genn_delays.runs.models import load_model


def plain_softmax(v):
    e = np.exp(v)
    return e / e.sum(axis=0)


T = 20
FORMULAS = {
    "sum_var": lambda v: sum(v[:, t] for t in range(T)),
    "avg_var": lambda v: sum(v[:, t] for t in range(T)) / T,
    "avg_var_exp_weight": lambda v: sum(exp(-t / T) * v[:, t] for t in range(T)) / T,
    "max_var": lambda v: np.max([v[:, t] for t in range(T)], axis=0),
    "sum_softmax": lambda v: sum(plain_softmax(v[:, t]) for t in range(T)),
    "var": lambda v: v[:, T - 1],
    "end_var": lambda v: v[:, T - 1],
    "spike_count": lambda s: sum(s[:, t] for t in range(T)),
}
"""Of what is read, float64 ``[neuron, time, lane]``."""


def test_every_readout_has_a_formula():
    """Those whose derivative is that of a spike time are in ``test_first_spike_time.py``."""
    assert FORMULAS.keys() == {name for name, readout in READOUTS.items() if readout.derivative == "value"}


@pytest.mark.parametrize("readout", FORMULAS)
@pytest.mark.parametrize("seed", [3, 8])
def test_what_it_gives_is_the_formula(readout, seed, backend):
    """Of a whole batch of a network's own output, not of what the definition is handed."""
    case = replace(Case(seed=seed), readout=readout, time_steps=T)
    x, _ = case.data()
    with case.compile(backend) as compiled:
        z = next(iter(compiled.predict({"in": x["in"][: case.batch_size]})[0].values()))
        out = len(compiled.plan.populations) - 1
        read = compiled.engine.spikes(out) if readout == "spike_count" else compiled.engine.variable(out, "v")
    expected = FORMULAS[readout](read.astype(np.float64)).T
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(z, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("readout", FORMULAS)
def test_its_derivative_is_the_formulas(readout):
    """Central differences of the formula in float64."""
    random = np.random.default_rng(0)
    v, dz = random.normal(0, 1, (3, T, 2)), random.normal(0, 1, (3, 2))
    np.testing.assert_allclose(READOUTS[readout]().forward(v), FORMULAS[readout](v), rtol=1e-12)
    found = READOUTS[readout]().backward(v, dz)
    assert found.shape == v.shape
    for index in np.ndindex(v.shape):
        step = np.zeros_like(v)
        step[index] = 1e-6
        slope = (FORMULAS[readout](v + step) - FORMULAS[readout](v - step)) / 2e-6
        assert found[index] == pytest.approx((slope * dz).sum(), abs=1e-8)


def test_the_last_step_is_all_that_the_variable_knows(backend):
    """``var``: a synapse whose spikes all arrive after the end changes nothing, one that arrives in time does."""
    case = replace(Case(seed=3), readout="var", time_steps=T, recurrent=True)
    x, _ = case.data()
    late = {"in": x["in"].copy()}
    late["in"][:, -1] += 5.0  # delays are at least 1 step here
    shifted = {"in": np.roll(x["in"], 5, axis=1)}
    with case.compile(backend) as compiled:
        assert min(s.delay.min() for s in (compiled.synapses(c) for c in compiled.network.connections)) > 0
        one, same, other = (next(iter(compiled.predict(values)[0].values())) for values in (x, late, shifted))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("readout", FORMULAS)
def test_readouts_in_a_model_file(readout):
    """One that does not fit the neuron is an error that lists those that do."""
    tables = load_model("digits").tables()
    fitting, other = ("leaky_integrate", "leaky_integrate_fire")[:: -1 if readout == "spike_count" else 1]
    for neuron in (fitting, other):
        output = {"name": "digit", "neuron": neuron, "size": 10, "readout": readout}
        tables["populations"][-1] = output
        config = Config.from_tables(tables)
        if neuron == fitting:
            validate(config)
        else:
            kind = "the neuron does not spike" if readout == "spike_count" else "the neuron spikes"
            allowed = "'avg_var_exp_weight'" if readout == "spike_count" else "'spike_count'"
            with refused("[[populations]] 'digit'", f"readout {readout!r}", kind, allowed):
                validate(config)


@dataclass(frozen=True)
class SumAndTop(Readout):
    """``z_i`` is the sum and the maximum over time; not its derivative, which reads both, of 8 and of 4 bytes."""

    begin = """
        total = double(0)
        top = real(0)
        """
    each = """
        total = total + double(v)
        top = max(top, v)
        """
    end = "z = real(total) + top"
    back = "dv = dz * (real(total) + 3 * top)"


@dataclass(frozen=True)
class SoftSumAndTop(SumAndTop):
    """The same of the softmax."""

    reads = "softmax"


@pytest.mark.parametrize("kind", [SumAndTop, SoftSumAndTop])
def test_numbers_of_different_sizes_are_carried_to_the_backward_pass(kernels, kind):
    """Each has memory of its own."""
    case = replace(Case.numbered(3), readout="sum_and_top")
    gradients = []
    with registered({"sum_and_top": kind}):
        for backend in ("reference", kernels):
            with case.compile(backend) as compiled:
                gradients.append(compiled.gradients(*case.data())[1].values())
    for expected, found in zip(*gradients, strict=True):
        assert largest_difference(found, expected) < 1e-5
