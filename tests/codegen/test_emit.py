"""Generated source: the same text for the same kind of network, readable, and failing loudly on undefined names."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import jinja2
import pytest
from networks import Case

from genn_delays import SET, DeepR, LeakyIntegrateFire, RigL
from genn_delays.backends.cpu.compiler import FLAGS, compiler
from genn_delays.codegen.emit import emit
from genn_delays.codegen.environment import environment
from genn_delays.learning.losses import Loss, MeanSquareError, RelativeMeanSquareError, SparseCategoricalCrossentropy

RULES = [
    RigL(),
    DeepR(growth="gradient", growth_delay="best"),
    SET(growth_delay="best"),
    DeepR(growth_delay="redraw"),
]


def source(case: Case, **arguments) -> str:
    return emit(case.compile("reference", **arguments).plan)


def rewired(seed: int) -> str:
    """A published network, rewired in one of every ways; connections that are dense are left as they are."""
    case = Case.published(seed)
    network = case.network()
    sparse = [c.name for c in network.connections if c.synapses.pre.size < c.num_pairs * case.kernel_count]
    return source(case, rewiring=dict.fromkeys(sparse, RULES[seed % len(RULES)]))


def with_loss(loss: Loss, readout: str) -> str:
    """A network whose output has this readout and loss, where no compiler would take it too."""
    plan = Case(seed=0, readout="spike_count" if readout == "first_spike_time" else readout).compile("reference").plan
    *others, out = plan.populations
    return emit(replace(plan, populations=(*others, replace(out, readout=readout, loss=loss.on(readout, 1.0)))))


LOSSES_ON = [
    (MeanSquareError(), "var"),
    (MeanSquareError(), "end_var"),
    (SparseCategoricalCrossentropy(per_timestep=True), "avg_var"),
    (SparseCategoricalCrossentropy(), "first_spike_time"),
    (RelativeMeanSquareError(1.0), "first_spike_time"),
]


def test_text_does_not_depend_on_sizes_seeds_or_data():
    assert source(Case(seed=0)) == source(Case(seed=11, time_steps=40, batch_size=1))  # few lanes
    assert source(Case(seed=0, batch_size=16)) == source(Case(seed=11, time_steps=40, batch_size=64))
    one = Case(seed=0, batch_norm=True, dropout=0.1, kernel="gaussian", sigma=2.0, learn_delays=True)
    two = replace(one, seed=11, time_steps=40, dropout=0.3, sigma=5.0, kernel_count=2)
    assert source(one) == source(two)


def test_text_depends_on_the_rules():
    texts = {
        source(Case(seed=0)),
        source(Case(seed=0, readout="sum_var")),
        source(Case(seed=0, surrogate="triangle")),
        source(Case(seed=0, detach_reset=False)),
        source(Case(seed=0, depth=2)),
        source(Case(seed=0, recurrent=True)),
        source(Case(seed=0, spike_input=True)),
    }
    published = Case(seed=4, kernel="gaussian", learn_delays=True)
    texts |= {
        source(Case(seed=0, batch_norm=True)),
        source(Case(seed=0, dropout=0.5)),
        source(Case(seed=0, learn_delays=True)),
        source(published),
        source(Case(seed=0, kernel="triangle", learn_delays=True)),
        source(published, rewiring={"in_population1": DeepR()}),
        source(published, rewiring={"in_population1": DeepR(growth="gradient")}),
        source(published, rewiring={"in_population1": DeepR(growth_delay="best")}),
        source(published, rewiring={"in_population1": RigL()}),
    }
    assert len(texts) == 16


def test_equations_stand_above_the_code():
    text = source(Case(seed=0))
    for line in LeakyIntegrateFire().equations().variables["v"][:1]:
        assert f"//   dv/dt = {line}" in text
    assert "// Adam (Kingma & Ba 2015" in text


def test_text_is_tidy():
    texts = [source(Case.numbered(n)) for n in range(6)] + [rewired(n) for n in range(8)]
    texts += [source(Case.current_based(n)) for n in range(9) if Case.current_based(n).neuron != "user"]
    for text in texts + [with_loss(*pair) for pair in LOSSES_ON]:
        assert "{{" not in text.replace("{{c0_, c1_, c2_, c3_}}", "") and "{%" not in text
        assert "\n\n\n" not in text
        assert not [line for line in text.splitlines() if line != line.rstrip() or "\t" in line]
        assert max(len(line) for line in text.splitlines()) <= 125


def test_undefined_names_are_errors():
    with pytest.raises(jinja2.UndefinedError, match="surrogate"):
        environment("cpu").get_template("surrogate.cpp.j2").render()


def test_no_header_beyond_c():
    includes = {line for line in source(Case(seed=0)).splitlines() if line.startswith("#include")}
    allowed = {"math", "pthread", "stdint", "stdlib", "string"}
    assert includes <= {f"#include <{name}.h>" for name in allowed}


@pytest.mark.parametrize(
    "text", [pytest.param(lambda n=n: source(Case.numbered(n)), id=f"numbered{n}") for n in (0, 1, 2, 9)]
)
def test_source_compiles_without_a_warning(text, tmp_path):
    """With all warnings on: nothing generated is unused, and nothing is converted by accident."""
    tool = compiler()
    path = tmp_path / "kernels.cpp"
    path.write_text(text())
    command = [*tool.command, *FLAGS, "-Wall", "-Wextra", "-Werror", str(path), "-o", str(tmp_path / "kernels.so")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seed", [1, 4, 5, 12])
def test_current_based_source_compiles_without_a_warning(seed, tmp_path):
    """The same with exponential synapses and refractory neurons, under EventProp and with a surrogate (12)."""
    test_source_compiles_without_a_warning(lambda: source(Case.current_based(seed)), tmp_path)


@pytest.mark.parametrize("seed", [0, 1, 3, 5])
def test_published_source_compiles_without_a_warning(seed, tmp_path):
    """The same where kernels spread synapses and growth goes by the gradient: nothing is there that nobody calls."""
    test_source_compiles_without_a_warning(lambda: rewired(seed), tmp_path)


@pytest.mark.parametrize("number", range(len(LOSSES_ON)))
def test_losses_compile_without_a_warning(number, tmp_path):
    """Also where a loss reads every time step, so that nobody asks for the readout's derivative."""
    test_source_compiles_without_a_warning(lambda: with_loss(*LOSSES_ON[number]), tmp_path)
