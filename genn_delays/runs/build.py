"""From a configuration to the objects of the library: network, compiler, optimisers, rewiring."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np

from ..backends import BACKENDS
from ..communicators import Communicator
from ..connectivity.connectivity import CONNECTIVITY
from ..datasets import Dataset, Examples, load_dataset, stratified_split
from ..datasets.own import is_path
from ..delays import DELAY_KERNELS
from ..errors import InvalidValueError, unknown
from ..initializers import INITIALIZERS
from ..learning import OPTIMISERS, SURROGATES
from ..learning.losses import LOSSES
from ..network import Connection, Network, Population
from ..neurons import NEURONS, BatchNorm, SpikeInput
from ..plan.plan import Plan
from ..plan.variables import ALL
from ..rewiring import REWIRING
from ..synapses import SYNAPSES
from ..training.compiled_network import CompiledNetwork
from ..training.compiler import Compiler
from ..training.registry import COMPILERS
from .config import Config
from .overrides import Overrides
from .sections import DRIVES, METHOD_KEYS, NO_OPTIMISER, NO_REWIRING, PopulationConfig
from .simulated import SimulationConfig
from .tables import construct, within


def build_network(config: Config | SimulationConfig) -> Network:
    """The network, described and validated; nothing is sampled yet."""
    network = Network(seed=config.seed)
    with network:
        for p in config.populations:
            _build_population(p)
        for c in config.connections:
            source, target = (within(c.section, network.find, "population", name) for name in (c.source, c.target))
            connectivity = construct(CONNECTIVITY, c.section, c.connectivity, "connectivity")
            kernel = c.delay_kernel and construct(DELAY_KERNELS, f"{c.section} delay_kernel", c.delay_kernel)
            synapse = construct(SYNAPSES, f"{c.section} synapse", c.synapse)
            within(c.section, Connection, source, target, connectivity, synapse, c.name, c.max_delay_steps, kernel)
    if isinstance(config, Config):
        network.validate()
    return network


def _build_population(p: PopulationConfig) -> None:
    neuron = construct(NEURONS, p.section, p.neuron, "neuron")
    norm = None
    if p.batch_norm is not None:
        norm = construct({"batch_norm": BatchNorm}, f"{p.section} batch_norm", {"kind": "batch_norm", **p.batch_norm})
    bias = construct(INITIALIZERS, f"{p.section} bias", p.bias) if isinstance(p.bias, dict) else p.bias
    tables = p.drives if isinstance(p.drives, list) else [p.drives] if p.drives else []
    drives = [construct(DRIVES, f"{p.section} drives", table) for table in tables]
    within(p.section, Population, neuron, p.size, p.name, bias=bias, batch_norm=norm, dropout=p.dropout, drives=drives)


def build_backend(config: Config) -> Any:
    """The backend, with its number of threads where it has any."""
    return backend_of(config.compiler.backend, config.compiler.threads)


def backend_of(name: str, threads: int | None) -> Any:
    """The backend of a name, with its number of threads where it has any."""
    has_threads = "threads" in inspect.signature(BACKENDS[name]).parameters
    return BACKENDS[name](**({"threads": threads} if has_threads else {}))


def build_compiler(config: Config, communicator: Communicator | None = None) -> Compiler:
    """The compiler."""
    c = config.compiler
    method = {key: value for key in METHOD_KEYS[c.kind] if (value := getattr(c, key)) is not None}
    if c.surrogate is not None:
        method["surrogate"] = construct(SURROGATES, "[compiler] surrogate", c.surrogate)
    compiler: Compiler = within(
        "[compiler]", COMPILERS[c.kind], c.example_timesteps, c.batch_size,
        construct(LOSSES, "[compiler] losses", c.losses), dt=c.dt, backend=build_backend(config), rng_seed=c.rng_seed,
        reg_strength_upper=c.reg_strength_upper, reg_strength_lower=c.reg_strength_lower, reg_nu_upper=c.reg_nu_upper,
        reg_nu_lower=c.reg_nu_lower, clip_norm=c.clip_norm, max_spikes=c.max_spikes, communicator=communicator,
        **method,
    )  # fmt: skip
    return compiler


def compile_arguments(config: Config, network: Network) -> dict[str, Any]:
    """The arguments ``optimisers`` and ``rewiring`` of ``compile``."""
    optimiser = None
    if config.training.optimiser["kind"] != NO_OPTIMISER:
        optimiser = construct(OPTIMISERS, "[training] optimiser", config.training.optimiser)
    optimisers: dict[Any, Any] = {c: {"weight": optimiser} if optimiser else {} for c in network.connections}
    if config.training.delay_optimiser is not None:
        delays = construct(OPTIMISERS, "[training] delay_optimiser", config.training.delay_optimiser)
        for c in network.connections:
            if c.max_delay_steps > 0:
                optimisers[c]["delay"] = delays
    optimisers = {c: learned for c, learned in optimisers.items() if learned}
    optimisers |= {p: {"batch_norm": optimiser} for p in network.populations if p.batch_norm and optimiser}
    arguments: dict[str, Any] = {"optimisers": optimisers}
    if config.rewiring.name != NO_REWIRING:
        rule = construct(REWIRING, "[rewiring]", config.rewiring.rule, "rule")
        names = [c.name for c in network.connections]
        for name in config.rewiring.connections or ():
            if name not in names:
                raise unknown("connection in [rewiring] connections", name, names)
        arguments["rewiring"] = dict.fromkeys(config.rewiring.connections or (ALL,), rule)
    return arguments


def compile_network(config: Config, communicator: Communicator | None = None) -> CompiledNetwork:
    """The compiled network of a configuration."""
    network = build_network(config)
    return build_compiler(config, communicator).compile(network, **compile_arguments(config, network))


def plan_of(config: Config) -> Plan:
    """The plan of a configuration; nothing is compiled or allocated."""
    network = build_network(config)
    return build_compiler(config).plan(network, **compile_arguments(config, network))


def validate(config: Config) -> None:
    """Raise a configuration's errors that do not depend on data, by building it and discarding the result."""
    network = build_network(config)
    losses = build_compiler(config).output_losses(network)
    if not is_path(config.training.dataset) and not all(loss.labelled for loss in losses.values()):
        raise InvalidValueError(
            f"[compiler] losses: {config.compiler.losses['kind']!r} compares with real values, but data set "
            f"{config.training.dataset!r}, like all others by name, has class labels; a loss of class labels is "
            "'sparse_categorical_crossentropy'"
        )
    compile_arguments(config, network)


def has_labels(config: Config) -> bool:
    """True if outputs have class labels, and so an accuracy; False for real targets."""
    losses = build_compiler(config).output_losses(build_network(config))
    return all(loss.labelled for loss in losses.values())


def load_data(config: Config, *, quiet: bool = True) -> Dataset:
    """The data set of a run; where the model's examples last longer than its frames, empty ones follow.

    Args:
        config: the run.
        quiet: see :func:`~genn_delays.datasets.load_dataset`.
    """
    own = None
    if is_path(config.training.dataset):
        network = build_network(config)
        (inputs, *_), (output, *_) = network.inputs, network.outputs
        steps = config.compiler.example_timesteps
        dt = config.compiler.dt if isinstance(inputs.neuron, SpikeInput) else None
        loss = build_compiler(config).output_losses(network)[output.index]
        own = replace(
            config.training.own, num_inputs=inputs.size, num_classes=output.size, example_timesteps=steps, spike_dt=dt,
            targets="labels" if loss.labelled else "step" if loss.stepwise else "example",
        )  # fmt: skip
    data = load_dataset(config.training.dataset, config.training.data_dir, quiet=quiet, own=own)
    return data.lengthened(max(config.compiler.example_timesteps, data.example_timesteps))


def check_data(config: Config, network: Network, data: Dataset) -> tuple[Population, Population]:
    """The input and the output population; an error if the data do not fit them.

    Raises:
        InvalidValueError: another number of inputs, classes or time steps, the wrong kind of input, or too few
            examples for a batch.
    """
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        counts = f"{len(network.inputs)} inputs and {len(network.outputs)} outputs"
        raise InvalidValueError(f"a run needs a model with one input and one output population, got {counts}")
    source, output, c = network.inputs[0], network.outputs[0], config.compiler
    spikes = isinstance(source.neuron, SpikeInput)
    if spikes != (data.kind == "spikes"):
        wanted = "spike_input" if data.kind == "spikes" else "input"
        raise InvalidValueError(
            f"data set {data.name!r} is {data.kind}: input population {source.name!r} must be a {wanted!r}"
        )
    for what, population, needed in (("inputs", source, data.num_inputs), ("classes", output, data.num_classes)):
        if population.size != needed:
            raise InvalidValueError(
                f"data set {data.name!r} has {needed} {what}: population {population.name!r} must have {needed} "
                f"neurons, got {population.size}"
            )
    length = c.example_timesteps * c.dt if spikes else c.example_timesteps
    if length < data.example_timesteps or (not spikes and length != data.example_timesteps):
        unit = "ms" if spikes else "time steps"
        raise InvalidValueError(
            f"an example of data set {data.name!r} lasts {data.example_timesteps} {unit}: example_timesteps must give "
            f"at least as many, got {c.example_timesteps} steps of {c.dt:g} ms"
        )
    return source, output


def check_schedules(config: Config, examples: int) -> None:
    """Raise an error if a schedule is shorter than the training of so many examples an epoch."""
    batches = -(-examples // config.compiler.batch_size)
    for key in ("optimiser", "delay_optimiser"):
        table = getattr(config.training, key)
        none = table is None or table["kind"] == NO_OPTIMISER
        schedule = None if none else construct(OPTIMISERS, f"[training] {key}", table).schedule
        if schedule is not None:
            within(f"[training] {key}", schedule.check, config.training.num_epochs, batches)


def take(examples: Examples, indices: Any) -> Examples:
    """Some of the examples."""
    return [examples[i] for i in indices] if isinstance(examples, list) else examples[indices]


def split(config: Config, data: Dataset) -> tuple[Any, Any]:
    """Indices of the training examples that are learned, and of those held out for validation (None for none).

    The split is the same for every seed.
    """
    learned, held_out = np.arange(len(data.y_train)), None
    if config.training.validation > 0:
        classes = data.y_train if data.labelled else np.zeros(len(data.y_train), np.int64)
        learned, held_out = stratified_split(classes, config.training.validation, 0)
    return learned, held_out


def with_data_dir(config: Config, data_dir: str | None, data: str | None = None) -> Config:
    """The configuration with its data elsewhere, or with other data: a name or an absolute path."""
    return replace(config, training=Overrides(data_dir=data_dir, data=data).apply(config).training)
