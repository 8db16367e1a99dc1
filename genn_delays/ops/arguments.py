"""The arguments that all passes share, checked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..delays import DelayKernel, as_delay_kernel
from ..errors import InvalidValueError, check_real
from .topology import Topology

Array = npt.NDArray[Any]
MOST = (1 << 31) - 1
"""Entries that a neuron's row may have: offsets are numbers of 32 bits."""


class Gradients(NamedTuple):
    """Of every synapse.

    Attributes:
        weight: dL/dw, ``[synapse]``.
        position: dL/d(position), ``[synapse]``; None where synapses have whole delays alone.
    """

    weight: Array
    position: Array | None


class Spread(NamedTuple):
    """The lags at which synapses act.

    Attributes:
        form: "whole", "difference" (positions that are rounded) or "kernel".
        position: real-valued delays ``[synapse]``, None where the topology's are whole.
        kernel, width: the delay kernel and its width in time steps, offset included.
    """

    form: str
    position: Array | None
    kernel: DelayKernel | None
    width: float

    @property
    def lags(self) -> float:
        """The number of lags at which a synapse acts, about."""
        return 1.0 if self.kernel is None else 2 * self.kernel.reach * self.width


def spread_of(topology: Topology, position: Any, kernel: Any, width: float | None, dtype: Any = np.float32) -> Spread:
    """The lags at which synapses act, by the arguments of a pass."""
    form, kernel, width = form_of(position is not None, kernel, width)
    if position is None:
        return Spread(form, None, None, 0.0)
    position = synapse_array("position", position, topology, dtype)
    low, high = float(position.min()), float(position.max())
    if not (low >= 0.0 and high <= topology.max_delay):
        bad = low if not low >= 0.0 else high
        raise InvalidValueError(f"position must lie in [0, {topology.max_delay}] time steps, got {bad}")
    return Spread(form, position, kernel, width)


def form_of(has_position: bool, kernel: Any, width: float | None) -> tuple[str, DelayKernel | None, float]:
    """The form of the lags, their delay kernel and its width, by which arguments there are."""
    kernel = as_delay_kernel(kernel)
    if kernel is None and width is not None:
        raise InvalidValueError(f"width {width} is that of a delay kernel: give kernel= too")
    if not has_position and kernel is not None:
        raise InvalidValueError("a delay kernel needs positions, the real-valued delays: give position= [synapse]")
    if kernel is None:
        return "difference" if has_position else "whole", None, 0.0
    if width is None:
        raise InvalidValueError("a delay kernel needs its width in time steps: give width=, above 0")
    return "kernel", kernel, check_real("width", width, 0.0, open_low=True)


def synapse_array(what: str, values: Any, topology: Topology, dtype: Any = np.float32) -> Array:
    """Numbers of every synapse, or an error."""
    return checked_array(what, values, (topology.size,), dtype)


def checked_array(what: str, values: Any, shape: tuple[int | None, ...], dtype: Any = np.float32) -> Array:
    """A contiguous array of this type and shape (None: any number from 1), or an error; nothing is copied."""
    named = np.dtype(dtype).name
    if not isinstance(values, np.ndarray) or values.dtype != np.dtype(dtype):
        got = f"dtype {values.dtype}" if isinstance(values, np.ndarray) else f"a {type(values).__name__}"
        raise InvalidValueError(f"{what} must be a NumPy array of {named}, got {got}")
    fits = values.ndim == len(shape) and all(
        n == wanted or (wanted is None and n > 0) for n, wanted in zip(values.shape, shape, strict=True)
    )
    if not fits:
        names = "synapse" if len(shape) == 1 else "neuron, time, batch"
        sizes = ", ".join("any" if n is None else str(n) for n in shape)
        raise InvalidValueError(f"{what} must have shape [{names}] = ({sizes}), got {values.shape}")
    if not values.flags.c_contiguous:
        raise InvalidValueError(f"{what} must be contiguous in memory (C order); np.ascontiguousarray makes a copy")
    if len(shape) == 3 and values.shape[1] * values.shape[2] > MOST:
        raise InvalidValueError(f"{what} must have at most {MOST} entries a neuron, got {values[0].size}")
    return values
