"""Sums over the examples of all ranks: in the middle of a pass, where generated code asks for them, and after it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...communicators import GRADIENTS, Communicator
from .structs import Arrays

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
WHAT: tuple[tuple[str, Any], ...] = (
    ("batch norm", np.float64),
    ("scores of candidates", np.float32),
    ("scores of delays", np.float32),
)
"""Names and numbers of the sums that generated code asks for, in the order of its constants."""


class SharedSums:
    """All that an engine of one rank adds up with the others.

    Attributes:
        counts: partial sums of every rank in this batch.
    """

    def __init__(self, communicator: Communicator, net: Any) -> None:
        self.communicator = communicator
        self.counts: tuple[int, ...] = (0,) * communicator.size
        self._error: BaseException | None = None
        self._function = _CALLBACK(self._reduce)  # kept alive: generated code calls it
        net.reduce = ctypes.cast(self._function, ctypes.c_void_p)

    def _reduce(self, what: int, place: int, count: int) -> None:
        """Called by generated code. An error cannot pass through it, so it waits for :meth:`check`."""
        if self._error is not None:
            return
        try:
            name, dtype = WHAT[what]
            memory = (ctypes.c_char * (count * np.dtype(dtype).itemsize)).from_address(place)
            self.communicator.add(name, [np.frombuffer(memoryview(memory), dtype)], self.counts)
        except BaseException as error:
            self._error = error

    def check(self) -> None:
        """Raise the error of a sum since the last call."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def add_gradients(self, connections: Sequence[Arrays], populations: Sequence[Arrays]) -> None:
        """Gradients of all synapses, and of coefficients of neurons that are learned."""
        for arrays in _gradients(connections, populations):
            self._add(GRADIENTS, arrays)

    @staticmethod
    def bytes_of_gradients(connections: Sequence[Arrays], populations: Sequence[Arrays]) -> int:
        """Bytes that :meth:`add_gradients` sends in a round."""
        return sum(array.nbytes for arrays in _gradients(connections, populations) for array in arrays)

    def add_totals(self, populations: Sequence[Arrays]) -> None:
        """Spikes of every neuron whose number is regularised."""
        self._add("spike counts", [arrays["total"] for arrays in populations if "total" in arrays])

    def _add(self, what: str, arrays: Sequence[Any]) -> None:
        self.communicator.add(what, arrays, self.counts)


def _gradients(connections: Sequence[Arrays], populations: Sequence[Arrays]) -> tuple[list[Any], list[Any]]:
    """Arrays of gradients, by kind of number."""
    names = ("grad", "delay_grad")
    of_synapses = [arrays[name] for arrays in connections for name in names if name in arrays]
    return of_synapses, [arrays["slope"] for arrays in populations if "slope" in arrays]
