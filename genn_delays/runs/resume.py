"""Which configuration a run has: a new one, or the one in the folder that is gone on with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import InvalidValueError, RunFolderError
from .config import Config
from .folder import RunFolder
from .models import load_model
from .overrides import Overrides, overrides_in

_MAY_CHANGE = ("epochs", "threads", "data_dir")
_NOT_COMPARED = ("compiler.threads", "training.num_epochs", "training.data_dir")


def new_config(model: str | None, overrides: Overrides) -> Config:
    """The configuration of a new run."""
    if model is None:
        raise InvalidValueError(
            "train needs a MODEL; it can be left out only with --resume and an --out that holds a run"
        )
    return overrides.apply(load_model(model))


def resumed_config(model: str | None, overrides: Overrides, folder: RunFolder) -> Config | None:
    """The configuration of the run in a folder, its epochs, threads and data folder as asked for now.

    Settings that are not given now keep the run's values. Where a model is given, all else that it says must agree.

    Returns:
        None where the folder holds nothing yet (the run was killed before it wrote its configuration).

    Raises:
        RunFolderError: the folder holds something that is no run, or the run has another setting.
    """
    if folder.is_empty():
        return None
    kept = folder.read_config()
    folder.check_writable()
    before = overrides_in(kept)
    for name, value in overrides.given().items():
        old = getattr(before, name)
        if name not in _MAY_CHANGE and old is not None and value != old:
            raise _changed(folder, f"--{name.replace('_', '-')}", old, value)
    asked = Overrides(**{**before.given(), **overrides.given()})
    now = asked.apply(kept if model is None else load_model(model))
    for key, old, new in differences(kept.tables(), now.tables()):
        if key not in _NOT_COMPARED and (key == "model.name" or not key.startswith("model.")):
            raise _changed(folder, key, old, new)
    if now.training.num_epochs < kept.training.num_epochs:
        raise RunFolderError(
            f"--epochs of the run in {folder} is {kept.training.num_epochs}; on --resume it may grow, not shrink to "
            f"{now.training.num_epochs}"
        )
    return replace(
        kept,
        compiler=replace(kept.compiler, threads=now.compiler.threads),
        training=replace(kept.training, num_epochs=now.training.num_epochs, data_dir=now.training.data_dir),
    )


def _changed(folder: RunFolder, name: str, old: Any, new: Any) -> RunFolderError:
    return RunFolderError(
        f"{name} of the run in {folder} is {old!r} and cannot become {new!r} on --resume; leave it as it was, or begin "
        "another run with another --out"
    )


def differences(old: Any, new: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    """Where two configurations differ: the place, such as ``populations[1].size``, and both values (None: absent)."""
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
