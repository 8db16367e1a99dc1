"""Engines with time steps against the event-exact one: the same continuous network with ever shorter steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from genn_delays import Adam, EventPropCompiler, Network
from genn_delays.backends.event_exact import EventExact

Gradients = dict[tuple[str, str], np.ndarray]


def gradients(
    network: Network, x: Any, y: Any, duration: float, dt: float, backend: Any, **arguments: Any
) -> Gradients:
    """dL/dweight and dL/ddelay (per time step) by variable and name of the connection."""
    optimisers = {"all_connections": {"weight": Adam(), "delay": Adam()}}
    compiler = EventPropCompiler(round(duration / dt), 2, dt=dt, backend=backend, **arguments)
    with compiler.compile(network, optimisers=optimisers) as compiled:
        return {
            (variable, c.name): g
            for variable in ("weight", "delay")
            for c, g in compiled.gradients(x, y, variable)[1].items()
        }


def differences(
    described: Callable[[float], Network], x: Any, y: Any, duration: float, dt: float, backend: Any, **arguments: Any
) -> dict[tuple[str, str], float]:
    """``|found - exact| / |exact|`` of the gradient vectors of every connection, both for this time step.

    Args:
        described: the network for a time step in ms; its delays in ms must not depend on that.
        x: events in ms, at times that are whole steps for every time step in question.
        duration: of an example, in ms.
        arguments: the compiler's own.
    """
    exact, found = (
        gradients(described(dt), x, y, duration, dt, which, **arguments) for which in (EventExact(), backend)
    )
    return {key: float(np.linalg.norm(found[key] - g) / np.linalg.norm(g)) for key, g in exact.items()}


def check_convergence(
    described: Callable[[float], Network], x: Any, y: Any, duration: float, backend: Any,
    steps: Sequence[float] = (1.0, 0.25, 0.0625), shrinks: float = 0.65, smallest: float = 0.15, **arguments: Any,
) -> None:  # fmt: skip
    """The difference shrinks at least to the share `shrinks` from one time step to the next, down to `smallest`.

    It does so in proportion to the time step where the same spikes come in the same order in both. A network must be
    chosen for that: one whose potentials do not barely reach their thresholds, and where no spike is as near to an
    arrival as the second time step.
    """
    rows = [differences(described, x, y, duration, dt, backend, **arguments) for dt in steps]
    for key in rows[0]:
        row = [r[key] for r in rows]
        assert all(later < shrinks * earlier for earlier, later in pairwise(row)), (key, row)
        assert row[-1] < smallest, (key, row)
