"""Networks for other simulators and for chips: NIR graphs, limits of chips, quantised weights, a receipt of changes."""

from .files import read, write
from .plain import Plain
from .reader import from_nir
from .receipt import Change, Finding, Receipt
from .writer import to_nir

__all__ = ["Change", "Finding", "Plain", "Receipt", "from_nir", "read", "to_nir", "write"]
