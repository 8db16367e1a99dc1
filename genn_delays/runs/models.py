"""Models: by name out of the library's own, or by path, a TOML or a Python file.

A Python file defines ``build() -> dict``: the same tables that a TOML file holds (see :mod:`.config`), so that a
program can make what a table cannot say, for example explicit synapses::

    def build():
        return {
            "model": {"name": "ring"},
            "populations": [{"name": "in", "neuron": "spike_input", "size": 64}, ...],
            "connections": [{"source": "in", "target": "out", "connectivity": "sparse", "pre": pre, "post": post}],
            "compiler": {"example_timesteps": 30, "batch_size": 32},
            "training": {"dataset": "digits", "num_epochs": 10},
        }

What it returns is kept in the run folder as TOML; the Python file is not needed again.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from ..errors import InvalidValueError, unknown
from .config import Config, config_of, read_toml

_PACKAGE = Path(__file__).resolve().parents[1]


def models_folder(package: Path = _PACKAGE) -> Path:
    """Where the library's own models are: in the package of an installed wheel, beside the package in a checkout."""
    carried = package / "_models"
    return carried if carried.is_dir() else package.parent / "models"


def model_names(folder: Path | None = None) -> list[str]:
    """Names of the library's own models."""
    return sorted(path.stem for path in (folder or models_folder()).glob("*.toml"))


def load_model(model: str, folder: Path | None = None) -> Config:
    """The configuration that a model describes.

    Args:
        model: the name of one of the library's models, or the path of a ``.toml`` or ``.py`` file.
        folder: where named models are, if not in :func:`models_folder`.

    Raises:
        InvalidValueError: there is no such model, or it does not describe one.
    """
    folder = folder or models_folder()
    names = model_names(folder)
    if model in names:
        path = folder / f"{model}.toml"
        return config_of(f"model {model!r}", read_toml(path))
    path = Path(model).expanduser()
    if path.suffix not in (".toml", ".py"):
        raise unknown("model (a name, or the path of a .toml or .py file)", model, names)
    if not path.is_file():
        raise InvalidValueError(f"there is no model file {model}; models by name: {', '.join(names) or 'none'}")
    tables = read_toml(path) if path.suffix == ".toml" else _run(path)
    return config_of(str(path), tables)


def _run(path: Path) -> Any:
    """What the ``build()`` of a Python file returns."""
    try:
        build = runpy.run_path(str(path), run_name="__genn_delays_model__").get("build")
        if not callable(build):
            raise InvalidValueError(f"{path} must define build(), which returns the model's tables")
        return build()
    except InvalidValueError:
        raise
    except Exception as error:  # the file is the user's: whatever it raises is an error of the model
        raise InvalidValueError(f"{path} failed: {type(error).__name__}: {error}") from error
