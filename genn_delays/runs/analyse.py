"""A run analysed: receptive fields and their Moran's I beside those of the untrained network, synapses, behaviour."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis import (
    ages_by_sign,
    classes,
    delays_by_sign,
    fans,
    highest_morans_i,
    mann_whitney,
    receptive_fields,
    rewiring_over_time,
    spikes_by_population,
    weights_by_sign,
)
from ..callbacks.metrics_writer import read_metrics
from ..datasets import Dataset
from ..errors import InvalidValueError, check_count, unknown
from ..network import Network, Population
from ..paths import atomic_write, check_writable, expanded
from ..random import MAX_SEED
from ..training.compiled_network import CompiledNetwork
from . import analysis_pictures
from .analysis_figures import Analysis, ConnectionFigures, Fields
from .build import build_network, check_data, compile_network, load_data, validate, with_data_dir
from .config import Config
from .evaluate import CHECKPOINTS
from .folder import RunFolder
from .overrides import Overrides
from .resume import check_evaluable


@dataclass(frozen=True)
class Settings:
    """Settings of an analysis, checked.

    Args:
        checkpoint: ``"best"`` or ``"last"``.
        population: whose receptive fields are analysed, by name; the output where not given.
        units: fields that are drawn, those of the highest Moran's I.
        permutations, seed: of rows, for Moran's I.
        truncate: the largest delay of a field (time steps), for networks with cycles.
    """

    checkpoint: str = "best"
    population: str | None = None
    units: int = 6
    permutations: int = 2000
    seed: int = 0
    truncate: int | None = None

    def __post_init__(self) -> None:
        if self.checkpoint not in CHECKPOINTS:
            raise unknown("--checkpoint", self.checkpoint, CHECKPOINTS)
        check_count("--units", self.units, 1, 100)
        check_count("--permutations", self.permutations)
        check_count("--seed", self.seed, 0, MAX_SEED)
        if self.truncate is not None:
            check_count("--truncate", self.truncate, 0)


def analyse(
    folder: RunFolder,
    settings: Settings | None = None,
    *,
    out: Path | None = None,
    data_dir: str | None = None,
    data: str | None = None,
    backend: str | None = None,
    threads: int | None = None,
    progress: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> Analysis:
    """Analyse a run's checkpoint, and write its figures and pictures.

    ``analysis.json`` has all figures, ``receptive_fields.npz`` the fields ``[unit, input, delay]``, ``trained`` and
    ``untrained``; pictures are PNG and PDF files. The untrained network is the one that training began with.

    Args:
        folder: the run.
        settings: of the analysis.
        out: folder to write to; ``analysis`` in the run's where not given.
        data_dir, data, backend, threads: where they differ from the run's.
        progress: say on standard error what loading the data does that takes seconds.
        note: called with remarks for the user, one line each.

    Raises:
        RunFolderError: there is no run, or no checkpoint.
        InvalidValueError: the network or the settings do not fit, or fewer than two fields have a Moran's I.
    """
    settings = settings or Settings()
    config = with_data_dir(folder.read_config(), data_dir, data)
    path = folder.checkpoint(settings.checkpoint)
    config = replace(config, compiler=Overrides(backend=backend, threads=threads).apply(config).compiler)
    validate(config)
    check_evaluable(folder, path, config)
    network = build_network(config)
    population = _population(network, settings.population)
    receptive_fields(network, population, [0], truncate=settings.truncate)  # errors of the network, before data
    place = expanded(out, "--out") if out is not None else folder.path / "analysis"
    if place.exists() and not place.is_dir():
        raise InvalidValueError(f"--out must be a folder, and {place} is a file")
    check_writable(place / "analysis.json")
    loaded = load_data(config, quiet=not progress)
    check_data(config, network, loaded)
    found = _figures(folder, path, config, settings, population.name, loaded, note)
    _write(found, place, settings.units)
    return found


def _population(network: Network, name: str | None) -> Population:
    """The population whose fields are compared."""
    population: Population = network.outputs[0] if name is None else network.find("population", name)
    if population.size < 2:
        raise InvalidValueError(
            f"population {population.name!r} has {population.size} neuron, and two fields at least are compared; name "
            f"another one by --population: {', '.join(p.name for p in network.populations if not p.neuron.is_input)}"
        )
    return population


def _figures(
    folder: RunFolder, path: Path, config: Config, settings: Settings, population: str, data: Dataset,
    note: Callable[[str], None],
) -> Analysis:  # fmt: skip
    with compile_network(config) as compiled:
        untrained = _fields(compiled, population, settings, "untrained", note)
        compiled.load(path)
        trained = _fields(compiled, population, settings, "trained", note)
        source, output = check_data(config, compiled.network, data)
        x: Any = {source: data.x_test}
        if not data.labelled:
            note("targets are real numbers: there are no classes, and the test loss stands in their place")
        hidden = any(p.spiking and not p.neuron.is_input for p in compiled.network.populations)
        lines = read_metrics(folder.metrics)[: compiled.epoch]
        return Analysis(
            model=config.model.name,
            dataset=config.training.dataset,
            seed=config.seed,
            run=str(folder),
            checkpoint=settings.checkpoint,
            epoch=compiled.epoch,
            trained=trained,
            untrained=untrained,
            comparison=mann_whitney(trained.moran.highest, untrained.moran.highest),
            connections={c.name: _connection(compiled, c.name) for c in compiled.network.connections},
            rewiring=rewiring_over_time(lines) if lines else None,
            spikes=spikes_by_population(compiled, x) if hidden else {},
            classes=classes(compiled, x, data.y_test, output) if data.labelled else None,
            test_loss=None if data.labelled else compiled.evaluate(x, {output: data.y_test})[0].loss,
        )


def _fields(
    compiled: CompiledNetwork, population: str, settings: Settings, which: str, note: Callable[[str], None]
) -> Fields:
    """Fields of a population; those that are constant are remarked on."""
    fields = receptive_fields(compiled, population, truncate=settings.truncate)
    moran = highest_morans_i(fields.values, settings.permutations, settings.seed, constant="leave out")
    if moran.constant.size:
        units = ", ".join(str(unit) for unit in fields.units[moran.constant][:10])
        more = ", ..." if moran.constant.size > 10 else ""
        note(
            f"{moran.constant.size} of {len(fields)} receptive fields of the {which} {population!r} are constant, and "
            f"their Moran's I is undefined; left out: {units}{more}"
        )
    if moran.fields.size < 2:
        raise InvalidValueError(
            f"{moran.fields.size} of the {len(fields)} receptive fields of the {which} {population!r} has a Moran's I, "
            "and two at least are compared: all others are constant, as no synapses lead from the inputs to them"
        )
    return Fields(fields, moran)


def _connection(compiled: CompiledNetwork, name: str) -> ConnectionFigures:
    learned = any(c.name == name and c.learned for c in compiled.plan.connections)
    return ConnectionFigures(
        delays_by_sign(compiled, name), weights_by_sign(compiled, name), fans(compiled, name),
        ages_by_sign(compiled, name) if learned else None,
    )  # fmt: skip


def _write(found: Analysis, place: Path, units: int) -> None:
    arrays = io.BytesIO()
    np.savez_compressed(
        arrays, trained=found.trained.fields.values, untrained=found.untrained.fields.values,
        units=found.trained.fields.units,
    )  # fmt: skip
    atomic_write(place / "receptive_fields.npz", arrays.getvalue())
    atomic_write(place / "analysis.json", (json.dumps(found.tables(), indent=1) + "\n").encode())
    analysis_pictures.draw(found, place, units)
