"""Generated CUDA C++ on a GPU, through NVIDIA's ``cuda-core``; the same kernels on the host where they are tested.

:mod:`.device` is what an engine sees of a device, :mod:`.real` the GPU, :mod:`.shim` the host in its place.
"""

from .backend import CUDA

__all__ = ["CUDA"]
