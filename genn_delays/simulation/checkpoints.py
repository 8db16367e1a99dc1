"""Checkpoints of simulations: everything from which time goes on with the same bits, on any backend and any threads.

A checkpoint is one safetensors file: ``population:<name>.<variable>``, and ``pending:<name>.<receptor>``, what is on
its way, ``[steps ahead, neuron]``; of drives that were set while it ran ``drive:<name>.<number>``, float64. Its
metadata is one JSON text with the step, what the network is, and a digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import RunFolderError
from ..paths import atomic_write
from ..plan.simulation import LAST_STEP, SimulatedConnection, SimulatedPopulation, SimulationEngine, SimulationPlan
from ..training.checkpoints import digest_of, read_tensors

FORMAT = "simulation 1"
WITH_DRIVES = "simulation 2"
"""The format of a checkpoint with drives that were set, which earlier versions would leave out."""
Driven = Mapping[int, Mapping[str, npt.NDArray[np.float64]]]
"""Numbers of drives that were set, by population and name."""


@dataclass(frozen=True)
class State:
    """The state that a checkpoint holds."""

    step: int
    variables: dict[tuple[int, str], npt.NDArray[np.float32]]
    pending: npt.NDArray[np.int32]
    driven: dict[int, dict[str, npt.NDArray[np.float64]]]


def as_compiled(plan: SimulationPlan, compiled: SimulationPlan) -> SimulationPlan:
    """A plan with drives, and the grids of what arrives, as they were when the network was compiled."""
    populations = tuple(
        replace(now, poisson=then.poisson, currents=then.currents, threshold=then.threshold)
        for now, then in zip(plan.populations, compiled.populations, strict=True)
    )
    return replace(plan, populations=populations, receptors=compiled.receptors)


def save_simulation(path: Path, plan: SimulationPlan, engine: SimulationEngine, driven: Driven) -> None:
    """Write a checkpoint; a reader finds the old one or the new one, never a part.

    Args:
        plan: with drives :func:`as_compiled`.
        driven: those that were set.
    """
    from safetensors.numpy import save

    pending = engine.pending()
    tensors: dict[str, npt.NDArray[Any]] = {}
    for p in plan.populations:
        tensors |= {f"population:{p.name}.{s}": engine.variable(p.index, s) for s in p.states}
        for k, index in enumerate(p.receptors):
            column = plan.receptors[index].column
            tensors[f"pending:{p.name}.{k}"] = np.ascontiguousarray(pending[:, column : column + p.size])
        tensors |= {f"drive:{p.name}.{name}": values for name, values in driven.get(p.index, {}).items()}
    kind = WITH_DRIVES if any(driven.values()) else FORMAT
    about: dict[str, Any] = {"format": kind, "network": describe(plan), "step": engine.now}
    about["digest"] = digest_of(tensors, about)
    atomic_write(path, save(tensors, {"genn_delays": json.dumps(about, sort_keys=True)}))


def load_simulation(path: Path, plan: SimulationPlan, settable: Mapping[int, Sequence[str]]) -> State:
    """Read a checkpoint, and check that it belongs to the network.

    Args:
        plan: with drives :func:`as_compiled`.
        settable: by population the names of drives' numbers.

    Raises:
        RunFolderError: the file is missing, damaged, no checkpoint of a simulation or one of another network.
    """
    tensors, about = read_tensors(path)
    if about.get("format") not in (FORMAT, WITH_DRIVES):
        raise RunFolderError(
            f"checkpoint {path} has format {about.get('format')!r}, simulations read {FORMAT!r} and {WITH_DRIVES!r}: "
            "it is one of training or of another version of genn_delays"
        )
    if about.pop("digest", None) != digest_of(tensors, about):
        raise RunFolderError(f"checkpoint {path} is damaged (its checksum is wrong); restore it")
    difference = _difference(about.get("network"), describe(plan))
    if difference:
        raise RunFolderError(f"checkpoint {path} is of another network: {difference}")
    pending, step = np.zeros((plan.longest, plan.columns), np.int32), about.get("step")
    if not isinstance(step, int) or not 0 <= step <= LAST_STEP:
        raise RunFolderError(f"checkpoint {path} is damaged (step {step!r:.80})")
    values: dict[tuple[int, str], npt.NDArray[np.float32]] = {}
    driven: dict[int, dict[str, npt.NDArray[np.float64]]] = {}
    for p in plan.populations:
        values |= {(p.index, s): _tensor(path, tensors, f"population:{p.name}.{s}", (p.size,), "f4") for s in p.states}
        there = [name for name in settable[p.index] if f"drive:{p.name}.{name}" in tensors]
        if there:
            driven[p.index] = {n: _tensor(path, tensors, f"drive:{p.name}.{n}", (p.size,), "f8") for n in there}
        for k, index in enumerate(p.receptors):
            column = plan.receptors[index].column
            found = _tensor(path, tensors, f"pending:{p.name}.{k}", (plan.longest, p.size), "i4")
            pending[:, column : column + p.size] = found
    return State(step, values, pending, driven)


def _tensor(path: Path, tensors: dict[str, Any], name: str, shape: tuple[int, ...], kind: str) -> npt.NDArray[Any]:
    found = tensors.get(name)
    if found is None or found.shape != shape or found.dtype != np.dtype(kind):
        raise RunFolderError(f"checkpoint {path} is damaged ({name} is missing or of another shape)")
    return np.asarray(found)


# --- which network ---------------------------------------------------------------------------------------------------


def describe(plan: SimulationPlan) -> dict[str, Any]:
    """The properties in which a checkpoint and the network that loads it must agree, as JSON can hold them."""
    return {
        "dt": plan.dt,
        "rng_seed": plan.seed,
        "network seed": plan.network_seed,
        "connections": {c.name: _connection(plan, c) for c in plan.connections},
        "populations": {p.name: _population(plan, p) for p in plan.populations},
        "fingerprint of synapses": plan.fingerprint,
    }


def _population(plan: SimulationPlan, p: SimulatedPopulation) -> dict[str, Any]:
    digest = hashlib.sha256()
    arrays: list[Any] = [v.astype("<f4") for _, v in sorted(p.parameters.items())]
    arrays += [p.bias, p.threshold, *(p.given or ())]
    arrays += [a for d in p.poisson for a in (d.weight, d.table.fewest, d.table.thresholds)]
    arrays += [a for c in p.currents for a in (c.mean, c.sd, c.steps)]
    for array in arrays:
        digest.update(b"none" if array is None else f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return {
        "size": p.size,
        "equations": p.described,
        "synapses": [plan.receptors[r].described for r in p.receptors],
        "drives": len(p.poisson) + len(p.currents),
        "numbers (parameters, initial values, rates, drives; as a fingerprint)": digest.hexdigest()[:12],
    }


def _connection(plan: SimulationPlan, c: SimulatedConnection) -> dict[str, Any]:
    return {
        "source": plan.populations[c.source].name,
        "target": plan.populations[c.target].name,
        "number of synapses": c.size,
        "grid": plan.receptors[c.receptor].exponent,
    }


def _difference(theirs: Any, ours: Any, what: str = "") -> str:
    """The first difference of two descriptions in words; empty for none."""
    if not (isinstance(theirs, dict) and isinstance(ours, dict)):
        if theirs == ours:
            return ""
        return f"{what or 'its description'} is {theirs!r:.160} there and {ours!r:.160} here"
    for name in [*ours, *(theirs.keys() - ours.keys())]:
        inner = f"{what}{': ' if what else ''}{name}"
        if name not in theirs or name not in ours:
            return f"{inner} is only {'here' if name in ours else 'there'}"
        if found := _difference(theirs[name], ours[name], inner):
            return found
    return ""
