"""A trained run, fed event by event: its test set through a simulation, beside what the trained network predicts.

A simulation adds up what arrives on a grid of whole numbers, training in single precision in an order of its own. So
spikes are equal wherever neither rounds, as with weights on a binary grid; elsewhere the share of equal ones is stated.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..callbacks import BatchProgressBar, SpikeRecorder
from ..errors import check_count, unknown
from ..learning.readouts import as_readout
from ..network import Population
from ..neurons import DynamicNeuron, SpikeInput
from ..simulation import Simulation, SimulationCompiler, trained_network
from ..training.compiled_network import CompiledNetwork
from ..training.inference_compiler import InferenceCompiler
from .build import (
    backend_of,
    build_compiler,
    build_network,
    check_data,
    load_data,
    take,
    validate,
    with_data_dir,
)
from .config import Config
from .evaluate import CHECKPOINTS
from .folder import RunFolder
from .overrides import Overrides
from .resume import check_evaluable

BACKENDS = ("cpu", "reference")


@dataclass(frozen=True)
class EqualSpikes:
    """Spikes of a hidden population, or of an output that spikes, in all examples.

    Attributes:
        simulated, predicted: how many there are.
        equal: share of equal ones, by example, step and neuron, among those that either has; 1 where both are silent.
    """

    name: str
    simulated: int
    predicted: int
    equal: float


@dataclass(frozen=True)
class TrainedSimulation:
    """Figures of a trained run that was simulated.

    Attributes:
        epoch: after which the checkpoint was written, counted from 1.
        accuracy, predicted_accuracy: of the simulation, and of ``predict``; None with real targets.
        equal_answers: share of the examples for which both give the same answer.
        equal_spikes: share of equal spikes of all populations together.
        largest_difference: of the outputs z, as a share of the largest \\|z\\|.
        build_seconds, run_seconds: of the simulation.
        real_time_factor: wall-clock time over simulated time, building apart.
    """

    model: str
    dataset: str
    backend: str
    checkpoint: str
    epoch: int
    examples: int
    example_ms: float
    accuracy: float | None
    predicted_accuracy: float | None
    equal_answers: float
    equal_spikes: float
    largest_difference: float
    populations: tuple[EqualSpikes, ...]
    build_seconds: float
    run_seconds: float
    real_time_factor: float
    out: str

    def json(self) -> str:
        """One object on one line."""
        return json.dumps(asdict(self))


def simulate_trained(
    folder: RunFolder,
    checkpoint: str = "best",
    *,
    examples: int | None = None,
    data_dir: str | None = None,
    data: str | None = None,
    backend: str | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> TrainedSimulation:
    """Simulate a checkpoint of a run on the test set of its data.

    Args:
        folder, checkpoint, data_dir, data, progress: see :func:`.evaluate.evaluate`.
        examples: the first so many of the test set; all of them where not given.
        backend: of the simulation, ``"cpu"`` where not given.
        threads: of the cpu backend; one where not given, as threads that meet in every step of a small network wait
            longer than they compute.

    Raises:
        GennDelaysError: something does not fit, before anything is computed.
    """
    if checkpoint not in CHECKPOINTS:
        raise unknown("--checkpoint", checkpoint, CHECKPOINTS)
    backend = "cpu" if backend is None else backend
    config = _config(with_data_dir(folder.read_config(), data_dir, data), backend, threads)
    path = folder.checkpoint(checkpoint)
    found = load_data(config, quiet=not progress)
    number = len(found.y_test)
    if examples is not None:
        number = check_count("--examples", examples, 1, number)
    check_evaluable(folder, path, config)
    c, network = config.compiler, build_network(config)
    source, output = check_data(config, network, found)
    losses, on = build_compiler(config).losses, backend_of(backend, c.threads)
    compiler = InferenceCompiler(c.example_timesteps, c.dt, c.batch_size, losses=losses, backend=on)
    x, y = take(found.x_test, np.arange(number)), found.y_test[:number]
    with compiler.compile(network) as compiled:
        compiled.load(path)
        predicted = _predicted(compiled, source, output, x, progress)
        build, run, simulated = _simulated(compiled, source, output, x, config, progress)
    labels = y if found.labelled and np.ndim(y) == 1 else None
    populations, equal_spikes = _equal(simulated, predicted)
    return TrainedSimulation(
        model=config.model.name,
        dataset=config.training.dataset,
        backend=backend,
        checkpoint=checkpoint,
        epoch=compiled.epoch,
        examples=number,
        example_ms=c.example_timesteps * c.dt,
        equal_spikes=equal_spikes,
        populations=populations,
        build_seconds=round(build, 3),
        run_seconds=round(run, 4),
        real_time_factor=float(f"{1000.0 * run / (number * c.example_timesteps * c.dt):.4g}"),
        out=str(folder),
        **_compared(output, simulated.z, predicted.z, labels),
    )


def _config(config: Config, backend: str, threads: int | None) -> Config:
    """A run's configuration with the backend of the simulation."""
    if backend not in BACKENDS:
        raise unknown("--backend (of simulations)", backend, BACKENDS)
    config = replace(config, compiler=Overrides(backend=backend, threads=threads).apply(config).compiler)
    config = replace(config, compiler=replace(config.compiler, threads=1 if threads is None else threads))
    validate(config)
    return config


def _compared(output: Population, z: npt.NDArray[Any], predicted: npt.NDArray[Any], labels: Any) -> dict[str, Any]:
    """The figures of outputs ``[example, neuron]``."""
    sign = 1 if as_readout(output.neuron.readout).best == "largest" else -1
    answers, theirs = ((sign * values).argmax(axis=1) for values in (z, predicted))
    largest = float(np.abs(predicted).max())
    return {
        "accuracy": None if labels is None else float((answers == labels).mean()),
        "predicted_accuracy": None if labels is None else float((theirs == labels).mean()),
        "equal_answers": float((answers == theirs).mean()),
        "largest_difference": float(np.abs(z - predicted).max()) / largest if largest else 0.0,
    }


# --- activity --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Activity:
    """Outputs ``[example, neuron]``, and spikes by population: (example T + step) neurons + neuron, sorted."""

    z: npt.NDArray[Any]
    spikes: dict[str, npt.NDArray[np.int64]]


def _listened(compiled: CompiledNetwork) -> list[Population]:
    """Populations whose spikes are compared."""
    return [p for p in compiled.network.populations if p.spiking and isinstance(p.neuron, DynamicNeuron)]


def _predicted(compiled: CompiledNetwork, source: Population, output: Population, x: Any, progress: bool) -> _Activity:
    recorders = {p: SpikeRecorder(p, p.name) for p in _listened(compiled)}
    bar = [BatchProgressBar()] if progress else []
    z, recorded = compiled.predict({source: x}, output, callbacks=[*recorders.values(), *bar])
    steps, spikes = compiled.plan.time_steps, {}
    for p in recorders:
        parts = [
            (number * steps + np.rint(times / compiled.dt).astype(np.int64)) * p.size + neurons
            for number, (times, neurons) in enumerate(zip(*recorded[p.name], strict=True))
        ]
        spikes[p.name] = np.sort(np.concatenate(parts))
    return _Activity(z[output], spikes)


def _simulated(
    compiled: CompiledNetwork, source: Population, output: Population, x: Any, config: Any, progress: bool
) -> tuple[float, float, _Activity]:
    """Seconds to build and to run, and the activity."""
    began = time.perf_counter()
    spiking, steps = isinstance(source.neuron, SpikeInput), compiled.plan.time_steps
    network = trained_network(compiled, None if spiking else {source: np.asarray(x)})
    reading = as_readout(output.neuron.readout)
    record: dict[str, list[Any]] = {p.name: ["spikes"] for p in _listened(compiled)}
    model = compiled.plan.populations[output.index].model
    assert model is not None
    variable = model.states[model.output]
    if reading.reads != "spikes":
        record.setdefault(output.name, []).append(variable)
    c = config.compiler
    compiler = SimulationCompiler(c.dt, backend=backend_of(c.backend, c.threads))
    with compiler.compile(network, record) as simulation:
        built = time.perf_counter() - began
        began = time.perf_counter()
        _run(simulation, source.name, x, len(x), steps, spiking, progress)
        ran = time.perf_counter() - began
        spikes = {}
        for p in _listened(compiled):
            times, neurons = simulation.spikes(p.name)
            spikes[p.name] = np.sort(np.rint(times / c.dt).astype(np.int64) * p.size + neurons)
        if reading.reads == "spikes":
            read = np.zeros((len(x) * steps, output.size), np.float32)
            read.reshape(-1)[spikes[output.name]] = 1.0
        else:
            read = simulation.trace(output.name, variable)[1]
    activity = np.ascontiguousarray(read.reshape(len(x), steps, output.size).transpose(2, 1, 0))
    return built, ran, _Activity(reading.forward(activity, c.dt).T, spikes)


def _run(simulation: Simulation, source: str, x: Any, examples: int, steps: int, spiking: bool, progress: bool) -> None:
    """One example after the other, each from the beginning."""
    from tqdm import tqdm

    duration = steps * simulation.dt
    for number in tqdm(range(examples), unit="example", disable=None if progress else True, leave=False):
        if number:
            simulation.reset(keep_time=True)
        simulation.run(duration, {source: tuple(x[number])} if spiking else None, progress=False)


def _equal(simulated: _Activity, predicted: _Activity) -> tuple[tuple[EqualSpikes, ...], float]:
    """By population, and the share of all together."""
    found, common, both = [], 0, 0
    for name, own in simulated.spikes.items():
        theirs = predicted.spikes[name]
        equal, every = np.intersect1d(own, theirs, assume_unique=True).size, own.size + theirs.size
        found.append(EqualSpikes(name, own.size, theirs.size, _share(equal, every)))
        common, both = common + equal, both + every
    return tuple(found), _share(common, both)


def _share(common: int, both: int) -> float:
    """The share of the common ones among those that either has."""
    return common / (both - common) if both else 1.0
