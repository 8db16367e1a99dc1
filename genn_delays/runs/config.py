"""The configuration of a run: a model file completed by every default, and written back in the same format.

The format is described in ``docs/model_files.md``, key by key; ``tests/test_docs.py`` compares that page with the
sections read here. Models that are simulated, not trained: see :mod:`.simulated`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..datasets.own import located
from ..errors import GennDelaysError, InvalidValueError, check_count
from ..random import MAX_SEED
from ..version import __version__, is_newer
from .sections import (
    METHOD_ONLY,
    CompilerConfig,
    ConnectionConfig,
    ModelConfig,
    PopulationConfig,
    RewiringConfig,
    TrainingConfig,
    read_compiler,
    read_connection,
    read_model,
    read_population,
    read_rewiring,
    read_training,
)
from .tables import Table, as_table, check_keys, plain

SECTIONS = ("model", "network", "populations", "connections", "compiler", "training", "rewiring", "versions")


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
        check = plain_tables(tables)
        if "simulation" in check:
            raise InvalidValueError(
                "this is a model to be simulated, with [simulation] in place of [compiler] and [training]: "
                "`genn-delays simulate` runs it"
            )
        check_keys("a model", check, SECTIONS)
        for section in ("model", "populations", "connections", "compiler", "training"):
            if section not in check:
                raise InvalidValueError(f"a model lacks its section [{section}]")
        return cls(
            **read_network(check),
            compiler=read_compiler(as_table("[compiler]", check["compiler"])),
            training=read_training(as_table("[training]", check["training"])),
            rewiring=read_rewiring(as_table("[rewiring]", check.get("rewiring", {}))),
        )

    def tables(self) -> Table:
        """The same format, with all defaults in it."""
        rewiring = {**self.rewiring.rule, "connections": self.rewiring.connections}
        found = {
            **network_tables(self.model, self.seed, self.populations, self.connections),
            "compiler": asdict(self.compiler),
            "training": asdict(self.training),
            "rewiring": rewiring,
        }
        result: Table = plain("configuration", found)
        return result


def plain_tables(tables: Mapping[str, Any]) -> Table:
    """A model's tables, of plain values alone."""
    try:
        return as_table("a model", plain("a model", tables))
    except RecursionError as error:
        raise InvalidValueError("a model's tables or lists are nested too deeply") from error


def read_network(tables: Table) -> dict[str, Any]:
    """The model and its network out of a model's tables; the same for models that are trained or simulated."""
    network = as_table("[network]", tables.get("network", {}))
    check_keys("[network]", network, ["seed"])
    return {
        "model": read_model(as_table("[model]", tables["model"])),
        "seed": check_count("[network] seed", network.get("seed", 0), 0, MAX_SEED),
        "populations": tuple(read_population(t) for t in _list("populations", tables["populations"])),
        "connections": tuple(
            read_connection(t) for t in (_list("connections", tables["connections"]) if "connections" in tables else ())
        ),
    }


def network_tables(
    model: ModelConfig, seed: int, populations: tuple[PopulationConfig, ...], connections: tuple[ConnectionConfig, ...]
) -> Table:
    """The same as tables again."""
    return {
        "model": {key: text for key, text in asdict(model).items() if text},
        "network": {"seed": seed},
        "populations": [
            {
                "name": p.name, "size": p.size, **p.neuron, "bias": None if p.bias == 0 else p.bias,
                "batch_norm": p.batch_norm, "dropout": p.dropout or None, "drives": p.drives,
            }
            for p in populations
        ],
        "connections": [
            {
                "name": c.name, "source": c.source, "target": c.target,
                "synapse": c.synapse if len(c.synapse) > 1 else c.synapse["kind"],
                "max_delay_steps": c.max_delay_steps, **c.connectivity, "delay_kernel": c.delay_kernel,
            }
            for c in connections
        ],
    }  # fmt: skip


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


def located_tables(tables: Any, folder: Path) -> Any:
    """The tables of a file with the path of data of one's own absolute: a relative one starts at the file's folder."""
    if not isinstance(tables, Mapping):
        return tables
    found = dict(tables)
    for section, key in (("training", "dataset"), ("overrides", "data")):
        table = found.get(section)
        if isinstance(table, Mapping) and key in table:
            found[section] = {**table, key: located(table[key], folder)}
    return found


def config_of(where: str, tables: Mapping[str, Any]) -> Config:
    """:meth:`Config.from_tables`, its errors preceded by where the tables come from."""
    try:
        return Config.from_tables(tables)
    except GennDelaysError as error:
        raise InvalidValueError(f"{where}{written_by(tables)}: {error}") from error


def written_by(tables: Any) -> str:
    """A part of an error's sentence about tables that a newer version of this package has written; empty for others."""
    versions = tables.get("versions") if isinstance(tables, Mapping) else None
    theirs = versions.get("genn_delays") if isinstance(versions, Mapping) else None
    if not isinstance(theirs, str) or not is_newer(theirs):
        return ""
    return f" was written by genn_delays {theirs[:20]}, and this is {__version__}, which does not understand all of it"


def with_compiler(config: Config, kind: Any) -> Config:
    """The configuration with another compiler: arguments of the old one alone are removed, the new one's have
    defaults."""
    table: Table = {key: value for key, value in asdict(config.compiler).items() if value is not None}
    table = {key: value for key, value in table.items() if kind == table["kind"] or key not in METHOD_ONLY}
    return replace(config, compiler=read_compiler({**table, "kind": kind}))


def _list(section: str, value: Any) -> list[Table]:
    if not isinstance(value, list) or not value:
        raise InvalidValueError(f"[[{section}]] must be a list of at least one table, got {value!r}")
    return [as_table(f"[[{section}]] number {number}", entry) for number, entry in enumerate(value, 1)]
