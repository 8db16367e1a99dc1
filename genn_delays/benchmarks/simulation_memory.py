"""In a process of its own: how memory grows while the network of ``benchmark simulation`` is built, and how long that
takes."""

from __future__ import annotations

import gc
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from .children import forget_peak, peak, resident
from .simulation_network import Simulated, simulated_network
from .simulation_options import Point, point_of
from .simulation_subjects import Counted, genn, own
from .timing import Sample

SMALL, FEW = 64, 8
"""Neurons and synapses of a network that is built first, so that code loaded and compiled once does not count."""


def simulation_memory(point: dict[str, Any], who: str, threads: int) -> dict[str, Any]:
    """Growth of resident memory, and seconds, while a network is drawn and built; then it ran for its longest delay.

    Args:
        who: ``"genn_delays"`` or ``"genn"``.
    """
    asked = point_of(point)
    with _opened(who, _described(replace(asked, size=SMALL, synapses=FEW, steps=1)), threads):
        pass
    gc.collect()
    forget_peak()
    before = resident()
    described = _described(asked)
    with _opened(who, described, threads):
        described[0].forget()
        gc.collect()
        return {
            "growth": resident() - before,
            "peak_growth": max(peak() - before, 0),
            "build_seconds": described[2].build_seconds,
        }


Described = tuple[Simulated, Point, Counted]


def _described(point: Point) -> Described:
    return simulated_network(point), point, Counted(np.zeros(point.size, np.int64))


def _opened(who: str, described: Described, threads: int) -> AbstractContextManager[Sample]:
    simulated, point, counted = described
    return genn(simulated, point, counted) if who == "genn" else own(simulated, point, "cpu", threads, counted)
