"""Spike counts of hidden neurons are regularised: the penalty, its gradient, where it leads, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from differences import SMOOTH, check_gradient
from networks import Case, largest_difference
from refused import refused

from genn_delays import (
    CPU,
    Adam,
    Connection,
    EventPropCompiler,
    Exponential,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    Sparse,
    SpikeInput,
    SurrogateCompiler,
)
from genn_delays.learning.regularisation import SpikeRegularisation
from genn_delays.runs.build import build_compiler
from genn_delays.runs.config import Config
from genn_delays.runs.models import load_model

BOUNDS = {"reg_strength_upper": 0.3, "reg_strength_lower": 0.2, "reg_nu_upper": 3.0, "reg_nu_lower": 1.5}
CASES = [replace(Case.numbered(seed), batch_size=2, time_steps=12) for seed in (0, 1, 3, 6, 9)]
CASES += [replace(Case.published(seed), batch_size=2, time_steps=20) for seed in (1, 4, 6)]
"""Both kinds of reset, cycles, skips; batch norm, dropout, delay kernels."""


def first(case, count=2):
    x, y = case.data()
    return {"in": x["in"][:count]}, {"out": y["out"][:count]}


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"seed{c.seed}{'p' * c.learn_delays}")
def test_gradient_is_the_derivative_of_the_loss(case):
    """The penalty is in the loss, and strong enough to be seen in every gradient."""
    x, y = first(case)
    strong = {**BOUNDS, "reg_strength_upper": 3.0, "reg_strength_lower": 2.0}
    compiled = case.compile(SMOOTH, strong)
    check_gradient(compiled, x, y, "weight", case.seed)
    plain = case.compile(SMOOTH).gradients(x, y)[1]
    into_hidden = compiled.network.connections[0]
    found = compiled.gradients(x, y)[1][into_hidden]
    assert largest_difference(found, next(iter(plain.values()))) > 0.01


def run(case, backend, arguments):
    """Loss, gradients, and spikes by population, of one batch."""
    x, y = first(case, case.batch_size)
    with case.compile(backend, arguments) as compiled:
        loss, gradients = compiled.gradients(x, y)
        hidden = [p.index for p in compiled.plan.populations if p.spiking and p.kind == "neuron" and p.readout is None]
        return loss, list(gradients.values()), {i: compiled.engine.spikes(i) for i in hidden}


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 10])
def test_the_penalty_is_the_formula(seed, backend):
    """Loss with less loss without: every hidden neuron's mean count, squared beyond its bounds; not of outputs."""
    case = replace(Case.numbered(seed), batch_size=5, readout="spike_count" if seed == 4 else "sum_var")
    loss, _, spikes = run(case, backend, BOUNDS)
    plain, _, same = run(case, backend, {})
    expected = 0.0
    for index, s in spikes.items():
        np.testing.assert_array_equal(s, same[index])
        n = s.sum(axis=(1, 2)) / 5
        expected += 0.15 * (np.maximum(n - 3.0, 0) ** 2).sum() + 0.1 * (np.maximum(1.5 - n, 0) ** 2).sum()
    assert expected > 0.1 and loss - plain == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "case",
    [Case.numbered(seed) for seed in (0, 1, 2, 5, 7, 9)] + [Case.published(seed) for seed in (1, 4, 5, 6, 10)],
    ids=lambda c: f"seed{c.seed}{'p' * c.learn_delays}",
)
def test_cpu_equals_reference(case):
    (loss, gradients, spikes), (loss_r, gradients_r, spikes_r) = (
        run(case, backend, BOUNDS) for backend in (CPU(threads=2), "reference")
    )
    for index, s in spikes.items():
        np.testing.assert_array_equal(s, spikes_r[index])
    assert loss == pytest.approx(loss_r, rel=1e-5)
    for found, expected in zip(gradients, gradients_r, strict=True):
        assert largest_difference(found, expected) < 1e-5


@pytest.mark.parametrize(
    "case", [Case.numbered(3), Case.published(1), Case.published(10)], ids=lambda c: f"{c.dropout}"
)
def test_counts_are_those_of_all_tiles(case, monkeypatch):
    """A batch in several tiles has one mean count a neuron; with dropout and without."""
    case = replace(case, batch_size=41)
    whole, reference = run(case, CPU(threads=2), BOUNDS), run(case, "reference", BOUNDS)
    monkeypatch.setattr("genn_delays.backends.cpu.engine.ROW_FLOATS", 1)
    tiled = run(case, CPU(threads=2), BOUNDS)
    for other in (whole, reference):
        assert tiled[0] == pytest.approx(other[0], rel=1e-5)
        for found, expected in zip(tiled[1], other[1], strict=True):
            assert largest_difference(found, expected) < 1e-5


@pytest.mark.parametrize(
    ("arguments", "rises"),
    [
        ({"reg_strength_upper": 1.0, "reg_nu_upper": 1.0}, False),
        ({"reg_strength_lower": 1.0, "reg_nu_upper": 18.0, "reg_nu_lower": 18.0}, True),
        ({"reg_strength_lower": 1.0, "reg_nu_upper": 18.0}, True),
    ],
)
def test_rates_move_towards_their_bounds(arguments, rises, backend):
    """A network that learns goes nearer to the bound it is beyond than one that learns without."""
    case = replace(Case(seed=3), batch_size=16)
    x, y = first(case, 16)
    distances, counts = [], []
    for chosen in (arguments, {}):
        with case.compile(backend, chosen, optimisers={"all_connections": {"weight": Adam(0.02)}}) as compiled:
            for epochs in (0, 25):
                if epochs:
                    compiled.train(x, y, epochs, callbacks=())
                compiled.predict(x)
                n = compiled.engine.spikes(1).sum(axis=(1, 2)) / 16
                counts.append(n.mean())
                bound = arguments["reg_nu_upper"]
                distances.append(np.maximum(bound - n if rises else n - bound, 0).mean())
    assert distances[1] < 0.6 * distances[0]
    assert distances[1] < 0.8 * distances[3]
    assert (counts[1] > counts[0]) == rises


def test_only_training_pays(backend):
    """Evaluation and validation report the loss alone."""
    case = Case.numbered(3)
    losses = [case.compile(backend, chosen).evaluate(*case.data())[0].loss for chosen in (BOUNDS, {})]
    assert losses[0] == losses[1]


def test_definition():
    """The drive is the penalty's derivative, within the bounds there is neither; no strength, no rule."""
    rule = SpikeRegularisation(0.3, 0.2, 3.0, 1.5)
    counts = np.array([0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 9.0])
    for i in range(counts.size):
        if i not in (2, 4):  # at the bounds there is a kink in the slope
            step = np.zeros_like(counts)
            step[i] = 1e-6
            slope = (rule.penalty(counts + step) - rule.penalty(counts - step)) / 2e-6
            assert 8 * rule.drive(counts, 8)[i] == pytest.approx(slope, abs=1e-7)
    assert rule.penalty(np.array([1.5, 2.0, 3.0])) == 0
    assert Case(seed=3).compile("reference", {"reg_nu_upper": 3.0}).plan.regularisation is None


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "strong", True])
def test_bad_numbers(name, value):
    with refused(name, "[0, inf)", str(value)):
        Case(seed=3).compile("reference", {**BOUNDS, name: value})


def test_bounds_that_cross():
    with refused("reg_nu_lower", "at most reg_nu_upper = 3.0", "got 3.5"):
        Case(seed=3).compile("reference", {**BOUNDS, "reg_nu_lower": 3.5})
    same = Case(seed=3).compile("reference", {"reg_strength_lower": 1.0, "reg_nu_upper": 3.0})
    assert same.plan.regularisation == SpikeRegularisation(0.0, 1.0, 3.0, 3.0)
    alone = Case(seed=3).compile("reference", {"reg_strength_lower": 1.0, "reg_nu_lower": 2.0})  # no upper one to cross
    assert alone.plan.regularisation == SpikeRegularisation(0.0, 1.0, 0.0, 2.0)


def test_bounds_in_a_model_file():
    tables = load_model("digits").tables()
    tables["compiler"] |= BOUNDS
    config = Config.from_tables(tables)
    assert build_compiler(config).regularisation == SpikeRegularisation(0.3, 0.2, 3.0, 1.5)
    assert Config.from_tables(config.tables()) == config
    tables["compiler"]["reg_nu_lower"] = 4.0
    with refused("[compiler]", "reg_nu_lower", "3.0", "4.0"):
        build_compiler(Config.from_tables(tables))


@pytest.mark.parametrize("compiler", [SurrogateCompiler, EventPropCompiler])
def test_mlgenns_names_are_refused_with_the_factor(compiler):
    """Their numbers would mean something else."""
    for side in ("upper", "lower"):
        with refused(f"'reg_lambda_{side}'", f"reg_strength_{side}", "tau_mem", "sum_var"):
            compiler(10, **{f"reg_lambda_{side}": 1e-8})
        tables = load_model("digits").tables()
        tables["compiler"][f"reg_lambda_{side}"] = 1e-8
        with refused(f"'reg_lambda_{side}'", f"reg_strength_{side}", "tau_mem"):
            Config.from_tables(tables)
    with refused("'reg_lambda'", "mlGeNN 3", "reg_strength_upper", "reg_strength_lower"):
        compiler(10, reg_lambda=1e-8)


def test_event_prop_adds_the_drive_to_the_adjoint_at_each_spike(backend):
    """By hand: one hidden spike; what the penalty does to its weight is drive dV/dw, the definition's own factor."""
    tau, tau_syn, steps, delay, sent, weight = 10.0, 5.0, 40, 2, 3, 0.45
    network = Network()
    with network:
        a = Population(SpikeInput(), 1, "in")
        b = Population(LeakyIntegrateFire(tau_mem=tau, integration="exact"), 1, "hidden")
        o = Population(LeakyIntegrate(tau_mem=tau, integration="exact", readout="avg_var"), 2, "out")
        c = Connection(a, b, Sparse([0], [0], [weight], [delay]), Exponential(tau_syn))
        Connection(b, o, Sparse([0, 0], [0, 1], [0.0, 0.0], [1, 1]), Exponential(tau_syn))  # the loss feels nothing
    x, y = {"in": [([float(sent)], [0])] * 3}, {"out": np.array([0, 1, 0])}
    for numbers, drive in (
        ({"reg_strength_upper": 0.3, "reg_nu_upper": 0.25}, 0.3 * 0.75),
        ({"reg_strength_lower": 0.2, "reg_nu_upper": 4.0}, -0.2 * 3.0),
    ):
        with EventPropCompiler(steps, 3, backend=backend, **numbers).compile(network) as compiled:
            found = compiled.gradients(x, y)[1][c][0]
            (spike,) = np.flatnonzero(compiled.engine.spikes(1)[0, :, 0])
        late = spike - sent - delay  # V(t) = w (exp(-t / tau) - exp(-t / tau_syn)) / (1 / tau_syn - 1 / tau)
        potential = (np.exp(-late / tau) - np.exp(-late / tau_syn)) / (1 / tau_syn - 1 / tau)
        assert found == pytest.approx(drive * potential, rel=1e-4)
