"""The configuration of a run: a new one, or that of the folder that is resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..callbacks import Callback
from ..datasets.own import is_path
from ..errors import InvalidValueError, RunFolderError
from ..training.checkpoints import read_progress
from .config import Config, config_of
from .folder import RunFolder
from .models import load_model
from .overrides import Overrides, overrides_in
from .settings import with_settings
from .tables import as_table

_MAY_CHANGE = ("epochs", "threads", "data_dir", "data")
_NOT_COMPARED = ("compiler.threads", "training.num_epochs", "training.data_dir")
_FREE_IN_EVALUATION = ("compiler.backend", "compiler.batch_size")
_LONG = 64
_NONE: Mapping[str, Any] = {}


def new_config(model: str | None, overrides: Overrides, settings: Mapping[str, Any] = _NONE) -> Config:
    """The configuration of a new run; `settings` are those of :mod:`.settings`."""
    if model is None:
        raise InvalidValueError("train needs a MODEL; it can be left out only with --resume")
    asked = overrides.apply(load_model(model))
    found = with_settings(asked, settings)
    _check_agree(overrides, asked, found)
    return found


def _check_agree(overrides: Overrides, asked: Config, found: Config) -> None:
    """Raise an error where --set changes what an option asks for, unless it says more than the option can."""
    before, after = overrides_in(asked), overrides_in(found)
    for name in overrides.given():
        old, new = getattr(before, name), getattr(after, name)
        if new is not None and new != old:
            raise InvalidValueError(
                f"--{name.replace('_', '-')} asks for {old!r} and --set for {new!r}: give one of them"
            )


def resumed_config(
    model: str | None, overrides: Overrides, folder: RunFolder, settings: Mapping[str, Any] = _NONE
) -> Config | None:
    """The configuration of the run in a folder, its epochs, threads and data folder as asked for now.

    Settings that are not given now keep the run's values. Where a model is given, all else that it says must agree;
    so must `settings`, those of :mod:`.settings`.

    Returns:
        None where the folder holds nothing yet (the run was killed before it wrote its configuration) and a model
        is given.

    Raises:
        RunFolderError: the folder holds something that is no run, or nothing and no model is given, or the run has
            another setting.
    """
    if folder.is_empty():
        if model is None:
            what = "holds no run yet" if folder.path.exists() else "does not exist"
            raise RunFolderError(f"run folder {folder} {what}: there is nothing to resume; give MODEL to begin a run")
        return None
    kept = folder.read_config()
    folder.check_writable()
    before = overrides_in(kept)
    for name, value in overrides.given().items():
        old = getattr(before, name)
        if name not in _MAY_CHANGE and old is not None and value != old:
            raise _changed(folder, f"--{name.replace('_', '-')}", old, value)
    asked = Overrides(**{**before.given(), **overrides.given()})
    now = with_settings(asked.apply(kept if model is None else load_model(model)), settings)
    _check_goes_on(folder, kept, now)
    return replace(
        kept,
        compiler=replace(kept.compiler, threads=now.compiler.threads),
        training=replace(
            kept.training,
            num_epochs=now.training.num_epochs,
            data_dir=now.training.data_dir,
            dataset=now.training.dataset,  # another place of the same content, as `data_sha256` sees to
        ),
    )


def _check_goes_on(folder: RunFolder, kept: Config, now: Config) -> None:
    moved = is_path(kept.training.dataset) and is_path(now.training.dataset)
    for key, old, new in differences(kept.tables(), now.tables()):
        if moved and (key == "training.dataset" or (key == "training.data_sha256" and None in (old, new))):
            continue  # loading compares the content; a run that was only begun by a sweep has none yet
        if key not in _NOT_COMPARED and (key == "model.name" or not key.startswith("model.")):
            raise _changed(folder, key, old, new)
    if now.training.num_epochs < kept.training.num_epochs:
        raise RunFolderError(
            f"--epochs of the run in {folder} is {kept.training.num_epochs}; on --resume it may grow, not shrink to "
            f"{now.training.num_epochs}"
        )


def check_resumable(folder: RunFolder, config: Config) -> None:
    """Raise an error if a configuration cannot resume the run in a folder, which this process has locked.

    Another process may have written the folder since its configuration was read, and somebody may have edited
    ``config.toml``: what was learned is then of another network than the one about to be trained.

    Raises:
        RunFolderError: it says what differs.
    """
    if folder.is_empty():
        return
    _check_goes_on(folder, folder.read_config(), config)
    if folder.last.is_file():
        for key, old, new in trained_otherwise(folder.last, config):
            raise RunFolderError(
                f"{key} in {folder.config} is {new!r}, but the run was trained with {old!r}: set it back, or begin "
                "another run with another --out"
            )


def check_evaluable(folder: RunFolder, checkpoint: Path, config: Config) -> None:
    """Raise an error if the network that ``config.toml`` describes is not the one that a checkpoint was trained with.

    Raises:
        RunFolderError: it says what differs.
    """
    for key, old, new in trained_otherwise(checkpoint, config):
        if key not in _FREE_IN_EVALUATION and not key.startswith(("training.", "rewiring.")):
            raise RunFolderError(
                f"{key} in {folder.config} is {new!r}, but {checkpoint.name} was trained with {old!r}; set it back"
            )


class Configuration(Callback):
    """A callback that writes the run's configuration into every checkpoint, so that an edited one is recognised."""

    def __init__(self, config: Config) -> None:
        self._tables = recorded_tables(config)

    def state(self) -> dict[str, Any]:
        return self._tables


def recorded_tables(config: Config) -> dict[str, Any]:
    """A configuration without the settings that ``--resume`` may change; long lists, such as explicit synapses, as a
    digest."""
    tables = {section: entry for section, entry in config.tables().items() if section != "model"}
    for key in _NOT_COMPARED:
        section, name = key.split(".")
        tables[section] = {k: v for k, v in tables[section].items() if k != name}
    if config.training.data_sha256 is not None:  # the same data in another place are the same
        del tables["training"]["dataset"]
    shortened: dict[str, Any] = _shortened(tables)
    return shortened


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shortened(entry) for key, entry in value.items()}
    if isinstance(value, list):
        if len(value) > _LONG and not isinstance(value[0], dict):
            digest = hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
            return [f"{len(value)} values", digest]  # still a list, as `complete` expects one there
        return [_shortened(entry) for entry in value]
    return value


def trained_otherwise(checkpoint: Path, config: Config) -> list[tuple[str, Any, Any]]:
    """The differences between a checkpoint's configuration and another one, as :func:`differences` gives them.

    None for a checkpoint without a configuration, such as those of older versions.
    """
    callbacks = read_progress(checkpoint).get("callbacks")
    kept = callbacks.get(f"{Configuration.__name__} 0") if isinstance(callbacks, dict) else None
    if not isinstance(kept, dict):
        return []
    where = f"the configuration in {checkpoint}"
    training = {**as_table(f"{where}: [training]", kept.get("training", {})), "num_epochs": config.training.num_epochs}
    if "data_sha256" in training:
        training["dataset"] = "./its own.npz"
    kept = {**kept, "model": {"name": config.model.name}, "training": training}
    # read as a file would be, so that settings added in later versions have their defaults on both sides
    before = config_of(where, kept)
    return differences(recorded_tables(before), recorded_tables(config))


def _changed(folder: RunFolder, name: str, old: Any, new: Any) -> RunFolderError:
    return RunFolderError(
        f"{name} of the run in {folder} is {old!r} and cannot become {new!r} on --resume; leave it as it was, or begin "
        "another run with another --out"
    )


def differences(old: Any, new: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    """The differences of two configurations: the place, such as ``populations[1].size``, and both values (None:
    absent)."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for name in dict.fromkeys([*old, *new]):
            found += differences(old.get(name), new.get(name), f"{key}.{name}" if key else name)
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            entry for n, (a, b) in enumerate(zip(old, new, strict=True)) for entry in differences(a, b, f"{key}[{n}]")
        ]
    return [] if old == new else [(key, old, new)]
