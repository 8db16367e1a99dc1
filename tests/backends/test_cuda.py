"""The CUDA kernels, compiled for GPUs and run on the host in the place of one: against the definition, in any order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost
from networks import Case, largest_difference
from refused import refused
from rewired import data, small_network, train
from test_against_reference import evaluate, name, run

from genn_delays import (
    CUDA,
    SET,
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    Connection,
    DeepR,
    Dense,
    FixedProbability,
    GaussianKernel,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    RigL,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.backends.cuda import buffers as cuda_buffers
from genn_delays.backends.cuda import data as cuda_data
from genn_delays.backends.cuda import launches
from genn_delays.backends.cuda.compiler import compile_cubin, find_compiler
from genn_delays.codegen.cuda import emit_cuda
from genn_delays.errors import BackendUnavailableError, OutOfMemoryError, TrainingError
from genn_delays.learning.readouts import READOUTS
from genn_delays.runs.build import plan_of
from genn_delays.runs.models import load_model, model_names

CASES = [Case.numbered(seed) for seed in range(12)] + [Case.published(seed) for seed in range(12)]
CASES += [Case.current_based(seed) for seed in range(16)]
RULES = [
    None,
    DeepR(growth="gradient", growth_delay="best"),
    SET(interval=2),
    RigL(interval=1),
    DeepR(temperature=1e-4),
]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_equals_reference(case):
    """Spikes and potentials exactly, gradients to 1e-5, of networks of every kind."""
    loss, gradients, spikes, potentials = run(case, CUDAOnHost())
    loss_r, gradients_r, spikes_r, potentials_r = run(case, "reference")
    for found, expected in zip([*spikes, *potentials], [*spikes_r, *potentials_r], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert loss == pytest.approx(loss_r, rel=1e-5)
    for found, expected in zip(gradients, gradients_r, strict=True):
        assert largest_difference(found, expected) < 1e-5


@pytest.mark.parametrize("case", CASES[::3], ids=name)
def test_equals_reference_where_there_are_many_threads(case, monkeypatch):
    """Large networks take other kernels, or more of a synapse's work into one thread: nothing else changes."""
    monkeypatch.setattr(launches, "FEW_THREADS", 0)
    test_equals_reference(case)


@pytest.mark.parametrize("case", [Case.published(seed) for seed in range(0, 12, 3)], ids=name)
def test_evaluation_equals_reference(case):
    one, two = evaluate(case, CUDAOnHost()), evaluate(case, "reference")
    for found, expected in zip([*one[1], *one[2]], [*two[1], *two[2]], strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(one[0], two[0], strict=True):
        assert largest_difference(found, expected) < 1e-6


@pytest.mark.parametrize("readout", sorted(READOUTS.keys() - {"first_spike_time"}))
def test_every_readout(readout):
    """The contract of the registry: a readout is there when its kernel agrees with its definition."""
    case = replace(Case.numbered(3), readout=readout, batch_size=41, time_steps=60)
    (loss, gradients, *_), (loss_r, gradients_r, *_) = run(case, CUDAOnHost()), run(case, "reference")
    assert loss == pytest.approx(loss_r, rel=1e-5)
    for found, expected in zip(gradients, gradients_r, strict=True):
        assert largest_difference(found, expected) < 1e-5


LONG = [Case.numbered(1), Case.numbered(2), Case.published(0), Case.published(1), Case.current_based(1)]


@pytest.mark.parametrize("time_steps", [31, 32, 33, 64, 97])
@pytest.mark.parametrize("case", LONG, ids=name)
def test_spikes_are_words_of_steps(case, time_steps):
    """As many steps as fill words or do not, delays longer than a word, blocks of a cycle that end within one."""
    case = replace(case, time_steps=time_steps, longest=time_steps - 4, batch_size=3)
    test_equals_reference(case)
    if not case.kernel:
        for tape in ("float16", "float32"):
            one, two = run(case, CUDAOnHost(tape=tape)), run(case, "reference")
            for found, expected in zip(one[2], two[2], strict=True):
                np.testing.assert_array_equal(found, expected)


HALVES = [*CASES[::3], *(replace(case, event_prop=True) for case in CASES[-16::3])]


@pytest.mark.parametrize("case", HALVES, ids=name)
def test_half_precision_tape(case):
    """Spikes, and so the loss, are the same; gradients nearly; potentials as far as 11 bits hold them.

    Batch norm, dropout and EventProp are among the cases: whether a neuron spiked is told by its spikes, dropped ones
    included, never by rounded potentials.
    """
    loss, gradients, spikes, potentials = run(case, CUDAOnHost(tape="float16"))
    loss_whole, gradients_whole, spikes_whole, potentials_whole = run(case, CUDAOnHost())
    assert loss == loss_whole
    for found, expected in zip(spikes, spikes_whole, strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(gradients, gradients_whole, strict=True):
        assert largest_difference(found, expected) < 5e-3
    for found, expected in zip(potentials, potentials_whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2**-11, atol=1e-6)
    assert any((a != b).any() for a, b in zip(potentials, potentials_whole, strict=True))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_spikes_of_an_example_are_counted_over_all_its_blocks(dropout):
    """On a cycle an example is computed block by block; the limit is of the whole, dropped spikes included."""
    case = replace(Case.numbered(1), time_steps=70, longest=20, dropout=dropout)
    with case.compile("reference") as compiled:
        x, _ = case.data()
        compiled.predict(x)
        p = compiled.plan.populations[1]
        most = max(
            int(compiled.engine.spikes(p.index).sum(axis=1).max()) for p in compiled.plan.populations if p.spiking
        )
    assert p.cyclic and most > 3
    for limit, fine in ((most, True), (most - 1, False)):
        with case.compile(CUDAOnHost(), {"max_spikes": limit}) as compiled:
            if fine:
                compiled.predict(x)
            else:
                with refused(f"{most} times in an example", f"max_spikes allows {limit}", error=TrainingError):
                    compiled.predict(x)


def test_the_norm_of_many_gradients_is_that_of_all():
    """More synapses than one block adds up the squares of."""
    found = []
    for backend in (CUDAOnHost("backward"), "reference"):
        network = Network(seed=1)
        with network:
            a, b = Population(Input(), 70), Population(LeakyIntegrate(readout="sum_var"), 130)
            Connection(a, b, Dense(weight=Normal(0, 0.1)))
        compiler = SurrogateCompiler(3, 2, backend=backend, clip_norm=0.01)
        with compiler.compile(network, optimisers={"all_connections": {"weight": SGD(1.0)}}) as compiled:
            before = compiled.engine.state(0).synapses.weight
            x = np.random.default_rng(0).random((2, 3, 70)).astype(np.float32)
            compiled.train({a: x}, {b: np.array([3, 100])}, 1, callbacks=[])
            found.append(compiled.engine.state(0).synapses.weight - before)
    assert np.linalg.norm(found[0]) == pytest.approx(0.01, rel=1e-3)
    assert largest_difference(*found) < 1e-4  # of differences between weights many times larger


@pytest.mark.parametrize("lanes", [70, 256, 300])
def test_losses_of_a_batch_are_one_sum(lanes):
    """By one block with the loss where there are as many lanes as it has threads or fewer, else after the loss."""
    x, y = np.random.default_rng(0).random((lanes, 4, 6)).astype(np.float32), np.arange(lanes) % 3
    found = []
    for backend in (CUDAOnHost("shuffled"), "reference"):
        network = Network(seed=1)
        with network:
            a, b = Population(Input(), 6), Population(LeakyIntegrate(readout="sum_var"), 3)
            Connection(a, b, Dense(weight=Normal(0, 0.1)))
        with SurrogateCompiler(4, lanes, backend=backend).compile(network) as compiled:
            metrics, _ = compiled.evaluate({a: x}, {b: y})
            found.append((metrics.loss, metrics.accuracy))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6) and found[0][1] == found[1][1]


def test_whole_numbers_are_numbers():
    """A model file may say l1 = 0 and momentum = 1."""
    network = small_network(batch_norm=BatchNorm(momentum=1))
    with train(network, DeepR(l1=0), CUDAOnHost(), 2) as compiled:
        assert compiled.step == 2


# --- what a GPU does in any order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_no_bit_depends_on_the_order_of_threads(rule):
    """Forwards, backwards or shuffled between barriers: a race would show as another bit."""

    def trained(order, seed=0):
        network = small_network(kernel=GaussianKernel(sigma=2.0), dropout=0.2, batch_norm=True)
        with train(network, rule, CUDAOnHost(order, seed), 6, alpha=0.05, delay=Adam(0.1)) as compiled:
            states = [compiled.engine.state(c.index).arrays() for c in compiled.plan.connections]
            return compiled.rewirings, [a for arrays in states for a in arrays.values()]

    expected = trained("forward")
    if rule is not None:
        assert sum(expected[0].values()) > 0
    for order, seed in (("backward", 0), ("shuffled", 1), ("shuffled", 2)):
        found = trained(order, seed)
        assert found[0] == expected[0]
        for a, b in zip(found[1], expected[1], strict=True):
            np.testing.assert_array_equal(a, b)


def test_launches_are_recorded_once():
    """A training step is replayed: later epochs, with other learning rates, widths and connectivity, record nothing."""
    network = small_network(kernel=GaussianKernel(sigma=2.0))
    with train(network, DeepR(l1=0.05), CUDAOnHost(), 4, delay=Adam(0.1)) as compiled:
        recorded = len(compiled.engine.work.graphs)
        compiled.train(*data(network, 8), 6, callbacks=())
        assert len(compiled.engine.work.graphs) == recorded
        assert sum(compiled.rewirings.values()) > 0


# --- memory ----------------------------------------------------------------------------------------------------------


def test_rows_longer_than_a_dimension_of_a_grid(monkeypatch):
    """Many steps times lanes are spread over two dimensions; here from the second block of a row on."""
    case = replace(Case.numbered(3), batch_size=40, time_steps=60)
    expected = run(case, "reference")
    monkeypatch.setattr(launches, "MOST_PIECES", 2)
    loss, gradients, spikes, _ = run(case, CUDAOnHost())
    assert loss == pytest.approx(expected[0], rel=1e-5)
    for found, other in zip(spikes, expected[2], strict=True):
        np.testing.assert_array_equal(found, other)
    for found, other in zip(gradients, expected[1], strict=True):
        assert largest_difference(found, other) < 1e-5


def test_a_regularised_population_on_a_cycle_that_sends_nothing(backend):
    """Its cost of spikes reaches those that make it spike in earlier blocks of the cycle too."""
    network, one = Network(), Dense(weight=1.0)
    with network:
        a, (h, k) = Population(Input(), 3), (Population(LeakyIntegrateFire(v_thresh=0.3), 4) for _ in range(2))
        o = Population(LeakyIntegrate(readout="sum_var"), 2)
        Connection(a, h, one)
        Connection(h, k, Dense(weight=0.5, delay=2))
        Connection(k, h, FixedProbability(1e-9, weight=1.0, delay=2))
        Connection(h, o, one)
    x = np.random.default_rng(0).random((5, 30, 3), dtype=np.float32)
    found = []
    bounds = {"reg_strength_upper": 3.0, "reg_nu_upper": 0.5}
    for each in (backend, "reference"):
        with SurrogateCompiler(30, 5, backend=each, **bounds).compile(network) as compiled:
            assert compiled.plan.connections[2].size == 0
            found.append(compiled.gradients({a: x}, {o: [0, 1, 0, 1, 1]})[1])
    for (connection, one), two in zip(found[0].items(), found[1].values(), strict=True):
        assert connection.index == 2 or largest_difference(one, two) < 1e-5


@pytest.mark.parametrize("spikes", [False, True])
def test_data_that_does_not_fit_comes_batch_by_batch(spikes, monkeypatch):
    case = replace(Case.numbered(2 if spikes else 3), batch_size=3)
    assert case.spike_input == spikes
    whole = run(case, CUDAOnHost())
    monkeypatch.setattr(cuda_data, "SHARE", 0.0)
    parts = run(case, CUDAOnHost())
    assert whole[0] == parts[0]
    for a, b in zip([*whole[1], *whole[2]], [*parts[1], *parts[2]], strict=True):
        np.testing.assert_array_equal(a, b)


def test_more_than_a_number_can_count_is_foreseen(monkeypatch):
    monkeypatch.setattr(cuda_buffers, "DRAWS_MORE", 2**31)
    with refused("random numbers", "2^31", "candidates=", error=OutOfMemoryError):
        train(small_network(), DeepR(), CUDAOnHost(memory=1 << 40), 0)


def test_too_little_memory_is_foreseen():
    """Before anything is allocated, with the largest buffers and their bytes."""
    case = replace(Case.numbered(3), batch_size=2048)
    with refused("needs", "MB", "which has 1 MB free", "'population1'", "batch_size", error=OutOfMemoryError):
        case.compile(CUDAOnHost(memory=10**6))


# --- for GPUs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("case", CASES[::4], ids=name)
def test_sources_compile_without_a_warning(case, arch):
    try:
        find_compiler()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    rules = {"all_connections": DeepR(growth="gradient", growth_delay="best")} if not case.multapses else {}
    try:
        plan = case.compile("reference", rewiring=rules).plan
    except ValueError:  # a dense connection has nowhere to grow
        plan = case.compile("reference").plan
    for half_tape in (False, True):
        cubin = compile_cubin(emit_cuda(plan, half_tape), arch, warnings_are_errors=True)
        assert cubin[:4] == b"\x7fELF"


@pytest.mark.parametrize("model", model_names(kind="training"))
def test_sources_of_models_compile_without_a_warning(model):
    try:
        find_compiler()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    shared, arch = model in ("fsdd_paper", "rawhd_paper"), ("sm_80", "sm_90")[len(model) % 2]
    source = emit_cuda(plan_of(load_model(model)), half_tape=True, shared=shared)
    assert compile_cubin(source, arch, warnings_are_errors=True)[:4] == b"\x7fELF"


@pytest.mark.parametrize("optimiser", [Adam(0.01), AdamW(0.01), SGD(0.1), None], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("hidden", [False, True])
def test_what_a_network_does_not_use_is_no_warning(hidden, optimiser):
    """Nor is a network too small to have anything that the larger ones have."""
    try:
        find_compiler()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    network = Network()
    with network:
        a, b = Population(Input(), 3), Population(LeakyIntegrate(readout="end_var"), 2)
        for target in [Population(LeakyIntegrateFire(), 2), b] if hidden else [b]:
            Connection(a, target, Dense(delay=UniformInt(0, 3)))
        if hidden:
            Connection(network.populations[2], b, Dense(delay=UniformInt(0, 3)))
    for learned in ("weight", "delay") if optimiser else (None,):
        optimisers = {"all_connections": {learned: optimiser}} if learned else {}
        plan = SurrogateCompiler(5, 4).plan(network, optimisers=optimisers)
        for half_tape in (False, True):
            compile_cubin(emit_cuda(plan, half_tape), "sm_90", warnings_are_errors=True)


def test_source_does_not_depend_on_sizes():
    case = replace(Case.numbered(3), batch_size=8)
    sizes = ({"batch_size": 8, "time_steps": 20}, {"batch_size": 40, "time_steps": 30})
    one, two = (emit_cuda(replace(case, **size).compile("reference").plan) for size in sizes)
    assert one == two


def test_no_gpu_is_one_clear_error():
    if CUDA().availability().available:
        pytest.skip("there is a GPU")
    network = Case.numbered(0).network()
    with pytest.raises(BackendUnavailableError) as caught:
        SurrogateCompiler(15, 1, backend="cuda").compile(network)
    assert str(caught.value) == CUDA().availability().detail
    with refused("device", "at least 0", "-1"):
        CUDA(device=-1)
