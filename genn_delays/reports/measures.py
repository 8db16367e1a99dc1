"""The figures that a report has of a run: read from its folder, and computed by its network on its data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..analysis import (
    Histogram,
    ReceptiveFields,
    Spikes,
    classes,
    delays_by_sign,
    receptive_fields,
    spikes_by_population,
)
from ..backends import BACKENDS
from ..callbacks import SpikeRecorder, VarRecorder
from ..callbacks.metrics_writer import read_metrics
from ..connectivity import Synapses
from ..datasets import Dataset
from ..datasets.own import is_path
from ..errors import BackendUnavailableError, DatasetError, GennDelaysError, InvalidValueError, RunFolderError
from ..learning.readouts import answers
from ..network import Population
from ..overview import Overview
from ..runs.build import check_data, compile_network, has_labels, load_data, take, validate, with_data_dir
from ..runs.config import Config
from ..runs.figures import check_figures
from ..runs.folder import RunFolder
from ..runs.overrides import Overrides
from ..runs.resume import check_evaluable
from ..training.compiled_network import CompiledNetwork

MOST_FIELDS = 40
"""Neurons of an output whose receptive fields are shown."""
LONGEST = 200
"""Largest delay of receptive fields of networks with cycles (time steps), where they have no end."""
Note = Callable[[str], None]


@dataclass(frozen=True)
class Connected:
    """The synapses of a connection, trained.

    Attributes:
        delays: how many synapses have which delay.
        num_pre, num_post: sizes of its populations.
    """

    name: str
    synapses: Synapses
    delays: Histogram
    num_pre: int
    num_post: int


@dataclass(frozen=True)
class Example:
    """A test example and what the network makes of it.

    Attributes:
        number: in the test set, from 0.
        label, chosen: its class, and that of the network; None with real targets.
        targets, answer: real targets, ``[neuron]`` or ``[time, neuron]``, and the readout, ``[neuron]``; None with
            classes.
        inputs: ``[time, neuron]``, or times (ms) and neurons of spikes.
        source, size: name and size of the input population.
        spikes: by population times (ms) and neurons.
        sizes: of these populations.
        traces: of the output's first variable, ``[time, neuron]``; None where the backend does not keep it.
        variable: its name.
        output: the population's name.
        dt: time step (ms).
        duration: of an example (ms).
    """

    number: int
    label: int | None
    chosen: int | None
    targets: npt.NDArray[np.float32] | None
    answer: npt.NDArray[np.float32] | None
    inputs: Any
    source: str
    size: int
    spikes: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]
    sizes: dict[str, int]
    traces: npt.NDArray[np.float32] | None
    variable: str
    output: str
    dt: float
    duration: float


@dataclass
class Measures:
    """A run for a report.

    Attributes:
        folder: as it was given.
        lines: of ``metrics.jsonl``.
        result: of ``result.json``; empty where training has not ended.
        epoch: of the checkpoint, from 1.
        overview: of the trained network.
        truncated: whether receptive fields end at :data:`LONGEST`, as the network has a cycle.
        spikes: on all test examples, of every population that spikes.
        labelled: outputs have class labels, not real targets.
        confusion: numbers of test examples ``[class, chosen class]``; None where the data set is not at hand or has
            no classes.
        omitted: what the page leaves out, and why.
    """

    folder: str
    config: Config
    lines: list[dict[str, Any]]
    result: dict[str, Any]
    versions: dict[str, str]
    labelled: bool = True
    epoch: int = 0
    overview: Overview | None = None
    connections: list[Connected] = field(default_factory=list)
    fields: list[ReceptiveFields] = field(default_factory=list)
    truncated: bool = False
    confusion: npt.NDArray[np.int64] | None = None
    example: Example | None = None
    spikes: list[Spikes] = field(default_factory=list)
    omitted: list[str] = field(default_factory=list)


def read_run(folder: RunFolder) -> Measures:
    """The part that the folder itself says; nothing is computed.

    Raises:
        RunFolderError: it is no run folder, is damaged, or has no checkpoint.
    """
    config = folder.read_config()
    folder.checkpoint("best")
    lines = read_metrics(folder.metrics)
    if not lines:
        raise RunFolderError(f"run folder {folder} is damaged: its metrics.jsonl has no line of an epoch")
    labelled = has_labels(config)
    check_figures(folder, lines, labelled=labelled)
    validate(config)
    check_evaluable(folder, folder.best, config)
    return Measures(str(folder), config, lines, _result(folder), folder.read_versions(), labelled)


def measure(
    run: Measures, folder: RunFolder, datasets: Datasets, *, backend: str | None, threads: int | None, example: int,
    note: Note,
) -> None:  # fmt: skip
    """Fill in what the trained network gives: synapses and fields, and on the test set confusion and an example.

    Args:
        datasets: of all runs of the report.
        backend, threads: where they differ from the run's.
        example: number of the test example that is shown.
        note: called with what is left out and the whole reason.
    """
    config = with_data_dir(run.config, datasets.data_dir)
    config = replace(config, compiler=Overrides(backend=backend, threads=threads).apply(config).compiler)
    name = config.compiler.backend
    found = BACKENDS[name]().availability()
    if not found.available:
        if backend is not None:
            raise BackendUnavailableError(f"--backend {name} is not available: {found.detail}")
        _omit(run, note, _OF_DATA, f"backend {name!r} is not available here (--backend names another)", found.detail)
        config = replace(config, compiler=replace(config.compiler, backend="reference", threads=None, batch_size=1))
    data = datasets.of(config) if found.available else None
    if isinstance(data, DatasetError):
        how = "put it back, or `train --resume --data` names its new place"
        how = how if is_path(config.training.dataset) else "--data-dir says where it is"
        why = f"data set {config.training.dataset!r} is not at hand ({how})"
        _omit(run, note, _OF_DATA, why, str(data))
    with compile_network(config) as compiled:
        compiled.load(folder.best)
        run.epoch, run.overview = compiled.epoch, compiled.overview()
        run.connections = [
            Connected(c.name, compiled.synapses(c), delays_by_sign(compiled, c), c.source.size, c.target.size)
            for c in compiled.network.connections
        ]
        _fields(run, compiled, note)
        if isinstance(data, Dataset):
            _on_data(run, compiled, data, example, note)


_OF_DATA = "confusion of classes, spikes and a test example"


def _on_data(run: Measures, compiled: CompiledNetwork, data: Dataset, example: int, note: Note) -> None:
    source, output = check_data(run.config, compiled.network, data)
    if example >= len(data.y_test):
        raise InvalidValueError(f"--example must be a whole number in [0, {len(data.y_test) - 1}], got {example}")
    if data.labelled:
        run.confusion = classes(compiled, {source: data.x_test}, data.y_test, output).confusion
    else:
        run.omitted.append("confusion of classes: targets are real numbers")
    run.example = _example(compiled, data, source, output, example)
    if run.example.spikes:
        run.spikes = list(spikes_by_population(compiled, {source: data.x_test}).values())


def _example(compiled: CompiledNetwork, data: Dataset, source: Population, output: Population, number: int) -> Example:
    spiking = [p for p in compiled.network.populations if p.spiking and not p.neuron.is_input]
    model = compiled.plan.populations[output.index].model
    variable = model.states[0] if model is not None else ""
    recorders: list[Any] = [SpikeRecorder(p, f"spikes {p.name}") for p in spiking]
    recorders += [VarRecorder(output, variable, "traces")] if variable else []
    one = slice(number, number + 1)
    x: Any = take(data.x_test, one) if not isinstance(data.x_test, list) else data.x_test[one]
    answer, recorded = compiled.predict({source: x}, output, callbacks=recorders)
    z, y = answer[output].T, data.y_test[number]
    chosen = int(answers(compiled.plan.populations[output.index].reading, z, z, False)[0])
    spikes = {p.name: tuple(part[0] for part in recorded[f"spikes {p.name}"]) for p in spiking}
    return Example(
        number=number, label=int(y) if data.labelled else None, chosen=chosen if data.labelled else None,
        targets=None if data.labelled else y, answer=None if data.labelled else z[:, 0], inputs=x[0],
        source=source.name, size=source.size, spikes=spikes, sizes={p.name: p.size for p in spiking},
        traces=recorded["traces"][0] if variable else None, variable=variable, output=output.name, dt=compiled.dt,
        duration=compiled.dt * compiled.plan.time_steps,
    )  # fmt: skip


def _fields(run: Measures, compiled: CompiledNetwork, note: Note) -> None:
    """Receptive fields of the outputs' neurons."""
    for p in compiled.network.outputs:
        units = range(min(p.size, MOST_FIELDS))
        for truncate in (None, LONGEST):
            try:
                run.fields.append(receptive_fields(compiled, p, units, truncate=truncate))
                run.truncated = run.truncated or truncate is not None
                break
            except GennDelaysError as error:
                reason = error
        else:
            _omit(run, note, f"receptive fields of {p.name!r}", "they cannot be computed", str(reason))


class Datasets:
    """The data sets of a report's runs, each loaded once.

    Args:
        data_dir: where their files are, if not where training had them.
        quiet: see :func:`~genn_delays.datasets.load_dataset`.
    """

    def __init__(self, data_dir: str | None, quiet: bool) -> None:
        self.data_dir, self._quiet = data_dir, quiet
        self._loaded: dict[tuple[Any, ...], Dataset | DatasetError] = {}

    def of(self, config: Config) -> Dataset | DatasetError:
        """The data set of a run; or why it is not at hand, which is raised where its folder was named."""
        key = config.training.dataset, config.training.data_dir, config.compiler.example_timesteps
        if key not in self._loaded:
            try:
                self._loaded[key] = load_data(config, quiet=self._quiet)
            except DatasetError as error:
                if self.data_dir is not None:
                    raise
                self._loaded[key] = error
        return self._loaded[key]


def _omit(run: Measures, note: Note, what: str, why: str, detail: str) -> None:
    """Leave something out; the page has the reason without paths of this machine, the note has all of it."""
    run.omitted.append(f"{what}: {why}")
    note(f"{run.folder}: left out {what}: {why}: {detail}")


def _result(folder: RunFolder) -> dict[str, Any]:
    """The table in ``result.json``; empty where there is none."""
    if not folder.result.is_file():
        return {}
    try:
        found = json.loads(folder.result.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(f"run folder {folder} is damaged: cannot read {folder.result}: {error}") from error
    if not isinstance(found, dict):
        raise RunFolderError(f"run folder {folder} is damaged: {folder.result} must hold a table, got {found!r:.80}")
    return found
