"""Copies to a GPU through page-locked memory overwrite nothing that is still to be copied. The driver is played."""

from __future__ import annotations

import ctypes
from collections import deque

import numpy as np
import pytest

from genn_delays.backends.cuda import staging
from genn_delays.backends.cuda.staging import Staging


class LateDriver:
    """Copies only when it is waited for, as a GPU that is busy does; what it is told stays in order."""

    def __init__(self) -> None:
        self.memory: np.ndarray | None = None
        self.waiting: deque = deque()
        self.waits = self.copied = 0
        self.core = self.handle = self

    def LegacyPinnedMemoryResource(self):  # noqa: N802 - what cuda-core calls it
        return self

    def allocate(self, size):
        self.memory = np.zeros(size, np.uint8)
        return Pinned(self)

    def make_current(self):
        self.current = True

    def do(self, function, *arguments):
        assert function == "cuMemcpyHtoDAsync"
        to, source, size, stream = arguments
        assert self.current
        start = source - self.memory.ctypes.data
        assert stream is self and start >= 0 and start + size <= self.memory.size
        self.waiting.append((to, source, size))
        return ()

    def record(self):
        return Event(self, self.copied + len(self.waiting))

    def sync(self):
        self.work_off()

    def close(self):
        self.closed = True

    def work_off(self, number=None):
        """Copy, up to a number of pieces since it began."""
        while self.waiting and (number is None or self.copied < number):
            self.copied += 1
            ctypes.memmove(*self.waiting.popleft())


class Pinned:
    def __init__(self, driver):
        self.driver, self.handle = driver, driver.memory.ctypes.data

    def set_deallocation_stream(self, stream):
        assert stream is self.driver

    def close(self):
        self.driver.memory = None


class Event:
    def __init__(self, driver, number):
        self.driver, self.number = driver, number

    def sync(self):
        self.driver.waits += self.driver.copied < self.number
        self.driver.work_off(self.number)


@pytest.mark.parametrize("sizes", [[5] * 40, [1000], [64, 64, 64, 64], [1, 200, 63, 0, 65, 31, 128, 7], [63, 2] * 9])
def test_what_is_sent_arrives(monkeypatch, sizes):
    """Arrays smaller and larger than a half, changed as soon as they are sent."""
    monkeypatch.setattr(staging, "HALF", 64)
    driver, random = LateDriver(), np.random.default_rng(0)
    through = Staging(driver, driver)
    sent = []
    for size in sizes:
        array = random.integers(0, 256, size).astype(np.uint8)
        arrived = np.zeros(size, np.uint8)
        sent.append((array.copy(), arrived))
        through.send(arrived.ctypes.data, array)
        array[:] = 0
    driver.work_off()
    for array, arrived in sent:
        np.testing.assert_array_equal(arrived, array)
    assert driver.waits >= sum(sizes) // 128 - 1
    through.close()
    assert driver.memory is None and driver.closed


def test_closing_goes_on_after_an_error(monkeypatch):
    driver = LateDriver()
    through = Staging(driver, driver)

    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(driver, "sync", fail)
    with pytest.raises(ZeroDivisionError):
        through.close()
    assert driver.memory is None and driver.closed


def test_pieces_are_as_small_as_is_asked():
    driver, arrived = LateDriver(), np.zeros(1000, np.uint8)
    Staging(driver, driver, piece=300).send(arrived.ctypes.data, np.ones(1000, np.uint8))
    assert [size for _, _, size in driver.waiting] == [300, 300, 300, 100]
    driver.work_off()
    assert arrived.all()


def test_the_host_waits_only_for_a_half_to_be_free(monkeypatch):
    monkeypatch.setattr(staging, "HALF", 64)
    driver, arrived = LateDriver(), np.zeros(1000, np.uint8)
    through = Staging(driver, driver)
    for _ in range(16):
        through.send(arrived.ctypes.data, np.ones(8, np.uint8))
    assert driver.waits == 0 and not arrived.any()
    through.send(arrived.ctypes.data, np.ones(8, np.uint8))
    assert driver.waits == 1 and arrived[:8].all()
    for dtype in (np.float64, np.uint32, np.int16):  # of any type and shape
        values = np.arange(12, dtype=dtype).reshape(3, 4)
        through.send(arrived.ctypes.data, values)
        driver.work_off()
        np.testing.assert_array_equal(arrived[: values.nbytes].view(dtype), values.reshape(-1))
