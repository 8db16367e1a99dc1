"""The configuration of a simulation: a model file with ``[simulation]`` in place of what training needs.

The format is described in ``docs/model_files.md``. A model describes the network at its full size; ``scale`` makes it
smaller, see :mod:`.scaling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ..backends import BACKENDS
from ..errors import InvalidValueError, check_choice, check_count, check_real, unknown
from ..random import MAX_SEED, MAX_STEP
from .config import network_tables, plain_tables, read_network, written_by
from .sections import ConnectionConfig, ModelConfig, PopulationConfig, registered
from .tables import Table, as_table, check_keys, plain

SIMULATION_SECTIONS = ("model", "network", "populations", "connections", "simulation", "versions")
SPIKES = "spikes"
SCALINGS = ("synapses", "neurons")
"""A scale below 1 makes neurons and the synapses of each fewer, or neurons alone."""


@dataclass(frozen=True)
class SimulationSettings:
    """Section ``[simulation]``; `threads` is the cpu backend's, all processors where None."""

    duration: float
    dt: float = 0.1
    transient: float = 0.0
    backend: str = "cpu"
    threads: int | None = None
    rng_seed: int = 0
    scale: float = 1.0
    scaling: str = "synapses"
    rates: dict[str, float] = field(default_factory=dict)
    record: dict[str, list[Any]] | None = None


@dataclass(frozen=True)
class SimulationConfig:
    """A simulation, completely: the same configuration gives the same bits."""

    model: ModelConfig
    seed: int
    populations: tuple[PopulationConfig, ...]
    connections: tuple[ConnectionConfig, ...]
    simulation: SimulationSettings

    @classmethod
    def from_tables(cls, tables: Mapping[str, Any]) -> SimulationConfig:
        """The configuration that a model's tables describe.

        Raises:
            InvalidValueError: a section, a key or a name that does not exist, or a value of the wrong kind; also a
                model that is trained.
        """
        check = plain_tables(tables)
        if "simulation" not in check:
            trained = "training" in check or "compiler" in check
            raise InvalidValueError(
                "this is a model to be trained, with [training] and without [simulation]: `genn-delays train` trains "
                "it, and `genn-delays simulate` takes the folder of its run"
                if trained
                else "a model lacks its section [simulation]"
            )
        for section in ("compiler", "training", "rewiring"):
            if section in check:
                raise InvalidValueError(
                    f"a model has [simulation], or [compiler], [training] and [rewiring], got [{section}] as well"
                )
        check_keys("a model", check, SIMULATION_SECTIONS)
        for section in ("model", "populations"):
            if section not in check:
                raise InvalidValueError(f"a model lacks its section [{section}]")
        network = read_network(check)
        settings = read_simulation(as_table("[simulation]", check["simulation"]))
        names = [p.name for p in network["populations"]]
        for key in ("rates", "record"):
            for name in getattr(settings, key) or ():
                if name not in names:
                    raise unknown(f"population in [simulation.{key}]", name, names)
        return cls(**network, simulation=settings)

    def tables(self) -> Table:
        """The same format, with all defaults in it."""
        found = network_tables(self.model, self.seed, self.populations, self.connections)
        simulation = asdict(self.simulation)
        if not self.simulation.rates:
            del simulation["rates"]
        result: Table = plain("configuration", {**found, "simulation": simulation})
        if not self.connections:
            del result["connections"]
        return result


def simulation_config_of(where: str, tables: Mapping[str, Any]) -> SimulationConfig:
    """:meth:`SimulationConfig.from_tables`, its errors preceded by where the tables come from."""
    try:
        return SimulationConfig.from_tables(tables)
    except InvalidValueError as error:
        raise InvalidValueError(f"{where}{written_by(tables)}: {error}") from error


def read_simulation(table: Table) -> SimulationSettings:
    """Section ``[simulation]``."""
    section = "[simulation]"
    check_keys(section, table, [f.name for f in fields(SimulationSettings)])
    if "duration" not in table:
        raise InvalidValueError(f"{section} lacks 'duration', in ms")
    found = {**{key: value for key, value in table.items() if key in ("backend", "threads")}}
    found["dt"] = check_real(f"{section} dt", table.get("dt", SimulationSettings.dt), 0.0, open_low=True)
    found["duration"] = check_duration(f"{section} duration", table["duration"], found["dt"])
    found["transient"] = check_transient(table.get("transient", 0.0), found["duration"])
    registered(f"backend in {section}", table.get("backend", SimulationSettings.backend), BACKENDS)
    if "threads" in table:
        check_count(f"{section} threads", table["threads"], 1, 1024)
    found["rng_seed"] = check_count(f"{section} rng_seed", table.get("rng_seed", 0), 0, MAX_SEED)
    found["scale"] = check_scale(f"{section} scale", table.get("scale", 1.0))
    found["scaling"] = check_choice(f"{section} scaling", table.get("scaling", "synapses"), SCALINGS)
    rates = as_table(f"{section} rates", table.get("rates", {}))
    found["rates"] = {name: check_real(f"{section} rates {name}", rate, 0.0) for name, rate in rates.items()}
    if "record" in table:
        record = as_table(f"{section} record", table["record"])
        found["record"] = {name: _recorded(f"{section} record {name}", what) for name, what in record.items()}
    return SimulationSettings(**found)


def check_duration(what: str, value: Any, dt: float) -> float:
    """A duration in ms: a whole number of time steps, at least one."""
    duration = check_real(what, value, 0.0, open_low=True)
    share = duration / dt
    if share > MAX_STEP + 0.5:
        raise InvalidValueError(
            f"{what} must be at most {MAX_STEP * dt:g} ms, {MAX_STEP:,} steps of dt = {dt:g} ms, got {duration:.12g}"
        )
    steps = round(share)
    if steps < 1 or abs(steps * dt - duration) > 1e-9 * max(duration, dt):
        below = int(share)
        near = " and ".join(f"{n * dt:.12g}" for n in (below, below + 1) if n)
        raise InvalidValueError(f"{what} must be a multiple of dt = {dt:g} ms, got {duration:.12g}; near: {near}")
    return duration


def check_transient(value: Any, duration: float) -> float:
    """The time in ms at the beginning that figures leave out: less than the duration."""
    transient = check_real("[simulation] transient", value, 0.0)
    if transient >= duration:
        raise InvalidValueError(
            f"[simulation] transient, which figures leave out, must be below the duration of {duration:g} ms, got "
            f"{transient:g}; --set simulation.transient=0 leaves out nothing"
        )
    return transient


def check_scale(what: str, value: Any) -> float:
    """A share of the network's full size: above 0, at most 1."""
    return check_real(what, value, 0.0, 1.0, open_low=True)


def _recorded(what: str, value: Any) -> list[Any]:
    """The recordings of a population, as a list of names and tables."""
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        if isinstance(entry, Mapping):
            check_keys(what, entry, ("variable", "neurons", "every"))
            if not isinstance(entry.get("variable"), str):
                raise InvalidValueError(f"{what} lacks 'variable', the name of one")
        elif not isinstance(entry, str) or not entry:
            raise InvalidValueError(
                f"{what} must be 'spikes', a variable's name, a table {{ variable, neurons, every }}, or a list of "
                f"these, got {entry!r}"
            )
    return entries


@dataclass(frozen=True)
class SimulationOverrides:
    """Settings of one simulation, each as the command line's option of the same name; None leaves the model's.

    Attributes:
        seed: of the network and of random numbers while it runs.
    """

    duration: Any = None
    scale: Any = None
    seed: Any = None
    threads: Any = None
    backend: Any = None

    def apply(self, config: SimulationConfig) -> SimulationConfig:
        """The configuration with these settings in it.

        Raises:
            InvalidValueError: a value is not allowed.
        """
        settings = config.simulation
        if self.duration is not None:
            duration = check_duration("--duration", self.duration, settings.dt)
            check_transient(settings.transient, duration)
            settings = replace(settings, duration=duration)
        if self.scale is not None:
            settings = replace(settings, scale=check_scale("--scale", self.scale))
        if self.seed is not None:
            seed = check_count("--seed", self.seed, 0, MAX_SEED)
            config, settings = replace(config, seed=seed), replace(settings, rng_seed=seed)
        if self.threads is not None:
            settings = replace(settings, threads=check_count("--threads", self.threads, 1, 1024))
        if self.backend is not None:
            registered("--backend", self.backend, BACKENDS)
            settings = replace(settings, backend=self.backend)
        return replace(config, simulation=settings)
