"""The synapses of a simulation for a GPU: built on the host, as those of `cpu` in one part, and copied once."""

from __future__ import annotations

from ...plan.simulation import Places
from ..cpu.backend import available_processors
from ..cpu.rows import Rows
from ..cpu.wiring import connect as connect_on_cpu
from .device import Device
from .simulation_memory import check_simulation_memory

CUDAWiring = Rows


def connect(places: Places, device: Device) -> Rows:
    """The rows of a network.

    Raises:
        OutOfMemoryError: the device, or the host, has not the memory.
        BackendUnavailableError: there is no C++ compiler, which builds them.
    """
    check_simulation_memory(places, device)
    return connect_on_cpu(places, available_processors(), 1)
