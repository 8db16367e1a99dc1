"""Any key of a model file set for one run: ``--set KEY=VALUE`` of the command line, and the settings of sweeps.

A setting is a dotted path through the tables of a model file, completed by every default; ``docs/model_files.md`` has
examples ("Setting any key"). A key without a dot is an option of the command line by its name
(:class:`~.overrides.Overrides`). Options are applied before the others.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar

from ..connectivity.connectivity import CONNECTIVITY
from ..datasets.own import located
from ..delays import DELAY_INITIALIZERS, DELAY_KERNELS
from ..errors import GennDelaysError, InvalidValueError, shown, unknown
from ..initializers import INITIALIZERS
from ..learning import OPTIMISERS, SCHEDULES, SURROGATES
from ..learning.losses import LOSSES
from ..learning.readouts import READOUTS
from ..neurons import NEURONS
from ..rewiring import DEEP_R_RIGL, REWIRING
from ..synapses import SYNAPSES
from ..training.registry import COMPILERS
from .build import validate
from .build_simulation import validate_simulation
from .config import SECTIONS, Config
from .overrides import Overrides, overrides_in
from .sections import DRIVES, METHOD_KEYS, NO_KERNEL, NO_OPTIMISER, NO_REWIRING, ConnectionConfig
from .simulated import SIMULATION_SECTIONS, SimulationConfig, SimulationOverrides
from .tables import Registry, Table, arguments_of

FLAGS = tuple(f.name for f in fields(Overrides))
"""Settings without a dot."""
SIMULATION_FLAGS = tuple(f.name for f in fields(SimulationOverrides))
"""The same of simulations."""
AnyConfig = TypeVar("AnyConfig", Config, SimulationConfig)
_DATA = ("data", "training.dataset")
"""The option and the key with the same meaning."""
_LISTS = ("populations", "connections")
_EVERY = "*"
_BARE = re.compile(r"[\w./~][\w.,:/~+-]*")
"""Values that are taken for a text: words, names, paths, sizes with commas."""
_REGISTRIES: dict[str, Registry] = {
    "optimiser": OPTIMISERS, "delay_optimiser": OPTIMISERS, "schedule": SCHEDULES, "surrogate": SURROGATES,
    "losses": LOSSES, "readout": READOUTS, "delay_kernel": DELAY_KERNELS, "synapse": SYNAPSES,
    "delay": DELAY_INITIALIZERS, "drives": DRIVES,
}  # fmt: skip
"""Names that the ``kind`` of a table of this key may be; other tables with a ``kind`` are initialisers."""
_NAMING: dict[str, tuple[str, Registry]] = {
    "populations": ("neuron", NEURONS), "connections": ("connectivity", CONNECTIVITY),
    "rewiring": ("rule", REWIRING), "compiler": ("kind", COMPILERS),
}  # fmt: skip
"""The key of a section, or of an entry of a list, that names what its other keys are arguments of."""
_OWN: dict[str, tuple[str, ...]] = {
    "populations": ("name", "size", "bias", "batch_norm", "dropout", "drives"),
    "connections": tuple(f.name for f in fields(ConnectionConfig) if f.name != "connectivity"),
    "rewiring": ("connections",),
}
"""Further keys of such a section."""

Path = tuple[str, ...]


# --- texts -----------------------------------------------------------------------------------------------------------


def read_setting(text: str) -> tuple[str, Any]:
    """The key and the value of ``KEY=VALUE``.

    Raises:
        InvalidValueError: there is no ``=``, no key, or a value that is neither TOML nor a word.
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key or not value:
        raise InvalidValueError(f"--set must be KEY=VALUE, for example training.optimiser.l1=0.001, got {text!r}")
    split_key(key)
    try:
        if "\n" in value:
            raise ValueError("it has several lines")
        return key, _located(key, tomllib.loads(f"value = {value}")["value"])
    except (ValueError, RecursionError) as error:
        if _BARE.fullmatch(value):
            return key, _located(key, value)
        raise InvalidValueError(f"--set {key}: {value!r} is no TOML value, and no word: {error}") from error


def _located(key: str, value: Any) -> Any:
    """A value of the command line: data of one's own lie below the current folder, not below that of the run."""
    return located(value, ".") if key in _DATA else value


def split_key(key: str) -> Path:
    """The parts of a dotted key; a part with dots of its own stands in quotes.

    Raises:
        InvalidValueError: this is no such key.
    """
    try:
        if "\n" in key:
            raise ValueError("it has several lines")
        tables: Any = tomllib.loads(re.sub(r"(?<=\.)\s*\*\s*(?=\.)", '"*"', key) + " = 0")
    except ValueError as error:
        raise InvalidValueError(f"{key!r} is no key of a model file, such as training.optimiser.l1: {error}") from error
    parts = []
    while isinstance(tables, dict):
        ((part, tables),) = tables.items()
        parts.append(part)
    return tuple(parts)


def flat(tables: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """Settings by dotted key out of TOML's tables: ``training.optimiser.l1 = 0.1`` needs no quotes in a file.

    A table that has a ``kind`` is a value; it replaces the whole table.
    """
    found: dict[str, Any] = {}
    for name, value in tables.items():
        bare = within == "" or name == _EVERY or re.fullmatch(r"[\w-]+", name, re.ASCII)
        key = f"{within}{name if bare else _quoted(name)}"
        if isinstance(value, dict) and "kind" not in value and value:
            found |= flat(value, f"{key}.")
        else:
            found[key] = value
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def value_of(config: Config, key: str) -> Any:
    """The value that a setting has in a configuration; None where it has none, or several."""
    if key in FLAGS:
        return getattr(overrides_in(config), key)
    tables: Any = config.tables()
    parts = split_key(key)
    if parts[0] in _LISTS and parts[0] in tables:
        tables[parts[0]] = dict(zip(_names(parts[0], tables[parts[0]]), tables[parts[0]], strict=True))
    for part in parts:
        if not isinstance(tables, dict) or part not in tables:
            return None
        tables = tables[part]
    return tables


# --- applied ---------------------------------------------------------------------------------------------------------


def with_settings(config: AnyConfig, settings: Mapping[str, Any]) -> AnyConfig:
    """The configuration with settings, checked like a model file.

    Args:
        config: the model.
        settings: values by dotted key or by the name of an option, in any order.

    Raises:
        InvalidValueError: there is no such key, or a value is not allowed; the message names the setting.
    """
    if not settings:
        return config
    _check_names(config, settings)
    try:
        return _applied(config, settings)
    except GennDelaysError as error:
        for key in settings:  # the one without which all is well
            try:
                _applied(config, {other: value for other, value in settings.items() if other != key})
            except GennDelaysError:
                continue
            raise InvalidValueError(f"setting {key} = {shown(settings[key])}: {error}") from error
        raise InvalidValueError(f"setting {', '.join(settings)}: {error}") from error


def _names_of(config: Config | SimulationConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Settings without a dot, and sections, of a kind of configuration."""
    simulated = isinstance(config, SimulationConfig)
    return (SIMULATION_FLAGS, SIMULATION_SECTIONS) if simulated else (FLAGS, SECTIONS)


def _check_names(config: Config | SimulationConfig, settings: Mapping[str, Any]) -> None:
    flags, sections = _names_of(config)
    for key in settings:
        if "." not in key and key not in flags:
            meant = [path for path in _known(config) if path.split(".")[-1] == key]
            if meant:
                names = ", ".join(repr(path) for path in meant)
                raise InvalidValueError(f"unknown setting {key!r}: did you mean {names}?")
            if key in _LISTS:
                raise InvalidValueError(f"{key} are set by name and key, {key}.NAME.KEY, got the whole {key}")
            if key in sections:
                raise InvalidValueError(f"section [{key}] is set key by key, {key}.KEY, got the whole section")
            raise unknown("setting", key, flags)
        parts = split_key(key)
        if len(parts) > 1 and (parts[0] not in sections or parts[0] == "versions"):
            near = get_close_matches(key, _known(config), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(s for s in sections if s != "versions")
            raise InvalidValueError(f"unknown section {parts[0]!r} in setting {key!r}; known: {known}.{hint}")


def _known(config: Config | SimulationConfig) -> list[str]:
    """Dotted keys of all that a configuration has."""
    tables = config.tables()
    named: Table = {section: table for section, table in tables.items() if section not in _LISTS}
    for section in (section for section in _LISTS if section in tables):
        named[section] = dict(zip(_names(section, tables[section]), tables[section], strict=True))

    def paths(table: Table, within: str) -> list[str]:
        found = []
        for name, value in table.items():
            found += paths(value, f"{within}{name}.") if isinstance(value, dict) else [f"{within}{name}"]
        return found

    return paths(named, "")


def _applied(config: AnyConfig, settings: Mapping[str, Any]) -> AnyConfig:
    if isinstance(config, SimulationConfig):
        return _applied_simulation(config, settings)
    settings = {_DATA[0] if key == _DATA[1] else key: value for key, value in settings.items()}
    flags = {key: value for key, value in settings.items() if key in FLAGS}
    if flags:
        config = Overrides(**flags).apply(config)
    dotted = {split_key(key): value for key, value in settings.items() if key not in FLAGS}
    if dotted:
        config = Config.from_tables(_with_dotted(config.tables(), dotted))
    validate(config)
    return config


def _applied_simulation(config: SimulationConfig, settings: Mapping[str, Any]) -> SimulationConfig:
    flags = {key: value for key, value in settings.items() if key in SIMULATION_FLAGS}
    dotted = {split_key(key): value for key, value in settings.items() if key not in SIMULATION_FLAGS}
    if dotted:  # before the options, which are checked with the time step
        config = SimulationConfig.from_tables(_with_dotted(config.tables(), dotted))
    config = SimulationOverrides(**flags).apply(config)
    validate_simulation(config)
    return config


def _with_dotted(tables: Table, dotted: Mapping[Path, Any]) -> Table:
    """A model's tables with settings by path in them."""
    # whole tables before their keys, and what they are before its arguments
    for path in sorted(dotted, key=lambda path: (len(path), not _names_kind(path))):
        _set(tables, path, copy.deepcopy(dotted[path]))
    return tables


def _names_kind(path: Path) -> bool:
    return path[-1] == "kind" or path[-1] == _NAMING.get(path[0], ("", {}))[0]


def _set(tables: Table, path: Path, value: Any) -> None:
    section, *rest = path
    if section not in _LISTS:
        if not rest:
            tables[section] = value
            return
        _set_in(tables.setdefault(section, {}), section, tuple(rest), value, path)
        return
    name = rest[0] if rest else ""
    if len(rest) < 2:
        raise InvalidValueError(f"{section} are set by name and key, {section}.NAME.KEY, got {'.'.join(path)!r}")
    names = _names(section, tables.get(section, []))
    if name == _EVERY:
        entries = [entry for entry in tables[section] if _may_have(entry, section, tuple(rest[1:]))]
        if not entries:
            raise InvalidValueError(f"none of the {section} ({', '.join(names)}) has or may have {'.'.join(rest[1:])}")
    elif name in names:
        entries = [tables[section][names.index(name)]]
    else:
        raise unknown(section[:-1], name, names)
    for entry in entries:
        _set_in(entry, section, tuple(rest[1:]), copy.deepcopy(value), path)


def _set_in(table: Table, key: str, rest: Path, value: Any, path: Path, top: bool = True) -> None:
    """Set ``table[rest[0]][rest[1]]...``; `key` is that of the table, or its section."""
    if len(rest) > 1:
        inner = table.get(rest[0], {})
        if isinstance(inner, str) and (rest[0] in _REGISTRIES or rest[0] in ("weight", "bias")):
            inner = {"kind": inner}
        if inner is True and rest[0] == "batch_norm":
            inner = {}
        if not isinstance(inner, dict):
            raise InvalidValueError(f"{rest[0]} is {shown(inner)}, which has no {'.'.join(rest[1:])!r}")
        table[rest[0]] = inner
        _set_in(inner, rest[0], rest[1:], value, path, top=False)
        return
    naming, registry = _naming(key, top)
    if rest[0] == naming and isinstance(value, str) and table.get(naming) not in (None, value):
        _keep_common(table, key, registry, value, top)
    table[rest[0]] = value


def _naming(key: str, top: bool) -> tuple[str, Registry]:
    """The key that names what a table is, and the names that there are."""
    if top:
        return _NAMING.get(key, ("", {}))
    return "kind", _REGISTRIES.get(key, INITIALIZERS)


def _keep_common(table: Table, key: str, registry: Registry, name: str, top: bool) -> None:
    """Remove the arguments that another name does not have."""
    if top and key == "compiler":
        gone = [argument for kind, arguments in METHOD_KEYS.items() if kind != name for argument in arguments]
        kept = [argument for argument in table if argument not in gone]
    elif name in (NO_REWIRING, NO_OPTIMISER, NO_KERNEL):
        kept = []
    elif (known := "deep_r" if top and name == DEEP_R_RIGL else name) in registry:
        kept = [*arguments_of(registry[known]), *(_OWN.get(key, ()) if top else ())]
        if top and key == "rewiring":
            kept = [argument for argument in kept if argument != "growth"]
    else:
        return  # an unknown name, which is an error where it is read
    for argument in [argument for argument in table if argument not in kept]:
        del table[argument]


def _may_have(entry: Table, section: str, rest: Path) -> bool:
    """True if an entry of a list has a key, or its neuron or connectivity takes it as an argument."""
    naming, registry = _NAMING[section]
    if rest[0] not in entry and rest[0] not in (naming, *_OWN[section], *arguments_of(registry[entry[naming]])):
        return False
    table, key = entry, section
    for number, part in enumerate(rest):
        if number:
            kind, registry = table.get("kind"), _naming(key, False)[1]
            known = arguments_of(registry[kind]) if isinstance(kind, str) and kind in registry else {}
            if part not in table and part not in known and part != "kind":
                return False
        inner = table.get(part)
        table, key = {"kind": inner} if isinstance(inner, str) else inner if isinstance(inner, dict) else {}, part
    return True


def _names(section: str, entries: list[Table]) -> list[str]:
    """Names of populations or connections, as the network has them."""
    found: list[str] = []
    for entry in entries:
        name = entry.get("name")
        if name is None:
            name = base = f"{entry['source']}_{entry['target']}"
            number = 1
            while name in found:
                number += 1
                name = f"{base}_{number}"
        found.append(name)
    return found
