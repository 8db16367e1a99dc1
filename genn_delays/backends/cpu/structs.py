"""The structures of ``prelude.cpp.j2`` as ctypes. Their total size is compared with the library's when it is loaded."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.bodies import mangled
from ...codegen.emit import limits
from ...codegen.losses import output_members
from ...codegen.rules import rule_numbers
from ...learning.optimisers import number_names
from ...memory import told
from ...plan.plan import Plan

_LINE = 64
_pointer, _int, _double = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


def network_type(plan: Plan) -> Any:
    """The ctypes class of ``struct Network`` for a plan."""
    size = limits(plan)

    class Population(ctypes.Structure):
        _fields_ = (
            ("size", _int),
            *((n, _pointer) for n in (
                "x", "events", "event_row", "event_room", "value_row", "event_start", "most", "carry", "g", "h", "bias",
                "total", "drive", "slope", "current",
                "scale", "shift", "factor", "offset", "mean", "inverse", "sums", "g_sums", "lambda_", "z", "labels",
                "targets", "losses", "correct",
            )),
            ("var", _pointer * size["max_vars"]), ("par", _pointer * size["max_pars"]), ("keeps_g", _int),
            ("num_kept", _int),
            ("dropout", _int), ("epsilon", _double), ("busy", _int), ("truths", _int),
            ("carried", _pointer), ("num_carried", _int), *((n, _double) for n in output_members(plan)),
        )  # fmt: skip

    class Optimiser(ctypes.Structure):
        _fields_ = (
            ("moment", _pointer * size["max_moments"]),
            *((mangled(n), _double) for n in number_names(plan.every_optimiser)),
            *((n, _double) for n in ("weight_decay", "l1", "drift")),
        )  # fmt: skip

    class Connection(ctypes.Structure):
        _fields_ = (
            ("num_pre", _int), ("num_post", _int), ("size", _int),
            *((n, _pointer) for n in ("row_start", "pre", "post", "delay", "weight", "position", "grad", "delay_grad")),
            ("weight_rule", Optimiser), ("delay_rule", Optimiser),
            ("age", _pointer), ("by_pre_start", _pointer), ("by_pre_slot", _pointer),
            *((n, _pointer) for n in ("new_pre", "new_post", "new_delay", "new_weight", "new_position")),
            ("new_moment", _pointer * size["max_moments"]), ("new_delay_moment", _pointer * size["max_moments"]),
            ("new_age", _pointer),
            ("dead", _pointer), *((n, _int) for n in ("num_dropped", "youngest", "newborn")),
            ("rank", _pointer), ("slot", _pointer), ("best_delay", _pointer),
            ("slot_room", _int), ("capacity", _int), ("candidates", _int), ("hash", _pointer),
            ("delay_threshold", _pointer),
            *((n, _int) for n in (
                "num_delay_thresholds", "delay_low", "owner", "sign_threshold", "signed_weights", "redraw",
            )),
            ("pre_sign", _pointer),
            ("noise", _double), *((n, _double) for n in rule_numbers(plan)),
            ("gain", ctypes.c_float), ("width", ctypes.c_float),
            *((n, _int) for n in ("min_delay", "max_delay", "source", "target")),
        )  # fmt: skip

    class NetworkStructure(ctypes.Structure):
        _fields_ = (
            *((n, _int) for n in ("T", "live", "tile", "first", "B")),
            *((n, _double) for n in ("dt", "gradient_scale", "grad_limit", "busy_share")),
            *((n, _int) for n in ("t0", "t1", "step", "training")),
            ("network_seed", ctypes.c_uint64), ("training_seed", ctypes.c_uint64),
            *((n, _pointer) for n in ("pool", "scratch", "taps")), ("taps_stride", _int),
            *((n, _pointer) for n in ("flags", "active", "rows")),
            *((n, _int) for n in ("scratch_stride", "flags_stride", "rows_stride", "row_capacity", "lost")),
            ("no_number", _int), ("input", _int),
            ("input_data", _pointer), ("examples", _pointer), ("connection", _int),
            ("scored", _pointer), ("lag_sums", _pointer), ("lag_room", _int), ("block", _pointer),
            ("whole", Population * size["num_populations"]), ("p", Population * size["num_populations"]),
            ("c", Connection * size["num_connections"]),
        )  # fmt: skip

    return NetworkStructure


def set_members(structure: ctypes.Structure, values: Mapping[str, float]) -> None:
    """Numbers of a structure by name.

    Raises:
        KeyError: the structure has none of that name.
    """
    known = {member[0] for member in structure._fields_}
    for name, value in values.items():
        if name not in known:
            raise KeyError(f"struct {type(structure).__name__} has no {name}")
        setattr(structure, name, value)


def address(array: npt.NDArray[Any]) -> int:
    """Where a contiguous array lies; whoever stores it keeps the array alive."""
    assert array.flags.c_contiguous
    return int(array.ctypes.data)


class Arrays(dict[str, npt.NDArray[Any]]):
    """Named arrays that a structure points to.

    Args:
        owner: whose they are, for the error where there is no room for one.
    """

    def __init__(self, owner: str) -> None:
        super().__init__()
        self.owner = owner

    def new(self, name: str, shape: int | tuple[int, ...], dtype: Any, *, zero: bool = False) -> int:
        """Allocate, remember and return the address, a multiple of a cache line's 64 bytes.

        Memory that is never touched is never used; the system may refuse it all the same.

        Raises:
            OutOfMemoryError: it does.
        """
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        with told(f"{name} of {self.owner} needs {size / 1e6:,.0f} MB"):
            raw = (np.zeros if zero else np.empty)(size + _LINE, np.uint8)
        first = -address(raw) % _LINE
        self[name] = raw[first : first + size].view(dtype).reshape(shape)
        return self.address(name)

    def address(self, name: str) -> int:
        """Where an array lies."""
        return address(self[name])


class Foreseen(Arrays):
    """What would be allocated, in the place of it: arrays of one number that pretend to be whole.

    Attributes:
        sizes: bytes by name.
    """

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.sizes: dict[str, int] = {}

    def new(self, name: str, shape: int | tuple[int, ...], dtype: Any, *, zero: bool = False) -> int:
        whole = (shape,) if isinstance(shape, int) else shape
        self.sizes[name] = prod(int(n) for n in whole) * np.dtype(dtype).itemsize
        self[name] = np.lib.stride_tricks.as_strided(np.zeros(1, dtype), whole, (0,) * len(whole))
        return 0

    def address(self, name: str) -> int:
        return 0
