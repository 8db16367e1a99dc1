"""The description of a network in checkpoints, and the difference of two networks in words.

Weights fit any network of the same sizes; their meaning depends on the populations of a connection, its synapse model
and delays, and on the neurons' equations and parameters. So a checkpoint describes all of these, and a network loads
only checkpoints of its own kind.
"""

from __future__ import annotations

import hashlib
from typing import Any

from ..learning.readouts import Readout
from ..plan.plan import ConnectionPlan, Plan, PopulationPlan


def describe(plan: Plan) -> dict[str, Any]:
    """The properties in which a checkpoint and the network that loads it must agree, as JSON can hold them."""
    return {
        "seed": plan.network_seed,
        "time_steps": plan.time_steps,
        "populations": {p.name: _population(p) for p in plan.populations},
        "connections": {c.name: _connection(plan, c) for c in plan.connections},
    }


def describe_like(plan: Plan, theirs: Any) -> dict[str, Any]:
    """The same, with the fingerprint of `theirs` where it includes how strongly phantom spikes push: inference has
    none."""
    found, populations = describe(plan), theirs.get("populations") if isinstance(theirs, dict) else None
    for p in plan.populations:
        other = populations.get(p.name) if isinstance(populations, dict) else None
        if p.has_phantoms and isinstance(other, dict):
            found["populations"][p.name]["parameters"] = other.get("parameters")
    return found


def _population(p: PopulationPlan) -> dict[str, Any]:
    return {
        "size": p.size,
        "equations": p.described,
        "readout": repr(p.readout) if isinstance(p.readout, Readout) else p.readout,
        "batch_norm": None if p.batch_norm is None else f"epsilon {p.batch_norm.epsilon:g}",
        "parameters": _fingerprint(p),
    }


def _fingerprint(p: PopulationPlan) -> str:
    """A digest of the numbers that kernels read (time constants, thresholds, with dt in them)."""
    digest = hashlib.sha256()
    for name, values in (p.parameters | ({} if p.bias is None else {"bias": p.bias})).items():
        digest.update(_kept_name(name).encode() + values.astype("<f4").tobytes())
    return digest.hexdigest()[:12]


def _kept_name(name: str) -> str:
    """The name of a number in checkpoints of format 3: ``v_initial``, ``refrac_steps``, ``a_v``."""
    role, _, rest = name.partition("__")
    return f"{rest}_{role}" if role in ("initial", "steps") else name.replace("__", "_")


def _connection(plan: Plan, c: ConnectionPlan) -> dict[str, Any]:
    return {
        "source": plan.populations[c.source].name,
        "target": plan.populations[c.target].name,
        "synapse": c.synapse,
        "synapses": c.size,
        "delays": [c.min_delay, c.max_delay],
    }


# --- in words --------------------------------------------------------------------------------------------------------

_WHOLE = {
    "seed": "the network seed is {} there and {} here",
    "time_steps": "an example lasts {} time steps there and {} here",
}
_OF_POPULATION = {
    "size": "has {} neurons there and {} here",
    "equations": "consists of other neurons: {} there, {} here",
    "readout": "has the readout {} there and {} here",
    "batch_norm": "has the batch norm {} there and {} here",
}
_NUMBERS = {
    "parameters": "has other parameters there than here (time constants, thresholds, initial values, bias or dt: their "
    "fingerprint is {} there and {} here)",
}
_OF_CONNECTION = {
    "source": "comes from population {} there and from {} here",
    "target": "leads to population {} there and to {} here",
    "synapse": "has the synapse {} there and {} here",
    "synapses": "has {} synapses there and {} here",
    "delays": "has delays of {} there and of {} here",
}
_MEMBERS = (("population", _OF_POPULATION), ("connection", _OF_CONNECTION), ("population", _NUMBERS))
"""In this order: what has words of its own comes before a fingerprint."""


def difference(theirs: Any, ours: dict[str, Any]) -> str:
    """The difference of a checkpoint's network (`theirs`, of unchecked content) from this one, in words.

    The first difference is named: of the whole, then populations and connections that only one has, then what those are
    that both have.
    """
    theirs = theirs if isinstance(theirs, dict) else {}
    for key, words in _WHOLE.items():
        if theirs.get(key) != ours[key]:
            return words.format(_text(theirs.get(key)), _text(ours[key]))
    pairs = {kind: (theirs.get(f"{kind}s"), ours[f"{kind}s"]) for kind in ("population", "connection")}
    pairs = {kind: (there if isinstance(there, dict) else {}, here) for kind, (there, here) in pairs.items()}
    found = [_missing(kind, *pair) for kind, pair in pairs.items()]
    found += [_changed(kind, words, *pairs[kind]) for kind, words in _MEMBERS]
    return next(filter(None, found), "its description of the network cannot be read")


def _missing(kind: str, theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """A population or connection that only one of both has."""
    for name in sorted(theirs.keys() - ours.keys()):
        return (
            f"it has a {kind} {_what(name, theirs[name])}; this network has none of that name, its are {_names(ours)}"
        )
    for name in sorted(ours.keys() - theirs.keys()):
        return (
            f"this network has a {kind} {_what(name, ours[name])}; it has none of that name, its are {_names(theirs)}"
        )
    return ""


def _changed(kind: str, words: dict[str, str], theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """The difference of a population or connection that both have."""
    for name, own in ours.items():
        other = theirs.get(name)
        other = other if isinstance(other, dict) else {}
        for key, text in words.items():
            if other.get(key) != own[key]:
                return f"{kind} {name!r} " + text.format(_text(other.get(key)), _text(own[key]))
    return ""


def _what(name: str, about: Any) -> str:
    """A population or connection with its size, as far as it is known."""
    about = about if isinstance(about, dict) else {}
    if "synapses" in about:
        ends = f" from {_text(about.get('source'))} to {_text(about.get('target'))}"
        return f"{name!r} of {_text(about['synapses'])} synapses{ends}"
    return f"{name!r} of {_text(about.get('size'))} neurons"


def _names(members: dict[str, Any]) -> str:
    return _text(sorted(members)) if members else "none"


def _text(value: Any) -> str:
    """A value of a file, short and on one line."""
    if value is None:
        return "none"
    if isinstance(value, list) and len(value) == 2 and all(type(v) is int for v in value):
        return f"{value[0]} to {value[1]} time steps"
    if isinstance(value, list):
        value = ", ".join(repr(v) for v in value)
        return value if len(value) <= 160 else f"{value[:157]}..."
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
