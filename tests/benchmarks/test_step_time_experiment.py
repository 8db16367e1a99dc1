"""The experiment on step time describes the networks that its README names."""

import runpy
from pathlib import Path

import pytest

from genn_delays.runs.build import plan_of

SCRIPT = Path(__file__).parents[2] / "experiments" / "step_time" / "benchmark.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def test_every_kind_is_what_its_name_says(script):
    for name, kind in script["KINDS"].items():
        plan = plan_of(script["network"](0.875, 1, kind))
        first, everything = plan.connections[0], name.endswith("all of these")
        assert [p.size for p in plan.populations] == [40, 256, 10]
        assert (plan.time_steps, plan.batch_size, first.max_delay) == (80, 256, 24)
        assert (first.delay_optimiser is not None) == ("learned" in name or "DCLS" in name)
        assert (first.kernel is not None) == ("DCLS" in name)
        assert (first.rewiring.growth == "gradient") == ("growth" in name or everything)
        assert (plan.populations[1].batch_norm is not None) == ("batch norm" in name or everything)
        assert plan.populations[1].dropout == (0.4 if "batch norm" in name or everything else 0.0)
        if first.kernel is not None:
            assert first.kernel.sigma == first.kernel.final_sigma == kind.sigma


def test_a_form_is_forced_and_nothing_is_rewired_where_all_is_dense(script):
    class Compiled:
        class engine:  # noqa: N801
            busy = 0.125

    script["forced"](None)(Compiled)
    assert Compiled.engine.busy == 0.125
    script["forced"](2.0)(Compiled)
    assert Compiled.engine.busy == 2.0
    assert plan_of(script["network"](0.0, 1)).connections[0].rewiring is None
