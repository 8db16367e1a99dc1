"""The layer on CUDA tensors: on the host that stands for a GPU, its memory CPU tensors; and on a GPU where one is.

On the host nothing is another but what the type of a device decides.
"""

import copy
import io
import pickle
from contextlib import contextmanager

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")

from dense_convolution import dense_convolution  # noqa: E402
from test_rewire import RULES, by_synapse  # noqa: E402
from test_sparse_delayed import IN, OUT, RANDOM, B, T, close, layer, spikes  # noqa: E402

import genn_delays as gd  # noqa: E402
from genn_delays.backends.cuda.device import Buffer  # noqa: E402
from genn_delays.backends.cuda.shim import ShimDevice  # noqa: E402
from genn_delays.errors import InvalidValueError  # noqa: E402
from genn_delays.ops.cuda import Queue  # noqa: E402
from genn_delays.torch import Adam, SparseDelayed, rewire, shrink  # noqa: E402
from genn_delays.torch.places import DTYPES, PLACES, OnCUDA  # noqa: E402

pytestmark = pytest.mark.torch
ON_CPU = PLACES["cpu"]
NEEDS_GPU = "needs an NVIDIA GPU and a CUDA build of PyTorch"


@pytest.fixture(params=["stand-in", pytest.param("gpu", marks=pytest.mark.cuda)])
def there(request, monkeypatch):
    """The device of PyTorch to move to, on which the passes are those of a GPU."""
    if request.param == "gpu":
        if not torch.cuda.is_available():
            pytest.skip(NEEDS_GPU)
        yield torch.device("cuda:0")
        return
    queue = Queue(lambda shape: torch.full(shape, np.nan), ShimDevice(order="shuffled"))
    with monkeypatch.context() as patch, queue:
        patch.setitem(PLACES, "cpu", lambda device, threads: OnCUDA(queue))
        patch.setitem(DTYPES, "cpu", DTYPES["cuda"])
        yield torch.device("cpu")


@contextmanager
def on_cpu():
    """What follows is computed on the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PLACES, "cpu", ON_CPU)
        yield


@pytest.fixture
def gpu():
    if not torch.cuda.is_available():
        pytest.skip(NEEDS_GPU)
    return torch.device("cuda:0")


@pytest.mark.parametrize("options", RANDOM[::3], ids=lambda o: "-".join(str(v) for v in o.values()))
def test_equals_a_dense_convolution(there, options):
    """Output to 1e-6, gradients of input, weight and delay to 1e-5 of the largest."""
    options = dict(options)
    sigma = options.pop("sigma")
    own = layer(**options)
    if sigma is not None:
        own.sigma = sigma
        with torch.no_grad():
            own.delay.add_(torch.rand(own.delay.shape, generator=torch.Generator().manual_seed(2)) * 0.9 + 0.02)
            own.delay.clamp_(0.02, own.max_delay - 0.02)
    x = spikes(seed=options["seed"])
    if options["seed"] % 2:
        x[:, :, ::3] = torch.randn(x[:, :, ::3].shape, generator=torch.Generator().manual_seed(7))
    target = torch.randn(T, B, OUT, generator=torch.Generator().manual_seed(3))
    exact_x, weight = x.double().requires_grad_(), own.weight.detach().double().requires_grad_()
    position = torch.from_numpy(own.topology.delay.astype(np.float64)) if own.delay is None else own.delay.detach()
    position = position.double().requires_grad_()
    exact = dense_convolution(own, exact_x, weight, position)
    (exact * target.double()).sum().backward()
    own, x = own.to(there), x.to(there).requires_grad_()
    y = own(x)
    assert y.device == own.weight.device == there
    (y * target.to(there)).sum().backward()
    assert close(y.detach().cpu(), exact.detach(), 1e-6)
    assert close(x.grad.cpu(), exact_x.grad, 1e-5)
    assert close(own.weight.grad.cpu(), weight.grad, 1e-5)
    if own.delay is not None:
        assert close(own.delay.grad.cpu(), position.grad, 1e-5)


@pytest.mark.parametrize("batch", [1, 33])
@pytest.mark.parametrize("options", [{}, {"delay_kernel": "gaussian"}, {"learn_delay": True, "bias": True}], ids=str)
def test_equals_the_layer_on_the_cpu(there, options, batch):
    """The output to the bit; in training and evaluation, with batch and time in either order."""
    x = spikes(T, batch, IN)
    with on_cpu():
        other = layer(**options)
        expected = [other(x), other.eval()(x)]
        expected[0].square().sum().backward()
    own = layer(**options, batch_first=True).to(there)
    x = x.to(there)
    found = [own(x.transpose(0, 1)), own.eval()(x.transpose(0, 1))]
    found[0].square().sum().backward()
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.transpose(0, 1).cpu(), theirs)
    for ours, theirs in zip(own.parameters(), other.parameters(), strict=True):
        assert close(ours.grad.cpu(), theirs.grad, 1e-5)


def test_used_twice_in_one_step(there):
    own, x = layer(delay_kernel="gaussian").to(there), spikes().to(there)
    own(x).sum().backward()
    once = own.weight.grad.clone()
    own.weight.grad = None
    (own(x) + own(x)).sum().backward()
    assert torch.equal(own.weight.grad, once + once)


def test_two_layers_and_checkpointing(there):
    from torch.utils.checkpoint import checkpoint

    model = torch.nn.Sequential(layer(), torch.nn.Sigmoid(), SparseDelayed(OUT, 4, 0.5, 2, seed=0)).to(there)
    x = spikes().to(there).requires_grad_()
    model(x).square().sum().backward()
    found = [x.grad, *(p.grad for p in model.parameters())]
    x.grad = None
    model.zero_grad()
    checkpoint(model, x, use_reentrant=False).square().sum().backward()
    for before, after in zip(found, [x.grad, *(p.grad for p in model.parameters())], strict=True):
        assert torch.equal(before, after) and before.abs().max() > 0


def test_autocast_computes_in_single_precision(there):
    own = torch.nn.Sequential(torch.nn.Linear(5, IN), layer()).to(there)
    with torch.autocast(there.type, dtype=torch.bfloat16):
        y = own(torch.randn(T, B, 5, device=there))
    assert y.dtype == torch.float32
    y.sum().backward()
    assert own[0].weight.grad.abs().sum() > 0 and own[1].weight.grad.dtype == torch.float32


def trained(own, rule, there, kind, steps=3, **options):
    """After steps of training with rewiring."""
    optimizer = kind(own.parameters(), **options)
    for k in range(steps):
        x = spikes(seed=k, share=0.2)
        target = torch.randn(T, B, OUT, generator=torch.Generator().manual_seed(k))
        shrink(own, k, steps)
        optimizer.zero_grad()
        (own(x.to(there)) - target.to(there)).square().sum().backward()
        optimizer.step()
        rewire(own, rule, optimizer, total_steps=steps)
    return own, optimizer


@pytest.mark.parametrize("kernel", [None, "gaussian"])
@pytest.mark.parametrize("name", RULES)
def test_rewires_as_on_the_cpu(there, name, kernel):
    """Synapses are the same, and weights, delays and the optimiser's state but for rounding.

    Adam would not do: it divides gradients by themselves, so that of one near 0 rounding decides the sign of the step.
    """
    sgd = {"kind": torch.optim.SGD, "lr": 0.005, "momentum": 0.9}
    options = {"dale": RULES[name].dale, "delay_kernel": kernel}
    with on_cpu():
        other, known = trained(layer(**options), RULES[name], torch.device("cpu"), **sgd)
    first = layer(**options)
    own, optimizer = trained(copy.deepcopy(first).to(there), RULES[name], there, **sgd)
    assert not np.array_equal(own.topology.pre, first.topology.pre)
    for one, two in zip(own.synapses()[:2], other.synapses()[:2], strict=True):
        assert np.array_equal(one, two)
    for ours, theirs in zip(own.parameters(), other.parameters(), strict=True):
        assert close(ours.detach().cpu(), theirs.detach(), 1e-5)
        for state, value in known.state[theirs].items():
            assert close(optimizer.state[ours][state].cpu(), value, 1e-4)


@pytest.mark.parametrize("kind", [torch.optim.Adam, Adam], ids=["PyTorch's", "ours"])
def test_newborn_synapses_begin_anew(there, kind):
    own, optimizer = trained(layer().to(there), gd.SET(interval=3), there, kind, lr=0.05)
    born = own.weight.detach().abs() < 1e-11
    assert 0 < born.sum() < born.numel() and own.weight.device == there
    for name in ("exp_avg", "exp_avg_sq"):
        assert (optimizer.state[own.weight][name][born] == 0).all()
    assert len(by_synapse(own, own.weight.detach().cpu())) == own.topology.size


def test_a_step_copies_no_activity_and_rewiring_only_what_has_changed(there, monkeypatch):
    read, written, download, upload = [], [], Buffer.download, Buffer.upload

    def reading(buffer, *arguments):
        read.append(buffer.name)
        return download(buffer, *arguments)

    def writing(buffer, *arguments, **keywords):
        written.append(buffer.name)
        upload(buffer, *arguments, **keywords)

    own = layer(delay_kernel="gaussian").to(there)
    x = spikes().to(there).requires_grad_()
    optimizer = torch.optim.Adam(own.parameters(), 0.01)
    found = []
    monkeypatch.setattr(Buffer, "download", reading)
    monkeypatch.setattr(Buffer, "upload", writing)
    for rule in (None, None, gd.SET(interval=1), None):
        written.clear()
        own(x).square().sum().backward()
        optimizer.step()
        found.append({name for name in written if name != "width"})
        if rule is not None:
            rewire(own, rule, optimizer)
    assert read == []
    assert found[0] >= {"pre", "post", "row_start", "by_pre_start", "by_pre_slot"}
    assert found[1] == found[2] == set()
    assert "pre" in found[3] and found[3] <= found[0]


def test_a_backward_pass_after_rewiring_has_the_synapses_of_its_forward_pass(there):
    own, x = layer().to(there), spikes().to(there)
    y = own(x)
    y.sum().backward(retain_graph=True)
    expected = own.weight.grad.clone()
    own.weight.grad = None
    before, after = own.topology, layer(seed=5).topology
    own._set(after.pre, after.post, after.delay)
    other = torch.autograd.grad(own(x).sum(), own.weight)[0]
    assert not torch.equal(other, expected) and own.topology is not before
    assert torch.equal(torch.autograd.grad(y.sum(), own.weight)[0], expected)


def test_states_move_between_devices(there):
    with on_cpu():
        other = layer(delay_kernel="gaussian", bias=True)
        expected = other(spikes()).detach()
    own = layer(delay_kernel="gaussian", bias=True, seed=2).to(there)
    own.load_state_dict(other.state_dict())
    assert own.weight.device == there and torch.equal(own(spikes().to(there)).detach().cpu(), expected)
    file = io.BytesIO()
    torch.save(own.state_dict(), file)
    file.seek(0)
    back = layer(delay_kernel="gaussian", bias=True, seed=3)
    back.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"))
    for one, two in zip(back.synapses(), other.synapses(), strict=True):
        assert np.array_equal(one, two)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_and_share_nothing(there, copied):
    own, x = layer().to(there), spikes().to(there)
    own(x).sum().backward()
    twin = copied(own)
    assert torch.equal(twin(x), own(x))
    with torch.no_grad():
        twin.weight.zero_()
    assert own(x).abs().sum() > 0


@pytest.mark.parametrize("what", ["input", "weight"])
def test_numbers_that_may_not_be_are_told_when_they_are_found(there, what):
    own, x = layer().to(there), spikes()
    x[2, 1, 3] = np.nan if what == "input" else 1.0
    with torch.no_grad():
        own.weight[4] = np.inf if what == "weight" else 1.0
    message = "activity of neuron 3" if what == "input" else "weight"
    with pytest.raises(InvalidValueError, match=f"SparseDelayed: {message} must be finite, and was not in a pass on"):
        own(x.to(there))
        own.check_passes()
    own.check_passes()


def test_delays_stay_in_range(there):
    own = layer(delay_kernel="gaussian", max_delay=12).to(there)
    with torch.no_grad():
        own.delay[0], own.delay[1] = -3.0, 40.0
    own(spikes().to(there))
    own.check_passes()
    assert own.delay[0] == 0 and own.delay[1] == 12


# --- where there is a GPU --------------------------------------------------------------------------------------------


@pytest.mark.cuda
def test_mixed_devices_are_one_clear_error(gpu):
    with pytest.raises(InvalidValueError, match="must be on cuda:0 like the layer's weights, got one on cpu"):
        layer().to(gpu)(spikes())
    with pytest.raises(InvalidValueError, match="must be on cpu like the layer's weights, got one on cuda:0"):
        layer()(spikes().to(gpu))


@pytest.mark.cuda
def test_double_precision_is_refused(gpu):
    for moved in (lambda: layer().to(gpu).double(), lambda: layer().double().to(gpu), lambda: layer().half().to(gpu)):
        with pytest.raises(InvalidValueError, match=r"computes on the CPU or on CUDA in torch.float32"):
            moved()


@pytest.mark.cuda
def test_capture_in_a_graph_is_refused(gpu):
    own, x = layer().to(gpu), spikes().to(gpu)
    own(x)
    with (
        pytest.raises(InvalidValueError, match="cannot be captured in a CUDA graph"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        own(x)


@pytest.mark.cuda
def test_streams_and_the_way_back(gpu):
    """On a stream of one's own the same bits, there and back again."""
    own, x = layer(delay_kernel="gaussian").to(gpu), spikes().to(gpu)
    expected = own(x)
    stream = torch.cuda.Stream(gpu)
    stream.wait_stream(torch.cuda.current_stream(gpu))
    with torch.cuda.stream(stream):
        y = own(x)
        y.sum().backward()
    stream.synchronize()
    assert torch.equal(y, expected) and own.weight.grad.abs().max() > 0
    assert torch.equal(own.cpu()(x.cpu()), expected.cpu())
