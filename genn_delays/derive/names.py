"""Names of quantities derived from a neuron's equations, which no name of a user can equal.

A user's name has no two underscores in a row. Derived names have: ``a__v`` is the coefficient of `v`, ``L__v``
its lambda one step later; and so have the given values of an adjoint, ``S__`` the spike. Generated code calls a
user's name with an underscore at its end, ``v_``, uses derived names as they are, and has no names of these forms
itself.
"""

from __future__ import annotations

GIVEN = ("S", "ds", "e", "e_time", "push", "hold")
"""Given values of an adjoint besides variables: the spike, its surrogate derivative, dL/dS, the part of dL/d(spike
time)
through its targets, -l_time / slope, and whether held variables stand still."""


def derived_name(role: str, *of: str) -> str:
    """The name of a derived quantity of one name, or of a pair of names."""
    return "__".join((role, *of))


def given_name(name: str) -> str:
    """The name of one of :data:`GIVEN` in expressions."""
    assert name in GIVEN
    return f"{name}__"


def code_name(name: str) -> str:
    """The name in generated code of a name in expressions: ``v`` is ``v_``, ``a__v`` is itself, ``S__`` is ``S``."""
    if name.endswith("__") and name[:-2] in GIVEN:
        return name[:-2]
    if name == "Isyn" or "__" in name:
        return name
    return f"n_{name}_" if name.startswith("_") else f"{name}_"  # GeNN's names begin with a letter
