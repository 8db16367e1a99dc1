"""What cannot be written for mlGeNN, read from it, or trained by it: one error each, that names it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ml_genn_here import TRAINER, connectivity, initializers, ml_genn, neurons, synapses
from refused import refused
from small_eventprop import small

from genn_delays import (
    SGD,
    Adam,
    AdamW,
    AdaptiveLeakyIntegrateFire,
    Connection,
    DeepR,
    Dense,
    EventPropCompiler,
    Exponential,
    GaussianKernel,
    GeNN,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    MeanSquareError,
    Network,
    OneCycle,
    Population,
    Sparse,
    SparseCategoricalCrossentropy,
    SpikeInput,
    SurrogateCompiler,
    Uniform,
    VarRecorder,
    from_ml_genn,
    to_ml_genn,
)
from genn_delays.backends.genn import packages
from genn_delays.errors import BackendUnavailableError

pytestmark = pytest.mark.genn


@pytest.mark.parametrize(
    ("network", "parts"),
    [
        (lambda: small(source=Input()), ("population 'in'", "Input", "SpikeInput")),
        (lambda: small(synapse="delta"), ("population 'hidden'", "synapse Delta", "Exponential")),
        (lambda: small(dropout=0.4), ("population 'hidden'", "dropout 0.4")),
        (lambda: small(bias=0.1), ("population 'hidden'", "bias")),
        (lambda: small(AdaptiveLeakyIntegrateFire()), ("'hidden'", "AdaptiveLeakyIntegrateFire", "LeakyIntegrateFire")),
        (lambda: small(LeakyIntegrateFire(relative_reset=True)), ("'hidden'", "relative_reset", "absolute reset to 0")),
        (lambda: small(LeakyIntegrateFire(v_reset=-0.5)), ("'hidden'", "v_reset -0.5", "absolute reset to 0")),
        (lambda: small(LeakyIntegrateFire(tau_refrac=2.0)), ("'hidden'", "tau_refrac 2.0", "refractory")),
        (lambda: small(LeakyIntegrateFire(input_latency=2)), ("'hidden'", "input_latency 2", "without it")),
        (lambda: small(LeakyIntegrateFire(tau_mem=Uniform(5, 9))), ("'hidden'", "tau_mem from 5", "one time constant")),
        (lambda: small(synapse=Exponential(Uniform(5, 9))), ("'hidden'", "tau_syn from 6", "one time constant")),
        (lambda: small(LeakyIntegrateFire(tau_mem=20.0)), ("'hidden'", "tau_mem = tau_syn = 20", "differ")),
        (
            lambda: small(output=LeakyIntegrate(tau_mem=9.0, readout="sum_softmax")),
            ("'out'", "sum_softmax", "'avg_var'"),
        ),
        (lambda: small(delay_kernel=GaussianKernel()), ("connection 'in_hidden'", "GaussianKernel")),
        (
            lambda: small(connectivity=Sparse([0], [0], [1.0], [65_535])),
            ("connection 'in_hidden'", "max_delay_steps 65535", "65534"),
        ),
    ],
)  # fmt: skip
def test_what_mlgenn_does_not_have(network: Any, parts: tuple[str, ...]) -> None:
    with refused(*parts, "mlGeNN"):
        to_ml_genn(network())


def test_batch_norm_is_not_carried() -> None:
    network = Network()
    with network:
        a, b = Population(SpikeInput(), 2), Population(LeakyIntegrate(readout="avg_var"), 2, "out", batch_norm=True)
        Connection(a, b, Dense(), Exponential(5.0))
    with refused("population 'out'", "batch norm", "mlGeNN"):
        to_ml_genn(network)
    with refused("to_ml_genn", "Network", "3"):
        to_ml_genn(3)  # type: ignore[arg-type]


def reading(neuron: Any = None, synapse: Any = None, connect: Any = None) -> Network:
    network = ml_genn.Network()
    with network:
        a = ml_genn.Population(neurons.SpikeInput(), (4, 4, 1), name="a")
        h = ml_genn.Population(neuron or neurons.LeakyIntegrateFire(), (4, 4, 1), name="h")
        c = ml_genn.Connection(a, h, connect or connectivity.OneToOne(1.0), synapse or synapses.Delta(), "c")
        ml_genn.Connection(h, h, connectivity.OneToOne(1.0), synapse or synapses.Delta(), "r")
    assert c.name == "c"
    return from_ml_genn(network)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"neuron": neurons.FewSpikeRelu()}, ("population 'h'", "FewSpikeRelu", "LeakyIntegrateFire")),
        ({"neuron": neurons.LeakyIntegrateFire(v_reset=0.5)}, ("'h'", "relative_reset", "v_reset 0.5", "v_reset 0")),
        ({"neuron": neurons.LeakyIntegrateFire(tau_refrac=2.0)}, ("'h'", "integrate_during_refrac")),
        ({"neuron": neurons.LeakyIntegrate(bias=0.5, readout="var")}, ("'h'", "bias 0.5", "0")),
        ({"synapse": synapses.Exponential()}, ("connection 'r'", "cycle", "delay 0", "1 or more")),
        (
            {"connect": connectivity.Conv2D(np.ones((1, 1, 1, 1)), 1, 1)},
            ("'c'", "Conv2D", "FixedProbability"),
        ),
        ({"connect": connectivity.FixedProbability(0.5, np.ones(9))}, ("connection 'c'", "arrays", "pre_ind")),
        ({"connect": connectivity.OneToOne(np.ones(9))}, ("connection 'c'", "9 weights", "16")),
        ({"connect": connectivity.OneToOne(1.0, initializers.Normal(2, 1))}, ("connection 'c'", "max_delay_steps")),
        (
            {
                "neuron": neurons.LeakyIntegrateFire(tau_mem=np.arange(1.0, 17.0)),
                "connect": connectivity.FixedProbability(0.5, 1.0),
            },
            ("connection 'c'", "different time constants", "scale_i=True"),
        ),
    ],
)
def test_what_cannot_be_read(arguments: dict[str, Any], parts: tuple[str, ...]) -> None:
    with refused(*parts):
        reading(**arguments)


def test_only_networks_of_version_2_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with refused("from_ml_genn", "Network of mlGeNN's"):
        from_ml_genn(Network())
    with refused("dt", "(0, inf)", "-1"):
        from_ml_genn(ml_genn.Network(), -1.0)
    monkeypatch.setattr(packages, "version", lambda package: "3.0.0")
    with refused("mlGeNN 3.0.0", "version 2", error=BackendUnavailableError):
        from_ml_genn(ml_genn.Network())


@pytest.mark.parametrize(
    ("network", "compiler", "compile_arguments", "parts"),
    [
        ({}, {"batch_size": 2}, {}, ("batch_size 2", "single_threaded_cpu", "takes 1")),
        ({}, {"grad_limit": 5.0}, {}, ("grad_limit 5", "100")),
        ({}, {"reg_strength_upper": 1.0, "reg_nu_upper": 1.0}, {}, ("regularisation", "reg_strength")),
        ({}, {"losses": MeanSquareError()}, {}, ("loss PerNeuronMeanSquareError", "'out'", "SparseCategorical")),
        ({}, {"losses": SparseCategoricalCrossentropy(label_smoothing=0.1)}, {}, ("label_smoothing 0.1", "'out'", "0")),
        ({}, {"losses": SparseCategoricalCrossentropy(per_timestep=True)}, {}, ("Timestep", "'out'", "whole examples")),
        ({}, {}, {"rewiring": {"in_hidden": DeepR()}}, ("'in_hidden'", "DeepR", "delay 0", "trainer 'own'")),
        ({}, {}, {"optimisers": {"in_hidden": SGD()}}, ("SGD", "weight", "'in_hidden'", "Adam only")),
        ({}, {}, {"optimisers": {"in_hidden": {"delay": AdamW()}}}, ("AdamW", "delay", "'in_hidden'", "Adam only")),
        (
            {},
            {},
            {"optimisers": {"in_hidden": Adam(l1=0.1, decoupled_l1=True)}},
            ("decoupled_l1", "weight", "'in_hidden'", "decoupled_l1=False"),
        ),
        ({}, {}, {"optimisers": {"in_hidden": Adam(schedule=OneCycle(1.0))}}, ("OneCycle", "'in_hidden'", "beta1")),
        (
            {},
            {},
            {"optimisers": {"in_hidden": Adam(), "to the output": Adam(beta1=0.8)}},
            ("'in_hidden'", "'to the output'", "(0.9, 0.999, 1e-08)", "(0.8, 0.999, 1e-08)"),
        ),
        ({"output": LeakyIntegrate(readout="sum_softmax")}, {}, {}, ("readout 'sum_softmax'", "'out'", "'max_var'")),
        ({"output": LeakyIntegrate(readout="var")}, {}, {}, ("readout 'var'", "'out'", "'avg_var'")),
        ({"output": LeakyIntegrate(readout="max_var", v=-0.5)}, {}, {}, ("'max_var'", "'out'", "-0.5", "0")),
        ({"hidden": LeakyIntegrateFire(v_reset=-1.0)}, {}, {}, ("population 'hidden'", "v_reset -1")),
    ],
)
def test_what_the_trainer_refuses(
    network: dict[str, Any], compiler: dict[str, Any], compile_arguments: dict[str, Any], parts: tuple[str, ...]
) -> None:
    with refused(*parts):
        EventPropCompiler(20, **{"batch_size": 1, "backend": TRAINER, **compiler}).compile(
            small(**network), **compile_arguments
        )


def test_other_things_the_trainer_refuses() -> None:
    assert "mlGeNN" in TRAINER.availability().detail
    with refused("trainer of GeNN", "'mlgenn'", "ml_genn, own"):
        GeNN(trainer="mlgenn")
    with refused("SurrogateCompiler", "trainer 'ml_genn'", "EventPropCompiler"):
        SurrogateCompiler(20, 1, backend=TRAINER).compile(small())
    network = small()
    with network:
        p = Population(LeakyIntegrate(tau_mem=20.5, scale_i=True, readout="avg_var"), 3, name="other")
        Connection(network.populations[1], p, Dense(), Exponential(20.0))
    with refused("'out' and 'other'", "30 and 20.5", "the same"):
        EventPropCompiler(20, 1, backend=TRAINER).compile(network)
    with EventPropCompiler(20, 1, backend=TRAINER, max_spikes=2).compile(small()) as compiled:
        x = {"in": [(np.arange(3.0), np.zeros(3, int))]}
        with refused("population 'hidden'", "trainer 'own'"):
            compiled.predict(x, callbacks=[VarRecorder("hidden", "v")])
        with pytest.raises(Exception, match="max_spikes allows 2"):
            compiled.predict(x)
