"""A simulation from a model: run it, and keep its spikes, their statistics and pictures in a folder.

===========================  =============================================================================
``config.toml``              the complete configuration, with versions; simulated again it gives the same bits
``spikes/<population>.npz``  ``times`` (ms, float64) and ``neurons`` (int32), in order of time
``traces/<population>.npz``  recorded variables: ``<variable>_times``, ``<variable>`` ``[sample, neuron]``
``raster.png``, ``.pdf``     spikes of some neurons of every population
``rates.png``, ``.pdf``      rates over time, and rates and CVs of neurons
``result.json``              the figures that the command line prints
===========================  =============================================================================
"""

from __future__ import annotations

import io
import json
import math
import re
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..analysis.spike_trains import SpikeTrains, spike_trains
from ..errors import GennDelaysWarning
from ..paths import atomic_write
from ..simulation import Simulation
from .build_simulation import build_scaled_network, build_simulation_compiler, recordings
from .folder import RUNS, RunFolder, versions
from .reserved import check_new, reserved
from .simulated import SPIKES, SimulationConfig

Note = Callable[[str], None]


@dataclass(frozen=True)
class PopulationFigures:
    """Figures of a population whose spikes were recorded; None where there are too few spikes.

    Attributes:
        rate: mean over neurons, in Hz.
        cv_isi: coefficient of variation of inter-spike intervals, mean over neurons with three spikes or more.
        synchrony, correlation, rhythm: see :class:`~genn_delays.analysis.SpikeTrains`; the rhythm in Hz.
        silent: neurons without a spike.
    """

    name: str
    neurons: int
    spikes: int
    rate: float
    cv_isi: float | None
    synchrony: float | None
    correlation: float | None
    rhythm: float | None
    silent: int


@dataclass(frozen=True)
class SimulationResult:
    """The figures of a simulation.

    Attributes:
        scale: share of the network's full size.
        duration, transient, dt: in ms; figures of populations leave the transient out.
        build_seconds: until the network is ready to run.
        run_seconds: of the whole duration.
        real_time_factor: wall-clock time over simulated time, building apart.
        out: the folder.
    """

    model: str
    backend: str
    threads: int | None
    seed: int
    rng_seed: int
    scale: float
    neurons: int
    synapses: int
    duration: float
    transient: float
    dt: float
    build_seconds: float
    run_seconds: float
    real_time_factor: float
    populations: tuple[PopulationFigures, ...]
    out: str

    def json(self) -> str:
        """One object on one line."""
        return json.dumps(asdict(self))


def simulate(
    config: SimulationConfig,
    folder: RunFolder | None = None,
    *,
    progress: bool = False,
    note: Note = lambda text: None,
) -> SimulationResult:
    """Simulate, and keep everything in a folder.

    Args:
        config: the simulation.
        folder: where to write; ``runs/<model>-NNN`` where not given.
        progress: show a bar on standard error, where that is a terminal.
        note: called with remarks for the user, one line each.

    Files are written once all is simulated, and a simulation that fails or is interrupted leaves none: the same
    configuration gives the same bits again.

    Raises:
        GennDelaysError: something does not fit or cannot be written, before anything is computed; or a variable is no
            longer finite.
        Interrupted: by the keyboard.
    """
    network = build_scaled_network(config)
    record = recordings(config, network)
    compiler = build_simulation_compiler(config)
    if folder is None:
        RunFolder(RUNS / config.model.name).check_writable()
    else:
        check_new(folder)
    _remarks(config, note)
    with reserved(folder, config.model.name, note) as place:
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", GennDelaysWarning)
            simulation = compiler.compile(network, record)
        for warning in caught:
            note(str(warning.message))
        with simulation:
            built = time.perf_counter() - began
            began = time.perf_counter()
            simulation.run(config.simulation.duration, progress=progress)
            ran = time.perf_counter() - began
            place.check_kept()
            _write_config(place.folder, config)
            trains = _keep_spikes(place.folder, simulation, config)
            _keep_traces(place.folder, simulation, record)
            result = _result(config, place.folder, simulation, trains, built, ran)
            atomic_write(place.folder.result, (json.dumps(asdict(result), indent=2) + "\n").encode())
            place.complete = True
            _draw(place.folder, simulation, config, trains, note)
    return result


def _remarks(config: SimulationConfig, note: Note) -> None:
    s = config.simulation
    if s.backend != "cpu" and (s.threads or 1) > 1:
        note(f"threads are the cpu backend's; threads = {s.threads} changes nothing")
    if s.scale < 1:
        kept = "synapses" if s.scaling == "neurons" else "mean and the variance of its input"
        note(f"scale {s.scale:g}: a smaller network, every neuron keeps the {kept}; correlations are larger")


def _write_config(folder: RunFolder, config: SimulationConfig) -> None:
    import tomli_w

    text = "# The complete configuration of this simulation; `genn-delays simulate` takes this file as MODEL.\n\n"
    tables = {**config.tables(), "versions": versions(config.simulation.backend)}
    atomic_write(folder.config, (text + tomli_w.dumps(tables)).encode())


# --- what was recorded -----------------------------------------------------------------------------------------------


def _spiking(simulation: Simulation) -> list[Any]:
    """Populations whose spikes were recorded."""
    return [p for p in simulation.plan.populations if p.index in simulation.recording.spikes]


def _file_names(simulation: Simulation) -> dict[str, str]:
    """By name of a population one that files may have; no two are the same."""
    found: dict[str, str] = {}
    for p in simulation.plan.populations:
        name = base = re.sub(r"[^\w.-]", "_", p.name).lstrip(".") or "_"
        number = 1
        while name.lower() in {other.lower() for other in found.values()}:  # on some disks case is no difference
            number += 1
            name = f"{base}_{number}"
        found[p.name] = name
    return found


def _keep(folder: RunFolder, kind: str, name: str, arrays: dict[str, Any]) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    (folder.path / kind).mkdir(exist_ok=True)
    atomic_write(folder.path / kind / f"{name}.npz", file.getvalue())


def _keep_spikes(folder: RunFolder, simulation: Simulation, config: SimulationConfig) -> list[SpikeTrains]:
    names, s, found = _file_names(simulation), config.simulation, []
    for p in _spiking(simulation):
        times, neurons = simulation.spikes(p.name)
        _keep(folder, "spikes", names[p.name], {"times": times, "neurons": neurons})
        found.append(spike_trains(times, neurons, p.size, s.duration, start=s.transient, population=p.name))
    return found


def _keep_traces(folder: RunFolder, simulation: Simulation, record: dict[str, list[Any]]) -> None:
    names = _file_names(simulation)
    for name, entries in record.items():
        arrays: dict[str, Any] = {}
        for variable in [entry.variable for entry in entries if entry != SPIKES]:
            arrays[f"{variable}_times"], arrays[variable] = simulation.trace(name, variable)
        if arrays:
            _keep(folder, "traces", names[name], arrays)


def _result(
    config: SimulationConfig, folder: RunFolder, simulation: Simulation, trains: list[SpikeTrains], built: float,
    ran: float,
) -> SimulationResult:  # fmt: skip
    s = config.simulation
    return SimulationResult(
        model=config.model.name, backend=s.backend, threads=s.threads, seed=config.seed, rng_seed=s.rng_seed,
        scale=s.scale, neurons=simulation.plan.neurons, synapses=simulation.plan.synapses, duration=s.duration,
        transient=s.transient, dt=s.dt, build_seconds=round(built, 3), run_seconds=round(ran, 4),
        real_time_factor=float(f"{1000.0 * ran / s.duration:.4g}"),
        populations=tuple(_figures(t) for t in trains), out=str(folder),
    )  # fmt: skip


def _figures(t: SpikeTrains) -> PopulationFigures:
    def known(value: float) -> float | None:
        return None if math.isnan(value) else round(value, 4)

    return PopulationFigures(
        t.population, t.counts.size, int(t.counts.sum()), round(t.rate, 4), known(t.cv), known(t.synchrony),
        known(t.correlation), known(t.rhythm), t.silent,
    )  # fmt: skip


def _draw(
    folder: RunFolder, simulation: Simulation, config: SimulationConfig, trains: list[SpikeTrains], note: Note
) -> None:
    """The pictures; the simulation is complete without them, so that they cannot be drawn is a remark."""
    if not trains:
        return
    try:
        from .simulation_pictures import draw_raster, draw_rates

        spikes = {t.population: simulation.spikes(t.population) for t in trains}
        draw_raster(folder.path, spikes, {t.population: t.counts.size for t in trains}, config.simulation.duration)
        draw_rates(folder.path, spikes, trains, config.simulation.duration)
    except Exception as error:  # of a drawing library, out of memory or of room on the disk: whatever it is
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        note(f"the pictures in {folder} could not be drawn: {' '.join(reason.split())}")
