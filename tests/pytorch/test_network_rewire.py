"""Rewiring of a network that is a module: what the compiled network's own training does by the same gradients."""

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")

from torch.nn.functional import cross_entropy  # noqa: E402

import genn_delays as gd  # noqa: E402
from genn_delays.errors import InvalidValueError  # noqa: E402
from genn_delays.torch import Adam, SparseDelayed, as_module, rewire  # noqa: E402

pytestmark = pytest.mark.torch

T, B, IN, STEPS = 15, 4, 10, 8
LABELS = np.arange(STEPS * B) % 3
DATA = np.random.default_rng(0).random((STEPS * B, T, IN)).astype(np.float32)


def network(*, kernel=None, recurrent=False, dropout=0.0, batch_norm=False, sparsity=0.5):
    found = gd.Network(seed=5)
    with found:
        a = gd.Population(gd.Input(), IN, name="in")
        neuron = gd.LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5)
        h = gd.Population(neuron, 12, name="h", dropout=dropout, batch_norm=batch_norm)
        o = gd.Population(gd.LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), 3, name="out")
        for pre, post in ((a, h), (h, o), *([(h, h)] if recurrent else [])):
            delay = gd.UniformInt(1, 5)
            sparse = gd.FixedNumber(sparsity, delay=delay, weight=gd.KaimingUniform(3.0))
            gd.Connection(pre, post, sparse, delay_kernel=kernel)
    return found


def compiler(backend="cpu", **options):
    return gd.SurrogateCompiler(example_timesteps=T, batch_size=B, backend=backend, rng_seed=7, **options)


def batch(k):
    return torch.from_numpy(DATA[k * B : (k + 1) * B]).transpose(0, 1), torch.from_numpy(LABELS[k * B : (k + 1) * B])


def trained(module, optimizer, rule, steps=STEPS, **options):
    """Steps of training; returns how many synapses were replaced."""
    replaced = 0
    for k in range(steps):
        optimizer.zero_grad()
        x, y = batch(k)
        cross_entropy(module(x), y).backward()
        optimizer.step()
        replaced += rewire(module, rule, optimizer, **options)
    return replaced


RULES = {
    "deep_r": (gd.DeepR(l1=0.01, decoupled_l1=True), {}),
    "deep_r, noise, redraw": (gd.DeepR(l1=0.0, temperature=1e-5, growth_delay="redraw"), {}),
    "deep_r by gradient, dale, dropout": (gd.DeepR(l1=0.0, growth="gradient", dale=True), {"dropout": 0.3}),
    "deep_r by gradient, best, cycle": (
        gd.DeepR(l1=0.0, growth="gradient", candidates=9, growth_delay="best"),
        {"recurrent": True},
    ),
    "rigl, batch norm, kernel": (gd.RigL(interval=2, end=1.0), {"batch_norm": True, "kernel": "gaussian"}),
    "signed_rigl": (gd.SignedRigL(interval=1), {}),
    "set": (gd.SET(interval=3), {}),
}


COMPILED = ("deep_r by gradient, dale, dropout", "deep_r by gradient, best, cycle", "rigl, batch norm, kernel")
"""Rules by which `cpu` is trained, and others on `reference`, which has nothing to compile."""


@pytest.mark.parametrize("name", RULES)
def test_the_same_synapses_as_the_networks_own_training(name):
    """After eight steps: ends and delays are equal, weights to rounding. (Adam's first step of a synapse follows the
    sign of its gradient, however small; signed RigL meets one of the size of rounding, and is trained by SGD.)"""
    rule, options = RULES[name]
    backend = "cpu" if name in COMPILED else "reference"
    alike = (gd.SGD, torch.optim.SGD) if name == "signed_rigl" else (gd.Adam, Adam)
    learned = {"all_connections": {"weight": alike[0](0.02)}, "all_populations": {"batch_norm": alike[0](0.02)}}
    if "kernel" in options:
        learned["all_connections"]["delay"] = alike[0](0.02)
    own = compiler(backend).compile(network(**options), optimisers=learned, rewiring={"all_connections": rule})
    with own:
        own.train({"in": DATA}, {"out": LABELS}, num_epochs=1, shuffle=False, callbacks=[])
        module = as_module(network(**options), compiler(backend), dale=rule.dale)
        replaced = trained(module, alike[1](module.parameters(), 0.02), rule, total_steps=STEPS)
        assert replaced == sum(own.rewirings.values()) > 0
        module.sync()
        for c in own.network.connections:
            expected, found = own.synapses(c), module.compiled.synapses(c.name)
            for ends in ("pre", "post", "delay"):
                assert np.array_equal(getattr(found, ends), getattr(expected, ends)), (c.name, ends)
            assert np.abs(found.weight - expected.weight).max() < 2e-5 * np.abs(expected.weight).max()
    module.close()


def test_connections_by_name():
    """Each by its own rule; those that are not named, or get none, stay."""
    module = as_module(network(recurrent=True), compiler())
    before = [w.topology for w in module.wired]
    rules = {"all_connections": "set", "in_h": gd.SET(interval=1, fraction=0.5), "h_out": None}
    replaced = trained(module, torch.optim.SGD(module.parameters(), 0.01), rules, 1)
    assert replaced == int(0.5 * before[0].size)
    assert module.wired[0].topology is not before[0]
    assert [w.topology is old for w, old in zip(module.wired[1:], before[1:], strict=True)] == [True, True]
    assert [w.steps for w in module.wired] == [1, 0, 1]


def test_growth_reads_the_pass_as_it_was():
    """Though connections have been rewired since, and gradients are kept from the second call on only."""
    found = []
    for asked_before in (True, False):
        module = as_module(network(), compiler())
        if asked_before:
            module._keep_gradients([1, 2])
        optimizer = torch.optim.SGD(module.parameters(), 0.1)
        trained(module, optimizer, {}, 1)
        assert rewire(module, {"in_h": gd.SET(interval=1)}, optimizer) > 0
        assert rewire(module, {"h_out": gd.RigL(interval=1)}, optimizer, total_steps=9) > 0
        found.append(module)
    assert same(*found)


def test_growth_does_not_read_a_pass_of_predict():
    module, optimizer = optimized()
    cross_entropy(module(batch(1)[0]), batch(1)[1]).backward()
    optimizer.step()
    module.compiled.predict({"in": DATA[:B]})
    with pytest.raises(InvalidValueError, match="grows by the gradient of the last backward pass"):
        rewire(module, gd.DeepR(growth="gradient"), optimizer)


def test_layers_and_networks_of_one_model():
    model = torch.nn.Sequential(SparseDelayed(6, IN, 0.5, 2, seed=0), as_module(network(), compiler()))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for k in range(2):
        optimizer.zero_grad()
        cross_entropy(model(batch(k)[0][:, :, :6].contiguous()), batch(k)[1]).backward()
        optimizer.step()
        replaced = rewire(model, gd.SET(interval=1), optimizer)
        sizes = [model[0].topology.size, *(w.topology.size for w in model[1].wired)]
        assert replaced == sum(int(0.3 * size) for size in sizes)


def test_states_of_optimisers_and_groups_go_with_synapses():
    """Learned delays are in a group of their own; newborn synapses begin without moments, and training goes on."""
    module = as_module(network(kernel="gaussian"), compiler())
    groups = [{"params": module.weights.values()}, {"params": module.delays.values(), "lr": 0.5}]
    optimizer = Adam(groups, 0.01)
    trained(module, optimizer, {}, 3)
    parameter, state = module.weights["in_h"], optimizer.state[module.delays["in_h"]]
    replaced = rewire(module, {"in_h": gd.SET(interval=1)}, optimizer)
    assert module.weights["in_h"] is parameter
    born = parameter.detach().abs() < 1e-11
    assert int(born.sum()) == replaced > 0
    for own in (state, optimizer.state[parameter]):
        assert torch.equal(own["steps"] == 0, born) and not own["exp_avg"][born].any()
    delays = module.delays["in_h"].detach()
    assert torch.equal(delays[born], delays[born].round())
    trained(module, optimizer, "set", 2)
    module(batch(0)[0])  # puts delays back into their range
    assert float(delays.min()) >= 0 and float(delays.max()) <= 5


def test_evaluates_as_predict_does_after_rewiring():
    module = as_module(network(batch_norm=True), compiler())
    assert trained(module, Adam(module.parameters(), 0.05), gd.DeepR(l1=0.01, growth="gradient")) > 0
    with torch.no_grad():
        z = module.eval()(batch(0)[0])
    module.sync()
    predicted, _ = module.compiled.predict({"in": DATA[:B]}, "out")
    assert np.array_equal(z.numpy(), next(iter(predicted.values())))


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("way", ["state_dict", "deepcopy", "pickle"])
def test_training_is_resumed_to_the_same_bits(way):
    """With synapses, steps of dropout and of rewiring, and the running averages."""
    rule = gd.DeepR(l1=0.0, growth="gradient")

    def own():
        return as_module(network(dropout=0.3, batch_norm=True), compiler())

    module = own()
    optimizer = Adam(module.parameters(), 0.05)
    trained(module, optimizer, rule, 3)
    if way == "state_dict":
        other = own()
        assert not np.array_equal(other.wired[0].topology.pre, module.wired[0].topology.pre)
        other.load_state_dict(module.state_dict())
    else:
        other = copy.deepcopy(module) if way == "deepcopy" else pickle.loads(pickle.dumps(module))
    assert same(module, other)
    resumed = Adam(other.parameters(), 0.05)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for m, o in ((module, optimizer), (other, resumed)):
        trained(m, o, rule, 3)
    assert same(module, other)


def test_a_copy_keeps_what_is_frozen_and_its_mode():
    module = as_module(network(), compiler()).eval()
    module.weights["in_h"].requires_grad_(False)
    other = copy.deepcopy(module)
    assert not other.training and not other.weights["in_h"].requires_grad and other.weights["h_out"].requires_grad
    with torch.no_grad():
        other.weights["in_h"].zero_()
    assert module.weights["in_h"].abs().max() > 0


def optimized(**options):
    module = as_module(network(**options), compiler())
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    trained(module, optimizer, {}, 1)
    return module, optimizer


def with_rule(rule, **options):
    module, optimizer = optimized(**options)
    return rewire(module, rule, optimizer)


def other_optimizer():
    return rewire(optimized()[0], "set", torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))]))


def evaluated():
    module, optimizer = optimized()
    with torch.no_grad():
        module.eval()(batch(0)[0])
    return rewire(module, "deep_r_rigl", optimizer)


def closed():
    module, optimizer = optimized()
    module.close()
    return rewire(module, "set", optimizer)


def for_a_layer():
    own = SparseDelayed(3, 3, 0.5, 1)
    return rewire(own, {"in_h": "set"}, torch.optim.SGD(own.parameters(), 0.1))


BAD = {
    r"the optimizer \(Adam\) does not hold the weight of connection 'in_h'": other_optimizer,
    "grows by the gradient of the last backward pass": evaluated,
    "was closed": closed,
    r"agree: DeepR\(dale=False\), or as_module\(..., dale=True": lambda: with_rule(gd.DeepR(dale=True)),
    "all 120 pairs have a synapse; make connection 'in_h' with a sparsity": lambda: with_rule("set", sparsity=0.0),
    "unknown connection in rewiring 'in_x'": lambda: with_rule({"in_x": "set"}),
    "unknown rewiring of connection 'in_h' 'sett'": lambda: with_rule({"in_h": "sett"}),
    "rules by connection, .*, are for the module of a network": for_a_layer,
    "give total_steps=": lambda: with_rule("rigl"),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_clear_error(message):
    with pytest.raises(InvalidValueError, match=message):
        BAD[message]()


def broken(change):
    module = as_module(network(recurrent=True), compiler(), dale=True)
    state = module.state_dict()
    change(state)
    return module, state


STATES = {
    r"Missing key.*topology.in_h.pre": lambda state: state.pop("topology.in_h.pre"),
    r"Unexpected key.*weights.more": lambda state: state.update({"weights.more": torch.zeros(1)}),
    "topology.in_h.pre has 3 synapses, connection 'in_h' 60": lambda state: state.update(
        {"topology.in_h.pre": torch.zeros(3)}
    ),
    r"sorted by \(post, pre\)": lambda state: state["topology.in_h.post"].copy_(
        state["topology.in_h.post"].flip(0).clone()
    ),
    "topology.h_h.delay must be at least 1 on a cycle": lambda state: state["topology.h_h.delay"].zero_(),
    r"weights.in_h must have shape \(60,\), got \(2,\)": lambda state: state.update({"weights.in_h": torch.zeros(2)}),
    "have not the sign of their source neuron": lambda state: state["weights.in_h"].neg_(),
    "the state has no weights.in_h": lambda state: state.pop("weights.in_h"),
    "the state has delays.in_h, of which this module has none": lambda state: state.update(
        {"delays.in_h": torch.zeros(60)}
    ),
}


@pytest.mark.parametrize("missing", ["topology.in_h.pre", "mark.h_out", "weights.h_out", "l1.in_h"])
def test_weights_are_not_loaded_without_their_synapses(missing):
    """Not even by strict=False: they would be those of other synapses."""
    module, other = optimized()[0], as_module(network(), compiler())
    trained(other, torch.optim.SGD(other.parameters(), 0.5), gd.DeepR(l1=0.05), 3)
    before, state = copy.deepcopy(module.state_dict()), dict(other.state_dict())
    del state[missing]
    with pytest.raises(RuntimeError, match=f"the state has no {missing}; save state_dict"):
        module.load_state_dict(state, strict=False)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert len(module.load_state_dict({"else": torch.zeros(1)}, strict=False).missing_keys) > 4


@pytest.mark.parametrize("message", STATES)
def test_a_state_that_does_not_fit_is_refused(message):
    """Nothing is taken over of one whose synapses do not fit."""
    module, state = broken(lambda state: None)
    state = copy.deepcopy(state)
    before = copy.deepcopy(module.state_dict())
    state["weights.h_out"].mul_(2)
    STATES[message](state)
    with pytest.raises(RuntimeError, match=f"(?s){message}"):
        module.load_state_dict(state)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_moving_it_is_refused():
    module = as_module(network(), compiler())
    for move in (torch.nn.Module.double, torch.nn.Module.half, lambda m: m.to("meta")):
        with pytest.raises(InvalidValueError, match=r"stays on the CPU in torch.float32, got torch"):
            move(module)
    assert torch.nn.Sequential(module).to("cpu").float() is not None


@pytest.mark.parametrize("way", ["a state", "deepcopy"])
def test_training_with_a_penalty_goes_on_to_the_same_bits(way):
    """The step after loading has the L1 that the last call of `rewire` left; steps after the last call have none."""
    module = as_module(network(), compiler("reference"))
    optimizer = torch.optim.Adam(module.parameters(), 0.02)
    trained(module, optimizer, gd.DeepR(l1=0.01), 4)
    assert [wired.l1 for wired in module.wired] == [0.01, 0.01]
    if way == "deepcopy":
        other, resumed = copy.deepcopy((module, optimizer))
    else:
        other = as_module(network(), compiler("reference"))
        resumed = torch.optim.Adam(other.parameters(), 0.02)
        other.load_state_dict(copy.deepcopy(module.state_dict()))
        resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, o in ((module, optimizer), (other, resumed)):
        trained(one, o, gd.DeepR(l1=0.01), 4)
    for name, value in module.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    module(batch(0)[0]).sum().backward()
    optimizer.step()
    assert [wired.l1 for wired in module.wired] == [0, 0]


@pytest.mark.parametrize("use_buffers", [False, True])
def test_an_average_over_rewired_connections_is_noticed(use_buffers):
    """Parameters are averaged by index; a state kept and not copied has the weights of later synapses."""
    from torch.optim.swa_utils import AveragedModel

    module = as_module(network(), compiler("reference"))
    optimizer, kept = torch.optim.Adam(module.parameters(), 0.02), module.state_dict()
    average = AveragedModel(module, use_buffers=use_buffers)
    for _ in range(2):
        average.update_parameters(module)
    x = batch(0)[0]
    assert torch.equal(average(x), module(x))
    assert trained(module, optimizer, gd.SET(interval=1), 1)
    average.update_parameters(module)
    for use in (lambda: average(x), average.state_dict):
        with pytest.raises(InvalidValueError, match="connection 'in_h': its parameters were copied from, or averaged"):
            use()
    average.module.load_state_dict(module.state_dict())
    assert torch.equal(average(x), module(x))
    with pytest.raises(RuntimeError, match="the weights are not those of the synapses"):
        module.load_state_dict(kept)


def test_gradients_of_gradients_are_an_error():
    """The penalty was left out without a word where the loss is linear in the outputs."""
    module = as_module(network(), compiler("reference"))
    x = batch(0)[0].requires_grad_()
    y = module(x)
    (found,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with pytest.raises(InvalidValueError, match="the module of a network has no gradients of gradients"):
        (y.sum() + found.square().sum()).backward()


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_what_is_recomputed_is_the_same_pass_or_an_error(dropout):
    """A checkpoint computes the pass again in the backward pass; dropout would then draw other numbers."""
    from torch.utils.checkpoint import checkpoint

    found = []
    for through in (lambda f, x: f(x), lambda f, x: checkpoint(f, x, use_reentrant=False)):
        module, x = as_module(network(dropout=dropout), compiler("reference")), batch(0)[0].requires_grad_()
        y = through(lambda x, m=module: m(x).square(), x).sum()
        if dropout and found:
            with pytest.raises(InvalidValueError, match=r"cannot be recomputed in the backward pass"):
                y.backward()
            return
        y.backward()
        found.append(x.grad)
    assert torch.equal(*found)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_parameter_that_is_not_finite_is_named(value):
    module = as_module(network(), compiler("reference"))
    with torch.no_grad():
        module.weights["in_h"][2] = value
    with pytest.raises(InvalidValueError, match=r"weights.in_h of the module of a network must be finite"):
        module(batch(0)[0])
