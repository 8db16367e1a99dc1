"""Learning rates that a function gives at the beginning of every epoch, under mlGeNN's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InvalidValueError, asked, shown
from .callback import Callback


class OptimiserParamSchedule(Callback):
    """Sets the learning rate of everything that is learned before every epoch.

    A schedule of the optimiser itself, such as ``Adam(schedule=CosineAnnealing())``, needs no callback.

    Args:
        param_name: ``"alpha"``.
        func: called with the epoch, counted from 0, and the learning rate so far for the new one.

    Example::

        OptimiserParamSchedule("alpha", lambda epoch, alpha: 0.003 * 0.998**epoch)
    """

    def __init__(self, param_name: str, func: Callable[[int, float], float]) -> None:
        if not isinstance(param_name, str) or param_name != "alpha":
            raise InvalidValueError(
                f"OptimiserParamSchedule param_name must be 'alpha', the only one that can be set while training, got "
                f"{shown(param_name)}"
            )
        if not callable(func):
            raise InvalidValueError(
                f"OptimiserParamSchedule func must be a function of the epoch and the value so far, got {shown(func)}"
            )
        self.param_name, self.func = param_name, func

    def on_epoch_begin(self, epoch: int) -> None:
        for (owner, variable), alpha in self.compiled_network.learning_rates().items():
            found: Any = asked("func of OptimiserParamSchedule", lambda alpha=alpha: self.func(epoch, alpha))
            self.compiled_network.set_learning_rate(found, owner, variable)
