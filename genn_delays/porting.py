"""Names and arguments of mlGeNN that mean something else here, or are not here, each with what to write in its place.

A module's ``__getattr__ = missing_from(__name__)`` is asked for names that the module does not have. It raises an
``ImportError`` for mlGeNN's names: of an ``AttributeError`` an import statement keeps nothing but the name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from .errors import InvalidValueError, PortingError

GUIDE = "docs/porting_ml_genn.md"

_CALLBACK = "write a Callback with {0}; what it may change: compiled.set_weights and compiled.set_learning_rate"
_FEW_SPIKE = "networks converted from trained ANNs are not here; mlGeNN does it"
_CONVOLUTION = (
    "there is no convolution with shared weights; its synapses can be listed, each with a weight of its own: "
    "Sparse(pre, post, weight, delay)"
)
_FRONT = "write Population(Input(), n), and onto a Population({0}(...), n) a Connection of OneToOne(weight=1.0)"
_CHECKPOINTS = "checkpoints are files: compiled.save(path), compiled.load(path), Checkpoint(folder)"

NAMES = {
    "EPropCompiler": "e-prop is not here: SurrogateCompiler trains the same networks by backpropagation through time, "
    "EventPropCompiler those with exponential synapses",
    "FewSpikeCompiler": _FEW_SPIKE,
    "CompiledFewSpikeNetwork": _FEW_SPIKE,
    "FewSpikeRelu": _FEW_SPIKE,
    "FewSpikeReluInput": _FEW_SPIKE,
    "BinarySpikeInput": "write SpikeInput(), and give zeros and ones [example, time, neuron] as its data",
    "IntegrateFireInput": _FRONT.format("IntegrateFire"),
    "LeakyIntegrateFireInput": _FRONT.format("LeakyIntegrateFire"),
    "AvgPool2D": _CONVOLUTION,
    "AvgPoolConv2D": _CONVOLUTION,
    "AvgPoolDense2D": _CONVOLUTION,
    "Conv2D": _CONVOLUTION,
    "Conv2DTranspose": _CONVOLUTION,
    "Wrapper": "PyGeNN's initialisation snippets are not here; give a number, an array, Normal, Uniform, or an "
    "Initializer of your own",
    "ConnVarRecorder": "read compiled.synapses(connection) in a Callback's on_batch_end, and gradients by "
    "compiled.gradients(x, y)",
    "CustomUpdateOnBatchBegin": _CALLBACK.format("on_batch_begin"),
    "CustomUpdateOnBatchEnd": _CALLBACK.format("on_batch_end"),
    "CustomUpdateOnEpochBegin": _CALLBACK.format("on_epoch_begin"),
    "CustomUpdateOnEpochEnd": _CALLBACK.format("on_epoch_end"),
    "CustomUpdateOnTimestepBegin": "a batch is computed in one call; SimulationCompiler gives a network whose "
    "step_time() can be called step by step",
    "CustomUpdateOnTimestepEnd": "a batch is computed in one call; SimulationCompiler gives a network whose "
    "step_time() can be called step by step",
    "MeanSquareError": "metrics need not be named: metrics[output].loss is always there; the loss is in "
    "genn_delays.losses",
    "Metric": "train and evaluate return accuracy and loss of every output: metrics[output].accuracy, .loss, and "
    ".result, the accuracy where there are labels",
    "MetricType": "metrics need not be named: metrics[output].accuracy and .loss are always there",
    "MetricsType": "metrics need not be named: metrics[output].accuracy and .loss are always there",
    "SparseCategoricalAccuracy": "metrics need not be named: metrics[output].accuracy is always there",
    "default_callbacks": "registered names are in genn_delays.callbacks.CALLBACKS",
    "default_connectivity": "registered names are in genn_delays.connectivity.CONNECTIVITY",
    "default_initializers": "registered names are in genn_delays.initializers.INITIALIZERS",
    "default_losses": "registered names are in genn_delays.learning.LOSSES",
    "default_metrics": "metrics need not be named: metrics[output].accuracy and .loss are always there",
    "default_neurons": "registered names are in genn_delays.neurons.NEURONS",
    "default_optimisers": "registered names are in genn_delays.learning.OPTIMISERS",
    "default_readouts": "registered names are in genn_delays.learning.READOUTS",
    "default_serialisers": _CHECKPOINTS,
    "default_synapses": "registered names are in genn_delays.synapses.SYNAPSES",
    "default_params": "those of EventProp are in genn_delays.compilers.event_prop_compiler; e-prop's neurons are "
    "written LeakyIntegrateFire(relative_reset=True, integration='exact')",
    "Serialiser": _CHECKPOINTS,
    "split_dataset": "train(..., validation_split=share) holds out a share of every class",
    "batch_spikes": "give the examples one by one, as a list of (times, neurons)",
    "batch_dataset": "train and evaluate make the batches",
    "permute_dataset": "train shuffles the examples",
    "get_dataset_size": "use len()",
    "preprocess_tonic_spikes_separate": "use preprocess_tonic_spikes on events[events['p'] == p] for every polarity p",
}
"""By name what to write."""

_STRENGTH = (
    "reg_strength_{0}, for which its number is multiplied by tau_mem of the hidden neurons and, for a readout of a "
    "potential, tau_mem of the output in ms ('sum_var' and 'max_var': also by example_timesteps)"
)
_RESET = "nothing: every batch begins with neurons and synapses at rest"
_EPROP = "nothing, as e-prop is not here; reg_strength_upper, reg_strength_lower and reg_nu_upper bound spike counts"
ARGUMENTS = {
    "reg_lambda_upper": _STRENGTH.format("upper"),
    "reg_lambda_lower": _STRENGTH.format("lower"),
    "deep_r_conns": "compile(network, rewiring={connection: DeepR()})",
    "deep_r_l1_strength": "compile(network, rewiring={connection: DeepR(l1=...)})",
    "deep_r_record_rewirings": "metrics.rewirings and metrics.history, by connection",
    "delay_learn_conns": "compile(network, optimisers={connection: {'delay': ...}})",
    "delay_optimiser": "compile(network, optimisers={connection: {'delay': Adam(...)}})",
    "per_timestep_loss": "losses=SparseCategoricalCrossentropy(per_timestep=True)",
    "softmax_temperature": "losses=SparseCategoricalCrossentropy(softmax_temperature=...)",
    "ttfs_alpha": "losses=SparseCategoricalCrossentropy(ttfs_alpha=...)",
    "optimiser": "compile(network, optimisers={'all_connections': {'weight': Adam()}})",
    "evaluate_timesteps": "example_timesteps",
    "strict_buffer_checking": "nothing: memory grows with the spikes, and max_spikes=... makes more of them an error",
    "kernel_profiling": "nothing; metrics.step_ms is the time of a step, and `genn-delays benchmark` measures the rest",
    "prefer_in_memory_connectivity": "nothing: synapses are always in memory",
    "reset_time_between_batches": _RESET,
    "reset_vars_between_batches": _RESET,
    "reset_in_syn_between_batches": _RESET,
    "tau_reg": _EPROP,
    "c_reg": _EPROP,
    "f_target": _EPROP,
    "train_output_bias": "Population(..., bias=...), a constant that is not learned",
    "metrics": "nothing: metrics[output].accuracy and .loss are always there",
    "start_epoch": "num_epochs=start_epoch + num_epochs: it counts from the network's first epoch, also after load",
    "validation_callbacks": "nothing: metrics.validation in a callback's on_epoch_end; callbacks on validation data "
    "run by evaluate(validation_x, validation_y, callbacks=...)",
}
"""By argument of mlGeNN 2's compilers, of ``train`` and of ``evaluate`` what it is here."""

ARGUMENTS_OF_3 = {
    "reg_lambda": "reg_strength_upper and reg_strength_lower, whose numbers are others",
    "solver": "integration='exact' or 'linear_euler' of the neuron",
}
"""The same of mlGeNN 3."""

ATTRIBUTES = {
    "genn_model": "with backend='genn' it is compiled.engine.model.genn",
    "neuron_populations": "with backend='genn' PyGeNN's model is compiled.engine.model.genn",
    "connection_populations": "with backend='genn' PyGeNN's model is compiled.engine.model.genn",
    "save_connectivity": "compiled.save(path) writes the connectivity too",
    "get_readout": "compiled.predict(x) gives the readouts of all examples",
    "set_input": "data are given to train, evaluate and predict",
    "custom_update": "write a Callback; what it may change: compiled.set_weights and compiled.set_learning_rate",
    "step_time": "a batch is computed in one call; SimulationCompiler gives a network with step_time()",
    "reset_time": "every batch begins at time 0; SimulationCompiler gives a network with reset()",
    "load": "compile the network first, then compiled.load(path), or compiled.load((epoch,), Numpy(folder))",
    "optimisers": "compiled.set_learning_rate(alpha) changes learning rates; compiled.plan has the optimisers",
    "losses": "compiled.plan.outputs have their losses",
    "example_timesteps": "compiled.plan.time_steps",
}
"""By attribute of mlGeNN's networks and compiled networks what it is here."""


def missing_from(module: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module of ours (PEP 562)."""

    def missing(name: str) -> NoReturn:
        refuse_name(module, name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return missing


def refuse_name(module: str, name: str) -> None:
    """Raise an error if a name that a module does not have is one of mlGeNN's.

    Raises:
        PortingError: it is.
    """
    if name in NAMES:
        raise PortingError(f"mlGeNN's {name} is not in {module}: {NAMES[name]} ({GUIDE})", name=name)


def refuse_attribute(kind: str, name: str) -> None:
    """Raise an error if an attribute that a class does not have is one of mlGeNN's.

    Raises:
        AttributeError: it is.
    """
    if name in ATTRIBUTES:
        raise AttributeError(f"mlGeNN's attribute {name!r} is not in {kind}: {ATTRIBUTES[name]} ({GUIDE})", name=name)


def refuse_argument(name: str) -> None:
    """Raise an error for an argument of mlGeNN that has another name or place here.

    Raises:
        InvalidValueError: it is one.
    """
    if name in ARGUMENTS_OF_3:
        raise InvalidValueError(f"{name!r} is mlGeNN 3's; here it is {ARGUMENTS_OF_3[name]}")
    if name in ARGUMENTS:
        raise InvalidValueError(f"{name!r} is mlGeNN 2's; here it is {ARGUMENTS[name]}")


def refuse_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise an error if any arguments were given that do not exist, those of mlGeNN by what they are here.

    Raises:
        InvalidValueError: there are some.
    """
    for name in arguments:
        refuse_argument(name)
        raise InvalidValueError(f"unknown argument {name!r}")
