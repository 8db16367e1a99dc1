"""The schema of state: the numbers kept of every synapse and every neuron between training steps, as one table each.

All code that allocates, moves, saves, checks or counts them reads these tables: the structures of generated C, the
arguments of CUDA's kernels, GeNN's variables, the buffers, rewiring, checkpoints, the check of memory. A further number
per synapse is one more line of :data:`SYNAPSE_FIELDS`; a further moment is one more name in an optimiser's ``moments``.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .plan import ConnectionPlan, PopulationPlan

Birth = Literal["pre", "post", "delay", "weight", "zero"]
"""Values at birth: the ends and the delay of the slot that a synapse grows in, and the smallest weight of its sign."""


@dataclass(frozen=True)
class SynapseField:
    """A number that every synapse of a connection has, or one for each of an optimiser's moments.

    It is saved in checkpoints and goes with its synapse wherever rewiring moves that.

    Attributes:
        name: of its array ``[synapse]`` in states, checkpoints, buffers and kernels; of moment m ``<name><m>``.
        dtype: of the array.
        meaning: in one line, the comment in generated code.
        noun: name of such a number in errors.
        birth: value at a newborn synapse, and before training.
        when: the attribute of a :class:`~genn_delays.plan.plan.ConnectionPlan` that says whether a connection has it,
            and of moments how many; ``"always"`` where every connection has.
        rule: of moments, whose: the optimiser of the ``"weight"`` or of the ``"delay"``; else empty.
    """

    name: str
    dtype: type[np.generic]
    meaning: str
    noun: str = ""
    birth: Birth = "zero"
    when: str = "always"
    rule: Literal["", "weight", "delay"] = ""

    @property
    def several(self) -> bool:
        """True if there may be any number of arrays of it."""
        return self.rule != ""

    def names(self, count: int) -> list[str]:
        """The names of so many arrays of it."""
        return [f"{self.name}{m}" for m in range(count)] if self.several else [self.name][:count]

    def count(self, c: ConnectionPlan) -> int:
        """The number of arrays of it that a connection has."""
        return 1 if self.when == "always" else int(getattr(c, self.when))


SYNAPSE_FIELDS: tuple[SynapseField, ...] = (
    SynapseField("pre", np.int32, "source neuron", birth="pre"),
    SynapseField("post", np.int32, "target neuron", birth="post"),
    SynapseField("delay", np.uint16, "time steps", birth="delay"),
    SynapseField("weight", np.float32, "what a spike adds to the input current", "a weight", birth="weight"),
    SynapseField("age", np.uint16, "optimiser steps since birth, saturating", when="learned"),
    SynapseField(
        "position", np.float32, "the real-valued delay, of which `delay` is the rounded one", "a delay", "delay",
        when="real_delays",
    ),
    SynapseField(
        "moment", np.float32, "moments of the weights' optimiser", "an optimiser's moment of a weight",
        when="num_moments", rule="weight",
    ),
    SynapseField(
        "delay_moment", np.float32, "moments of the delays' optimiser", "an optimiser's moment of a delay",
        when="num_delay_moments", rule="delay",
    ),
)  # fmt: skip


def synapse_fields(c: ConnectionPlan) -> dict[str, SynapseField]:
    """The fields that a connection keeps of every synapse, by the names of its arrays."""
    return {name: field for field in SYNAPSE_FIELDS for name in field.names(field.count(c))}


def every_synapse_field(most_moments: int) -> dict[str, SynapseField]:
    """All fields that a connection may have, by the names of arrays, for optimisers of so many moments at most."""
    return {name: f for f in SYNAPSE_FIELDS for name in f.names(most_moments if f.several else 1)}


def absent() -> dict[str, npt.NDArray[Any]]:
    """Empty arrays of the fields that not every connection has, as states hold them."""
    return {f.name: np.empty(0, f.dtype) for f in SYNAPSE_FIELDS if f.when != "always" and not f.several}


def kept_among(names: Container[str]) -> list[str]:
    """The names that a connection's state has, moments as far as they are among those of a file or of buffers."""
    found: list[str] = []
    for f in SYNAPSE_FIELDS:
        numbered = (f"{f.name}{m}" for m in count())
        found += takewhile(names.__contains__, numbered) if f.several else [f.name]
    return found


def synapse_bytes(c: ConnectionPlan) -> int:
    """Bytes that are kept of a synapse."""
    return sum(np.dtype(field.dtype).itemsize for field in synapse_fields(c).values())


def field_of(name: str) -> SynapseField | None:
    """The field of an array of this name, or None if it is not one of a synapse's."""
    for f in SYNAPSE_FIELDS:
        if name == f.name or (f.several and name.rstrip("0123456789") == f.name):
            return f
    return None


def noun(name: str) -> str:
    """The name in errors of a number of an array of a connection or of a population (its moments:
    ``<value>.moment0``)."""
    field = field_of(name)
    if field is not None:
        return field.noun or name
    value, moment, _ = name.partition(".moment")
    return f"an optimiser's moment of {value}" if moment else name


@dataclass(frozen=True)
class NeuronField:
    """A number, float32, that every neuron of a population has and that training changes.

    Attributes:
        birth: value before training, ``[neuron]``.
        moments: numbers that an optimiser keeps besides, ``<value>.moment<m>``; None where none learns it.
    """

    birth: npt.NDArray[np.float32]
    moments: int | None = None

    def moment_names(self, name: str) -> list[str]:
        """The names of the arrays of its moments."""
        return [f"{name}.moment{m}" for m in range(self.moments or 0)]


def neuron_fields(p: PopulationPlan) -> dict[str, NeuronField]:
    """The fields that a population keeps of every neuron, by name: learned values, and batch norm's scale, shift and
    running averages."""
    names = set(p.learned) | ({"batch_norm_scale", "batch_norm_shift"} if p.batch_norm else set())
    moments = {name: optimiser.num_moments for name, optimiser in p.learned.items()}
    found = {name: NeuronField(p.values[name].astype(np.float32), moments.get(name)) for name in sorted(names)}
    if p.batch_norm:
        found["batch_norm_mean"] = NeuronField(np.zeros(p.size, np.float32))
        found["batch_norm_var"] = NeuronField(np.ones(p.size, np.float32))
    return found
