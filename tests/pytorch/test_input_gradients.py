"""Gradients of the input of a network that is a module."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")

from torch.nn.functional import cross_entropy, pad  # noqa: E402

import genn_delays as gd  # noqa: E402
from genn_delays.backends.event_exact import EventExact  # noqa: E402
from genn_delays.errors import InvalidValueError  # noqa: E402
from genn_delays.torch import as_module, rewire  # noqa: E402

pytestmark = pytest.mark.torch

T, B, IN, HIDDEN, OUT = 16, 5, 7, 11, 3
LABELS = torch.arange(B) % OUT


def network(source=None, *, kernel=None, batch_norm=False, dropout=0.0, more=False, synapse="delta", size=HIDDEN):
    """Two layers; `more`: the input reaches the output too, and hidden neurons reach one another."""
    found = gd.Network(seed=2)
    with found:
        a = gd.Population(source or gd.Input(), IN, name="in")
        neuron = gd.LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5)
        h = gd.Population(neuron, size, name="h", batch_norm=batch_norm, dropout=dropout)
        o = gd.Population(gd.LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), OUT, name="out")
        for pre, post in ((a, h), (h, o), *([(a, o), (h, h)] if more else [])):
            sparse = gd.FixedNumber(0.4, delay=gd.UniformInt(1, 5), weight=gd.KaimingUniform(3.0))
            gd.Connection(pre, post, sparse, synapse, delay_kernel=kernel)
    return found


def surrogate(backend="cpu", **options):
    return gd.SurrogateCompiler(example_timesteps=T, batch_size=B, backend=backend, **options)


def event_prop(backend="cpu", **options):
    return gd.EventPropCompiler(example_timesteps=T, batch_size=options.pop("batch", B), backend=backend, **options)


def real(seed=0, batch=B):
    return torch.rand(T, batch, IN, generator=torch.Generator().manual_seed(seed))


def spikes():
    return (real() < 0.25).float()


def gradient(module, x, labels=LABELS):
    x = x.clone().requires_grad_()
    loss = cross_entropy(module(x).float(), labels)
    loss.backward()
    return x.grad, loss.item()


CASES = {
    "real": (network, surrogate, real, {}),
    "spikes": (network, surrogate, spikes, {"source": gd.SpikeInput()}),
    "several connections, a cycle": (network, surrogate, real, {"more": True}),
    "batch norm, a kernel, dropout": (
        network, surrogate, real, {"batch_norm": True, "kernel": "gaussian", "dropout": 0.3}
    ),
    "not all heard": (network, surrogate, real, {"size": 60}),
    "event prop": (network, event_prop, spikes, {"source": gd.SpikeInput(), "synapse": gd.Exponential(5.0)}),
    "event prop, a cycle": (
        network, event_prop, spikes, {"source": gd.SpikeInput(), "synapse": gd.Exponential(5.0), "more": True}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_cpu_computes_what_the_definition_does(name):
    """Against the sum over synapses written out, of the gradients of input currents that `reference` keeps."""
    make, compiler, data, options = CASES[name]
    module, defined = (as_module(make(**options), compiler(backend)) for backend in ("cpu", "reference"))
    x, (found, loss), (expected, other) = data(), gradient(module, data()), gradient(defined, data())
    assert loss == pytest.approx(other, rel=1e-6)
    felt = written_out(defined, x.shape)
    scale = np.abs(felt).max()
    assert scale > 0
    assert np.abs(expected.numpy() - felt).max() < 1e-5 * scale
    assert np.abs(found.numpy() - felt).max() < 1e-5 * scale


def written_out(module, shape):
    """``dL/dx[t, b, j] = sum_k w_k g[post_k, t + d_k, b]``, synapse by synapse and lag by lag."""
    engine, total = module.compiled.engine, np.zeros(shape)
    for c in module.plan.connections:
        if module.plan.populations[c.source].name != "in":
            continue
        s = engine._acting(c)
        g = engine.current_gradient(c.target)
        for pre, post, delay, weight in zip(s.pre, s.post, s.delay, s.weight, strict=True):
            total[: T - delay, :, pre] += weight * g[post, delay:]
    return total


def test_few_lanes_of_event_prop():
    """Batches of at most eight are computed in another form."""
    x, options = spikes(), {"source": gd.SpikeInput(), "synapse": gd.Exponential(5.0)}
    found = [gradient(as_module(network(**options), event_prop(batch=size)), x)[0] for size in (B, 32)]
    assert found[0].abs().max() > 0
    assert torch.allclose(found[0], found[1], atol=1e-6 * float(found[1].abs().max()))


def test_several_tiles_and_a_smaller_batch():
    """Of long examples only some lanes are computed at once; all of them have their gradient."""
    long, lanes = 700, 40
    compilers = [gd.SurrogateCompiler(example_timesteps=long, batch_size=size) for size in (lanes, 48)]
    x = torch.rand(long, lanes, IN, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(lanes) % OUT
    (one, _), (other, _) = (gradient(as_module(network(), c), x, labels) for c in compilers)
    single, _ = gradient(as_module(network(), compilers[0]), x[:, 33:34], labels[33:34])
    assert torch.equal(one, other)
    assert torch.allclose(one[:, 33:34] * lanes, single, atol=1e-5 * float(single.abs().max()))


def test_finite_differences():
    """Smooth spikes in double precision: the loss by small changes of single numbers of the input."""
    backend = gd.Reference(dtype="float64", smooth_spikes=True)
    module = as_module(network(more=True), surrogate(backend, detach_reset=False))
    x, step = real(), 2.0**-12
    found, _ = gradient(module, x)
    for place in [(0, 0, 0), (2, 1, 3), (5, 4, 6), (9, 2, 1), (T - 4, 3, 5)]:
        losses = []
        for sign in (1, -1):
            moved = x.clone()
            moved[place] += sign * step
            with torch.no_grad():
                losses.append(cross_entropy(module(moved), LABELS).item())
        assert found[place].item() == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-3, abs=1e-6)


class Arctan(torch.autograd.Function):
    """The spike and its surrogate derivative, ``5 / 2 / (1 + (pi / 2 5 x)^2)``."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 2.5 / (1 + (torch.pi / 2 * 5 * x) ** 2)


def dense(module, x):
    """The same network out of PyTorch's own operations, with a matrix a lag."""

    def current(wired, sent):
        t = wired.topology
        pre, post, delay = (torch.from_numpy(a.astype(np.int64)) for a in (t.pre, t.post, t.delay))
        w = torch.zeros(6, t.num_pre, t.num_post, dtype=torch.float64)
        w.index_put_((delay, pre, post), wired.weight.detach().double(), accumulate=True)
        return sum(pad(sent, (0, 0, 0, 0, lag, 0))[:T] @ w[lag] for lag in range(6))

    def filtered(i, spiking):
        u, sent, kept = torch.zeros_like(i[0]), torch.zeros_like(i[0]), []
        for step in i:
            u = 0.9 * u * (1 - sent.detach()) + step
            sent = Arctan.apply(u - 0.5) if spiking else sent
            kept.append(sent if spiking else u)
        return torch.stack(kept)

    hidden = filtered(current(module.wired[0], x.double()), True)
    return torch.softmax(filtered(current(module.wired[1], hidden), False), 2).sum(0)


def test_a_learned_front_end_has_the_gradients_of_an_autograd_chain():
    """A linear layer before the network, and PyTorch's operations in the place of the network after it."""
    module = as_module(network(), surrogate())
    front = torch.nn.Linear(4, IN)
    with torch.no_grad():
        front.weight.mul_(3)
    x, found = real(1)[:, :, :4], []
    for rest in (module, lambda sent: dense(module, sent)):
        front.zero_grad()
        z = rest(torch.relu(front(x)))
        cross_entropy(z, LABELS).backward()
        found.append((z.detach(), front.weight.grad.clone(), front.bias.grad.clone()))
    for own, chained in zip(*found, strict=True):
        assert float(chained.abs().max()) > 1e-3
        assert (own - chained).abs().max() < 1e-5 * chained.abs().max()


def test_a_front_end_learns():
    """While the network is frozen."""
    torch.manual_seed(1)
    module, front = as_module(network(), surrogate()).requires_grad_(False), torch.nn.Linear(4, IN)
    optimizer, losses = torch.optim.Adam(front.parameters(), 0.02), []
    for _ in range(25):
        optimizer.zero_grad()
        loss = cross_entropy(module(front(real(1)[:, :, :4])), LABELS)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_two_inputs_of_which_one_is_asked():
    described = gd.Network(seed=0)
    with described:
        inputs = [gd.Population(gd.Input(), n, name=name) for n, name in ((3, "a"), (4, "b"))]
        out = gd.Population(gd.LeakyIntegrate(tau_mem=10.0, readout="sum_var"), 2)
        for source in inputs:
            gd.Connection(source, out, gd.FixedNumber(0.2, delay=gd.UniformInt(0, 3)))
    module = as_module(described, surrogate())
    a, b = torch.rand(T, B, 3), torch.rand(T, B, 4, requires_grad=True)
    module(a, b).sum().backward()
    first = b.grad.clone()
    assert first.abs().max() > 0 and a.grad is None
    a.requires_grad_()
    b.grad = None
    module(a, b).sum().backward()
    assert torch.equal(b.grad, first) and a.grad.shape == a.shape


def test_used_twice_and_backward_twice():
    module = as_module(network(), surrogate())
    parts = [gradient(module, real(seed))[0] for seed in (0, 1)]
    x = torch.cat([real(0), real(1)], 2).requires_grad_()
    loss = sum(cross_entropy(module(part), LABELS) for part in x.split(IN, 2))
    for _ in range(2):
        (found,) = torch.autograd.grad(loss, x, retain_graph=True)
        assert torch.allclose(found, torch.cat(parts, 2), atol=1e-7)


def test_used_twice_with_other_widths_of_kernels():
    """A backward pass repeats its own forward pass."""
    module, found = as_module(network(kernel="gaussian"), surrogate()), []
    for epochs in ((0,), (9,), (0, 9)):
        module.zero_grad()
        x, loss = real().requires_grad_(), 0.0
        for epoch in epochs:
            module.shrink(epoch, 10)
            loss = loss + cross_entropy(module(x), LABELS)
        loss.backward()
        found.append(x.grad)
    assert not torch.allclose(found[0], found[1], atol=1e-3)
    assert torch.allclose(found[0] + found[1], found[2], atol=1e-6)


def test_other_gradients_have_the_same_bits():
    found = []
    for asked in (False, True):
        module = as_module(network(batch_norm=True), surrogate())
        cross_entropy(module(real().requires_grad_(asked)), LABELS).backward()
        found.append([p.grad for p in module.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_evaluation_mode():
    """Its gradients are those of training where both compute the same, and an error elsewhere."""
    module = as_module(network(), surrogate())
    trained, _ = gradient(module, real())
    assert torch.equal(gradient(module.eval(), real())[0], trained)
    normed = as_module(network(batch_norm=True), surrogate()).eval()
    z = normed(real().requires_grad_())
    with pytest.raises(InvalidValueError, match=r"in evaluation mode.*call module\.train\(\)"):
        z.sum().backward()


def test_autocast_computes_in_single_precision():
    module, x = as_module(network(), surrogate()), real().bfloat16()
    expected, _ = gradient(module, x.float())
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = gradient(module, x)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected.bfloat16())


def test_what_was_not_kept_is_refused():
    """By the engine: nobody asked it to keep the gradient."""
    with surrogate().compile(network()) as compiled:
        compiled.gradients({"in": real().transpose(0, 1).numpy()}, {"out": LABELS.numpy()})
        with pytest.raises(InvalidValueError, match="current of population 'h' is not kept: keep_gradient"):
            compiled.engine.current_gradient(1)


def test_a_backend_without_them_says_so():
    """Both for the input, and for synapses that grow by the gradient; all else works."""
    described = network(gd.SpikeInput(), synapse=gd.Exponential(5.0))
    module = as_module(described, event_prop(EventExact()))
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    cross_entropy(module(spikes()), LABELS).backward()
    optimizer.step()
    with pytest.raises(InvalidValueError, match="'in' asks for a gradient, which backend 'event_exact' does not"):
        module(spikes().requires_grad_())
    with pytest.raises(InvalidValueError, match="connection 'in_h' cannot grow by the gradient, which its backend"):
        rewire(module, gd.DeepR(growth="gradient"), optimizer)
    assert rewire(module, gd.SET(interval=1), optimizer) > 0
    cross_entropy(module(spikes()), LABELS).backward()


def test_bad_spikes_are_one_clear_error():
    module = as_module(network(gd.SpikeInput()), surrogate())
    with pytest.raises(InvalidValueError, match=r"spike.*'in'"):
        module((real() - 0.5).requires_grad_())
