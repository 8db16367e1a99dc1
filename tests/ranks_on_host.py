"""The command line with the host in the place of a GPU: ``mpiexec -n 2 python ranks_on_host.py train ...``."""

from __future__ import annotations

import sys

from cuda_on_host import CUDAOnHost

from genn_delays.backends import BACKENDS
from genn_delays.cli import main

if __name__ == "__main__":
    BACKENDS["cuda"] = CUDAOnHost
    sys.exit(main(sys.argv[1:]))
