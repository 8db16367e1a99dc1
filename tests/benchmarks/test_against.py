"""What is compared with: the dense PyTorch network is the same network, and both are refused where they cannot be."""

import importlib.util
import json

import numpy as np
import pytest

from genn_delays.benchmarks import dense_torch
from genn_delays.benchmarks.networks import DESIGN, SPIKES, built_in, random_data
from genn_delays.benchmarks.scaling import dense_flops
from genn_delays.cli import main
from genn_delays.errors import InvalidValueError
from genn_delays.learning.schedules import Progress
from genn_delays.runs.build import compile_network, plan_of
from genn_delays.runs.config import config_of
from genn_delays.runs.models import load_model
from genn_delays.runs.overrides import Overrides

TINY = ["--hidden", "16", "--batch-size", "4", "--threads", "1", "--repeats", "1"]


def changed(**sections):
    """The built-in network with other values in a section, or in a population."""
    tables = built_in(DESIGN).tables()
    tables["compiler"] |= sections.get("compiler", {})
    for index, values in sections.get("populations", {}).items():
        tables["populations"][index] |= values
    for c in tables["connections"]:
        c |= sections.get("connections", {})
    return config_of("changed", tables)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (lambda: built_in(SPIKES), "compiler kind 'eventprop'"),
        (lambda: load_model("store_recall"), "not a chain"),
        (lambda: changed(populations={1: {"relative_reset": True}}), "relative_reset = True"),
        (lambda: changed(populations={1: {"bias": 0.5}}), "population 'hidden' with a bias"),
        (lambda: changed(populations={2: {"readout": "max_var"}}), "readout 'max_var'"),
        (lambda: changed(populations={2: {"integration": "exact"}}), "integration = 'exact'"),
        (lambda: changed(connections={"delay_kernel": {"kind": "triangle"}}), "TriangleKernel"),
        (lambda: changed(connections={"synapse": {"kind": "exponential", "tau": 5.0}}), "'exponential'"),
        (lambda: changed(compiler={"surrogate": {"kind": "triangle"}}), "surrogate Triangle"),
    ],
)
def test_networks_that_the_dense_implementation_has_not_got(config, named):
    with pytest.raises(InvalidValueError, match="--against torch: ") as caught:
        dense_torch.check_network(config())
    assert named in str(caught.value)


@pytest.mark.parametrize("name", ["fsdd", "fsdd_paper", "rawhd_paper"])
def test_networks_that_it_has(name):
    dense_torch.check_network(load_model(name))
    dense_torch.check_network(built_in(DESIGN))


def test_without_pytorch_one_error_says_what_to_install(capsys):
    if importlib.util.find_spec("torch") is not None:
        pytest.skip("PyTorch is installed")
    assert main(["benchmark", "train-step", "--against", "torch"]) == 2
    printed = capsys.readouterr()
    assert "PyTorch is not installed; pip install torch" in printed.err
    assert printed.err.count("\n") == 1


def test_operations_of_a_dense_step_are_those_of_a_convolution():
    """Counted by going over all pairs, lags and steps."""
    config = changed(populations={0: {"size": 3}, 1: {"size": 4}, 2: {"size": 2}}, compiler={"example_timesteps": 6,
                     "batch_size": 5}, connections={"delay": {"kind": "uniform_int", "low": 1, "high": 2}})  # fmt: skip
    arrive = sum(1 for lag in range(3) for t in range(6) if t - lag >= 0)
    hidden, output = 3 * 4 * arrive, 4 * 2 * arrive
    assert dense_flops(plan_of(config)) == 2 * 5 * (2 * hidden + 3 * output)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs PyTorch")


@pytest.mark.torch
@pytest.mark.parametrize("readout", ["sum_softmax", "sum_var"])
def test_the_dense_network_computes_what_ours_does(torch, readout):
    """With our synapses' weights at their delays, its loss and its gradients at those places are ours."""
    config = changed(populations={1: {"size": 12}, 2: {"readout": readout}}, compiler={"batch_size": 6,
                     "example_timesteps": 40}, connections={"weight": {"kind": "kaiming_uniform", "gain": 2.0},
                     "sparsity": 0.5})  # fmt: skip
    with compile_network(config) as compiled:
        x, y = random_data(compiled.network, compiled.plan, 6)
        loss, gradients = compiled.gradients(x, y)
        synapses = [compiled.synapses(c) for c in compiled.network.connections]
        net = dense_torch.DenseNetwork(compiled.plan, Progress(0, 1, 0, 1), 1)
    for layer, own in zip(net.layers, synapses, strict=True):
        layer.take(own)
    inputs, labels = torch.from_numpy(next(iter(x.values()))).permute(0, 2, 1), torch.from_numpy(next(iter(y.values())))
    theirs = net.loss(inputs, labels)
    theirs.backward()
    assert float(theirs.detach()) == pytest.approx(float(loss), rel=1e-4)
    for layer, own, found in zip(net.layers, synapses, gradients.values(), strict=True):
        at = layer.weight.grad.numpy()[own.post, own.pre, layer.last - own.delay.astype(np.int64)]
        np.testing.assert_allclose(at, found, atol=2e-3 * np.abs(found).max())


@pytest.mark.torch
def test_weights_over_the_lags_are_those_of_the_delay_kernel(torch):
    """Of a pair's weight and delay the convolution's row is what our kernel spreads a synapse over."""
    config = Overrides(hidden=[5]).apply(load_model("fsdd_paper"))
    plan = plan_of(config)
    now = Progress(0, 60, 0, 1)
    net = dense_torch.DenseNetwork(plan, now, 1)
    for c, layer in zip(plan.connections, net.layers, strict=True):
        rows = layer._over_lags().detach().numpy()[:, :, ::-1].reshape(-1, c.max_delay + 1)
        width = c.kernel.width(c.max_delay, now)
        taps = c.kernel.taps(layer.delay.detach().numpy().reshape(-1), width, 0, c.max_delay)
        assert (taps.first == 0).all()  # so wide at first that every lag has its share
        np.testing.assert_allclose(rows, layer.weight.detach().numpy().reshape(-1, 1) * taps.share, atol=1e-6)


@pytest.mark.torch
def test_against_torch_in_one_run(torch, capsys):
    sparsities = ["--sparsity", "0,0.9"]
    assert main(["benchmark", "train-step", *TINY, *sparsities, "--against", "torch", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["measurements"]
    assert [m["who"] for m in found] == ["genn_delays", "torch", "genn_delays"]  # dense at every sparsity, so once
    theirs = found[1]["seconds"]["median"]
    for m in (found[0], found[2]):
        assert m["figures"]["times_as_fast_as_torch"] == theirs / m["seconds"]["median"]
    assert found[1]["parameters"]["torch"] == torch.__version__
    assert main(["benchmark", "inference", "fsdd_paper", *TINY, "--against", "torch"]) == 0
    assert "40-16-10 torch" in capsys.readouterr().out
    assert main(["benchmark", "train-step", "--against", "torch", "--backend", "reference"]) == 2
    assert "--backend must be 'cpu'" in capsys.readouterr().err


@pytest.mark.genn
@pytest.mark.parametrize("name", ["train-step", "inference"])
def test_against_genn_in_one_run(name, capsys):
    pytest.importorskip("pygenn", reason="needs PyGeNN")
    assert main(["benchmark", name, *TINY, "--against", "genn", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["measurements"]
    assert {(m["who"], m["backend"]) for m in found} == {("genn_delays", "cpu"), ("genn", "genn")}
    assert all("device" in m["machine"] for m in found)
    assert main(["benchmark", "train-step", "digits", "--against", "genn"]) == 2
    assert "GeNN trains by EventProp alone" in capsys.readouterr().err
    for other in ("train-step", "scaling", "compile"):
        assert main(["benchmark", other, "digits", "--backend", "genn"]) == 2
        assert "GeNN trains by EventProp alone" in capsys.readouterr().err
