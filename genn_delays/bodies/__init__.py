"""Formulas that are written once: a small language of ordered assignments, its values and its functions.

An optimiser, loss, readout, delay kernel or rewiring rule gives its arithmetic as a text of assignments.
:mod:`~genn_delays.bodies.language` reads and types it, :mod:`~genn_delays.bodies.values` computes it with NumPy for
backend ``reference``, and :mod:`genn_delays.codegen.bodies` prints it for C++, CUDA and GeNN. Every operation is
rounded on its own, in the order in which it stands; nothing is reordered or simplified. So all backends give the same
bits.
"""

from .definition import check_class, check_fields, check_only_read
from .language import BodyError, read
from .tree import Body, Type
from .values import compute

__all__ = ["Body", "BodyError", "Type", "check_class", "check_fields", "check_only_read", "compute", "read"]
