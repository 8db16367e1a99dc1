"""The devices on which layers compute: the passes over synapses on PyTorch's tensors, each where they lie."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from ..delays import DelayKernel
from ..errors import InvalidValueError
from ..ops import Activity, Topology, backgather, correlate, cuda, gather, reference
from ..ops.arguments import Gradients
from ..ops.cuda import DeviceActivity, DeviceGradient, DeviceTopology, Queue


class Lags(NamedTuple):
    """The arguments of the passes that concern lags; see :func:`genn_delays.ops.gather`."""

    position: Any
    kernel: DelayKernel | None
    width: float | None


class Place(Protocol):
    """The passes on a device. Tensors come and go as ``[neuron, time, batch]``, weights as ``[synapse]``.

    Attributes:
        key: equal for places that a layer need not tell apart.
    """

    key: Any

    def source(self, x: Any) -> tuple[Any, bool]:
        """Activity as the passes take it, and whether it still is the tensor's own memory."""

    def felt(self, g: Any) -> Any:
        """The gradient of the input current as the passes take it."""

    def gather(self, topology: Topology, x: Any, weight: Any, lags: Lags) -> Any:
        """The input current."""

    def backgather(self, topology: Topology, g: Any, weight: Any, lags: Lags) -> Any:
        """The gradient of the activity."""

    def correlate(self, topology: Topology, x: Any, g: Any, weight: Any, lags: Lags) -> Gradients:
        """The gradients of synapses."""

    def check(self) -> None:
        """Raise an error if a pass met a number that may not be, once all passes are done."""


class OnCPU:
    """The passes on this machine's processor; in double precision those of the definition, by NumPy."""

    def __init__(self, threads: int) -> None:
        self.threads = self.key = threads

    def source(self, x: Any) -> tuple[Any, bool]:
        rows = _rows(x)
        own = rows.data_ptr() == x.data_ptr()
        array = rows.numpy()
        return (array if array.dtype == np.float64 else Activity(array, threads=self.threads)), own

    def felt(self, g: Any) -> Any:
        return _rows(g).numpy()

    def gather(self, topology: Topology, x: Any, weight: Any, lags: Lags) -> Any:
        array, options = weight.detach().numpy(), _on_host(lags)
        if array.dtype == np.float64:
            return torch.from_numpy(reference.gather(topology, x, array, **options))
        return torch.from_numpy(gather(topology, x, array, threads=self.threads, **options))

    def backgather(self, topology: Topology, g: Any, weight: Any, lags: Lags) -> Any:
        array, options = weight.detach().numpy(), _on_host(lags)
        if array.dtype == np.float64:
            return torch.from_numpy(reference.backgather(topology, g, array, **options))
        return torch.from_numpy(backgather(topology, g, array, threads=self.threads, **options))

    def correlate(self, topology: Topology, x: Any, g: Any, weight: Any, lags: Lags) -> Gradients:
        array, options = weight.detach().numpy(), _on_host(lags)
        if array.dtype == np.float64:
            found = reference.correlate(topology, x, g, array, **options)
        else:
            found = correlate(topology, x, g, array, threads=self.threads, **options)
        position = None if found.position is None else torch.from_numpy(found.position)
        return Gradients(torch.from_numpy(found.weight), position)

    def check(self) -> None:
        """Nothing to do: every pass has looked at its arguments."""


def _rows(tensor: Any) -> Any:
    """The same memory where it lies row by row, else a copy."""
    return tensor.detach().contiguous()


def _on_host(lags: Lags) -> dict[str, Any]:
    position = None if lags.position is None else lags.position.detach().numpy()
    return {"position": position, "kernel": lags.kernel, "width": lags.width}


class OnCUDA:
    """The passes on a GPU, queued on one of PyTorch's streams. It keeps the synapses there that it was last given.

    Args:
        queue: of that stream.
        guard: within which passes are queued, so that PyTorch's own GPU stays what it was.
    """

    def __init__(self, queue: Queue, guard: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        self.queue = self.key = queue
        self._guard = guard
        self._there: DeviceTopology | None = None

    def source(self, x: Any) -> tuple[Any, bool]:
        with self._guard():
            return DeviceActivity(x.detach(), self.queue), False

    def felt(self, g: Any) -> Any:
        with self._guard():
            return DeviceGradient(g.detach(), self.queue)

    def gather(self, topology: Topology, x: Any, weight: Any, lags: Lags) -> Any:
        with self._guard():
            return cuda.gather(self._on(topology), x, weight.detach().contiguous(), **_there(lags))

    def backgather(self, topology: Topology, g: Any, weight: Any, lags: Lags) -> Any:
        with self._guard():
            return cuda.backgather(self._on(topology), g, weight.detach().contiguous(), **_there(lags))

    def correlate(self, topology: Topology, x: Any, g: Any, weight: Any, lags: Lags) -> Gradients:
        with self._guard():
            return cuda.correlate(self._on(topology), x, g, weight.detach().contiguous(), **_there(lags))

    def check(self) -> None:
        self.queue.check(wait=True)

    def _on(self, topology: Topology) -> DeviceTopology:
        if self._there is None:
            self._there = DeviceTopology(topology, self.queue)
        self._there.topology = topology
        return self._there


def _there(lags: Lags) -> dict[str, Any]:
    position = None if lags.position is None else lags.position.detach().contiguous()
    return {"position": position, "kernel": lags.kernel, "width": lags.width}


_QUEUES: dict[tuple[int, int], Queue] = {}
_MAKING = threading.Lock()
MOST_QUEUES = 8
"""That are kept: each has page-locked memory for copies."""


def _on_current_stream(device: Any, threads: int | None) -> OnCUDA:
    """The passes on the stream that is PyTorch's current one of a GPU."""
    stream = torch.cuda.current_stream(device)
    index, handle = stream.device_index, stream.cuda_stream

    def empty(shape: tuple[int, ...]) -> Any:
        return torch.empty(shape, dtype=torch.float32, device=device)

    def guard() -> Any:
        return torch.cuda.device(device)

    with _MAKING, guard():
        if torch.cuda.is_current_stream_capturing():
            raise InvalidValueError(
                "SparseDelayed cannot be captured in a CUDA graph: it copies synapses when they change"
            )
        queue = _QUEUES.pop((index, handle), None) or Queue(empty, index, handle)
        _QUEUES[index, handle] = queue  # the most recently used goes to the end (LRU)
        if len(_QUEUES) > MOST_QUEUES:
            del _QUEUES[next(iter(_QUEUES))]
    return OnCUDA(queue, guard)


PLACES: dict[str, Callable[[Any, int | None], Place]] = {
    "cpu": lambda device, threads: OnCPU(threads or torch.get_num_threads()),
    "cuda": _on_current_stream,
}
"""By PyTorch's type of device, the place of a device and a number of threads (None: PyTorch's own)."""
DTYPES = {"cpu": (torch.float32, torch.float64), "cuda": (torch.float32,)}
"""By type of device, the types of numbers that layers may have there."""


def place_of(device: Any, threads: int | None = None) -> Place:
    """The passes on a device of PyTorch.

    Raises:
        BackendUnavailableError: a package or a compiler is missing.
        InvalidValueError: a CUDA graph is being captured.
    """
    return PLACES[device.type](device, threads)
