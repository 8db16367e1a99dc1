"""The sections of a model file: their keys, and their tables read, checked and completed by every default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from ..backends import BACKENDS
from ..connectivity.connectivity import CONNECTIVITY
from ..datasets import DATASETS
from ..datasets.own import OwnData, check_dataset, is_path
from ..delays import DELAY_KERNELS
from ..drives import Current, Drive, NoiseCurrent, PoissonDrive, StepCurrent
from ..errors import InvalidValueError, check_count, check_real, unknown
from ..learning import OPTIMISERS, SURROGATES
from ..learning.losses import LOSSES
from ..neurons import NEURONS, BatchNorm
from ..porting import refuse_argument
from ..random import MAX_SEED
from ..rewiring import DEEP_R_RIGL, REWIRING
from ..synapses import SYNAPSES
from ..training.event_prop_compiler import EventPropCompiler
from ..training.registry import COMPILERS
from .tables import Table, as_text, check_keys, check_utf8, complete, complete_value, within

METHOD_KEYS = {"surrogate": ("surrogate", "detach_reset"), "eventprop": ("grad_limit", "phantom_spike")}
"""Keys of ``[compiler]`` that only one kind has."""
_WERE_STRENGTHS = ("reg_lambda_upper", "reg_lambda_lower")
"""Names of ``reg_strength_upper`` and ``reg_strength_lower`` in files of earlier versions."""
METHOD_ONLY = [key for keys in METHOD_KEYS.values() for key in keys]
NO_OPTIMISER = "none"
NO_REWIRING = "none"
NO_KERNEL = "none"
DRIVES: dict[str, type[Drive]] = {
    "poisson_drive": PoissonDrive, "current": Current, "noise_current": NoiseCurrent, "step_current": StepCurrent,
}  # fmt: skip
"""Input without neurons that send it, by the names of model files."""


class _Nothing:
    """The entry "none" among the names of a registry; it takes no arguments."""

    def __init__(self) -> None:
        pass


_BATCH_NORM = {"batch_norm": BatchNorm}


@dataclass(frozen=True)
class ModelConfig:
    """A description of the model for people; only `name` has an effect: it names run folders."""

    name: str
    description: str = ""
    citation: str = ""
    expected: str = ""


@dataclass(frozen=True)
class PopulationConfig:
    """A population. `neuron` holds the registered name under ``neuron`` and its arguments, `batch_norm` its own,
    `drives` those of one drive, or a list of them, with the registered name under ``kind``; None for none."""

    name: str
    size: Any
    neuron: Table
    bias: Any = 0.0
    batch_norm: Table | None = None
    dropout: float = 0.0
    drives: Table | list[Table] | None = None

    @property
    def section(self) -> str:
        """Its place in the file, for messages."""
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
        """Its place in the file, for messages."""
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
    """The data and how it is learned; `validation` is the stratified share of the training data held out.

    `test_share`, `split_seed`, `sample_rate` and `data_sha256` are of data of one's own, see
    :class:`~genn_delays.datasets.OwnData`; the last one is kept by runs.
    """

    dataset: str
    num_epochs: int
    optimiser: Table = field(default_factory=lambda: {"kind": "adam"})
    delay_optimiser: Table | None = None
    validation: float = 0.1
    shuffle: bool = True
    data_dir: str | None = None
    test_share: float | None = None
    split_seed: int | None = None
    sample_rate: int | None = None
    data_sha256: str | None = None

    @property
    def own(self) -> OwnData:
        """Settings of data of one's own."""
        return OwnData(self.test_share, self.split_seed, self.sample_rate, sha256=self.data_sha256)


OWN_KEYS = ("test_share", "split_seed", "sample_rate", "data_sha256")
"""Keys of ``[training]`` for data of one's own alone."""


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
        """The rule's name on the command line: DEEP R that grows by the gradient is ``"deep_r_rigl"``."""
        return DEEP_R_RIGL if self.name == "deep_r" and self.rule.get("growth") == "gradient" else self.name


# --- tables read -----------------------------------------------------------------------------------------------------


def _plain_keys(section: str, table: Table, kind: type[Any]) -> None:
    """Check the keys of a section that is a dataclass, and that what has no default is there."""
    check_keys(section, table, [f.name for f in fields(kind)])
    for f in fields(kind):
        if f.default is MISSING and f.default_factory is MISSING and f.name not in table:
            raise InvalidValueError(f"{section} lacks {f.name!r}")


def read_model(table: Table) -> ModelConfig:
    """Section ``[model]``."""
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


def read_population(table: Table) -> PopulationConfig:
    """A table of ``[[populations]]``."""
    name = as_text("[[populations]] name", table.get("name"))
    section = f"[[populations]] {name!r}"
    if "size" not in table:
        raise InvalidValueError(f"{section} lacks 'size', its number of neurons")
    own = ["name", "size", "bias", "batch_norm", "dropout", "drives"]
    neuron = complete("neuron", NEURONS, section, table, "neuron", own)
    bias = complete_value(f"{section} bias", "bias", table.get("bias", 0.0))
    norm = table.get("batch_norm", False)
    if isinstance(norm, Mapping):  # a table of its arguments; the name stands for itself
        norm = complete("batch norm", _BATCH_NORM, f"{section} batch_norm", {**norm, "kind": "batch_norm"})
    else:
        _flag(f"{section} batch_norm", norm)
        norm = complete("batch norm", _BATCH_NORM, section, "batch_norm") if norm else None
    dropout = check_real(f"{section} dropout", table.get("dropout", 0.0), 0.0, 1.0, open_high=True)
    norm = norm and {key: value for key, value in norm.items() if key != "kind"}
    return PopulationConfig(name, table["size"], neuron, bias, norm, dropout, _drives(section, table.get("drives")))


def _drives(section: str, value: Any) -> Table | list[Table] | None:
    """The drives of a population, one table or a list of them, as the file has it."""
    if value is None or value == []:
        return None
    if isinstance(value, list):
        named = [(f"{section} drives number {number}", entry) for number, entry in enumerate(value, 1)]
        return [complete("drive", DRIVES, place, entry) for place, entry in named]
    return complete("drive", DRIVES, f"{section} drives", value)


def read_connection(table: Table) -> ConnectionConfig:
    """A table of ``[[connections]]``."""
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


def read_compiler(table: Table) -> CompilerConfig:
    """Section ``[compiler]``, with the defaults of its kind."""
    for key in [key for key in table if key.startswith("reg_lambda")]:
        if key in _WERE_STRENGTHS and type(table[key]) in (int, float) and table[key] == 0:
            del table[key]  # 0 has the same meaning under the old name: runs of earlier versions have it
        else:
            refuse_argument(key)  # other numbers have another scale
    _plain_keys("[compiler]", table, CompilerConfig)
    kind = table.get("kind", CompilerConfig.kind)
    registered("kind in [compiler]", kind, COMPILERS)
    for other, keys in METHOD_KEYS.items():
        for key in keys:
            if other != kind and key in table:
                raise InvalidValueError(f"[compiler] {key} is not a setting of kind = {kind!r}, it is one of {other!r}")
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


def read_training(table: Table) -> TrainingConfig:
    """Section ``[training]``."""
    _plain_keys("[training]", table, TrainingConfig)
    check_dataset("dataset in [training]", table["dataset"], DATASETS)
    _flag("[training] shuffle", table.get("shuffle", True))
    check_count("[training] num_epochs", table["num_epochs"])
    check_real("[training] validation", table.get("validation", 0.1), 0.0, 1.0, open_high=True)
    if "data_dir" in table:
        as_text("[training] data_dir", table["data_dir"])
    for key in _others_keys(table["dataset"]):
        if key in table:
            of = "by name" if key == "data_dir" else "of your own, given by a path"
            raise InvalidValueError(f"[training] {key} is a setting of data sets {of}, not of {table['dataset']!r}")
    optimisers = {**OPTIMISERS, NO_OPTIMISER: _Nothing}  # so that 'none' is among the names an error lists
    optimiser = table.pop("optimiser", "adam")
    if optimiser in (NO_OPTIMISER, {"kind": NO_OPTIMISER}):
        optimiser = {"kind": NO_OPTIMISER}
    else:
        optimiser = complete("optimiser", optimisers, "[training] optimiser", optimiser)
    delays = table.pop("delay_optimiser", None)
    if delays in (NO_OPTIMISER, {"kind": NO_OPTIMISER}):
        delays = None
    if delays is not None:
        delays = complete("optimiser", optimisers, "[training] delay_optimiser", delays)
    training = TrainingConfig(**table, optimiser=optimiser, delay_optimiser=delays)
    within("[training]", lambda: training.own)
    return training


def with_data(training: TrainingConfig, data: Any) -> TrainingConfig:
    """The section with other data, a name or an absolute path; settings that these data do not have are removed."""
    check_dataset("--data", data, DATASETS)
    check_utf8("--data", data)
    removed: dict[str, Any] = dict.fromkeys((*_others_keys(data), "data_sha256"))
    return replace(training, dataset=data, **removed)


def _others_keys(dataset: str) -> tuple[str, ...]:
    """Keys of ``[training]`` that are of other kinds of data."""
    return ("data_dir",) if is_path(dataset) else OWN_KEYS


def read_rewiring(table: Table) -> RewiringConfig:
    """Section ``[rewiring]``."""
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
    """Raise an error for a value of any type that is not a name of a registry."""
    if not isinstance(name, str) or name not in registry:
        raise unknown(what, name, registry)


def _flag(what: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise InvalidValueError(f"{what} must be true or false, got {value!r}")
