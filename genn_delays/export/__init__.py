"""Networks for other simulators and for chips: NIR graphs, limits of chips, quantised weights, a receipt of changes."""

from .deploy import Deployed, deploy
from .files import read, write
from .plain import Plain
from .quantise import quantise
from .reader import from_nir
from .receipt import Change, Finding, Receipt
from .targets import TARGETS, Check, check_target
from .writer import to_nir

__all__ = [
    "TARGETS", "Change", "Check", "Deployed", "Finding", "Plain", "Receipt", "check_target", "deploy", "from_nir",
    "quantise", "read", "to_nir", "write",
]  # fmt: skip
