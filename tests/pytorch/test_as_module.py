"""A whole network as one module: PyTorch's losses and optimisers, the compiled network's gradients."""

import threading
from unittest.mock import Mock

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")

from torch.nn.functional import cross_entropy  # noqa: E402
from torch.nn.utils.parametrize import register_parametrization  # noqa: E402

import genn_delays as gd  # noqa: E402
from genn_delays.communicators import Communicator  # noqa: E402
from genn_delays.errors import InvalidValueError  # noqa: E402
from genn_delays.torch import SparseDelayed, as_module, rewire  # noqa: E402

pytestmark = pytest.mark.torch

T, B = 20, 8


def network(source=None, *, kernel="gaussian", batch_norm=True, readout="sum_softmax", synapse="delta"):
    found = gd.Network(seed=1)
    with found:
        a = gd.Population(source or gd.Input(), 12, name="in")
        h = gd.Population(gd.LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5), 15, name="h", batch_norm=batch_norm)
        o = gd.Population(gd.LeakyIntegrate(tau_mem=10.0, readout=readout), 4, name="out")
        for pre, post in ((a, h), (h, o)):
            connectivity = gd.FixedNumber(0.5, delay=gd.UniformInt(0, 6), weight=gd.KaimingUniform(3.0))
            gd.Connection(pre, post, connectivity, synapse, delay_kernel=kernel)
    return found


def surrogate(backend="cpu"):
    return gd.SurrogateCompiler(example_timesteps=T, batch_size=B, backend=backend)


def real(seed=0, batch=B):
    return torch.rand(T, batch, 12, generator=torch.Generator().manual_seed(seed))


LABELS = torch.arange(B) % 4


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_gradients_are_those_of_the_compiled_network(backend):
    """PyTorch's cross-entropy gives what the compiler's own loss gives: of weights, delays and batch norm."""
    module = as_module(network(), surrogate(backend))
    loss = cross_entropy(module(real()), LABELS)
    loss.backward()
    with surrogate(backend).compile(network()) as compiled:
        x, y = {"in": real().transpose(0, 1).numpy()}, {"out": LABELS.numpy()}
        for variable, found in (("weight", module.weights), ("delay", module.delays)):
            expected, gradients = compiled.gradients(x, y, variable)
            assert loss.item() == pytest.approx(expected, rel=1e-5)
            for c, gradient in gradients.items():
                assert np.abs(found[c.name].grad.numpy() - gradient).max() < 1e-5 * np.abs(gradient).max()
        for name in ("batch_norm_scale", "batch_norm_shift"):
            _, gradients = compiled.gradients(x, y, name)
            ((_, gradient),) = gradients.items()
            assert np.abs(module.norms[f"h_{name}"].grad.numpy() - gradient).max() < 1e-5 * np.abs(gradient).max()


def test_event_prop_and_spikes():
    """Exact gradients at spikes, of weights and of delays."""

    def compiler():
        return gd.EventPropCompiler(example_timesteps=T, batch_size=B)

    def own():
        synapse = gd.Exponential(5.0)
        return network(gd.SpikeInput(), kernel=None, batch_norm=False, readout="avg_var", synapse=synapse)

    spikes = (real() < 0.2).float()
    module = as_module(own(), compiler(), learn_delays=True)
    cross_entropy(module(spikes), LABELS).backward()
    learned = {"all_connections": {"weight": gd.Adam(), "delay": gd.Adam()}}
    with compiler().compile(own(), optimisers=learned) as compiled:
        for variable, found in (("weight", module.weights), ("delay", module.delays)):
            _, gradients = compiled.gradients(
                {"in": spikes.transpose(0, 1).numpy()}, {"out": LABELS.numpy()}, variable
            )  # fmt: skip
            for c, gradient in gradients.items():
                assert np.abs(gradient).max() > 0
                assert np.abs(found[c.name].grad.numpy() - gradient).max() < 1e-5 * np.abs(gradient).max()


def test_used_twice_in_one_step():
    """The engine keeps one activity: the other one is computed again."""
    module = as_module(network(batch_norm=False), surrogate())
    found = []
    for seeds in ((0,), (1,), (0, 1)):
        module.zero_grad()
        sum(cross_entropy(module(real(seed)), LABELS) for seed in seeds).backward()
        found.append([p.grad.clone() for p in module.parameters()])
    for one, other, both in zip(*found, strict=True):
        assert torch.allclose(one + other, both, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_predict_between_forward_and_backward_changes_nothing(backend):
    """The engine keeps the activity of predict then, of fewer examples."""
    module, found = as_module(network(), surrogate(backend)), []
    for between in (False, True):
        x = real().requires_grad_()
        loss = cross_entropy(module(x), LABELS)
        if between:
            module.compiled.predict({"in": real(1, 3).transpose(0, 1).numpy()})
        found.append(torch.autograd.grad(loss, [x, *module.parameters()]))
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def shared():
    module = as_module(network(), surrogate())
    module.weights["h_out"] = module.weights["in_h"]
    return module(real())


def test_weights_that_are_computed():
    """Gradients go on through a parametrization."""

    class Double(torch.nn.Module):
        def forward(self, weight):
            return 2 * weight

    module = as_module(network(), surrogate())
    expected = torch.autograd.grad(module(real()).square().sum(), module.weights["in_h"])[0]
    with torch.no_grad():
        module.weights["in_h"].mul_(0.5)
    register_parametrization(module.weights, "in_h", Double())
    module(real()).square().sum().backward()
    assert torch.allclose(module.weights.parametrizations["in_h"].original.grad, 2 * expected, rtol=1e-5)


def test_synapses_that_the_compiled_network_has_loaded_are_not_mixed_with_its_own(tmp_path):
    module, other = (as_module(network(), surrogate()) for _ in range(2))
    optimizer = torch.optim.SGD(other.parameters(), 0.1)
    other(real()).sum().backward()
    assert rewire(other, gd.SET(interval=1), optimizer)
    other.sync()
    other.compiled.save(tmp_path / "other.safetensors")
    before = module(real()).detach()
    module.compiled.load(tmp_path / "other.safetensors")
    assert torch.equal(module(real()), before)


def test_threads_take_turns():
    """An engine serves one of them at a time."""
    module, found = as_module(network(batch_norm=False), surrogate()), {}

    def compute(seed):
        for _ in range(10):
            loss = sum(cross_entropy(module(real(seed)[:, k : k + 2]), LABELS[k : k + 2]) for k in (0, 2))
            gradients = torch.autograd.grad(loss, list(module.parameters()))
            found.setdefault(seed, []).append([loss.detach(), *gradients])

    compute(0), compute(1)
    expected = {seed: values[0] for seed, values in found.items()}
    threads = [threading.Thread(target=compute, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, values in expected.items():
        assert len(found[seed]) == 20
        assert all(torch.equal(a, b) for own in found[seed] for a, b in zip(own, values, strict=True))


def test_backward_twice_gives_the_same():
    module = as_module(network(), surrogate())
    loss = cross_entropy(module(real()), LABELS)
    first, second = (torch.autograd.grad(loss, list(module.parameters()), retain_graph=True) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)


def test_training_and_evaluation():
    """PyTorch's Adam lowers the loss; evaluated, the module and the compiled network predict the same."""
    module = as_module(network(), surrogate())
    optimizer, losses = torch.optim.Adam(module.parameters(), 0.02), []
    for step in range(30):
        module.shrink(step, 30)
        loss = cross_entropy(module(real()), LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    module.eval()
    with torch.no_grad():
        z = module(real(3))
        small = module(real(3)[:, :3])
    module.sync()
    predicted, _ = module.compiled.predict({"in": real(3).transpose(0, 1).numpy()}, "out")
    assert np.array_equal(z.numpy(), next(iter(predicted.values())))
    assert torch.equal(small, z[:3])
    weights = module.compiled.synapses("in_h").weight
    assert np.array_equal(weights, module.weights["in_h"].detach().numpy())


def test_a_state_is_taken_over():
    one, other = as_module(network(), surrogate()), as_module(network(), surrogate())
    cross_entropy(one(real()), LABELS)  # the running averages change
    with torch.no_grad():
        one.weights["in_h"].mul_(0.5)
    other.load_state_dict(one.state_dict())
    for module in (one, other):
        module.eval()
    assert torch.equal(one(real()), other(real()))


def closed():
    module = as_module(network(), surrogate())
    module.close()
    return module(real())


def closed_before_backward():
    module = as_module(network(), surrogate())
    loss = module(real()).sum()
    module.close()
    return loss.backward()


def first_spike():
    found = gd.Network()
    with found:
        a = gd.Population(gd.SpikeInput(), 2)
        b = gd.Population(gd.LeakyIntegrateFire(readout="first_spike_time"), 2)
        gd.Connection(a, b, gd.Dense(), gd.Exponential(5.0))
    return as_module(found, gd.EventPropCompiler(example_timesteps=T))


def called(*inputs):
    return as_module(network(), surrogate())(*inputs)


def with_ranks():
    compiler = surrogate()
    compiler.communicator = Mock(Communicator)
    return as_module(network(), compiler)


BAD = {
    "weights.in_h and weights.h_out are one parameter": shared,
    "was closed": closed,
    "was closed, at": closed_before_backward,
    "'first_spike_time' of population": first_spike,
    "as_module needs a Network and a compiler": lambda: as_module(SparseDelayed(2, 2, 0.0, 1), surrogate()),
    "clip_norm of the compiler acts in its own training": lambda: as_module(
        network(), gd.SurrogateCompiler(example_timesteps=T, clip_norm=1.0)
    ),
    "communicator of the compiler acts in its own training": with_ranks,
    r"the network has 1 inputs \('in'\), got 2": lambda: called(real(), real()),
    r"input 'in' must be a torch.float32 tensor \[20, batch, 12\] on the CPU, got torch.float64": lambda: called(
        real().double()
    ),
    "on meta": lambda: called(real().to("meta")),
    "got a ndarray": lambda: called(real().numpy()),
    r"must have shape \[20, batch, 12\], got \(19, 8, 12\)": lambda: called(real()[1:]),
    "must have 1 to 8 examples, the compiler's batch_size, got 9": lambda: called(real(batch=9)),
    "must be finite|is not finite|NaN|nan": lambda: called(real() * np.nan),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_clear_error(message):
    with pytest.raises(InvalidValueError, match=message):
        BAD[message]()


def test_names_that_are_one_parameter_are_refused():
    described = gd.Network()
    with described:
        ends = gd.Population(gd.Input(), 3), gd.Population(gd.LeakyIntegrate(readout="sum_var"), 2)
        for name in ("a.b", "a_b"):
            gd.Connection(*ends, gd.Dense(), name=name)
    with pytest.raises(InvalidValueError, match=r"'a\.b' and 'a_b' would be one parameter 'a_b'"):
        as_module(described, surrogate())
