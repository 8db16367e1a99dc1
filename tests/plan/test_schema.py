"""What is kept of every synapse is said once: a further moment, or a further number, is one line."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace

import numpy as np
import pytest
from networks import Case
from refused import refused
from rewired import assert_same_state, data, set_gradient, small_network, train
from safetensors.numpy import load_file

from genn_delays import SGD, Adam, Callback, DeepR, GaussianKernel, RigL
from genn_delays.backends.cpu.structs import network_type, set_members, structures
from genn_delays.codegen.cuda import emit_cuda
from genn_delays.codegen.emit import emit, emit_structures
from genn_delays.codegen.genn import synapse_variables
from genn_delays.errors import CompileError
from genn_delays.learning.optimisers import OPTIMISERS, Optimisers
from genn_delays.learning.schedules import Progress
from genn_delays.plan import schema
from genn_delays.plan.exchanged import ConnectionState
from genn_delays.plan.foresight import foresee
from genn_delays.plan.schema import SynapseField, synapse_bytes, synapse_fields


@pytest.fixture
def amsgrad():
    """AMSGrad (Reddi et al. 2018, arXiv 1904.09237), as a user registers it: Adam with a third moment."""

    @dataclass(frozen=True)
    class AMSGrad(Adam):
        moments = ("m", "v", "vmax")
        body = """
            m = real(beta1) * m + (1 - real(beta1)) * g
            v = real(beta2) * v + (1 - real(beta2)) * (g * g)
            vmax = max(vmax, v)
            m_hat = m / real(1 - power(beta1, age))
            v_hat = vmax / real(1 - power(beta2, age))
            w = w - real(alpha) * m_hat / (sqrt(v_hat) + real(epsilon))
            """

    OPTIMISERS.register("ams_grad")(AMSGrad)
    yield AMSGrad
    del OPTIMISERS["ams_grad"]


RULES = [DeepR(l1=0.02), RigL(interval=2, growth_delay="best")]


def _compiled(optimiser, rule, backend, kernel=None):
    delay = None if kernel is None else replace(optimiser, alpha=0.1)
    return train(small_network(kernel=kernel), rule, backend, 0, delay=delay, optimiser=optimiser)


@pytest.mark.parametrize("kernel", [None, GaussianKernel(sigma=2.0)], ids=["weights", "delays too"])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_third_moment_is_one_name(amsgrad, rule, kernel, backend, tmp_path):
    """Trained, rewired, saved and resumed with the same bits as `reference` and as without a break."""
    whole, second = (_compiled(amsgrad(0.02, beta2=0.7), rule, backend, kernel) for _ in range(2))

    class Pause(Callback):
        def on_epoch_end(self, epoch, metrics):
            if epoch == 1:
                self.compiled_network.save(tmp_path / "half")

    arrays = data(whole.network, 8)
    whole.train(*arrays, 4, callbacks=[Pause()])
    assert sum(whole.rewirings.values()) > 0
    second.load(tmp_path / "half")
    second.train(*arrays, 4, callbacks=())
    for compiled, name in ((whole, "whole"), (second, "resumed")):
        compiled.save(tmp_path / name)
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()
    files = load_file(tmp_path / "whole")
    for c in whole.plan.connections:
        largest, last = files[f"{c.name}.moment2"], files[f"{c.name}.moment1"]
        assert largest.shape == (c.size,) and (largest >= last).all() and (largest > last).any()
        assert (f"{c.name}.delay_moment2" in files) == (kernel is not None)
        born = files[f"{c.name}.age"] == 0
        assert not largest[born].any()
    if backend != "reference":  # what was trained there up to here, a step of each further
        one, two = (_compiled(amsgrad(0.02, beta2=0.7), rule, which, kernel) for which in (backend, "reference"))
        for compiled in (one, two):
            compiled.load(tmp_path / "whole")
        random = np.random.default_rng(0)
        for c in one.plan.connections:
            for variable in ["weight", *(["delay"] if kernel else [])]:
                gradient = random.normal(0, 0.1, c.size).astype(np.float32)
                for compiled in (one, two):
                    set_gradient(compiled.engine, c.index, gradient, variable)
        for compiled in (one, two):
            compiled.engine.update(8, compiled.plan.optimisers(Progress(0, 1, 0, 1)))
        for c in one.plan.connections:
            assert_same_state(one.engine, two.engine, c.index)


def test_three_moments_are_those_of_the_paper(amsgrad):
    """An independent AMSGrad in float64 over many steps of one weight."""
    optimiser, random = amsgrad(0.05), np.random.default_rng(0)
    w, kept = np.float32([0.5]), [np.zeros(1, np.float32) for _ in optimiser.moments]
    exact, m, v, largest = 0.5, 0.0, 0.0, 0.0
    for step in range(1, 60):
        g = random.normal()
        w = optimiser.step(w, np.float32([g]), kept, np.uint16([step]))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        largest = max(largest, v)
        exact -= 0.05 * m / (1 - 0.9**step) / (np.sqrt(largest / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(w, exact, rtol=1e-4)


TRACE = SynapseField("trace", np.float32, "a number for a test", "a trace")
HOME = SynapseField("home", np.uint16, "the delay it was born with", birth="delay", when="learned")


@pytest.mark.parametrize("field", [TRACE, HOME], ids=lambda f: f.name)
def test_a_number_per_synapse_is_one_line(field, monkeypatch, backend, tmp_path):
    """In structures, kernels, checkpoints and memory; it goes with its synapse, and newborn ones get theirs."""
    before = train(small_network(), RULES[0], "reference", 0).plan
    bytes_before = [synapse_bytes(c) for c in before.connections]
    monkeypatch.setattr(schema, "SYNAPSE_FIELDS", (*schema.SYNAPSE_FIELDS, field))
    compiled = train(small_network(), RULES[0], backend, 0, alpha=0.05)
    plan = compiled.plan
    c = plan.connections[0]
    assert field.name in synapse_fields(c)
    assert [synapse_bytes(c) - n for c, n in zip(plan.connections, bytes_before, strict=True)] == [
        np.dtype(field.dtype).itemsize
    ] * len(plan.connections)
    assert f"c->{field.name}, sizeof" in emit(plan) and field.meaning in emit_structures(plan)
    assert f"new_{field.name}" in emit_cuda(plan)
    assert hasattr(network_type(plan)().c[0], field.name)
    state = compiled.engine.state(0)
    if field is HOME:
        np.testing.assert_array_equal(state.values["home"], state.synapses.delay)
    mark = state.synapses.pre.astype(np.int64) * 15 + state.synapses.post + 1
    state.values[field.name] = mark.astype(field.dtype)
    compiled.engine.set_state(0, state)
    compiled.train(*data(compiled.network, 8), 4, callbacks=())
    assert compiled.rewirings[c.name] > 0
    state = compiled.engine.state(0)
    mark = state.synapses.pre.astype(np.int64) * 15 + state.synapses.post + 1
    born = state.synapses.delay if field is HOME else 0
    old = state.age == compiled.step
    assert old.any() and not old.all()
    np.testing.assert_array_equal(state.values[field.name][old], mark[old])
    np.testing.assert_array_equal(state.values[field.name][~old], np.broadcast_to(born, old.shape)[~old])
    compiled.save(path := tmp_path / "x")
    np.testing.assert_array_equal(load_file(path)[f"{c.name}.{field.name}"], state.values[field.name])
    other = train(small_network(), RULES[0], backend, 0)
    other.load(path)
    np.testing.assert_array_equal(other.engine.state(0).values[field.name], state.values[field.name])


@pytest.mark.parametrize("field", [TRACE, HOME], ids=lambda f: f.name)
def test_genn_keeps_it_too(field, monkeypatch):
    monkeypatch.setattr(schema, "SYNAPSE_FIELDS", (*schema.SYNAPSE_FIELDS, field))
    plan = replace(Case.current_based(1), kernel=None).compile("reference").plan
    assert plan.event_prop is not None
    assert {field.name} <= synapse_variables(plan, plan.connections[0]).keys()


def test_a_state_is_what_the_table_says():
    """Every array by its name and type; what a connection has not is empty, its moments are not there."""
    for rule, optimiser in ((RULES[0], SGD(0.1)), (None, Adam())):
        compiled = train(small_network(), rule, "reference", 0, optimiser=optimiser)
        for c in compiled.plan.connections:
            arrays = ConnectionState.new(c.initial_synapses(), c).arrays()
            assert {n: a.dtype for n, a in arrays.items() if a.size} == {
                n: np.dtype(f.dtype) for n, f in synapse_fields(c).items()
            }
            assert {n for n, a in arrays.items() if not a.size} == {"position"}
    foresee(compiled.plan, {})


# --- structures ------------------------------------------------------------------------------------------------------


def test_structures_are_read_from_the_source():
    found = structures(
        "struct A { int64_t n, m; float *x, *y; // two\n double z[3]; };\n"
        "struct B { const float* p; struct C* c; A a; A many[2]; float* v[4]; int8_t small; };\n"
        "void f(struct B* b) { }\n"
    )
    assert [name for name, _ in found["A"]._fields_] == ["n", "m", "x", "y", "z"]
    assert ctypes.sizeof(found["A"]) == 2 * 8 + 2 * 8 + 3 * 8
    assert ctypes.sizeof(found["B"]) == 8 + 8 + 56 + 2 * 56 + 4 * 8 + 8


@pytest.mark.parametrize("bad", ["Thing t;", "int n : 3;", "float (*f)(int);", "unsigned n;"])
def test_a_member_that_cannot_be_filled_is_an_error(bad):
    with pytest.raises(CompileError, match="struct A declares"):
        structures(f"struct A {{ {bad} }};")


def test_a_number_that_a_structure_has_not_is_an_error():
    """By name or as an attribute, in structures within structures too: nothing is set that no kernel reads."""
    net = network_type(train(small_network(), RULES[0], "reference", 0).plan)()
    for structure in (net, net.c[0], net.whole[0], net.c[0].weight_rule):
        with pytest.raises(AttributeError, match="beta9"):
            structure.beta9 = 1.0
    with refused("member of struct Optimiser", "beta9", "alpha_"):
        set_members(net.c[0].weight_rule, {"beta9": 0.5})


@pytest.fixture
def further():
    """An optimiser with a number that Adam has not."""

    @dataclass(frozen=True)
    class Further(Adam):
        further: float = 0.5
        body = f"{Adam.body}w = w - real(further)\n"

    OPTIMISERS.register("further")(Further)
    yield Further
    del OPTIMISERS["further"]


def test_a_number_that_an_optimiser_sends_and_no_kernel_reads_is_an_error(further, kernels):
    """Its network was compiled for another optimiser."""
    compiled = train(small_network(), RULES[0], kernels, 2)
    with refused("member of struct Optimiser", "'further_'"):
        compiled.engine.update(2, {0: Optimisers(further(), None)})
