"""Training by several processes, ranks, each of which computes its share of every batch; see ``docs/distributed.md``.

``SurrogateCompiler(..., communicator=MPI())`` under ``mpiexec -n 4`` gives the bits of one process.
"""

from .communicator import Communicator, as_communicator
from .mpi import MPI

__all__ = ["MPI", "Communicator", "as_communicator"]
