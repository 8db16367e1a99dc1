"""Parameters that are copied, averaged or synchronised by index, without the synapses they belong to."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")

from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn  # noqa: E402

import genn_delays as gd  # noqa: E402
from genn_delays.errors import InvalidValueError  # noqa: E402
from genn_delays.torch import SparseDelayed, rewire  # noqa: E402

pytestmark = pytest.mark.torch

T, B, IN, OUT = 25, 6, 12, 9
OTHERS = "averaged with, those of a layer with other synapses"


def layer(**options):
    return SparseDelayed(IN, OUT, **{"sparsity": 0.6, "delay": gd.UniformInt(0, 10), "seed": 3, **options})


def spikes(seed=0):
    return (torch.rand(T, B, IN, generator=torch.Generator().manual_seed(seed)) < 0.2).float()


def step(own, optimizer, rule, seed):
    optimizer.zero_grad()
    (own(spikes(seed)) - 1).square().mean().backward()
    optimizer.step()
    return 0 if rule is None else rewire(own, rule, optimizer)


AVERAGES = {
    "newest": {"avg_fn": lambda averaged, new, count: new},
    "equal": {},
    "ema": {"avg_fn": get_ema_avg_fn(0.999)},
    "ema of many": {"multi_avg_fn": get_ema_multi_avg_fn(0.9999)},
}


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("kind", AVERAGES)
def test_an_average_over_rewired_synapses_is_noticed(kind, use_buffers):
    """And begun anew from a whole state it is right."""
    own = layer()
    optimizer = torch.optim.Adam(own.parameters(), 0.03)
    average = AveragedModel(torch.nn.Sequential(own), use_buffers=use_buffers, **AVERAGES[kind])
    moved = 0
    for k in range(8):
        moved += step(own, optimizer, gd.DeepR(), k)
        average.update_parameters(torch.nn.Sequential(own))
    assert moved
    for use in (lambda: average(spikes()), average.state_dict, average.module[0].synapses):
        with pytest.raises(InvalidValueError, match=OTHERS):
            use()
    average.module[0].load_state_dict(own.state_dict())
    average.update_parameters(torch.nn.Sequential(own))
    assert torch.allclose(average(spikes()), own(spikes()), atol=1e-6)


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("kind", AVERAGES)
def test_without_rewiring_averages_are_right(kind, use_buffers):
    own = torch.nn.Sequential(layer())
    optimizer = torch.optim.Adam(own.parameters(), 0.03)
    average = AveragedModel(own, use_buffers=use_buffers, **AVERAGES[kind])
    for k in range(50):
        step(own, optimizer, None, k)
        average.update_parameters(own)
    other = copy.deepcopy(own)
    with torch.no_grad():
        other[0].weight.copy_(average.module[0].weight)
    assert torch.equal(average(spikes()), other(spikes()))


def test_parameters_and_buffers_of_another_process_are_noticed():
    """As data-parallel training sends them before each forward pass, to a process with a seed of its own."""
    first, second = layer(seed=1), layer(seed=2)
    with torch.no_grad():
        for sent in ("parameters", "buffers"):
            for here, there in zip(getattr(second, sent)(), getattr(first, sent)(), strict=True):
                here.copy_(there)
    with pytest.raises(InvalidValueError, match=OTHERS):
        second(spikes())
    with pytest.raises(InvalidValueError, match=OTHERS):
        theirs = dict(first.named_parameters()) | dict(first.named_buffers())
        torch.func.functional_call(layer(seed=2), theirs, spikes())


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.9999])
def test_an_average_of_states_entry_by_entry_is_noticed(decay):
    """As timm's ModelEma and many loops by hand do."""
    own = layer()
    average, optimizer = copy.deepcopy(own), torch.optim.Adam(own.parameters(), 0.03)

    def train(rule):
        for k in range(8):
            step(own, optimizer, rule, k)
            for kept, new in zip(average.state_dict().values(), own.state_dict().values(), strict=True):
                kept.copy_(kept * decay + new * (1 - decay))
        return average(spikes())

    assert train(None).isfinite().all()
    with pytest.raises(InvalidValueError, match=OTHERS):
        train(gd.DeepR())


def test_a_state_of_mixed_synapses_is_not_loaded():
    """An average of two states, and one that was kept as the best and not copied."""
    own, other = layer(), layer(seed=4)
    soup = {name: (value + other.state_dict()[name]) / 2 for name, value in own.state_dict().items()}
    soup |= {name: value for name, value in own.state_dict().items() if not value.is_floating_point()}
    best = own.state_dict()
    kept = copy.deepcopy(best)
    optimizer = torch.optim.Adam(own.parameters(), 0.03)
    assert sum(step(own, optimizer, gd.DeepR(), k) for k in range(8))
    for state in (soup, best):
        with pytest.raises(RuntimeError, match="the weights are not those of the synapses"):
            layer().load_state_dict(state)
    layer().load_state_dict(kept)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_state_may_have_been_made_smaller(dtype):
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in layer().state_dict().items()}
    for assign in (False, True):
        own = layer(seed=4)
        own.load_state_dict(state, assign=assign and dtype == torch.float32)
        assert torch.allclose(own(spikes()), layer()(spikes()), atol=0.05)


def test_the_mark_is_of_the_synapses_alone():
    """Layers of the same synapses mix; copies, other precision and states have it."""
    own, twin = layer(), layer()
    optimizer = torch.optim.Adam(own.parameters(), 0.03)
    assert sum(step(own, optimizer, gd.DeepR(), k) for k in range(8))
    twin.load_state_dict(own.state_dict())
    for one in (twin, copy.deepcopy(own), own.double().float()):
        assert torch.equal(one.mark, own.mark) and torch.equal(one(spikes()), own(spikes()))
    with torch.inference_mode():
        assert layer()(spikes()).shape == (T, B, OUT)
