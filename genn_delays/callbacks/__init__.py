"""Callbacks with mlGeNN's hooks. A new one is a new file and one line in :data:`CALLBACKS`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InvalidValueError, RunFolderError, shown, unknown
from ..porting import missing_from
from .callback import Callback
from .checkpoint import Checkpoint
from .early_stopping import EarlyStopping
from .metrics_writer import MetricsWriter
from .optimiser_param_schedule import OptimiserParamSchedule
from .progress_bar import BatchProgressBar
from .recorders import SpikeRecorder, VarRecorder
from .tensorboard import TensorBoard

CALLBACKS: dict[str, type[Callback]] = {
    "batch_progress_bar": BatchProgressBar,
    "checkpoint": Checkpoint,
    "early_stopping": EarlyStopping,
    "metrics_writer": MetricsWriter,
    "optimiser_param_schedule": OptimiserParamSchedule,
    "spike_recorder": SpikeRecorder,
    "tensorboard": TensorBoard,
    "var_recorder": VarRecorder,
}
_BY_NAME_ALONE = ("batch_progress_bar", "early_stopping")


def as_callbacks(values: Sequence[Any]) -> list[Callback]:
    """Callbacks, or the names of those that need no argument, as callbacks."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise InvalidValueError(f"callbacks must be a list, got {shown(values)}")
    found: list[Callback] = []
    for value in values:
        _refuse_time_steps(value)
        if isinstance(value, Callback):
            found.append(value)
        elif isinstance(value, str) and value in _BY_NAME_ALONE:
            found.append(CALLBACKS[value]())
        elif isinstance(value, str) and value in CALLBACKS:
            name = CALLBACKS[value].__name__
            raise InvalidValueError(f"callback {value!r} needs its arguments: give {name}(...) in place of the name")
        else:
            raise unknown("callback", value, _BY_NAME_ALONE)
    return found


def _refuse_time_steps(callback: Any) -> None:
    """Raise an error for a callback with mlGeNN's hooks of time steps, which nothing would call."""
    for hook in ("on_timestep_begin", "on_timestep_end"):
        if isinstance(callback, Callback) and callable(getattr(callback, hook, None)):
            raise InvalidValueError(
                f"callback {type(callback).__name__} defines {hook}, which would never be called: a batch is computed "
                "in one call. VarRecorder and SpikeRecorder give every step of it; SimulationCompiler gives a network "
                "that can be run step by step"
            )


def by_kind(callbacks: list[Callback]) -> dict[str, Callback]:
    """Callbacks by type and by position among those of the type, as callbacks of other types may differ between two
    runs."""
    keyed: dict[str, Callback] = {}
    for callback in callbacks:
        name = type(callback).__name__
        keyed[f"{name} {sum(key.startswith(f'{name} ') for key in keyed)}"] = callback
    return keyed


def take_state(name: str, callback: Callback, state: dict[str, Any]) -> None:
    """Let a callback take over a state out of a checkpoint, whose content is not trusted.

    Raises:
        RunFolderError: it cannot be its state.
    """
    try:
        callback.set_state(state)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RunFolderError(
            f"the checkpoint is damaged (the state of callback {name!r}: {type(error).__name__}: {error})"
        ) from error


def recorded(callbacks: list[Callback]) -> dict[str, Any]:
    """The data that callbacks recorded, by their keys."""
    return dict(data for callback in callbacks if (data := callback.get_data()) is not None)


__all__ = [
    "CALLBACKS",
    "BatchProgressBar",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "MetricsWriter",
    "OptimiserParamSchedule",
    "SpikeRecorder",
    "TensorBoard",
    "VarRecorder",
    "as_callbacks",
    "by_kind",
    "recorded",
    "take_state",
]

if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
