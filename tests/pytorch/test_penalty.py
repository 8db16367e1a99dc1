"""DEEP R's L1 penalty: a part of the step that follows `rewire`, kept by a layer that is saved or copied before it."""

import copy
import io
import pickle

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")

import genn_delays as gd  # noqa: E402
from genn_delays.errors import InvalidValueError  # noqa: E402
from genn_delays.torch import SparseDelayed, rewire  # noqa: E402

pytestmark = pytest.mark.torch

T, B, IN, OUT = 25, 6, 12, 9
RULES = {"by default": gd.DeepR(), "strong": gd.DeepR(l1=0.05), "by gradient": gd.DeepR(l1=0.01, growth="gradient"),
         "decoupled": gd.DeepR(l1=0.01, decoupled_l1=True)}  # fmt: skip


def layer(**options):
    return SparseDelayed(IN, OUT, **{"sparsity": 0.6, "delay": gd.UniformInt(0, 10), "seed": 3, **options})


def trained(own, optimizer, rule, steps):
    for k in steps:
        generator = torch.Generator().manual_seed(k)
        x = (torch.rand(T, B, IN, generator=generator) < 0.2).float()
        optimizer.zero_grad()
        (own(x) - torch.randn(T, B, OUT, generator=generator)).square().mean().backward()
        optimizer.step()
        rewire(own, rule, optimizer)


def loaded(own, optimizer):
    file = io.BytesIO()
    torch.save([own.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    states = torch.load(file, weights_only=True)
    other = layer(seed=4)
    resumed = torch.optim.Adam(other.parameters(), 0.02)
    other.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    return other, resumed


WAYS = {
    "a file": loaded,
    "deepcopy": lambda *both: copy.deepcopy(both),
    "pickle": lambda *both: pickle.loads(pickle.dumps(both)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rule", RULES)
def test_training_goes_on_to_the_same_bits(rule, way):
    own = layer()
    optimizer = torch.optim.Adam(own.parameters(), 0.02)
    trained(own, optimizer, RULES[rule], range(8))
    other, resumed = WAYS[way](own, optimizer)
    for one, o in ((own, optimizer), (other, resumed)):
        trained(one, o, RULES[rule], range(8, 16))
    for name, value in own.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def without_gradient(own, optimizer, **options):
    """The change of all weights' magnitudes by a step whose loss has no gradient."""
    before = own.weight.detach().abs().clone()

    def closure():
        optimizer.zero_grad()
        loss = own(torch.zeros(T, B, IN)).sum()
        loss.backward()
        return loss

    if options.pop("closure", False):
        optimizer.step(closure, **options)
    else:
        closure()
        optimizer.step()
    return own.weight.detach().abs() - before


@pytest.mark.parametrize("closure", [False, True])
def test_the_penalty_acts_once_for_every_call(closure):
    """Fine-tuning after the last call has none, and nor has a rule's last call undone by hand."""
    own = layer()
    with torch.no_grad():
        own.weight.add_(own.weight.sign() * 0.1)  # none reaches zero
    optimizer = torch.optim.SGD(own.parameters(), 0.1)
    rewire(own, gd.DeepR(l1=0.05), optimizer)
    assert own.l1 == 0.05
    pulled = without_gradient(own, optimizer, closure=closure)
    assert torch.allclose(pulled, torch.full_like(pulled, -0.005), atol=1e-6)
    assert own.l1 == 0 and not without_gradient(own, optimizer, closure=closure).any()
    rewire(own, gd.DeepR(l1=0.05), optimizer)
    own.l1 = 0.0
    assert not without_gradient(own, optimizer, closure=closure).any()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("maximize", [False, True])
def test_the_penalty_shrinks_weights_whatever_the_gradient_is_multiplied_by(fused, maximize):
    """By a GradScaler, whose number fused optimisers divide by themselves, and by -1 where the loss is to grow."""
    own = layer()
    with torch.no_grad():
        own.weight.add_(own.weight.sign() * 0.1)
    optimizer = torch.optim.SGD(own.parameters(), 0.1, fused=fused, maximize=maximize)
    scaler, before = torch.amp.GradScaler("cpu", init_scale=1024.0), own.weight.detach().abs().clone()
    own.l1 = 0.05
    scaler.scale(own(torch.zeros(T, B, IN)).sum()).backward()
    scaler.step(optimizer)
    pulled = own.weight.detach().abs() - before
    assert torch.allclose(pulled, torch.full_like(pulled, -0.005), atol=1e-6)


def test_other_optimisers_do_not_take_it():
    own, other = layer(), layer()
    optimizer, others = (torch.optim.SGD(m.parameters(), 0.1) for m in (own, other))
    rewire(own, gd.DeepR(l1=0.05), optimizer)
    assert not without_gradient(other, others).any()
    assert own.l1 == 0.05 and without_gradient(own, optimizer).any()


@pytest.mark.parametrize("value", [-1.0, float("nan"), "0.1"])
def test_a_bad_penalty_is_refused(value):
    with pytest.raises(InvalidValueError, match="l1 must"):
        layer().l1 = value
