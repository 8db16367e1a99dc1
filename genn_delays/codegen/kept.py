"""The numbers kept per synapse, as templates see them: :mod:`~genn_delays.plan.schema` in the types of a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..plan import schema

CPU_TYPES = {np.int32: "int32_t", np.uint16: "uint16_t", np.float32: "float"}
CUDA_TYPES = {np.int32: "int", np.uint16: "u16", np.float32: "float"}
GENN_TYPES = {np.int32: "int32_t", np.uint16: "uint16_t", np.float32: "scalar"}


@dataclass(frozen=True)
class Kept:
    """An array of a connection, or those of its moments, as a template prints it.

    Attributes:
        name, meaning, birth: those of the field.
        type: of a number in the target's language.
        real: whether that is a floating-point number.
        rule: the member of a connection's structure in whose ``moment`` the arrays of moments are; else empty.
        rare: whether some connections that are rewired do not have it.
        always: whether every connection has it.
    """

    name: str
    meaning: str
    birth: schema.Birth
    type: str
    real: bool
    rule: str
    rare: bool
    always: bool

    @classmethod
    def of(cls, name: str, field: schema.SynapseField, types: dict[Any, str]) -> Kept:
        """A field in a target's types, under the name of an array of it."""
        rare = field.when not in ("always", "learned")  # connections that are rewired are learned
        rule = f"{field.rule}_rule" if field.rule else ""
        always, real = field.when == "always", issubclass(field.dtype, np.floating)
        return cls(name, field.meaning, field.birth, types[field.dtype], real, rule, rare, always)


def kept_on_cpu() -> list[Kept]:
    """The members of a connection's structure on the processor: moments are arrays of arrays there."""
    return [Kept.of(field.name, field, CPU_TYPES) for field in schema.SYNAPSE_FIELDS]


def kept_on_device(most_moments: int) -> dict[str, Kept]:
    """The arrays per synapse that rewiring may move, in the order in which CUDA's kernels take them."""
    fields = schema.every_synapse_field(most_moments)
    return {name: Kept.of(name, field, CUDA_TYPES) for name, field in fields.items()}
