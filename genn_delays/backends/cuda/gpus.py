"""A GPU for each of several ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...communicators import Communicator
from ...errors import BackendUnavailableError, InvalidValueError


class Named(Protocol):
    """A GPU that ranks can tell from others."""

    @property
    def uuid(self) -> str:
        """The same for every process that sees it, and for no other GPU."""


def gpu_of_rank(visible: Sequence[Named], first: int, communicator: Communicator) -> int:
    """The number, among the GPUs that a rank sees, of the one it takes: the first that no rank before it has. All ranks
    call it together.

    So ranks of a machine that see the same GPUs have them in order, and a rank that its launcher shows a GPU of its own
    has that one.

    Args:
        visible: GPUs of this process, at least one, as ``CUDA_VISIBLE_DEVICES`` has them.
        first: leave out so many of them.

    Raises:
        InvalidValueError: there are fewer than `first` of them.
        BackendUnavailableError: a machine has more ranks than GPUs that they see; all ranks raise it.
    """
    told = communicator.everyone("agreement", [communicator.place(), [gpu.uuid for gpu in visible]])
    if first >= len(visible):
        raise InvalidValueError(f"device must be from 0 to {len(visible) - 1}, got {first}")
    taken: dict[str, int] = {}
    for rank, (place, seen) in enumerate(told):
        free = [uuid for uuid in seen[first:] if uuid not in taken]
        if not free:
            ranks = [r for r, (other, _) in enumerate(told) if other == place]
            there = {uuid for r in ranks for uuid in told[r][1][first:]}
            size = 1 << (len(taken.keys() | there).bit_length() - 1)
            raise BackendUnavailableError(
                f"{len(ranks)} ranks on machine {place!r} see {len(there)} GPU{'s'[: len(there) != 1]}, and each needs "
                f"one of its own on backend 'cuda': use mpiexec -n {size}, or more machines (nvidia-smi lists GPUs, "
                "CUDA_VISIBLE_DEVICES may hide some)"
            )
        taken[free[0]] = rank
    mine = next(uuid for uuid, rank in taken.items() if rank == communicator.rank)
    return [gpu.uuid for gpu in visible].index(mine)
