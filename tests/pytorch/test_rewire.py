"""Rewiring of layers after PyTorch's optimisers: as the definition does it, with everything that is kept a synapse."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")

from torch.nn.utils.prune import l1_unstructured  # noqa: E402

import genn_delays as gd  # noqa: E402
from genn_delays.backends.reference.activity import Activity  # noqa: E402
from genn_delays.backends.reference.rewiring import rewired_state  # noqa: E402
from genn_delays.errors import GennDelaysWarning, InvalidValueError  # noqa: E402
from genn_delays.learning.schedules import Progress  # noqa: E402
from genn_delays.plan.exchanged import ConnectionState, Pass  # noqa: E402
from genn_delays.torch import Adam, SparseDelayed, rewire  # noqa: E402

pytestmark = pytest.mark.torch

T, B, IN, OUT, LAGS = 25, 6, 12, 9, 10
OPTIONS = {"sparsity": 0.6, "delay": gd.UniformInt(0, LAGS), "seed": 3}


def layer(**options):
    return SparseDelayed(IN, OUT, **{**OPTIONS, **options})


def step(own, optimizer, seed=0):
    """One training step; returns the input and the gradient of the output."""
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(T, B, IN, generator=generator) < 0.2).float()
    optimizer.zero_grad()
    y = own(x)
    y.retain_grad()
    (y - torch.randn(T, B, OUT, generator=generator)).square().sum().backward()
    optimizer.step()
    return x, y.grad


RULES = {
    "deep_r": gd.DeepR(l1=0.0),
    "deep_r, redraw": gd.DeepR(l1=0.0, growth_delay="redraw"),
    "deep_r by gradient": gd.DeepR(l1=0.0, growth="gradient"),
    "deep_r by gradient, a sample, best": gd.DeepR(l1=0.0, growth="gradient", candidates=8, growth_delay="best"),
    "dale": gd.DeepR(l1=0.0, dale=True, growth="gradient"),
    "rigl": gd.RigL(interval=1),
    "signed_rigl": gd.SignedRigL(interval=1),
    "set": gd.SET(interval=1),
}


@pytest.mark.parametrize("kernel_count", [1, 2])
@pytest.mark.parametrize("kernel", [None, "gaussian"])
@pytest.mark.parametrize("name", RULES)
def test_drops_and_grows_what_the_definition_does(name, kernel, kernel_count):
    """The same synapses as backend `reference` has after its rule acted on the same weights and activity."""
    rule = RULES[name]
    own = layer(delay_kernel=kernel, dale=rule.dale, kernel_count=kernel_count, learn_delay=False if kernel else None)
    optimizer = torch.optim.SGD(own.parameters(), 0.02)
    x, g = step(own, optimizer)
    weight = own.weight.detach().clone().numpy()
    if rule.signed:
        sign = np.where(own._negative, -1, 1).astype(np.float32)
        weight = np.copysign(np.maximum(weight * sign, 0), sign)
    plan = planned(rule, kernel, kernel_count)
    c, before = plan.connections[0], own.synapses()._replace(weight=weight)
    activity = Activity(plan, "float32", False)
    activity.lanes, activity.how = B, Pass(training=True, widths={0: own.width} if kernel else {})
    activity.x[0], activity.g[1] = x.permute(2, 0, 1).numpy(), g.permute(2, 0, 1).numpy()
    count = rule.num_dropped(own.topology.size, Progress(0, 1, 0, 10))
    state, rewired = rewired_state(activity, ConnectionState.new(before, c), 0, 0, count)
    assert rewire(own, rule, optimizer, total_steps=10) == sum(rewired) > 0
    for found, defined in zip(own.synapses(), state.synapses, strict=True):
        assert np.array_equal(found, defined)


def planned(rule, kernel, kernel_count):
    """The plan of a network whose only connection the layer is."""
    network = gd.Network(seed=OPTIONS["seed"])
    with network:
        source = gd.Population(gd.Input(), IN)
        target = gd.Population(gd.LeakyIntegrate(readout="sum_var"), OUT)
        connectivity = gd.FixedNumber(OPTIONS["sparsity"], delay=OPTIONS["delay"], kernel_count=kernel_count)
        gd.Connection(source, target, connectivity, delay_kernel=kernel)
    compiler = gd.SurrogateCompiler(example_timesteps=T, batch_size=B, rng_seed=OPTIONS["seed"], backend="reference")
    optimisers = {"all_connections": {"weight": gd.SGD(0.02)}}
    return compiler.compile(network, optimisers=optimisers, rewiring={"all_connections": rule}).plan


def by_synapse(own, values):
    s = own.synapses()
    return dict(zip(zip(s.pre, s.post, strict=True), values.tolist(), strict=True))


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "SGD", "RMSprop", "NAdam", "ours"])
def test_the_optimisers_state_goes_with_its_synapse(kind):
    """Newborn synapses begin with none, all others keep theirs."""
    options = {"momentum": 0.9} if kind == "SGD" else {"amsgrad": True} if kind.startswith("Adam") else {}
    own = layer(delay_kernel="gaussian")
    optimizer = (Adam if kind == "ours" else getattr(torch.optim, kind))(own.parameters(), 0.2, **options)
    for k in range(3):
        step(own, optimizer, k)
    before = {
        (p, name): by_synapse(own, value)
        for p in (own.weight, own.delay)
        for name, value in optimizer.state[p].items()
        if torch.is_tensor(value) and value.shape == p.shape
    }
    weights = by_synapse(own, own.weight.detach())
    replaced = rewire(own, gd.DeepR(l1=0.0), optimizer)
    now = by_synapse(own, own.weight.detach())
    born = now.keys() - weights.keys()
    assert 0 < len(born) <= replaced and before
    for (parameter, name), known in before.items():
        after = by_synapse(own, optimizer.state[parameter][name])
        assert all(after[key] == (0 if key in born else known[key]) for key in after if abs(now[key]) > 1e-11)
        assert all(after[key] == 0 for key in born)
    assert all(abs(now[key]) == pytest.approx(1e-12) for key in born)
    step(own, optimizer, 3)  # and training goes on


def test_our_adam_is_pytorchs_for_synapses_of_one_age():
    found = []
    for kind in (Adam, torch.optim.Adam):
        own = layer(delay_kernel="gaussian")
        optimizer = kind(own.parameters(), 0.02, betas=(0.8, 0.99))
        for k in range(5):
            step(own, optimizer, k)
        found.append(own)
    assert torch.allclose(found[0].weight, found[1].weight, atol=1e-6)
    assert torch.allclose(found[0].delay, found[1].delay, atol=1e-5)


COUNTING = {
    "ours": {},
    "Adam": {},
    "Adam, amsgrad": {"amsgrad": True, "eps": 1e-3},
    "Adam, decay": {"weight_decay": 0.1, "maximize": True},
    "AdamW": {"weight_decay": 0.1},
    "Adamax": {},
}


@pytest.mark.parametrize("name", COUNTING)
def test_newborn_synapses_take_the_steps_of_a_fresh_optimiser(name):
    """PyTorch's own count is that of the whole tensor; weights and delays are learned by groups of their own."""
    kind = Adam if name == "ours" else getattr(torch.optim, name.partition(",")[0])

    def optimizer_of(weight, delay, betas=(0.5, 0.99)):
        groups = [{"params": [weight]}, {"params": [delay], "lr": 0.1}]
        return kind(groups, lr=0.01, betas=betas, **COUNTING[name])

    own = layer(delay_kernel="gaussian")
    optimizer, rule = optimizer_of(own.weight, own.delay), gd.SET(interval=60)
    for k in range(60):
        known = by_synapse(own, own.weight.detach()).keys()
        step(own, optimizer, k)
        rewire(own, rule, optimizer)
    born = [k for k, synapse in enumerate(by_synapse(own, own.weight.detach())) if synapse not in known]
    assert len(born) > 5
    few = [torch.nn.Parameter(p.detach()[born].clone()) for p in (own.weight, own.delay)]
    fresh = optimizer_of(*few)
    for k in range(5):
        step(own, optimizer, 60 + k)
        if k == 3:
            rewire(own, rule, optimizer)  # a second time after one step changes nothing
        assert rewire(own, rule, optimizer) == 0
        for alone, parameter in zip(few, (own.weight, own.delay), strict=True):
            alone.grad = parameter.grad[born].clone()
        few[1].data.clamp_(0, LAGS)  # as the layer's forward pass does
        fresh.step()
        assert torch.allclose(own.weight.detach()[born], few[0], rtol=1e-5, atol=1e-8)
        assert torch.allclose(own.delay.detach()[born], few[1], rtol=1e-5)


def test_pytorchs_adam_trains_as_ours_does():
    """Over many generations of synapses."""
    found = []
    for kind in (Adam, torch.optim.Adam):
        own = layer(delay_kernel="gaussian")
        optimizer, total = kind(own.parameters(), 0.05), 0
        for k in range(60):
            step(own, optimizer, k)
            total += rewire(own, gd.DeepR(l1=0.01, growth="gradient"), optimizer)
        found.append((own, total))
    (ours, replaced), (theirs, same) = found
    assert replaced == same > 40
    assert np.array_equal(ours.topology.pre, theirs.topology.pre)
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-5)
    assert torch.allclose(ours.delay, theirs.delay, atol=1e-4)


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"betas": (0.9, 1.0)}, {"betas": 0.9}, {"eps": -1.0}])
def test_our_adam_refuses_bad_numbers(options):
    with pytest.raises(InvalidValueError, match=r"Adam (lr|betas|eps) must"):
        Adam(layer().parameters(), **options)


def test_invariants_of_long_training():
    """The number of synapses, no pair twice, signs of pairs, the optimiser that holds the same parameter."""
    own = layer()
    parameter, optimizer = own.weight, torch.optim.Adam(own.parameters(), 0.05)
    total, size = 0, own.topology.size
    for k in range(40):
        step(own, optimizer, k)
        total += rewire(own, gd.DeepR(l1=0.01, growth="gradient"), optimizer)
        pairs = own.topology.post.astype(int) * IN + own.topology.pre
        assert np.unique(pairs).size == size == own.weight.numel()
    assert own.weight is parameter and own.steps == 40 and total > size


def test_interval_and_end_are_those_of_the_rule():
    own = layer()
    optimizer = torch.optim.Adam(own.parameters(), 0.01)
    found = []
    for k in range(12):
        step(own, optimizer, k)
        found.append(rewire(own, gd.RigL(interval=3, end=1.0, fraction=0.5), optimizer, total_steps=12))
    assert [k for k, n in enumerate(found) if n] == [2, 5, 8]
    assert found[2] > found[5] > found[8]


@pytest.mark.parametrize("decoupled", [False, True])
def test_l1_pulls_weights_to_zero(decoupled):
    """As a term of the gradient from the second step on, or apart from the optimiser at once."""
    own = layer()
    optimizer = torch.optim.SGD(own.parameters(), 0.1)
    with torch.no_grad():
        own.weight.add_(own.weight.sign() * 0.1)  # none reaches zero
    rule, weight = gd.DeepR(l1=0.05, decoupled_l1=decoupled), own.weight.detach().clone()
    for _ in range(2):
        optimizer.zero_grad()
        (own(torch.zeros(T, B, IN))).sum().backward()  # no gradient at all
        optimizer.step()
        rewire(own, rule, optimizer)
    change = weight.abs() - own.weight.detach().abs()
    assert own.weight.grad.abs().max() == (0 if decoupled else pytest.approx(0.05))
    assert torch.allclose(change, torch.full_like(change, 0.01 if decoupled else 0.005), atol=1e-6)


def test_another_rule_ends_the_penalty_of_the_first():
    """DEEP R's hook stayed with the optimiser."""
    own = layer()
    optimizer = torch.optim.SGD(own.parameters(), 0.1)
    rewire(own, gd.DeepR(l1=0.05), optimizer)
    rewire(own, gd.SET(interval=10), optimizer)
    weight = own.weight.detach().clone()
    own(torch.zeros(T, B, IN)).sum().backward()  # no gradient at all
    optimizer.step()
    assert torch.equal(own.weight, weight)


def test_temperature_moves_weights():
    own = layer()
    optimizer = torch.optim.SGD(own.parameters(), 0.1)
    optimizer.zero_grad()
    own(torch.zeros(T, B, IN)).sum().backward()
    optimizer.step()
    before = own.weight.detach().clone()
    rewire(own, gd.DeepR(l1=0.0, temperature=1e-4), optimizer)
    assert (own.weight.detach() - before).abs().median() == pytest.approx(0.67 * np.sqrt(2 * 0.1 * 1e-4), rel=0.4)


def test_training_is_resumed_to_the_same_bits():
    own = torch.nn.Sequential(layer())
    optimizer = torch.optim.Adam(own.parameters(), 0.05)
    for k in range(3):
        step(own[0], optimizer, k)
        rewire(own, "deep_r_rigl", optimizer)
    other = torch.nn.Sequential(layer(seed=4))
    resumed = torch.optim.Adam(other.parameters(), 0.05)
    other.load_state_dict(own.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for model, o in ((own, optimizer), (other, resumed)):
        for k in range(3, 6):
            step(model[0], o, k)
            rewire(model, gd.DeepR(l1=0.0, growth="gradient"), o)
    # the first L1 of a rule acts from its second call on: none here
    assert np.array_equal(own[0].topology.pre, other[0].topology.pre)


@pytest.mark.parametrize("kind", ["Adam", "SGD", "AdamW", "old"])
def test_a_call_before_the_step_is_noticed(kind, recwarn):
    """And no call after it, by whichever way an optimiser moves the weights."""

    class Old(torch.optim.SGD):
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p.data.add_(p.grad.data, alpha=-0.02)  # PyTorch counts no version of this

    own = layer()
    optimizer = (Old if kind == "old" else getattr(torch.optim, kind))(own.parameters(), 0.02)
    for k in range(3):
        step(own, optimizer, k)
        rewire(own, "deep_r", optimizer)
        rewire(own, "deep_r", optimizer)
    assert not recwarn.list
    own(torch.ones(T, B, IN)).sum().backward()
    with pytest.warns(GennDelaysWarning, match=r"rewire was called before optimizer.step\(\)"):
        rewire(own, "deep_r", optimizer)


def test_two_layers_and_two_optimisers():
    first, second = layer(), SparseDelayed(OUT, 4, 0.5, 2, seed=0)
    model = torch.nn.Sequential(first, second)
    pair = [torch.optim.Adam(m.parameters(), 0.1) for m in (first, second)]
    model((torch.rand(T, B, IN, generator=torch.Generator().manual_seed(0)) < 0.2).float()).square().sum().backward()
    for o in pair:
        o.step()
    assert rewire(model, gd.SET(interval=1), pair) == int(0.3 * first.topology.size) + int(0.3 * second.topology.size)


def trained(own, optimizer=None):
    optimizer = optimizer or torch.optim.Adam(own.parameters(), 0.01)
    step(own, optimizer)
    return own, optimizer


def lbfgs():
    """Before its first step, when it keeps nothing yet."""
    own = layer()
    return rewire(own, "set", torch.optim.LBFGS(own.parameters(), 0.01))


def frozen():
    own, optimizer = trained(layer())
    return rewire(own.requires_grad_(False), "set", optimizer)


def other_optimizer():
    own, _ = trained(layer())
    return rewire(own, "deep_r", torch.optim.Adam(torch.nn.Linear(2, 2).parameters()))


def without_delays():
    own, _ = trained(layer(delay_kernel="gaussian"))
    return rewire(own, "deep_r", torch.optim.Adam([own.weight]))


def evaluated():
    own, optimizer = trained(layer())
    own(torch.ones(T, B, IN))  # forgets the backward pass
    return rewire(own, "deep_r_rigl", optimizer)


BAD = {
    r"the optimizer \(Adam\) does not hold the weight of SparseDelayed\(12, 9\)": other_optimizer,
    "does not hold the delay": without_delays,
    "LBFGS keeps gradients": lbfgs,
    r"the weights of SparseDelayed\(.*\) are frozen": frozen,
    "needs the optimizer that was stepped, got 0.1": lambda: rewire(layer(), "deep_r", 0.1),
    "unknown rewiring of SparseDelayed 'deepr'": lambda: rewire(*with_rule("deepr")),
    "unknown rewiring rule None": lambda: rewire(*with_rule(None)),
    "a SparseDelayed layer, or a module with such layers": lambda: rewire(torch.nn.Linear(2, 2), "set", None),
    r"DeepR\(dale=False\), or SparseDelayed\(..., dale=True": lambda: rewire(*with_rule(gd.DeepR(dale=True))),
    r"DeepR\(dale=True\), or SparseDelayed\(..., dale=False": lambda: rewire(*with_rule("deep_r", dale=True)),
    r"rewire\(module, RigL\(\), optimizer, total_steps=": lambda: rewire(*with_rule("rigl")),
    "the weight of SparseDelayed.* is computed from other parameters": lambda: rewire(*normed()),
    "computed from other parameters .by weight_norm, pruning": lambda: rewire(*pruned()),
    "all 108 pairs have a synapse": lambda: rewire(*with_rule("set", sparsity=0.0)),
    "grows by the gradient of the last backward pass": evaluated,
    "total_steps must be": lambda: rewire(*with_rule("set"), total_steps=0),
}


def normed():
    own, optimizer = trained(torch.nn.utils.parametrizations.weight_norm(layer()))
    return own, "set", optimizer


def pruned():
    own, optimizer = trained(l1_unstructured(layer(), "weight", 0.2))
    return own, "set", optimizer


def with_rule(rule, **options):
    own, optimizer = trained(layer(**options))
    return own, rule, optimizer


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_clear_error(message):
    with pytest.raises(InvalidValueError, match=message):
        BAD[message]()


def test_an_error_changes_nothing():
    first, second = layer(), SparseDelayed(OUT, 4, 0.5, 2, seed=0)
    optimizer = torch.optim.Adam(first.parameters(), 0.1)
    first((torch.rand(T, B, IN) < 0.2).float()).square().sum().backward()
    optimizer.step()
    before = first.synapses()
    with pytest.raises(InvalidValueError, match="does not hold the weight"):
        rewire(torch.nn.Sequential(first, second), gd.SET(interval=1), optimizer)
    for a, b in zip(before, first.synapses(), strict=True):
        assert np.array_equal(a, b)


def test_calls_beyond_the_end_are_refused():
    own, optimizer = trained(layer())
    rewire(own, gd.SET(interval=1), optimizer, total_steps=1)
    with pytest.raises(InvalidValueError, match="as often as total_steps = 1: give the steps of the longer training"):
        rewire(own, gd.SET(interval=1), optimizer, total_steps=1)


def test_growth_where_the_loss_is_to_grow_is_that_of_its_negative():
    found = []
    for sign in (1, -1):
        own = SparseDelayed(10, 12, 0.5, gd.UniformInt(0, 5), seed=0)
        optimizer = torch.optim.SGD(own.parameters(), 0.05, maximize=sign < 0)
        for k in range(6):
            x = torch.rand(6, 2, 10, generator=torch.Generator().manual_seed(k))
            optimizer.zero_grad()
            (sign * (own(x) - 1).square().mean()).backward()
            optimizer.step()
            rewire(own, gd.SignedRigL(interval=1), optimizer, total_steps=100)
        found.append(own.topology)
    assert np.array_equal(found[0].pre, found[1].pre) and np.array_equal(found[0].delay, found[1].delay)
