"""Models: by name out of the library's own, or by path, a TOML or a Python file.

``docs/model_files.md`` describes all three: the tables of a TOML file, the ``build()`` of a Python file, and a TOML
file that builds on another model.
"""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..datasets.own import is_path
from ..errors import InvalidValueError, unknown
from ..paths import expanded
from .config import Config, config_of, located_tables, read_toml
from .folder import RunFolder
from .overrides import Overrides
from .settings import flat, with_settings
from .simulated import SimulationConfig, simulation_config_of
from .tables import as_table, check_keys

_PACKAGE = Path(__file__).resolve().parents[1]


def models_folder(package: Path = _PACKAGE) -> Path:
    """The folder of the library's own models: in the package of an installed wheel, beside the package in a
    checkout."""
    carried = package / "_models"
    return carried if carried.is_dir() else package.parent / "models"


def model_names(folder: Path | None = None, kind: str | None = None) -> list[str]:
    """Names of the library's own models; of those to be trained (``"training"``) or simulated (``"simulation"``) alone
    where a kind is given."""
    folder = folder or models_folder()
    return sorted(path.stem for path in folder.glob("*.toml") if kind in (None, _kind(folder, path.stem)))


def _kind(folder: Path, name: str, followed: int = 2) -> str:
    """The kind of a model of the library, that of the model that it extends."""
    tables = read_toml(folder / f"{name}.toml")
    base = _base(tables)
    if base is not None and followed and (folder / f"{base}.toml").is_file():
        return _kind(folder, str(base), followed - 1)
    return "simulation" if "simulation" in tables else "training"


def _base(tables: Any) -> Any:
    """The name of the model that a model's tables extend, None for none."""
    model = tables.get("model") if isinstance(tables, Mapping) else None
    return model.get("extends") if isinstance(model, Mapping) else None


def load_model(model: str, folder: Path | None = None) -> Config:
    """The configuration that a model describes.

    Args:
        model: the name of one of the library's models, or the path of a ``.toml`` or ``.py`` file.
        folder: of named models, if not :func:`models_folder`.

    Raises:
        InvalidValueError: there is no such model, or it does not describe one.
    """
    folder = folder or models_folder()
    return _config(*_tables_of(model, folder), folder)


def load_simulation_model(model: str, folder: Path | None = None) -> SimulationConfig:
    """The configuration of a simulation; see :func:`load_model`.

    Raises:
        InvalidValueError: there is no such model, or it does not describe a simulation.
    """
    folder = folder or models_folder()
    return _simulation(*_tables_of(model, folder), folder)


def _tables_of(model: str, folder: Path) -> tuple[str, Any]:
    """A model's tables, and where they are from, for messages."""
    names = model_names(folder)
    if model in names:
        return f"model {model!r}", read_toml(folder / f"{model}.toml")  # its data has a name
    path = expanded(model, "model")
    if path.is_dir():
        its = path / "config.toml"
        hint = f"; the model of the run in it is {its}" if its.is_file() else ""
        raise InvalidValueError(f"{model} is a folder, and a model is a name or the path of a .toml or .py file{hint}")
    if path.suffix not in (".toml", ".py") and path.exists():
        raise InvalidValueError(f"{model} is no model: its file must end in .toml or .py")
    if path.suffix not in (".toml", ".py") and not is_path(model):
        raise unknown("model (a name, or the path of a .toml or .py file)", model, names)
    if not path.is_file():
        raise InvalidValueError(f"there is no model file {model}; models by name: {', '.join(names) or 'none'}")
    tables = read_toml(path) if path.suffix == ".toml" else _run(path)
    return str(path), located_tables(tables, path.parent)


def run_or_model(what: str) -> RunFolder | None:
    """The run folder that a command is given where it takes a run or a model; None for a model.

    Raises:
        RunFolderError: it is a path, and there is nothing.
        InvalidValueError: it is the name of no model, and of no folder.
    """
    names = model_names()
    if what in names:
        return None
    path = expanded(what, "run folder")
    if path.is_dir():
        return RunFolder(what)
    if path.exists() or path.suffix in (".toml", ".py"):
        return None  # what is no model is refused as one
    if is_path(what):
        RunFolder(what).read_config()  # says what is not there
    raise unknown("run folder, model or path of a .toml or .py file", what, names)


def _simulation(where: str, tables: Any, folder: Path) -> SimulationConfig:
    """The configuration of a simulation's tables: [overrides] are settings of the model that it extends."""
    base = _base(tables)
    if base is None:
        return simulation_config_of(where, tables)
    if base not in model_names(folder) or base == tables["model"].get("name"):
        raise unknown(f"model in [model] extends of {where}", base, model_names(folder))
    if base not in model_names(folder, "simulation"):
        return simulation_config_of(where, load_model(str(base), folder).tables())  # which says what it is
    check_keys(where, tables, ("model", "overrides"))
    settings = flat(as_table("[overrides]", tables.get("overrides", {})))
    found = with_settings(load_simulation_model(str(base), folder), settings).tables()
    found["model"].pop("expected", None)  # the other model's figures
    found["model"] |= {key: value for key, value in tables["model"].items() if key != "extends"}
    return simulation_config_of(where, found)


def _config(where: str, tables: Any, folder: Path) -> Config:
    """The configuration of a model's tables, those of the model that it extends beneath them."""
    base = _base(tables)
    if base is None:
        return config_of(where, tables)
    model = tables["model"]
    if base in model_names(folder, "simulation"):
        return config_of(where, load_simulation_model(str(base), folder).tables())  # which says what it is
    if base not in model_names(folder) or base == model.get("name"):
        raise unknown(f"model in [model] extends of {where}", base, model_names(folder))
    given = {section: table for section, table in tables.items() if section != "overrides"}
    overrides = as_table("[overrides]", tables.get("overrides", {}))
    check_keys("[overrides]", overrides, [f.name for f in fields(Overrides)])
    for section in ("populations", "connections"):
        if section in given:
            raise InvalidValueError(f"{where}: a model that extends another has no [[{section}]]; use [overrides]")
    merged = Overrides(**overrides).apply(load_model(str(base), folder)).tables()
    merged["model"].pop("expected", None)  # the other model's figure
    for section, table in given.items():
        own, beneath = as_table(f"[{section}]", table), merged.get(section, {})
        if own.get("rule", beneath.get("rule")) != beneath.get("rule"):
            beneath = {}  # another rewiring rule has other arguments
        merged[section] = {**beneath, **own}
    del merged["model"]["extends"]
    return config_of(where, merged)


def _run(path: Path) -> Any:
    """The result of the ``build()`` of a Python file."""
    try:
        build = runpy.run_path(str(path), run_name="__genn_delays_model__").get("build")
        if not callable(build):
            raise InvalidValueError(f"{path} must define build(), which returns the model's tables")
        return build()
    except InvalidValueError:
        raise
    except Exception as error:  # any exception of the user's file is an error of the model
        raise InvalidValueError(f"{path} failed: {type(error).__name__}: {error}") from error
