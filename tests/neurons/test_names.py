"""Variables and parameters may be called whatever an equation can hold: no name means two things in a kernel."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from networks import largest_difference

from genn_delays import (
    Connection,
    Dense,
    EventPropCompiler,
    Exponential,
    LeakyIntegrate,
    Network,
    Normal,
    Population,
    SpikeInput,
    SurrogateCompiler,
    UserNeuron,
    VarRecorder,
)
from genn_delays.codegen.cuda import emit_cuda
from genn_delays.derive.equations import derive
from genn_delays.derive.names import code_name
from genn_delays.neurons import Equations

NAMES = """
T N B t i row lane words grad given kept ahead par after distance spiked surrogate active int double this
uint32_t scalar threadIdx ROW NULL M_PI lambda_x L_v l_v a_v v_was next_v v_initial refrac S e push hold
inverse_slope I pi exp depth spike gradient _ v v_
""".split()  # noqa: SIM905
"""Names of the kernels' own, words of C and CUDA, macros, what SymPy and GeNN call things, and once forbidden forms."""
NAMES = list(dict.fromkeys(NAMES))
NAMES += [f"pad{k}" for k in range(-len(NAMES) % 3)]
EACH = 3


def network(names: list[str], event_prop: bool) -> Network:
    """Populations whose variables have these names, and whose parameters have those of the next one's variables."""
    synapse: Any = Exponential(4.0) if event_prop else "delta"
    described = Network(seed=4)
    with described:
        source = Population(SpikeInput(), 6, "in")
        out = Population(LeakyIntegrate(tau_mem=9.0, readout="sum_var"), 3, "out")
        for k in range(0, len(names), EACH):
            variables, parameters = names[k : k + EACH], (names[k + EACH :] + names)[:EACH]
            equations = {
                one: (f"-{one} / (4 + {tau}) + Isyn * {tau}", f"{tau} * {one}" if n % 2 else None)
                for n, (one, tau) in enumerate(zip(variables, parameters, strict=True))
            }
            neuron = UserNeuron(
                vars=equations, threshold=f"{' + '.join(variables)} - 0.4 * {parameters[0]}",
                param_vals={name: 0.5 + 0.1 * n for n, name in enumerate(parameters)}, var_vals={variables[1]: 0.1},
            )  # fmt: skip
            hidden = Population(neuron, 4, f"h{k}")
            weight = Normal(0.9, 1.0) if event_prop else Normal(0.2, 0.6)
            Connection(source, hidden, Dense(weight=weight, delay=1), synapse)
            Connection(hidden, out, Dense(weight=Normal(0, 1), delay=2), synapse)
    return described


def outcome(names: list[str], backend: Any, event_prop: bool) -> tuple[float, list[Any], list[Any]]:
    """Loss, gradients, and the first variable of every hidden population."""
    kind: Any = EventPropCompiler if event_prop else SurrogateCompiler
    x = (np.random.default_rng(3).random((3, 12, 6)) < 0.4).astype(np.float32)
    described = network(names, event_prop)
    hidden = [p for p in described.populations if p.name.startswith("h")]
    with kind(12, 3, backend=backend).compile(described) as compiled:
        for p in hidden:
            compiled.engine.keep_variables(p.index)
        loss, gradients = compiled.gradients({"in": x}, {"out": np.array([0, 1, 2])})
        variables = [compiled.engine.variable(p.index, next(iter(p.neuron.vars))) for p in hidden]
    return loss, list(gradients.values()), variables


@pytest.mark.parametrize("event_prop", [False, True], ids=["surrogate", "EventProp"])
def test_names_are_names_in_every_kernel(kernels: Any, event_prop: bool) -> None:
    """Every name once as a variable and once as a parameter: what `reference` computes."""
    loss, gradients, variables = outcome(NAMES, kernels, event_prop)
    expected_loss, expected_gradients, expected = outcome(NAMES, "reference", event_prop)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    for mine, theirs in zip(gradients, expected_gradients, strict=True):
        assert largest_difference(mine, theirs) < 1e-5
    for mine, theirs in zip(variables, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("event_prop", [False, True], ids=["surrogate", "EventProp"])
def test_names_do_not_matter(event_prop: bool) -> None:
    """The definition itself: the same network with plain names; terms are added in the order of their names."""
    plain = [f"x{k}" for k in range(len(NAMES))]
    loss, gradients, variables = outcome(NAMES, "reference", event_prop)
    expected_loss, expected_gradients, expected = outcome(plain, "reference", event_prop)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    for mine, theirs in zip(gradients, expected_gradients, strict=True):
        assert largest_difference(mine, theirs) < 2e-3
    for mine, theirs in zip(variables, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("event_prop", [False, True], ids=["surrogate", "EventProp"])
def test_names_compile_for_a_gpu(event_prop: bool) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs the extra cuda")
    from genn_delays.backends.cuda.compiler import compile_cubin

    kind: Any = EventPropCompiler if event_prop else SurrogateCompiler
    plan = kind(12, 3, backend="reference").compile(network(NAMES, event_prop)).plan
    assert compile_cubin(emit_cuda(plan), "sm_80")


@pytest.mark.genn
def test_names_in_genns_own_code() -> None:
    """GeNN's names, its parser's words and its variables of ours in one model."""
    from genn_delays.backends import BACKENDS

    found = BACKENDS["genn"]().availability()
    if not found.available:
        pytest.skip(found.detail)
    loss, gradients, variables = outcome(NAMES, "genn", True)
    expected_loss, expected_gradients, expected = outcome(NAMES, "reference", True)
    assert loss == pytest.approx(expected_loss, rel=1e-4)
    for mine, theirs in zip(gradients, expected_gradients, strict=True):
        assert largest_difference(mine, theirs) < 1e-4
    for mine, theirs in zip(variables, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_recorders_know_variables_by_their_names(backend: Any) -> None:
    """And what a recorder finds is the variable's own course, a leaky sum by hand."""
    described = Network()
    with described:
        a = Population(SpikeInput(), 1, "in")
        neuron = UserNeuron(
            vars={"double": ("-double / int + Isyn", None)}, param_vals={"int": 4.0}, output_var_name="double",
            readout="sum_var",
        )  # fmt: skip
        o = Population(neuron, 2, "out")
        Connection(a, o, Dense(weight=0.5))
    x = (np.random.default_rng(0).random((1, 9, 1)) < 0.5).astype(np.float32)
    with SurrogateCompiler(9, 1, backend=backend).compile(described) as compiled:
        recorded = compiled.predict({"in": x}, callbacks=[VarRecorder("out", "double", key="it")])[-1]
    v, expected = 0.0, []
    for sent in x[0, :, 0]:
        v = (1 - 1 / 4) * v + 0.5 * sent
        expected.append([v, v])
    np.testing.assert_allclose(recorded["it"][0], expected, rtol=1e-6)


def test_derived_names_are_told_apart() -> None:
    """A coefficient of x_y beside the one with which x takes over y: both were called a_x_y."""
    equations = {"x": ("-x + 2 * y + Isyn", None), "y": ("-y", None), "x_y": ("-3 * x_y + Isyn", None)}
    model = derive(Equations(equations, None, (), output="x"), True)
    assert {"a__x", "a__x__y", "a__y", "a__x_y"} <= set(model.coefficients)
    assert (
        len({code_name(name) for name in (*model.coefficients, *model.states, "a_x_y")}) == len(model.coefficients) + 4
    )


ROLES = "L l lambda after now row was before initial next slope sum total tape kept released inverse steps phantom"
NEURONS = ("membrane", "adjoint", "adjoint_event_prop", "active", "kept_values", "neuron")


@pytest.mark.parametrize("target", ["cpu", "cuda", "genn"])
def test_templates_have_neither_form_for_names_of_their_own(target: str) -> None:
    """A name that ends with an underscore is a user's, one with two is derived of it."""
    for path in (files("genn_delays.codegen") / "templates" / target).iterdir():
        if not path.name.endswith(".j2"):
            continue
        text = re.sub(r"//.*|{#.*?#}|/\*.*?\*/", "", path.read_text(), flags=re.MULTILINE)
        text = re.sub(r"{{.*?}}|{%.*?%}", "@", text)
        for word in re.findall(r"(?<![\w@])[A-Za-z_]\w*(?!\w*@)", text):
            if "__" in word and not word.startswith("__"):  # C's and CUDA's own begin so
                assert word.split("__")[0] in ROLES.split(), f"{path.name}: {word}"
            elif path.name.split(".")[0] in NEURONS:
                assert not word.endswith("_") or word in ("refrac_", "__restrict__", "__global__", "__attribute__"), (
                    f"{path.name}: {word}"
                )
