"""Rewiring over time, from the lines of a run's metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError

_ALL, _NEWBORN = "rewirings_", "newborn_rewirings_"


@dataclass(frozen=True)
class RewiringOverTime:
    """Synapses that were dropped, and as many grown, in every epoch.

    Attributes:
        epochs: their numbers, from 1, int64 ``[epoch]``.
        established: by connection, synapses dropped that had lived on after an earlier rewiring or from the beginning,
            int64 ``[epoch]``: change.
        newborn: by connection, those dropped at the first rewiring after their birth: search for a place.
    """

    epochs: npt.NDArray[np.int64]
    established: Mapping[str, npt.NDArray[np.int64]]
    newborn: Mapping[str, npt.NDArray[np.int64]]


def rewiring_over_time(lines: Sequence[Mapping[str, Any]]) -> RewiringOverTime:
    """Rewiring from the lines that :class:`~genn_delays.MetricsWriter` writes; no connection where nothing is rewired.

    Args:
        lines: as :func:`genn_delays.callbacks.metrics_writer.read_metrics` gives them.

    Raises:
        InvalidValueError: there is no line, or one without an epoch.
    """
    if not lines or any("epoch" not in line for line in lines):
        raise InvalidValueError(f"rewiring over time needs a line of metrics for every epoch, got {len(lines)} lines")
    names = list(dict.fromkeys(key.removeprefix(_ALL) for line in lines for key in line if key.startswith(_ALL)))

    def series(prefix: str, name: str) -> npt.NDArray[np.int64]:
        return np.asarray([line.get(prefix + name, 0) for line in lines], np.int64)

    newborn = {name: series(_NEWBORN, name) for name in names}
    established = {name: series(_ALL, name) - newborn[name] for name in names}
    return RewiringOverTime(np.asarray([line["epoch"] for line in lines], np.int64), established, newborn)
