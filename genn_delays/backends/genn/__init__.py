"""A plan as a GeNN model."""

from .backend import GeNN

__all__ = ["GeNN"]
