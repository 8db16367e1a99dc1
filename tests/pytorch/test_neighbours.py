"""The layer between neurons of snnTorch, SpikingJelly and Norse, and the guide's examples."""

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")

import genn_delays as gd  # noqa: E402
from genn_delays.torch import SparseDelayed, rewire, shrink  # noqa: E402

GUIDE = Path(__file__).parents[2] / "docs" / "torch.md"
pytestmark = pytest.mark.torch
T, B = 30, 32


def data():
    """Two classes: which of two groups of inputs spikes ten steps before the other. Counts tell nothing."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(B) % 2
    x = torch.zeros(T, B, 20)
    for b in range(B):
        for group in range(2):
            step = 5 + 10 * ((int(labels[b]) + group) % 2)
            x[step, b, 10 * group : 10 * group + 10] = (torch.rand(10, generator=generator) < 0.8).float()
    return x, labels


def learns(network, layers, steps=60):
    """Trained with Adam and DEEP R; the loss falls to under half."""
    x, labels = data()
    parameters = [p for module in layers for p in module.parameters()]
    optimizer, losses = torch.optim.Adam(parameters, 0.02), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), labels)
        loss.backward()
        optimizer.step()
        rewire(torch.nn.ModuleList(layers), gd.DeepR(l1=1e-5, growth="gradient"), optimizer)
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def layers():
    torch.manual_seed(0)
    first = SparseDelayed(20, 40, 0.5, gd.UniformInt(0, 14), weight=gd.KaimingUniform(4.0), delay_kernel="triangle")
    second = SparseDelayed(40, 2, 0.5, gd.UniformInt(0, 4), weight=gd.KaimingUniform(3.0))
    shrink(first, 1, 2)
    return first, second


def test_with_neurons_of_snntorch():
    snntorch = pytest.importorskip("snntorch", reason="needs snnTorch: pip install snntorch")
    first, second = layers()
    neurons = snntorch.Leaky(beta=0.9, threshold=0.5)

    def network(x):
        membrane, spikes = neurons.init_leaky(), []
        for current in first(x):
            spike, membrane = neurons(current, membrane)
            spikes.append(spike)
        return second(torch.stack(spikes)).sum(0)

    learns(network, [first, second])


def test_with_neurons_of_spikingjelly():
    activation_based = pytest.importorskip(
        "spikingjelly.activation_based", reason="needs SpikingJelly: pip install spikingjelly"
    )
    from spikingjelly.activation_based import functional, neuron, surrogate

    assert activation_based is not None
    first, second = layers()
    neurons = neuron.LIFNode(
        tau=10.0, decay_input=False, v_threshold=0.5, surrogate_function=surrogate.ATan(), step_mode="m"
    )

    def network(x):
        functional.reset_net(neurons)
        return second(neurons(first(x))).sum(0)

    learns(network, [first, second])


def test_with_neurons_of_norse():
    norse = pytest.importorskip("norse.torch", reason="needs Norse: pip install norse")
    first, second = layers()
    parameters = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(100.0), v_th=torch.tensor(0.05), alpha=20.0)
    neurons = norse.LIFBoxCell(parameters)

    def network(x):
        state, spikes = None, []
        for current in first(x):
            spike, state = neurons(current, state)
            spikes.append(spike)
        return second(torch.stack(spikes)).sum(0)

    learns(network, [first, second])


def test_the_guides_example_runs(capsys):
    """As it stands in docs/torch.md: a small training."""
    pytest.importorskip("snntorch", reason="needs snnTorch: pip install snntorch")
    code = re.search(r"```python\n(import snntorch.*?)```", GUIDE.read_text(), re.DOTALL)[1]
    exec(compile(code, "docs/torch.md", "exec"), {})
    found = re.fullmatch(r"loss (\d\.\d+), (\d+) of 512 synapses moved\n", capsys.readouterr().out)
    assert float(found[1]) < 1.5 and int(found[2]) > 10  # at first 2.3 and more


def test_the_guides_second_example_runs(capsys):
    """As it stands, too: delays are learned, `[batch, time, in]`, with membranes as the readout."""
    pytest.importorskip("snntorch", reason="needs snnTorch: pip install snntorch")
    code = re.search(r"## Learned delays\n\n```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1]
    exec(compile(code, "docs/torch.md", "exec"), {})
    found = re.fullmatch(r"loss (\d\.\d+), delays moved by (\d\.\d) steps, sigma 0.23\n", capsys.readouterr().out)
    assert float(found[1]) < 1.0 and float(found[2]) > 0.5  # the loss is 1.4 at first
