"""The source that builds the rows of a simulation from rules. It is the same for every network."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ..bodies.functions import NORMAL_CENTRE, NORMAL_OF_SHARE, PHILOX, SCALED
from ..random import Purpose
from ..version import __version__
from .bodies import CPU, Printer, functions
from .environment import environment

GUIDE_BITS = 12
"""Upper bits of a random word that tell at which threshold of a delay to begin."""


class Kind(IntEnum):
    """The ways in which the pairs of a connection come to their rows."""

    SOURCE = 0  # targets are drawn for every source
    ALL = 1  # all targets of every source
    SAME = 2  # the target of the source's number
    TARGET = 3  # sources are drawn for every target
    PAIRS = 4  # a list of pairs
    LISTED = 5  # a list of synapses with their delays and weights
    BITS = 6  # drawn from all pairs, a bit for each


class Weight(IntEnum):
    """The initialisers of weights that the code knows."""

    CONSTANT = 0  # base
    AFFINE = 1  # base + span u
    SYMMETRIC = 2  # base (2 u - 1)
    NORMAL = 3  # mean + sd q(base + span u) within low and high; a negative sd: of 1 - u
    OTHER = 4  # mean + sd q(u), rounded as NumPy's


def emit_rows() -> str:
    """The C++ source."""
    templates, values = environment("cpu"), _values()
    philox = Printer(CPU).block(PHILOX, frozenset())
    # within a loop over counters, which vectorises where this inner one is unrolled
    philox = philox.replace("    for (int round", '    _Pragma("GCC unroll 10") for (int round')
    philox = "\n".join(f"        {line}" for line in philox.splitlines())
    values |= {
        "philox": philox,
        "functions": functions(CPU, [NORMAL_CENTRE, NORMAL_OF_SHARE, SCALED]),
        "purpose": Purpose,
    }
    values["functions"] = templates.get_template("functions.cpp.j2").render(text=values["functions"])
    names = ("rows_prelude", "pool", "rows_draws", "rows_build")
    return "\n".join(templates.get_template(f"{name}.cpp.j2").render(**values) for name in names)


def emit_rows_structures() -> str:
    """The beginning of the source, with the structures that it reads."""
    return environment("cpu").get_template("rows_prelude.cpp.j2").render(**_values())


def _values() -> dict[str, Any]:
    return {
        "version": __version__,
        "guide_bits": GUIDE_BITS,
        "kind": {k.name.lower(): k.value for k in Kind},
        "kinds": ", ".join(f"{k.value} {k.name.lower()}" for k in Kind),
        "weight_kind": {k.name.lower(): k.value for k in Weight},
        "weights": ", ".join(f"{k.value} {k.name.lower()}" for k in Weight),
    }
