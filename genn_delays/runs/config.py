"""The configuration of a run: what a model file says, complete with every default, and back to the same format.

A model file is TOML. Its tables map onto constructors, their keys onto arguments::

    [model]             name, description, citation, expected
    [network]           seed
    [[populations]]     name, neuron = a registered neuron, size, the neuron's parameters, bias, batch_norm, dropout
    [[connections]]     source, target, connectivity = a registered one, its arguments with weight and delay,
                        name, synapse, max_delay_steps, delay_kernel
    [compiler]          kind = "surrogate" or "eventprop", example_timesteps, batch_size, losses, dt, backend, threads,
                        rng_seed, reg_strength_upper (and so on), clip_norm, max_spikes; surrogate and detach_reset of
                        the first kind, grad_limit and phantom_spike of the second
    [training]          dataset, num_epochs, optimiser (of weights and batch norms, "none" where they are fixed),
                        delay_optimiser (delays are not learned where it is not given), validation, shuffle, data_dir
    [rewiring]          rule = "none" or a registered one, its arguments, connections = names (all where not given)

Whatever a registry names is a text, ``surrogate = "arctan"``, or a table, ``surrogate = {kind = "arctan", alpha = 5}``.
A run folder's ``config.toml`` has one section more, ``[versions]``, which is not read.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..backends import BACKENDS
from ..connectivity.connectivity import CONNECTIVITY
from ..datasets import DATASETS
from ..delays import DELAY_KERNELS
from ..errors import GennDelaysError, InvalidValueError, check_count, check_real, unknown
from ..learning import OPTIMISERS, SURROGATES
from ..learning.losses import LOSSES
from ..neurons import NEURONS, BatchNorm
from ..random import MAX_SEED
from ..rewiring import DEEP_R_RIGL, REWIRING
from ..synapses import SYNAPSES
from ..training.compiler import refuse_mlgenns
from ..training.event_prop_compiler import EventPropCompiler
from ..training.registry import COMPILERS
from .tables import Table, as_table, as_text, check_keys, complete, complete_value, plain

METHOD_KEYS = {"surrogate": ("surrogate", "detach_reset"), "eventprop": ("grad_limit", "phantom_spike")}
"""Keys of ``[compiler]`` that only one kind has."""
_WERE_STRENGTHS = ("reg_lambda_upper", "reg_lambda_lower")
"""What ``reg_strength_upper`` and ``reg_strength_lower`` were called in files that earlier versions wrote."""
_METHOD_ONLY = [key for keys in METHOD_KEYS.values() for key in keys]
NO_OPTIMISER = "none"
NO_REWIRING = "none"
NO_KERNEL = "none"


class _Nothing:
    """What "none" stands for among the names of a registry: it takes no arguments."""

    def __init__(self) -> None:
        pass


_BATCH_NORM = {"batch_norm": BatchNorm}
SECTIONS = ("model", "network", "populations", "connections", "compiler", "training", "rewiring", "versions")


@dataclass(frozen=True)
class ModelConfig:
    """What the model is: for people, except `name`, which names run folders."""

    name: str
    description: str = ""
    citation: str = ""
    expected: str = ""


@dataclass(frozen=True)
class PopulationConfig:
    """A population. `neuron` holds the registered name under ``neuron`` and its arguments, `batch_norm` its own."""

    name: str
    size: Any
    neuron: Table
    bias: Any = 0.0
    batch_norm: Table | None = None
    dropout: float = 0.0

    @property
    def section(self) -> str:
        """Where it stands, for messages."""
        return f"[[populations]] {self.name!r}"


@dataclass(frozen=True)
class ConnectionConfig:
    """A connection. `connectivity` and `delay_kernel` hold the registered names and their arguments."""

    source: str
    target: str
    connectivity: Table
    synapse: Table = field(default_factory=lambda: {"kind": "delta"})
    name: str | None = None
    max_delay_steps: int | None = None
    delay_kernel: Table | None = None

    @property
    def section(self) -> str:
        """Where it stands, for messages."""
        return f"[[connections]] {self.name or f'{self.source} -> {self.target}'!r}"


@dataclass(frozen=True)
class CompilerConfig:
    """Arguments of the compiler `kind`, None where it has none of the name; `threads` is the cpu backend's, all
    processors where None."""

    example_timesteps: int
    kind: str = "surrogate"
    batch_size: int = 32
    losses: Table = field(default_factory=lambda: {"kind": "sparse_categorical_crossentropy"})
    surrogate: Table | None = None
    detach_reset: bool | None = None
    grad_limit: float | None = None
    phantom_spike: float | None = None
    dt: float = 1.0
    backend: str = "cpu"
    rng_seed: int = 0
    threads: int | None = None
    reg_strength_upper: float = 0.0
    reg_strength_lower: float = 0.0
    reg_nu_upper: float = 0.0
    reg_nu_lower: float | None = None
    clip_norm: float | None = None
    max_spikes: int | None = None


@dataclass(frozen=True)
class TrainingConfig:
    """The data and how it is learned; `validation` is the stratified share of the training data held out."""

    dataset: str
    num_epochs: int
    optimiser: Table = field(default_factory=lambda: {"kind": "adam"})
    delay_optimiser: Table | None = None
    validation: float = 0.1
    shuffle: bool = True
    data_dir: str | None = None


@dataclass(frozen=True)
class RewiringConfig:
    """The rewiring rule with its arguments under ``rule``, and the names of the connections it rewires, None: all."""

    rule: Table = field(default_factory=lambda: {"rule": NO_REWIRING})
    connections: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The rule's registered name, or ``"none"``."""
        return str(self.rule["rule"])

    @property
    def label(self) -> str:
        """The name under which the command line knows it: DEEP R that grows by the gradient is ``"deep_r_rigl"``."""
        return DEEP_R_RIGL if self.name == "deep_r" and self.rule.get("growth") == "gradient" else self.name


@dataclass(frozen=True)
class Config:
    """A run, completely: the same configuration gives the same bits."""

    model: ModelConfig
    seed: int
    populations: tuple[PopulationConfig, ...]
    connections: tuple[ConnectionConfig, ...]
    compiler: CompilerConfig
    training: TrainingConfig
    rewiring: RewiringConfig

    @classmethod
    def from_tables(cls, tables: Mapping[str, Any]) -> Config:
        """The configuration that a model's tables describe.

        Raises:
            InvalidValueError: a section, a key or a name that does not exist, or a value of the wrong kind.
        """
        try:
            check = as_table("a model", plain("a model", tables))
        except RecursionError as error:
            raise InvalidValueError("a model's tables or lists are nested too deeply") from error
        check_keys("a model", check, SECTIONS)
        for section in ("model", "populations", "connections", "compiler", "training"):
            if section not in check:
                raise InvalidValueError(f"a model lacks its section [{section}]")
        network = as_table("[network]", check.get("network", {}))
        check_keys("[network]", network, ["seed"])
        return cls(
            model=_model(as_table("[model]", check["model"])),
            seed=check_count("[network] seed", network.get("seed", 0), 0, MAX_SEED),
            populations=tuple(_population(t) for t in _list("populations", check["populations"])),
            connections=tuple(_connection(t) for t in _list("connections", check["connections"])),
            compiler=_compiler(as_table("[compiler]", check["compiler"])),
            training=_training(as_table("[training]", check["training"])),
            rewiring=_rewiring(as_table("[rewiring]", check.get("rewiring", {}))),
        )

    def tables(self) -> Table:
        """The same format, with everything in it that a default gave."""
        rewiring = {**self.rewiring.rule, "connections": self.rewiring.connections}
        found = {
            "model": {key: text for key, text in asdict(self.model).items() if text},
            "network": {"seed": self.seed},
            "populations": [
                {
                    "name": p.name, "size": p.size, **p.neuron, "bias": None if p.bias == 0 else p.bias,
                    "batch_norm": p.batch_norm, "dropout": p.dropout or None,
                }
                for p in self.populations
            ],
            "connections": [
                {
                    "name": c.name, "source": c.source, "target": c.target,
                    "synapse": c.synapse if len(c.synapse) > 1 else c.synapse["kind"],
                    "max_delay_steps": c.max_delay_steps, **c.connectivity, "delay_kernel": c.delay_kernel,
                }
                for c in self.connections
            ],
            "compiler": asdict(self.compiler),
            "training": asdict(self.training),
            "rewiring": rewiring,
        }  # fmt: skip
        result: Table = plain("configuration", found)
        return result


def read_toml(path: Path) -> Table:
    """The tables of a TOML file.

    Raises:
        InvalidValueError: it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a mark before the first letter
    except OSError as error:
        raise InvalidValueError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise InvalidValueError(f"{path} is not a TOML file: {error}") from error
    except RecursionError as error:
        raise InvalidValueError(f"{path} is not read: its tables or lists are nested too deeply") from error


def config_of(where: str, tables: Mapping[str, Any]) -> Config:
    """:meth:`Config.from_tables`, its errors preceded by where the tables come from."""
    try:
        return Config.from_tables(tables)
    except GennDelaysError as error:
        raise InvalidValueError(f"{where}: {error}") from error


# --- sections --------------------------------------------------------------------------------------------------------


def _list(section: str, value: Any) -> list[Table]:
    if not isinstance(value, list) or not value:
        raise InvalidValueError(f"[[{section}]] must be a list of at least one table, got {value!r}")
    return [as_table(f"[[{section}]] number {number}", entry) for number, entry in enumerate(value, 1)]


def _plain_keys(section: str, table: Table, kind: type[Any]) -> None:
    """Check the keys of a section that is a dataclass, and that what has no default is there."""
    check_keys(section, table, [f.name for f in fields(kind)])
    for f in fields(kind):
        if f.default is MISSING and f.default_factory is MISSING and f.name not in table:
            raise InvalidValueError(f"{section} lacks {f.name!r}")


def _model(table: Table) -> ModelConfig:
    _plain_keys("[model]", table, ModelConfig)
    for key, value in table.items():
        if not isinstance(value, str):
            raise InvalidValueError(f"[model] {key} must be a text, got {value!r}")
    if not re.fullmatch(r"[A-Za-z0-9][\w.\-]*", table["name"], re.ASCII):
        raise InvalidValueError(
            "[model] name must consist of letters, digits, '.', '-' and '_', as run folders bear it, "
            f"got {table['name']!r}"
        )
    return ModelConfig(**table)


def _population(table: Table) -> PopulationConfig:
    name = as_text("[[populations]] name", table.get("name"))
    section = f"[[populations]] {name!r}"
    if "size" not in table:
        raise InvalidValueError(f"{section} lacks 'size', its number of neurons")
    neuron = complete("neuron", NEURONS, section, table, "neuron", ["name", "size", "bias", "batch_norm", "dropout"])
    bias = complete_value(f"{section} bias", "bias", table.get("bias", 0.0))
    norm = table.get("batch_norm", False)
    if isinstance(norm, Mapping):  # a table of its arguments; the name stands for itself
        norm = complete("batch norm", _BATCH_NORM, f"{section} batch_norm", {**norm, "kind": "batch_norm"})
    else:
        _flag(f"{section} batch_norm", norm)
        norm = complete("batch norm", _BATCH_NORM, section, "batch_norm") if norm else None
    dropout = check_real(f"{section} dropout", table.get("dropout", 0.0), 0.0, 1.0, open_high=True)
    norm = norm and {key: value for key, value in norm.items() if key != "kind"}
    return PopulationConfig(name, table["size"], neuron, bias, norm, dropout)


def _connection(table: Table) -> ConnectionConfig:
    own = {key: table[key] for key in ("source", "target", "name", "max_delay_steps") if key in table}
    source, target = (as_text(f"[[connections]] {end}", table.get(end)) for end in ("source", "target"))
    if "name" in own:
        as_text("[[connections]] name", own["name"])
    section = f"[[connections]] {own.get('name') or f'{source} -> {target}'!r}"
    own_keys = [f.name for f in fields(ConnectionConfig) if f.name != "connectivity"]
    kernel = table.get("delay_kernel", NO_KERNEL)
    if kernel in (NO_KERNEL, {"kind": NO_KERNEL}):
        kernel = None
    else:
        kernel = complete("delay kernel", {**DELAY_KERNELS, NO_KERNEL: _Nothing}, f"{section} delay_kernel", kernel)
    return ConnectionConfig(
        connectivity=complete("connectivity", CONNECTIVITY, section, table, "connectivity", own_keys),
        delay_kernel=kernel,
        synapse=complete("synapse", SYNAPSES, f"{section} synapse", table.get("synapse", "delta")),
        **own,
    )


def _compiler(table: Table) -> CompilerConfig:
    for key in [key for key in table if key.startswith("reg_lambda")]:
        if key in _WERE_STRENGTHS and type(table[key]) in (int, float) and table[key] == 0:
            del table[key]  # nothing is nothing on either scale: runs of earlier versions say so of themselves
        else:
            refuse_mlgenns(key)  # its number would be another one
    _plain_keys("[compiler]", table, CompilerConfig)
    kind = table.get("kind", CompilerConfig.kind)
    registered("kind in [compiler]", kind, COMPILERS)
    for other, keys in METHOD_KEYS.items():
        for key in keys:
            if other != kind and key in table:
                raise InvalidValueError(f"[compiler] {key} is no setting of kind = {kind!r}, it is one of {other!r}")
    if kind == "surrogate":
        table.setdefault("detach_reset", True)
        _flag("[compiler] detach_reset", table["detach_reset"])
        surrogate = complete("surrogate", SURROGATES, "[compiler] surrogate", table.get("surrogate", "arctan"))
        table["surrogate"] = surrogate
    else:
        limit = table.get("grad_limit", EventPropCompiler.GRAD_LIMIT)
        table["grad_limit"] = check_real("[compiler] grad_limit", limit, 0.0, open_low=True)
        push = table.get("phantom_spike", EventPropCompiler.PHANTOM_SPIKE)
        table["phantom_spike"] = check_real("[compiler] phantom_spike", push, 0.0)
    if "max_spikes" in table:
        check_count("[compiler] max_spikes", table["max_spikes"])
    check_count("[compiler] example_timesteps", table["example_timesteps"])
    check_count("[compiler] batch_size", table.get("batch_size", 1))
    check_count("[compiler] rng_seed", table.get("rng_seed", 0), 0, MAX_SEED)
    check_real("[compiler] dt", table.get("dt", 1.0), 0.0, open_low=True)
    registered("backend in [compiler]", table.get("backend", CompilerConfig.backend), BACKENDS)
    if "threads" in table:
        check_count("[compiler] threads", table["threads"], 1, 1024)
    losses = complete("loss", LOSSES, "[compiler] losses", table.pop("losses", "sparse_categorical_crossentropy"))
    return CompilerConfig(**table, losses=losses)


def with_compiler(config: Config, kind: Any) -> Config:
    """The configuration trained by another compiler; what only the old one has goes, the new one's defaults come."""
    table: Table = {key: value for key, value in asdict(config.compiler).items() if value is not None}
    table = {key: value for key, value in table.items() if kind == table["kind"] or key not in _METHOD_ONLY}
    return replace(config, compiler=_compiler({**table, "kind": kind}))


def _training(table: Table) -> TrainingConfig:
    _plain_keys("[training]", table, TrainingConfig)
    registered("dataset in [training]", table["dataset"], DATASETS)
    _flag("[training] shuffle", table.get("shuffle", True))
    check_count("[training] num_epochs", table["num_epochs"])
    check_real("[training] validation", table.get("validation", 0.1), 0.0, 1.0, open_high=True)
    if "data_dir" in table:
        as_text("[training] data_dir", table["data_dir"])
    optimisers = {**OPTIMISERS, NO_OPTIMISER: _Nothing}  # so that 'none' is among the names an error lists
    optimiser = table.pop("optimiser", "adam")
    if optimiser in (NO_OPTIMISER, {"kind": NO_OPTIMISER}):
        optimiser = {"kind": NO_OPTIMISER}
    else:
        optimiser = complete("optimiser", optimisers, "[training] optimiser", optimiser)
    delays = table.pop("delay_optimiser", None)
    if delays is not None:
        delays = complete("optimiser", OPTIMISERS, "[training] delay_optimiser", delays)
    return TrainingConfig(**table, optimiser=optimiser, delay_optimiser=delays)


def _rewiring(table: Table) -> RewiringConfig:
    names = table.pop("connections", None)
    if names is not None and (not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names)):
        raise InvalidValueError(f"[rewiring] connections must be a list of names of connections, got {names!r}")
    if table.get("rule", NO_REWIRING) == NO_REWIRING:
        if len(table) > ("rule" in table):
            keys = ", ".join(repr(key) for key in table if key != "rule")
            raise InvalidValueError(f"[rewiring] rule 'none' takes no {keys}; known rules: {', '.join(REWIRING)}")
        return RewiringConfig()
    if table.get("rule") == DEEP_R_RIGL:  # as the command line calls it
        table = {"growth": "gradient", **table, "rule": "deep_r"}
    rules = {**REWIRING, NO_REWIRING: _Nothing}  # so that 'none' is among the names an error lists
    return RewiringConfig(
        complete("rewiring rule", rules, "[rewiring]", table, "rule"), None if names is None else tuple(names)
    )


def registered(what: str, name: Any, registry: Mapping[str, Any]) -> None:
    """An error for what is no name of a registry, whatever type it has."""
    if not isinstance(name, str) or name not in registry:
        raise unknown(what, name, registry)


def _flag(what: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise InvalidValueError(f"{what} must be true or false, got {value!r}")
