"""What things are called that are derived of a neuron's equations, so that no name a user takes means two things.

A user's name has no two underscores in a row. What is derived of it has: ``a__v`` is the coefficient of `v`, ``L__v``
its lambda one step later; and so have the values that an adjoint is given, ``S__`` the spike. Generated code calls a
user's name with an underscore at its end, ``v_``, what is derived of it as it is, and has neither form for its own.
"""

from __future__ import annotations

GIVEN = ("S", "ds", "e", "e_time", "push", "hold")
"""What an adjoint is given besides variables: the spike, its surrogate derivative, dL/dS, what the spike's time does at
its targets, what a spike pushes, and whether held variables stand still."""


def derived_name(role: str, *of: str) -> str:
    """The name of what has a role for a name, or for a pair of names."""
    return "__".join((role, *of))


def given_name(name: str) -> str:
    """How expressions call one of :data:`GIVEN`."""
    assert name in GIVEN
    return f"{name}__"


def code_name(name: str) -> str:
    """What generated code calls a name of an expression: ``v`` is ``v_``, ``a__v`` itself, ``S__`` is ``S``."""
    if name.endswith("__") and name[:-2] in GIVEN:
        return name[:-2]
    if name == "Isyn" or "__" in name:
        return name
    return f"n_{name}_" if name.startswith("_") else f"{name}_"  # GeNN's names begin with a letter
