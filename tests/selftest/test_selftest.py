"""The self-test: what is sound passes, what is broken fails and is named."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost
from mutants import BODIES, MUTANTS, put_in
from refused import refused

from genn_delays import CPU, GeNN
from genn_delays.backends.reference.engine import ReferenceEngine
from genn_delays.cli import main
from genn_delays.errors import BackendUnavailableError, InvalidValueError
from genn_delays.learning import OPTIMISERS
from genn_delays.learning.losses import LOSSES
from genn_delays.learning.readouts import READOUTS
from genn_delays.rewiring import REWIRING
from genn_delays.selftest import FEATURES, Report, Row, run, selftest
from genn_delays.selftest.cases import CASES
from genn_delays.selftest.checks import DifferenceError, Findings, compare, invariants, passes, trained
from genn_delays.selftest.simulations import LATER, SIMULATIONS, STEPS, simulated

HERE = ["surrogate gradient, spike inputs", "EventProp, spike inputs", "DEEP R", "optimiser Adam", run.DIGITS]
"""Features of the tests that need a few."""


def test_everything_passes_on_cpu():
    rows = []
    report = selftest("cpu", each=rows.append)
    assert report.ok and report.failed() == []
    assert [row.name for row in report.rows] == [row.name for row in rows] == list(FEATURES)
    assert all(row.ok and row.note == "" for row in rows[:-1])
    assert "training accuracy" in rows[-1].note
    assert all(row.deviation is not None and 0 < row.deviation < 1e-4 for row in rows[: len(CASES)])
    assert {"device", "compiler", "python", "numpy", "genn_delays"} <= report.machine.keys()


def test_the_quick_form_passes_on_the_host_in_place_of_a_gpu():
    report = selftest(CUDAOnHost(), quick=True)
    assert report.ok, report.failed()
    assert len(report.rows) == sum(case.quick for case in (*CASES, *SIMULATIONS)) + 1


def test_simulations_pass_on_the_host_in_place_of_a_gpu():
    report = selftest(CUDAOnHost("shuffled"), only=[case.name for case in SIMULATIONS])
    assert report.ok and len(report.rows) == len(SIMULATIONS)


@pytest.mark.parametrize("case", SIMULATIONS, ids=lambda case: case.name)
def test_simulations_are_lively(case):
    """The state that is compared is no rest, and every population spikes before the end."""
    found, network = simulated(case, "reference").exact, case.network()
    for p in network.populations:
        spikes = sum(found[f"neurons that spike of {p.name} of part {part}"].size for part in (0, 1))
        assert 20 < spikes < 0.4 * p.size * (STEPS + LATER), p.name
    assert np.count_nonzero(found["input on its way after part 0"]) > 20


def test_a_backend_without_simulations_says_so():
    backend = SimpleNamespace(name="genn", build=print)
    row = run._row("x", lambda: run._simulation(SIMULATIONS[0], backend), has_gaps=True)
    assert row.ok is None and "cpu, cuda, reference" in row.note


def test_all_that_can_be_registered_is_tested():
    """A new optimiser, rule, readout or loss is in no self-test until it is in one of the cases."""
    trained_cases = [case for case in CASES if case.steps]
    optimisers = {type(o) for case in trained_cases for o in (case.optimiser, case.delay_optimiser)}
    assert optimisers == set(OPTIMISERS.values())
    assert {type(case.rewiring) for case in CASES if case.rewiring} == set(REWIRING.values())
    used = [output for case in CASES for output in case.outputs]
    assert {readout for readout, _ in used} == set(READOUTS)
    assert {type(loss) for _, loss in used} == set(LOSSES.values())
    rules = [case.rewiring for case in CASES if case.rewiring]
    assert {rule.growth for rule in rules} == {"random", "gradient"}
    assert {rule.growth_delay for rule in rules} == {"pair", "redraw", "best"}
    assert any(rule.temperature and rule.dale for rule in rules)
    assert {len({c.kernel.sigma for c in CASES if c.name.startswith("DCLS, Gaussian")})} == {3}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_networks_are_lively(case):
    """The comparison would mean little were they silent, without gradients, or never rewired."""
    found = (trained if case.steps else passes)(case, "reference")
    for name, values in found.exact.items():
        if name.startswith("spikes of"):
            assert 0.02 < values.mean() < 0.7, name
        if name.startswith("synapses rewired"):
            assert values > 0, name
    for name, (values, _) in found.near.items():
        if name.startswith(("dL/dweight", "dL/ddelay", "change of the weight", "loss")):
            assert np.abs(values).max() > 1e-4, name


class Noisy(ReferenceEngine):
    """The definition with gradients that are off by rounding."""

    random = np.random.default_rng(0)

    def backward(self):
        super().backward()
        for gradient in self._gradients.values():
            largest = np.abs(gradient).max(initial=0)
            gradient += (self.random.normal(0, 2e-7, gradient.shape) * largest * (gradient != 0)).astype(gradient.dtype)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", [case for case in CASES if case.steps], ids=lambda case: case.name)
def test_rounding_flips_no_choice(case, seed):
    """Structure after all steps is the same where gradients differ in their last bits, as they do between backends."""
    Noisy.random = np.random.default_rng(seed)
    backend = SimpleNamespace(name="noisy", build=lambda plan: Noisy(plan, "float32", False))
    assert compare(trained(case, backend), expected(case.name)) > 0


@cache
def expected(name):
    """What the definition makes of a case."""
    return trained(next(case for case in CASES if case.name == name), "reference")


# --- what is broken fails, and is named ------------------------------------------------------------------------------


def test_there_are_mutants_enough_of_every_kind():
    assert len(MUTANTS) >= 20 and len({(m.template, m.new) for m in MUTANTS}) == len(MUTANTS)
    assert {name for mutant in MUTANTS for name in mutant.features} <= set(FEATURES)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_named(mutant, monkeypatch, tmp_path):
    put_in(mutant, monkeypatch, tmp_path)
    report = selftest(CPU(threads=1), only=mutant.features)
    assert not report.ok
    assert set(report.failed()) == set(mutant.features)
    assert all(row.deviation is not None for row in report.rows), "numbers that are wrong, not code that is refused"


def test_mutants_alone_make_the_difference(monkeypatch, tmp_path):
    """Compiled the same way without a fault, features that mutants name pass."""
    put_in(replace(MUTANTS[0], new=MUTANTS[0].old), monkeypatch, tmp_path)
    assert selftest(CPU(threads=1), only={mutant.features[0] for mutant in MUTANTS[::4]}).ok


def test_code_that_does_not_compile_is_a_row_and_the_others_go_on(monkeypatch, tmp_path):
    broken = replace(MUTANTS[0], template=BODIES, old="const float m_hat_", new="nonsense m_hat_")
    put_in(broken, monkeypatch, tmp_path)
    report = selftest("cpu", only=["optimiser Adam", "DEEP R"])
    assert [row.ok for row in report.rows] == [False, True]
    assert "nonsense" in report.rows[0].note and report.rows[0].deviation is None


def test_all_is_compiled_ahead_at_once(monkeypatch, tmp_path):
    """Engines find their code in the cache, but for what does not compile: its own row says so."""
    broken = replace(MUTANTS[0], template=BODIES, old="const float m_hat_", new="nonsense m_hat_")
    put_in(broken, monkeypatch, tmp_path)
    found = []
    build = CPU.build
    monkeypatch.setattr(CPU, "build", lambda self, plan: found.append(build(self, plan)) or found[-1])
    report = selftest("cpu", only=["SET", "optimiser Adam", "DEEP R", run.DIGITS])
    assert [row.name for row in report.rows] == ["optimiser Adam", "DEEP R", "SET", run.DIGITS]
    assert report.failed() == ["optimiser Adam", run.DIGITS] and "nonsense" in report.rows[0].note
    assert len(found) == 2 and not any(engine.compiled for engine in found)
    assert 0 < report.compiling < report.seconds and "s of them compiling" in report.summary()
    assert json.loads(report.json())["compiling"] == report.compiling


def test_two_runs_that_differ_are_told(monkeypatch):
    found = iter([({"weight of a": np.zeros(3)}, 0.9), ({"weight of a": np.array([0, 1e-30, 0])}, 0.9)])
    monkeypatch.setattr(run, "digits", lambda *_, **__: next(found))
    (row,) = selftest("cpu", only=[run.DIGITS]).rows
    assert row.ok is False and row.note == "weight of a: 1 of 3 differ between two runs"


def test_digits_that_are_not_learned_are_told(monkeypatch):
    monkeypatch.setattr(run, "digits", lambda *_, **__: ({"loss": np.zeros(1)}, 0.11))
    (row,) = selftest("cpu", only=[run.DIGITS]).rows
    assert row.ok is False and "11 %" in row.note and "50 %" in row.note


@pytest.mark.parametrize(
    ("exact", "near", "said"),
    [
        (np.array([1, 2, 4]), np.ones(2), "spikes: 1 of 3 differ"),
        (np.array([1, 2]), np.ones(2), "spikes: shape (2,) in place of (3,)"),
        (np.array([1, 2, 3]), np.array([1, 1.1]), "gradient deviates by 1.0e-01 of the largest, allowed is 1e-05"),
        (np.array([1, 2, 3]), np.array([1, np.nan]), "gradient deviates by inf"),
        (np.array([1, 2, 3]), np.ones(3), "gradient deviates by inf"),
    ],
)
def test_what_differs_is_said(exact, near, said):
    expected = Findings({"spikes": np.array([1, 2, 3])}, {"gradient": (np.ones(2), 1e-5)})
    assert compare(expected, expected) == 0
    with refused(said, error=DifferenceError):
        compare(Findings({"spikes": exact}, {"gradient": (near, 1e-5)}), expected)


# --- genn ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [c for c in CASES if c.event_prop and c.rewiring], ids=lambda case: case.name)
def test_the_invariants_hold(case):
    """What is asked of GeNN in the place of the definition's structure, asked of cpu."""
    invariants(case, "cpu")


def test_invariants_that_do_not_hold_are_said(monkeypatch, tmp_path):
    wrong = next(mutant for mutant in MUTANTS if mutant.name.startswith("a free place"))
    put_in(wrong, monkeypatch, tmp_path)
    with refused("it does not hold that in_hidden0 has no pair twice", error=DifferenceError):
        invariants(next(case for case in CASES if case.name == "DEEP R"), "cpu")


def test_what_a_backend_has_not_got_is_no_failure():
    class Partial(CPU):
        name = "genn"

        def build(self, plan):
            if plan.event_prop is None:
                raise InvalidValueError("backend 'genn' has gradients\nwith EventPropCompiler")
            return super().build(plan)

    names = ["surrogate gradient, spike inputs", "EventProp, spike inputs", "DEEP R", "DEEP R, the best delays"]
    report = selftest(Partial(), only=names)
    assert {row.name: row.ok for row in report.rows} == dict(zip(names, (None, True, True, None), strict=True))
    assert report.ok and "2 of 2 features ok, 2 not supported" in report.summary()
    assert report.rows[-1].note == "backend 'genn' has gradients with EventPropCompiler"
    assert "not there" in report.rows[-1].line(20)


@pytest.mark.genn
@pytest.mark.skipif(not GeNN().availability().available, reason=GeNN().availability().detail)
def test_everything_passes_on_genn():
    report = selftest("genn")
    assert report.ok, [row for row in report.rows if row.ok is False]
    assert [row.ok for row in report.rows if row.name in HERE] == [True] * len(HERE)


@pytest.mark.cuda
def test_everything_passes_on_cuda():
    try:
        report = selftest("cuda")
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    assert report.ok, [row for row in report.rows if row.ok is False]


# --- the command line ------------------------------------------------------------------------------------------------


def only(monkeypatch, *names):
    """Let the command compute a few features alone."""
    monkeypatch.setattr(run, "CASES", [case for case in CASES if case.name in names])
    monkeypatch.setattr(run, "SIMULATIONS", [case for case in SIMULATIONS if case.name in names])


def test_the_table(capsys, monkeypatch):
    only(monkeypatch, "SET")
    assert main(["selftest", "--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("genn_delays ") and any(line.startswith("device ") for line in lines)
    assert any(line.startswith("feature ") for line in lines)
    assert [line.split("  ")[0] for line in lines if "  ok  " in line] == ["SET", run.DIGITS]
    assert lines[-1].startswith("2 of 2 features ok, ")


def test_what_fails_is_status_1(capsys, monkeypatch, tmp_path):
    only(monkeypatch, "SET")
    put_in(next(mutant for mutant in MUTANTS if "SET" in mutant.features), monkeypatch, tmp_path)
    assert main(["selftest", "--quick"]) == 1
    out = capsys.readouterr().out
    assert "FAILED" in out and out.splitlines()[-1].endswith("FAILED: SET")


def test_json_is_one_line_of_the_same(capsys, monkeypatch):
    only(monkeypatch, "SET")
    assert main(["selftest", "--quick", "--json"]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1 and err == ""
    found = json.loads(out)
    assert found["ok"] and found["quick"] and found["backend"] == "cpu"
    assert [row["name"] for row in found["rows"]] == ["SET", run.DIGITS]
    assert found["rows"][0].keys() == {"name", "ok", "deviation", "seconds", "note"}
    rows = [Row("a", False, float("inf"), 0.0), Row("b", None, None, 0.0)]
    assert [row["deviation"] for row in json.loads(Report("cpu", {}, False, rows).json())["rows"]] == [None, None]


def test_a_backend_that_is_not_here_is_one_error(capsys, monkeypatch):
    monkeypatch.setenv("CXX", "/no/such/compiler")
    assert main(["selftest"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert "backend 'cpu' cannot run here" in err and "/no/such/compiler" in err


def test_unknown_names_are_one_error(capsys):
    assert main(["selftest", "--backend", "cud"]) == 2
    assert "Did you mean 'cuda'?" in capsys.readouterr().err
    with refused("'DEEP S'", "Did you mean 'DEEP R'?"):
        selftest("cpu", only=["DEEP S"])
    with refused("'reference'", "cpu, cuda, genn"):
        selftest("reference")
