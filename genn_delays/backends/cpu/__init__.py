"""The embedded default: generated C++, compiled by the machine's compiler, with threads and SIMD."""

from .backend import CPU

__all__ = ["CPU"]
