"""The layer for PyTorch: equal to a dense convolution, and a module like any other."""

import copy
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")

from dense_convolution import dense_convolution  # noqa: E402

import genn_delays as gd  # noqa: E402
from genn_delays.errors import InvalidValueError  # noqa: E402
from genn_delays.torch import SparseDelayed, shrink  # noqa: E402

pytestmark = pytest.mark.torch

T, B, IN, OUT = 25, 6, 12, 9


def layer(**options):
    return SparseDelayed(IN, OUT, **{"sparsity": 0.6, "delay": gd.UniformInt(0, 10), "seed": 1, **options})


def spikes(*shape, seed=0, share=0.1):
    return (torch.rand(*(shape or (T, B, IN)), generator=torch.Generator().manual_seed(seed)) < share).float()


RANDOM = [
    {"seed": seed, "sparsity": sparsity, "kernel_count": count, "delay_kernel": kernel, "sigma": sigma}
    for seed, (sparsity, count, kernel, sigma) in enumerate(
        [
            (sparsity, count, kernel, sigma)
            for sparsity, count in ((0.3, 1), (0.6, 3), (0.9, 2), (0.8, 1))
            for kernel, sigma in ((None, None), ("gaussian", 5.0), ("gaussian", 0.23), ("triangle", 3.0),
                                  ("triangle", 0.01))
        ]
    )
]  # fmt: skip


@pytest.mark.parametrize("options", RANDOM, ids=lambda o: "-".join(str(v) for v in o.values()))
def test_equals_a_dense_convolution(options):
    """20 random layers: output to 1e-6, gradients of input, weight and delay to 1e-5 of the largest."""
    options = dict(options)
    sigma = options.pop("sigma")
    own = layer(**options)
    if sigma is not None:
        own.sigma = sigma
        with torch.no_grad():  # off whole steps, where a triangle has no derivative
            own.delay.add_(torch.rand(own.delay.shape, generator=torch.Generator().manual_seed(2)) * 0.9 + 0.02)
            own.delay.clamp_(0.02, own.max_delay - 0.02)
    x = spikes(seed=options["seed"])
    x[:, :, ::3] = torch.randn(x[:, :, ::3].shape, generator=torch.Generator().manual_seed(7))  # real values among them
    x.requires_grad_()
    target = torch.randn(T, B, OUT, generator=torch.Generator().manual_seed(3))
    y = own(x)
    (y * target).sum().backward()
    exact_x, weight = x.detach().double().requires_grad_(), own.weight.detach().double().requires_grad_()
    position = torch.from_numpy(own.topology.delay.astype(np.float64)) if own.delay is None else own.delay.detach()
    position = position.double().requires_grad_()
    exact = dense_convolution(own, exact_x, weight, position)
    (exact * target.double()).sum().backward()
    assert close(y.detach(), exact.detach(), 1e-6)
    assert close(x.grad, exact_x.grad, 1e-5)
    assert close(own.weight.grad, weight.grad, 1e-5)
    if own.delay is not None:
        assert close(own.delay.grad, position.grad, 1e-5)


def close(ours, exact, share):
    return float((ours.double() - exact).abs().max()) <= share * float(exact.abs().max())


def test_evaluation_uses_the_rounded_delay():
    own = layer(delay_kernel="gaussian")
    with torch.no_grad():
        own.delay.add_(0.3).clamp_(0, 10)
    own.eval()
    exact = dense_convolution(own, spikes().double(), own.weight.detach().double(), own.delay.detach().double())
    assert close(own(spikes()).detach(), exact, 1e-6)


def test_whole_delays_learn_by_the_difference_between_neighbours():
    """One synapse, one spike in step 2: with a delay of 3 it arrives in step 5, where the target's weight slopes."""
    own = SparseDelayed(1, 1, connectivity=gd.Sparse([0], [0], [2.0], [3]), learn_delay=True, max_delay=8)
    x = torch.zeros(12, 1, 1)
    x[2] = 1
    (own(x)[:, 0, 0] * torch.arange(12.0) ** 2).sum().backward()
    assert own.delay.grad.item() == 2.0 * (6**2 - 4**2) / 2


@pytest.mark.parametrize("kernel", [None, "gaussian"])
def test_gradcheck_in_double(kernel):
    """In double precision the definition in NumPy is computed."""
    own = SparseDelayed(3, 2, 0.4, gd.UniformInt(0, 3), delay_kernel=kernel, seed=2).double()
    if kernel:
        own.sigma = 0.8
        own.delay.data.add_(0.3).clamp_(0.1, 2.9)
    x = torch.randn(5, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    inputs = [x, own.weight] + ([own.delay] if kernel else [])
    assert torch.autograd.gradcheck(lambda *_: own(x), inputs)


def test_a_state_restores_weights_and_topology():
    one, other = layer(delay_kernel="gaussian", bias=True), layer(delay_kernel="gaussian", bias=True, seed=2)
    one.sigma, one.steps = 1.25, 7
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    assert not torch.equal(one(spikes()), other(spikes()))
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(one(spikes()), other(spikes()))
    assert (other.sigma, other.steps, other.seed) == (1.25, 7, 1)
    for own, loaded in zip(one.synapses(), other.synapses(), strict=True):
        assert np.array_equal(own, loaded)


def test_a_state_that_does_not_fit_is_refused():
    state = layer().state_dict()
    with pytest.raises(RuntimeError, match=r"topology\.pre has \d+ synapses, this layer \d+"):
        layer(sparsity=0.5).load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"Missing key.*topology\.pre"):
        layer().load_state_dict({"weight": state["weight"]})
    state["topology.pre"] = state["topology.pre"].flip(0)
    own = layer(seed=2)
    weight = own.weight.detach().clone()
    with pytest.raises(RuntimeError, match="sorted by"):
        own.load_state_dict(state)
    assert torch.equal(own.weight, weight)  # weights belong to their synapses: all is loaded, or nothing


KINDS = [
    (
        {"delay_kernel": "gaussian"},
        {},
        r'of a layer with delay_kernel, this one has none; make it with delay_kernel="g',
    ),
    ({}, {"delay_kernel": "gaussian"}, "of a layer without delay_kernel, this one has it; make it without"),
    ({"learn_delay": True}, {}, "of a layer with learn_delay, this one has none; make it with learn_delay=True"),
    ({}, {"learn_delay": True}, "of a layer without learn_delay"),
    ({"learn_delay": True}, {"delay_kernel": "triangle"}, "of a layer without delay_kernel"),
    ({"delay": gd.UniformInt(30, 31)}, {}, r"delays up to 3\d, this layer up to 10; make it with max_delay=3"),
    ({"sparsity": 0.5}, {}, "make it with the same arguments, its sparsity among them"),
]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("theirs", "ours", "message"), KINDS, ids=str)
def test_a_state_of_another_kind_says_which_layer_takes_it(theirs, ours, message, strict):
    """Unless it is strict PyTorch leaves names out, and weights would be those of other synapses."""
    own = layer(**ours, seed=2)
    before = {name: value.clone() for name, value in own.state_dict().items()}
    with pytest.raises(RuntimeError, match=message):
        own.load_state_dict(layer(**theirs).state_dict(), strict=strict)
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())


@pytest.mark.parametrize("strict", [True, False])
def test_weights_are_loaded_with_their_synapses_alone(strict):
    own = torch.nn.Sequential(layer(bias=True, seed=2))
    state = own.state_dict()
    for part in (dict(own.named_parameters()), {k: v for k, v in state.items() if k != "0.topology.delay"}):
        with pytest.raises(
            RuntimeError, match=r"0: weights and delays are loaded with their synapses.*topology\.delay"
        ):
            own.load_state_dict(part, strict=strict)
    own.load_state_dict({"0.bias": torch.ones(OUT)}, strict=False)
    assert torch.equal(own[0].bias.detach(), torch.ones(OUT))


def test_no_examples_are_computed_as_by_a_linear_layer():
    for options in ({}, {"delay_kernel": "gaussian", "bias": True}, {"batch_first": True}):
        own = layer(**options)
        shape = (0, T, IN) if own.batch_first else (T, 0, IN)
        x = torch.zeros(shape, requires_grad=True)
        y = own(x)
        y.sum().backward()
        assert y.shape == (*shape[:2], OUT) and x.grad.shape == shape
        assert all(p.grad.shape == p.shape and not p.grad.any() for p in own.parameters())


def test_the_number_of_synapses_is_not_that_of_a_rounded_sparsity():
    for size, sparsity, count in ((100, 0.8, 2000), (100, 0.9, 1000), (10, 0.7, 30), (10, 0.65, 35), (7, 0.5, 24)):
        assert SparseDelayed(size, size, sparsity, 1, seed=0).topology.size == count
    given = SparseDelayed(100, 100, connectivity=gd.FixedNumber(sparsity=0.8, delay=1), seed=0)  # as a network's
    assert given.topology.size == 1999
    assert "synapses=10, sparsity=0.9999999," in repr(SparseDelayed(10**4, 10**4, 1 - 1e-7, 1, seed=0))


def test_a_state_under_dales_law_has_its_signs():
    state, own = layer().state_dict(), layer(dale=True, seed=2)
    with pytest.raises(RuntimeError, match="weights have not the sign of their source neuron, as dale=True asks"):
        own.load_state_dict(state)
    own.load_state_dict(layer(dale=True, seed=3).state_dict())
    assert (own.weight.detach().numpy() * own.source_signs()[own.topology.pre] >= 0).all()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_and_share_nothing(copied):
    own = torch.nn.Sequential(layer(delay_kernel="triangle"))
    own(spikes()).sum().backward()
    twin = copied(own)
    assert torch.equal(twin(spikes()), own(spikes()))
    with torch.no_grad():
        twin[0].weight.zero_()
    assert own(spikes()).abs().sum() > 0


def test_used_twice_in_one_step():
    own, x = layer(), spikes()
    own(x).sum().backward()
    once = own.weight.grad.clone()
    own.weight.grad = None
    (own(x) + own(x)).sum().backward()
    assert torch.equal(own.weight.grad, once + once)


def test_batch_first_and_bias():
    own, turned = layer(bias=True), layer(bias=True, batch_first=True)
    with torch.no_grad():
        own.bias.fill_(0.5)
        turned.bias.fill_(0.5)
    assert torch.equal(turned(spikes().transpose(0, 1)), own(spikes()).transpose(0, 1))
    own(spikes()).sum().backward()
    assert torch.equal(own.bias.grad, torch.full((OUT,), float(T * B)))


def test_layers_on_each_other_copy_nothing():
    """The output lies as the next layer reads it, elementwise functions between them included."""
    hidden = torch.sigmoid(layer()(spikes()))
    assert hidden.permute(2, 0, 1).is_contiguous()
    following = SparseDelayed(OUT, 4, 0.5, 2, seed=0)
    y = following(hidden)
    assert y.grad_fn.source.x.ctypes.data == hidden.data_ptr()
    hidden.detach().add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("batch_first", [False, True])
def test_the_output_may_be_changed_in_place(batch_first):
    """As that of every layer of PyTorch, and the next layer takes it."""
    x = spikes()
    found = []
    for change in (lambda y: torch.nn.functional.relu(y.mul_(2).add_(1), inplace=True), lambda y: (y * 2 + 1).relu()):
        own, following = layer(batch_first=batch_first), SparseDelayed(OUT, 4, 0.5, 2, seed=0, batch_first=batch_first)
        following(change(own(x.transpose(0, 1) if batch_first else x))).square().sum().backward()
        found.append(own.weight.grad)
    assert torch.equal(*found) and found[0].abs().sum() > 0


SECOND = {
    "of the input": lambda y, x, own: torch.autograd.grad(y.sum(), x, create_graph=True),
    "of the weight": lambda y, x, own: torch.autograd.grad(y.sum(), own.weight, create_graph=True),
    "after a curve": lambda y, x, own: torch.autograd.grad(y.sigmoid().sum(), x, create_graph=True),
    "of the whole": lambda y, x, own: (y.square().sum().backward(create_graph=True), x.grad)[1:],
}


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
@pytest.mark.parametrize("options", [{}, {"delay_kernel": "gaussian"}, {"learn_delay": True}], ids=str)
@pytest.mark.parametrize("kind", SECOND)
def test_gradients_of_gradients_are_an_error_where_there_are_any(kind, options):
    """The penalty was left out without a word where the gradient that came in was a constant."""
    own, x = layer(**options), spikes().requires_grad_()
    y = own(x)
    (found,) = SECOND[kind](y, x, own)
    loss = y.sum() + found.square().sum()
    with pytest.raises(InvalidValueError, match="has no gradients of gradients"):
        loss.backward()


def test_the_gradient_of_the_weights_alone_is_a_constant_of_a_linear_loss():
    own = layer()
    (found,) = torch.autograd.grad(own(spikes()).sum(), own.weight, create_graph=True)
    assert not found.requires_grad


def test_torch_manual_seed_decides():
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(SparseDelayed(IN, OUT, 0.6, 3).weight)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_autocast_computes_in_single_precision():
    own = torch.nn.Sequential(torch.nn.Linear(5, IN), layer())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = own(torch.randn(T, B, 5))
    assert y.dtype == torch.float32
    y.sum().backward()
    assert own[0].weight.grad.abs().sum() > 0 and own[1].weight.grad.dtype == torch.float32


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torch_compile_goes_around_the_layer():
    own = torch.nn.Sequential(layer(), torch.nn.ReLU())
    compiled = torch.compile(own, backend="eager")
    assert torch.equal(compiled(spikes()), own(spikes()))
    compiled(spikes()).sum().backward()
    assert own[0].weight.grad is not None


def test_checkpointing_computes_the_same_gradients():
    from torch.utils.checkpoint import checkpoint

    own, x = layer(delay_kernel="gaussian"), spikes().requires_grad_()
    own(x).square().sum().backward()
    found = [own.weight.grad, own.delay.grad, x.grad]
    own.weight.grad = own.delay.grad = x.grad = None
    checkpoint(own, x, use_reentrant=False).square().sum().backward()
    for before, after in zip(found, [own.weight.grad, own.delay.grad, x.grad], strict=True):
        assert torch.equal(before, after)


def test_an_optimiser_learns_weights_and_delays():
    """The weights and delays of another layer, from its output alone."""
    teacher, own = layer(seed=1), layer(seed=1, delay_kernel="gaussian")
    with torch.no_grad():
        own.weight.mul_(0.5)
    optimizer, losses = torch.optim.Adam(own.parameters(), 0.02), []
    for step in range(120):
        shrink(own, step, 120)
        x = spikes(seed=step)
        loss = (own(x) - teacher(x).detach()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    assert own.sigma == pytest.approx(0.23)
    assert own.delay.min() > -1 and own.delay.max() < own.max_delay + 1


def test_delays_stay_in_range():
    own = layer(delay_kernel="gaussian", max_delay=12)
    with torch.no_grad():
        own.delay[0], own.delay[1] = -3.0, 40.0
    own(spikes())
    assert own.delay[0] == 0 and own.delay[1] == 12


def test_its_description_names_what_it_is():
    text = repr(layer(delay_kernel="triangle"))
    for part in ("in_features=12", "out_features=9", "synapses=43", "delay_kernel=triangle, sigma=5", "max_delay=10"):
        assert part in text


def test_dales_law_gives_every_source_one_sign():
    own = layer(dale=True)
    for j in range(IN):
        assert len(set(torch.sign(own.weight.detach())[torch.tensor(own.topology.pre) == j].tolist())) <= 1


def test_threads_change_no_bit():
    for one, two in zip(everything(1), everything(3), strict=True):
        assert torch.equal(one, two)


def everything(threads):
    own, x = layer(delay_kernel="gaussian", threads=threads), spikes().requires_grad_()
    y = own(x)
    y.square().sum().backward()
    return [y, x.grad, own.weight.grad, own.delay.grad]


def test_a_large_layer_takes_32_bytes_a_synapse(tmp_path):
    """20,000 x 20,000, 0.1 %: everything that is held after training steps with Adam, activity apart, and what the
    process grew by. As a matrix it would be 1.6 GB for the weights alone."""
    script = tmp_path / "large.py"
    script.write_text(LARGE)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    held, grown, activity = (float(n) for n in done.stdout.split())
    assert held <= 32
    assert grown - activity < 200  # scratch memory of sampling and PyTorch's own included; a matrix has 4,000


LARGE = """
import gc, resource
import torch
from genn_delays import UniformInt
from genn_delays.torch import SparseDelayed
from genn_delays.connectivity import ordinals

torch.set_num_threads(1)
SIZE, T, B = 20_000, 10, 1
def train(layer, steps):
    optimizer = torch.optim.Adam(layer.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        y = layer((torch.rand(T, B, layer.in_features) < 0.05).float())
        y.square().sum().backward()
        optimizer.step()
    return optimizer
train(SparseDelayed(50, 50, 0.5, 3, seed=0), 2)  # compiled and imported
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
layer = SparseDelayed(SIZE, SIZE, 0.999, UniformInt(0, 8), seed=0)
optimizer = train(layer, 3)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
weight, state = layer.weight, optimizer.state[layer.weight]
tensors = [weight, weight.grad, state["exp_avg"], state["exp_avg_sq"]]
held = sum(t.untyped_storage().nbytes() for t in tensors) + layer.topology.nbytes + layer._negative.nbytes
count, activity = layer.topology.size, 4 * 4 * T * B * SIZE + 4 * (T + 1) * SIZE + 8 * SIZE
assert count == 400_000
print(held / count, (after - before) / count, activity / count)
"""

BAD = {
    "must be a tensor": lambda: layer()(np.zeros((T, B, IN), np.float32)),
    "must be torch.float32 like the layer's weights, got torch.float64": lambda: layer()(spikes().double()),
    "got torch.bool": lambda: layer()(spikes().bool()),
    r"must have shape \[time, batch, 12\], got \(6, 12\)": lambda: layer()(spikes()[0]),
    r"must have shape \[batch, time, 12\]": lambda: layer(batch_first=True)(spikes()[:, :, 1:]),
    r"at least one time step, got \[time, batch, 12\] = \(0, 6, 12\)": lambda: layer()(spikes()[:0]),
    r"at least one time step, got \[batch, time, 12\] = \(6, 0, 12\)": lambda: layer(batch_first=True)(
        spikes()[:0].transpose(0, 1)
    ),
    "unknown argument of SparseDelayed 'delays'.*Did you mean 'delay'": lambda: SparseDelayed(3, 3, 0.5, delays=3),
    "has no argument 'device': move the layer afterwards": lambda: layer(device="cpu"),
    "has no argument 'dtype': a layer is made in torch.float32": lambda: layer(dtype=torch.float64),
    "cannot be exported by PyTorch": lambda: torch.export.export(layer(), (spikes(),)),
    "is made on the CPU, the default device is meta": lambda: on_meta(),
    r"got torch.float64; call .to\(torch.float32\) on it \(or .double": lambda: layer()(spikes().double()),
    r'converted already: model.to\("cpu", torch.float32\) takes them back': lambda: torch.nn.Sequential(layer()).half(),
    "must be on cpu like the layer's weights, got one on meta": lambda: layer()(spikes().to("meta")),
    "of layout torch.sparse_coo": lambda: layer()(spikes().to_sparse()),
    "activity of neuron 3 must be finite, got nan": lambda: layer()(spikes().index_fill(2, torch.tensor(3), np.nan)),
    "weight must be finite, got inf": lambda: with_weight(np.inf)(spikes()),
    "computes on the CPU or on CUDA in torch.float32.*got torch.float16": lambda: layer().half(),
    "got torch.float32 on meta": lambda: layer().to("meta"),
    "needs sparsity=": lambda: SparseDelayed(3, 3, delay=1),
    "needs delay=": lambda: SparseDelayed(3, 3, 0.5),
    "sparsity must lie in": lambda: layer(sparsity=1.0),
    "in_features must be": lambda: SparseDelayed(0, 3, 0.5, 1),
    "give this to connectivity=Dense": lambda: layer(connectivity=gd.Dense()),
    "connectivity must be one such as": lambda: SparseDelayed(3, 3, connectivity="dense"),
    "unknown delay kernel 'gauss'": lambda: layer(delay_kernel="gauss"),
    "max_delay_steps = 5": lambda: layer(max_delay=5),
    "seed must be": lambda: layer(seed=-1),
    "has no delay_kernel": lambda: setattr(layer(), "sigma", 1.0),
    "sigma must lie in": lambda: setattr(layer(delay_kernel="gaussian"), "sigma", 0.0),
    "a SparseDelayed layer, or a module with such layers": lambda: shrink(torch.nn.Linear(2, 2), 0, 1),
    "epoch must be": lambda: shrink(layer(), 3, 3),
}


def on_meta():
    with torch.device("meta"):
        return layer()


def with_weight(value):
    own = layer()
    own.weight.data[4] = value
    return own


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_clear_error(message):
    with pytest.raises(InvalidValueError, match=message):
        BAD[message]()
