"""Losses and counts of batches. They stay on the device until they are read, so the host need not wait for each
batch.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .device import Argument, Buffer, Device

Row = npt.NDArray[np.float64]
T = TypeVar("T")

ROWS = 1024
"""Rows there are before they must be fetched."""


class History:
    """Rows of real numbers; kernels write one row after the other.

    Attributes:
        buffer: the rows, ``[row, column]``.
        width: numbers of a row.
    """

    def __init__(self, device: Device, width: int) -> None:
        self.width = max(width, 1)
        self.buffer = device.allocate("history of batches", (ROWS, self.width), np.float64)
        self._device = device
        self._rows: dict[str, Buffer] = {}
        self._used = 0
        self._open: list[weakref.ref[Later[Any]]] = []
        self._checks: list[tuple[int, Callable[[Row], None]]] = []

    def row(self, what: str) -> dict[str, Argument]:
        """The arguments of kernels that write a row: the buffer, the row's index and its width."""
        if what not in self._rows:
            self._rows[what] = self._device.allocate(f"row of the history for {what}", (1,), np.int64)
        return {"history": self.buffer, "row": self._rows[what], "width": self.width}

    def later(
        self, what: str, read: Mapping[int, Callable[[Row], T]], check: Callable[[Row], None] | None = None
    ) -> Later[T]:
        """Begin a row, which the next launches write; returns a reader of it by key.

        Args:
            what: the content of the row; kernels find the row by :meth:`row`.
            check: gets the row whenever rows are fetched, wanted or not, and may raise an error.
        """
        if self._used == ROWS:
            self.fetch()
        self.row(what)
        self._rows[what].upload(np.array([self._used], np.int64), early=True)
        later = Later(self, self._used, read)
        self._open.append(weakref.ref(later))
        if check is not None:
            self._checks.append((self._used, check))
        self._used += 1
        return later

    def fetch(self) -> None:
        """Copy all rows to the host, for the readers that still exist and for checks."""
        wanted = [later for reference in self._open if (later := reference()) is not None]
        checks, used = self._checks, self._used
        self._open, self._checks, self._used = [], [], 0
        if wanted or checks:
            rows = self.buffer.download(0, used * self.width).reshape(-1, self.width)
            for later in wanted:
                later.settle(rows)
            for number, check in checks:
                check(rows[number])


class Later(Mapping[int, T]):
    """The values of a row of the history by key; the row is fetched when a value is first read."""

    def __init__(self, history: History, number: int, read: Mapping[int, Callable[[Row], T]]) -> None:
        self._history, self._number, self._read = history, number, read
        self._row: Row | None = None

    def settle(self, rows: npt.NDArray[np.float64]) -> None:
        """Take its row out of all."""
        self._row = rows[self._number].copy()

    def __getitem__(self, key: int) -> T:
        if self._row is None:
            self._history.fetch()
        assert self._row is not None
        return self._read[key](self._row)

    def __iter__(self) -> Iterator[int]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)
