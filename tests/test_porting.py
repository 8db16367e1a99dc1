"""Scripts of mlGeNN's users: names that are there, and one message for each that is not."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refused import refused

import genn_delays as gd
from genn_delays import porting
from genn_delays.compilers.event_prop_compiler import default_params
from genn_delays.errors import PortingError
from genn_delays.serialisers import Numpy

MODULES = {
    "": "Connection InputLayer Layer Network Population SequentialNetwork callbacks communicators compilers "
    "connectivity initializers losses metrics neurons optimisers readouts serialisers synapses utils",
    "callbacks": "Callback Checkpoint ConnVarRecorder CustomUpdateOnBatchBegin CustomUpdateOnBatchEnd "
    "CustomUpdateOnEpochBegin CustomUpdateOnEpochEnd CustomUpdateOnTimestepBegin CustomUpdateOnTimestepEnd "
    "OptimiserParamSchedule BatchProgressBar SpikeRecorder VarRecorder default_callbacks",
    "communicators": "Communicator MPI",
    "compilers": "Compiler CompiledFewSpikeNetwork CompiledInferenceNetwork CompiledNetwork CompiledTrainingNetwork "
    "EPropCompiler EventPropCompiler FewSpikeCompiler InferenceCompiler",
    "compilers.event_prop_compiler": "EventPropCompiler default_params",
    "compilers.eprop_compiler": "EPropCompiler default_params",
    "connectivity": "AvgPool2D AvgPoolConv2D AvgPoolDense2D Connectivity Conv2D Conv2DTranspose Dense FixedProbability "
    "OneToOne default_connectivity",
    "initializers": "Initializer Normal Uniform Wrapper default_initializers",
    "losses": "MeanSquareError Loss RelativeMeanSquareError SparseCategoricalCrossentropy default_losses",
    "metrics": "MeanSquareError Metric MetricType MetricsType SparseCategoricalAccuracy default_metrics",
    "neurons": "AdaptiveLeakyIntegrateFire BinarySpikeInput FewSpikeRelu FewSpikeReluInput Input IntegrateFire "
    "IntegrateFireInput LeakyIntegrate LeakyIntegrateFire LeakyIntegrateFireInput Neuron PoissonInput SpikeInput "
    "default_neurons",
    "optimisers": "Adam Optimiser default_optimisers",
    "readouts": "AvgVar AvgVarExpWeight FirstSpikeTime MaxVar Readout SpikeCount SumVar Var default_readouts",
    "serialisers": "Serialiser Numpy default_serialisers",
    "synapses": "Synapse Delta Exponential default_synapses",
    "utils": "",
    "utils.data": "split_dataset get_dataset_size batch_dataset permute_dataset preprocess_spikes "
    "preprocess_tonic_spikes_separate preprocess_tonic_spikes generate_yin_yang_dataset linear_latency_encode_data "
    "log_latency_encode_data batch_spikes calc_max_spikes calc_latest_spike_time",
}
"""The public names of mlGeNN 2.3.1, by module."""
GUIDE = Path(__file__).parent.parent / "docs" / "porting_ml_genn.md"


@pytest.mark.parametrize(("module", "name"), [(m, n) for m, names in MODULES.items() for n in names.split()])
def test_every_name_of_mlgenn_is_here_or_says_what_to_write(module: str, name: str) -> None:
    here = importlib.import_module(f"genn_delays.{module}".rstrip("."))
    try:
        exec(f"from {here.__name__} import {name}", {})
    except PortingError as error:
        assert f"mlGeNN's {name} is not in {here.__name__}: " in str(error) and "\n" not in str(error)
        assert error.name == name and isinstance(error, ImportError)


@pytest.mark.parametrize("name", MODULES[""].split())
def test_every_module_is_here(name: str) -> None:
    getattr(gd, name)


def test_names_that_are_nobodys_are_plain_errors() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Nobody'"):
        exec("from genn_delays.neurons import Nobody", {})
    assert not hasattr(gd.neurons, "Nobody") and not hasattr(gd, "nobody")
    with pytest.raises(AttributeError, match="'nobody'"):
        gd.Network().nobody  # type: ignore[attr-defined]  # noqa: B018


def test_the_guide_has_every_name() -> None:
    text = GUIDE.read_text()
    named = {name for names in MODULES.values() for name in names.split()} - {"get_dataset_size", "utils", "metrics"}
    named |= {*porting.ARGUMENTS, *porting.ARGUMENTS_OF_3, *porting.ATTRIBUTES}
    assert [name for name in sorted(named) if name not in text] == []


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: gd.SpikeInput(max_spikes=5), ("SpikeInput", "'max_spikes'", "leave it out")),
        (lambda: gd.Uniform(min=0.0, max=1.0), ("Uniform", "'min'", "write low")),
        (lambda: gd.Dense(1.0, delay=gd.Uniform(0, 5)), ("delay", "Uniform(low=0.0,", "UniformInt(low, high)")),
        (lambda: gd.LeakyIntegrateFire(integrate_during_refrac=True), ("'integrate_during_refrac'", "stands still")),
        (lambda: gd.LeakyIntegrate(bias=1.0), ("'bias'", "Population(..., bias=...)")),
        (lambda: gd.LeakyIntegrate(solver="exponential_euler"), ("'solver'", "integration='exact'")),
        (lambda: gd.Exponential(5.0, scale_i=False), ("'scale_i'", "dt / (tau (1 - exp(-dt / tau)))")),
        (lambda: gd.Population(gd.SpikeInput(), 3, record_spikes=True), ("'record_spikes'", "SpikeRecorder")),
        (lambda: gd.Checkpoint("folder", 5), ("epoch_interval=5", "second argument")),
        (lambda: gd.Checkpoint(serialiser="numpy"), ("'serialiser'", "Numpy(folder)")),
        (lambda: gd.EventPropCompiler(10, "mean_square_error"), ("second argument", "batch_size", "losses=")),
        (lambda: gd.EventPropCompiler(10, {"o": "mean_square_error"}), ("second argument", "losses=")),
        (lambda: gd.Network({}), ("seed", "default_params=")),
        (lambda: gd.SequentialNetwork(3), ("default_params", "seed=", "got 3")),
        (lambda: gd.OptimiserParamSchedule("beta1", abs), ("'alpha'", "'beta1'")),
        (lambda: gd.OptimiserParamSchedule("alpha", 0.1), ("function", "0.1")),
    ],
)  # fmt: skip
def test_arguments_of_mlgenn_say_what_to_write(make: Any, parts: tuple[str, ...]) -> None:
    with refused(*parts), gd.Network():
        make()


@pytest.mark.parametrize("name", [*porting.ARGUMENTS, *porting.ARGUMENTS_OF_3])
def test_arguments_of_compilers_and_of_train(name: str) -> None:
    version = "mlGeNN 3" if name in porting.ARGUMENTS_OF_3 else "mlGeNN 2"
    with refused(repr(name), version):
        gd.SurrogateCompiler(10, **{name: None})


def test_arguments_of_train_and_evaluate(small: Any) -> None:
    with refused("'start_epoch'", "num_epochs=start_epoch + num_epochs"):
        small.train({}, {}, 1, start_epoch=3)
    with refused("unknown argument 'epochs'"):
        small.train({}, {}, 1, epochs=3)
    with refused("'metrics'", "metrics[output].accuracy"):
        small.evaluate({}, {}, metrics="sparse_categorical_accuracy")


@pytest.mark.parametrize("name", sorted(porting.ATTRIBUTES.keys() - {"load"}))
def test_attributes_of_compiled_networks(small: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=f"'{name}' is not in CompiledNetwork: "):
        getattr(small, name)


def test_networks_are_loaded_compiled() -> None:
    with pytest.raises(AttributeError, match=r"compiled\.load\(\(epoch,\), Numpy\(folder\)\)"):
        gd.Network().load((9,))  # type: ignore[attr-defined]


# --- layers ----------------------------------------------------------------------------------------------------------


def sequential() -> gd.SequentialNetwork:
    network = gd.SequentialNetwork(default_params, seed=3)
    with network:
        gd.InputLayer(gd.SpikeInput(), 6, record_spikes=True, name="x")
        gd.Layer(gd.Dense(gd.Normal(0.6, 0.5)), gd.LeakyIntegrateFire(tau_mem=10.0), 8, gd.Exponential(5.0), name="h")
        gd.Layer(gd.Dense(gd.Normal(0.2, 0.3)), gd.LeakyIntegrate(readout="avg_var"), 3, gd.Exponential(5.0), name="o")
    return network


def written_out() -> gd.Network:
    network = gd.Network(3)
    same: dict[str, Any] = {"scale_i": True, "integration": "exact"}
    with network:
        x = gd.Population(gd.SpikeInput(), 6, "x")
        h = gd.Population(gd.LeakyIntegrateFire(tau_mem=10.0, **same), 8, "h")
        o = gd.Population(gd.LeakyIntegrate(readout="avg_var", **same), 3, "o")
        gd.Connection(x, h, gd.Dense(gd.Normal(0.6, 0.5)), gd.Exponential(5.0))  # type: ignore[misc]
        gd.Connection(h, o, gd.Dense(gd.Normal(0.2, 0.3)), gd.Exponential(5.0))  # type: ignore[misc]
    return network


random = np.random.default_rng(0)
X, Y = (random.random((10, 15, 6)) < 0.3).astype(np.float32), random.integers(0, 3, 10)


@pytest.fixture
def small() -> Any:
    return gd.EventPropCompiler(15, batch_size=4, backend="reference").compile(sequential())


def test_a_sequential_network_is_the_network_written_out() -> None:
    """Layers are keys of data, metrics and optimisers, and defaults come from the network."""
    results = []
    for network in (sequential(), written_out()):
        x, h, o = network.populations
        compiler = gd.EventPropCompiler(15, batch_size=4, backend="reference")
        first = h.connection if isinstance(h, gd.Layer) else network.connections[0]
        compiled = compiler.compile(network, optimisers={"all_connections": gd.Adam(0.01), first: gd.Adam(0.02)})
        metrics, recorded = compiled.train({x: X}, {o: Y}, 2, callbacks=[gd.SpikeRecorder(h, "h", None, [0, 3])])
        counts = [len(times) for times in recorded["h"][0]]
        results.append((metrics[o].loss, counts, compiled.synapses(first).weight.tobytes()))
    assert results[0] == results[1] and sum(results[0][1]) > 10


def test_default_params_are_those_of_the_open_network() -> None:
    given = {gd.LeakyIntegrateFire: {"tau_mem": 7.0, "scale_i": True}, gd.Dense: {"weight": 2.0}}
    with gd.Network(default_params=given):  # type: ignore[arg-type]
        assert gd.LeakyIntegrateFire() == gd.LeakyIntegrateFire(tau_mem=7.0, scale_i=True)
        assert gd.LeakyIntegrateFire(tau_mem=3.0).tau_mem == 3.0
        assert gd.LeakyIntegrate().tau_mem == 20.0
        assert gd.Dense().weight == 2.0 and gd.Dense(1.0).weight == 1.0  # type: ignore[misc]
        with gd.Network():
            assert gd.LeakyIntegrateFire().tau_mem == 20.0
        assert gd.LeakyIntegrateFire().tau_mem == 7.0
    assert gd.LeakyIntegrateFire().tau_mem == 20.0
    network = pickle.loads(pickle.dumps(sequential()))
    assert network.layers[1].neuron.scale_i and network.layers[1].connection is network.connections[0]


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (5, ("default_params must be a dict", "5")),
        ({"LeakyIntegrateFire": {}}, ("by classes", "'LeakyIntegrateFire'")),
        ({gd.LeakyIntegrateFire: 3}, ("default_params of LeakyIntegrateFire", "3")),
        ({gd.LeakyIntegrateFire: {"integrate_during_refrac": False}}, ("'integrate_during_refrac'", "tau_refrac")),
    ],
)
def test_default_params_that_cannot_be_are_refused(given: Any, parts: tuple[str, ...]) -> None:
    with refused(*parts):
        gd.Network(default_params=given)


def test_layers_out_of_place_are_refused() -> None:
    lif = gd.LeakyIntegrateFire()
    with refused("InputLayer made outside a network"):
        gd.InputLayer(gd.SpikeInput(), 3)
    with refused("Layer", "SequentialNetwork", "Population"), gd.Network():
        gd.Layer(gd.Dense(), lif, 3)
    with gd.SequentialNetwork():
        with refused("first layer", "InputLayer"):
            gd.Layer(gd.Dense(), lif, 3)
        with refused("InputLayer needs its shape"):
            gd.InputLayer(gd.SpikeInput())
        gd.InputLayer(gd.SpikeInput(), 3)
        with refused("Layer needs its shape"):
            gd.Layer(gd.Dense(), lif)
        with refused("InputLayer must be the first"):
            gd.InputLayer(gd.SpikeInput(), 3)


def test_weights_of_mlgenns_connectivities_stand_where_its_scripts_have_them() -> None:
    made: list[Any] = [gd.Dense(0.5), gd.OneToOne(0.5), gd.FixedProbability(0.2, 0.5)]  # type: ignore[misc]
    assert [c.weight for c in made] == [0.5] * 3 and made[2].p == 0.2
    with refused("Dense got weight twice"):
        gd.Dense(1.0, weight=2.0)  # type: ignore[misc]


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_checkpoints_by_keys(small: Any, tmp_path: Path) -> None:
    serialiser = Numpy(tmp_path / "kept")
    small.train({"x": X}, {"o": Y}, 4, callbacks=[gd.Checkpoint(serialiser, epoch_interval=2)])
    small.save((3, "last"), serialiser)
    names = {path.name for path in (tmp_path / "kept").iterdir()}
    assert names == {f"{n}.safetensors" for n in ("last", "best", "epoch-2", "epoch-4", "3-last")}
    assert len({(tmp_path / "kept" / f"{n}.safetensors").read_bytes() for n in ("epoch-4", "last")}) == 1
    again = gd.EventPropCompiler(15, batch_size=4, backend="reference").compile(sequential())
    again.load((3, "last"), serialiser)
    assert again.epoch == 4
    assert np.array_equal(again.synapses("x_h").weight, small.synapses("x_h").weight)


@pytest.mark.parametrize(
    ("path", "serialiser", "parts"),
    [
        ((3,), None, ("(3,)", "Numpy(folder)")),
        ((3,), "numpy", ("serialiser", "'numpy'")),
        ("a", Numpy("."), ("keys", "tuple", "'a'")),
        (("..", "a/b"), Numpy("."), ("key", "'a/b'")),
        (("",), Numpy("."), ("key", "''")),
    ],
)
def test_keys_that_are_no_file_are_refused(small: Any, path: Any, serialiser: Any, parts: tuple[str, ...]) -> None:
    for act in (small.save, small.load):
        with refused(*parts):
            act(path, serialiser)
