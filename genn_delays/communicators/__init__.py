"""Training by several processes, ranks, each of which computes its share of every batch; see ``docs/distributed.md``.

``SurrogateCompiler(..., communicator=MPI())`` under ``mpiexec -n 4`` gives the bits of one process.
"""

from typing import TYPE_CHECKING

from ..porting import missing_from
from .communicator import GRADIENTS, Communicator, as_communicator
from .mpi import MPI

__all__ = ["GRADIENTS", "MPI", "Communicator", "as_communicator"]

if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
