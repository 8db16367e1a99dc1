"""States that are loaded into layers of another kind."""

from __future__ import annotations

_TAKES = {"sigma": ("delay_kernel", 'delay_kernel="gaussian"'), "delay": ("learn_delay", "learn_delay=True")}
"""By a name in a state the argument by which a layer has it, and how that is given."""


def other_kind(present: set[str], own: set[str]) -> str | None:
    """The reason why a state cannot be loaded, whether or not all of its names are asked for; None if there is none.

    Weights and delays belong to the synapses, so they are loaded together or not at all.

    Args:
        present: names in the state.
        own: names in a layer's own state that belong to its synapses.
    """
    theirs = present & {*own, *_TAKES}
    if not theirs or theirs == own:
        return None
    if "topology.pre" in theirs:
        for name, (argument, given) in _TAKES.items():
            if name in theirs - own:
                return f"the state is of a layer with {argument}, this one has none; make it with {given}, or {_ELSE}"
            if name in own - theirs:
                return f"the state is of a layer without {argument}, this one has it; make it without, or {_ELSE}"
    missing = ", ".join(sorted(own - theirs))
    return (
        f"weights and delays are loaded with their synapses, and the state has no {missing}; save state_dict(), whole"
    )


_ELSE = (
    "from the other's synapses: s = other.synapses(), SparseDelayed(..., connectivity=Sparse(s.pre, s.post, s.weight, "
    "s.delay))"
)
