"""The definition of what EventProp computes: real-valued time, spikes by root finding, the adjoint event by event."""

from .backend import EventExact

__all__ = ["EventExact"]
