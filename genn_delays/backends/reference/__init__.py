"""The definition of what every kernel means: NumPy, step by step, one synapse after the other."""

from .backend import Reference

__all__ = ["Reference"]
