"""Checkpoints: everything needed to resume with the same bits, and nothing about the time, the machine or the threads.

A checkpoint is one safetensors file. Its tensors are, for every connection, ``<name>.<field>`` of
:data:`~genn_delays.plan.schema.SYNAPSE_FIELDS` (``.pre``, ``.weight``, ``.moment0``, ...); for populations that learn
or normalise ``population:<name>.<value>``. Its metadata is one JSON text, and in it what the network is
(:mod:`.identity`) and a digest of all the rest, so that a file with a flipped bit is not taken for weights, nor one
network's for another's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, RunFolderError, check_count, check_real
from ..learning.schedules import Progress
from ..paths import atomic_write
from ..plan.exchanged import ConnectionState
from ..plan.finite import not_finite
from ..plan.plan import ConnectionPlan, Plan, PopulationPlan
from ..plan.populations import PopulationState
from ..plan.schema import field_of, synapse_fields
from .identity import describe, describe_like, difference

FORMAT = 3
MOST_STEPS = (1 << 53) - 1
"""Training steps, or rewirings, that a file may claim: what JSON readers count exactly."""


@dataclass
class Checkpoint:
    """The content of a checkpoint.

    Attributes:
        states: by connection name.
        populations: learned values and the averages of batch norm, by population name.
        progress: epochs and steps done, rewirings so far, state of callbacks; as JSON can hold it.
    """

    states: dict[str, ConnectionState]
    populations: dict[str, PopulationState]
    progress: dict[str, Any]


def save_checkpoint(path: Path, plan: Plan, checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside `path` and rename it: a reader finds the old one or the new one, never a part."""
    from safetensors.numpy import save

    tensors: dict[str, npt.NDArray[Any]] = {}
    for name, state in checkpoint.states.items():
        for field, array in state.arrays().items():  # in files float32, also those of a float64 `reference`
            tensors[f"{name}.{field}"] = array.astype(np.float32) if array.dtype.kind == "f" else array
    for name, population in checkpoint.populations.items():
        tensors |= {f"population:{name}.{field}": array for field, array in population.tensors().items()}
    ages = {name: population.age for name, population in checkpoint.populations.items()}
    about = {"format": FORMAT, "network": describe(plan), "ages": ages, "progress": checkpoint.progress}
    about = json.loads(json.dumps(about))  # as it will be read again: the digest is of that
    about["digest"] = digest_of(tensors, about)
    # one key only: safetensors does not promise an order of several, and files must be equal bit by bit
    atomic_write(path, save(tensors, {"genn_delays": json.dumps(about, sort_keys=True)}))


def load_checkpoint(path: Path, plan: Plan, trained: Sequence[Plan] = ()) -> Checkpoint:
    """Read a checkpoint and check that it belongs to the network.

    Args:
        trained: the same network as other methods train it, whose checkpoints fit too.

    Raises:
        RunFolderError: the file is missing, damaged, of another format or of another network.
    """
    tensors, about = read_tensors(path)
    if about.get("format") != FORMAT:
        raise RunFolderError(
            f"checkpoint {path} has format {about.get('format')!r}, of another version of genn_delays; this one reads "
            f"format {FORMAT}: load it with the version that wrote it, or train again (a run's config.toml can be "
            "given as MODEL with another --out)"
        )
    expected, theirs = describe(plan), about.get("network")
    if plan.forward_only and isinstance(theirs, dict) and "time_steps" in theirs:
        theirs = theirs | {"time_steps": plan.time_steps}  # without training examples may be of any length
    if theirs != expected and theirs not in [describe_like(other, theirs) for other in trained]:
        raise RunFolderError(f"checkpoint {path} is of another network: {difference(theirs, expected)}")
    states = {}
    for c in plan.connections:
        own = {key.removeprefix(f"{c.name}."): a for key, a in tensors.items() if key.startswith(f"{c.name}.")}
        try:
            state = ConnectionState.from_arrays(own)
        except KeyError as error:
            raise RunFolderError(f"checkpoint {path} lacks {error} of connection {c.name!r}") from error
        if not _sound(c, state):
            raise RunFolderError(f"checkpoint {path} is damaged (synapses of {c.name!r} are out of range)")
        if (what := not_finite(state.arrays())) is not None:
            raise RunFolderError(f"checkpoint {path} is damaged ({what} of connection {c.name!r} is not finite)")
        states[c.name] = state
    populations = {p.name: _population_state(path, p, tensors, about) for p in plan.populations}
    return Checkpoint(states, populations, _progress(path, about.get("progress")))


def _progress(path: Path, progress: Any) -> dict[str, Any]:
    """The progress of training in a file, with every number checked: they decide how long training goes on."""
    damaged = f"checkpoint {path} is damaged"
    if (
        not isinstance(progress, dict)
        or not {"epoch", "step", "rewirings", "callbacks", "schedules"} <= progress.keys()
    ):
        raise RunFolderError(f"{damaged} (its progress is missing)")
    rewirings, callbacks, schedules = (progress[key] for key in ("rewirings", "callbacks", "schedules"))
    for name, table in (("rewirings", rewirings), ("callbacks", callbacks)):
        if not isinstance(table, dict):
            raise RunFolderError(f"{damaged} ({name} must be a table, got {table!r:.80})")
    for name, state in callbacks.items():
        if not isinstance(state, dict):
            raise RunFolderError(f"{damaged} (the state of callback {name!r} must be a table, got {state!r:.80})")
    if not isinstance(schedules, list) or len(schedules) != len(Progress._fields):
        raise RunFolderError(f"{damaged} (schedules must be {len(Progress._fields)} numbers, got {schedules!r:.80})")
    try:
        steps = check_count("step", progress["step"], 0, MOST_STEPS)
        check_count("epoch", progress["epoch"], 0, steps)  # an epoch has a step at least
        for name, count in rewirings.items():
            check_count(f"rewirings of {name!r}", count, 0, MOST_STEPS)
        now = Progress(*(check_count(f, n, 0, MOST_STEPS) for f, n in zip(Progress._fields, schedules, strict=True)))
        check_count("schedules: epoch", now.epoch, 0, max(now.num_epochs - 1, 0))
        check_count("schedules: batch", now.batch, 0, max(now.num_batches - 1, 0))
    except InvalidValueError as error:
        raise RunFolderError(f"{damaged} ({error})") from error
    _check_alphas(damaged, progress.get("learning_rates", {}))
    return progress


def _check_alphas(damaged: str, rates: Any) -> None:
    """The learning rates that were set while training, by connection or population and variable; none in most files."""
    tables = rates.values() if isinstance(rates, dict) else [rates]
    for table in tables:
        if not isinstance(table, dict):
            raise RunFolderError(f"{damaged} (learning_rates must be tables, got {table!r:.80})")
        for variable, alpha in table.items():
            try:
                check_real(f"learning_rates of {variable!r:.80}", alpha, 0.0)
            except InvalidValueError as error:
                raise RunFolderError(f"{damaged} ({error})") from error


def read_progress(path: Path) -> dict[str, Any]:
    """The progress of training, and the state of callbacks, in a checkpoint of any network.

    Raises:
        RunFolderError: the file is missing or damaged.
    """
    progress = read_tensors(path)[1].get("progress")
    return progress if isinstance(progress, dict) else {}


def read_tensors(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """The tensors of a file and its JSON text; the checksum of one of training is checked, and left out.

    Raises:
        RunFolderError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if not path.is_file():
            raise RunFolderError(f"there is no checkpoint {path}")
        path.open("rb").close()  # safetensors reports a file without permission as missing
    except OSError as error:
        raise RunFolderError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    try:
        with safe_open(str(path), framework="numpy") as file:
            text = (file.metadata() or {}).get("genn_delays")
            if text is None:
                raise RunFolderError(f"{path} is not a checkpoint of genn_delays")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        about = dict(json.loads(text))
    except (SafetensorError, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise RunFolderError(f"checkpoint {path} is damaged ({error}); restore it or begin another run") from error
    if about.get("format") == FORMAT and about.pop("digest", None) != digest_of(tensors, about):
        raise RunFolderError(f"checkpoint {path} is damaged (its checksum is wrong); restore it or begin another run")
    return tensors, about


def digest_of(tensors: dict[str, npt.NDArray[Any]], about: dict[str, Any]) -> str:
    """A checksum of a checkpoint's content."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, array in sorted(tensors.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _sound(c: ConnectionPlan, state: ConnectionState) -> bool:
    """True if a state fits its connection. Kernels do not check indices, so a file must not contain wrong ones."""
    s, size = state.synapses, c.size
    for name, array in state.arrays().items():
        field = field_of(name)
        sizes = {size} if field is not None and field.when == "always" else {0, size}
        if field is None or array.ndim != 1 or array.size not in sizes or array.dtype != field.dtype:
            return False  # arrays of variables that were not learned when the checkpoint was written are empty
    if state.position.size and not np.array_equal(np.rint(state.position), s.delay):
        return False
    if size == 0:
        return True
    inside = s.pre.min() >= 0 and s.pre.max() < c.num_pre and s.post.min() >= 0 and s.post.max() < c.num_post
    step = np.diff(s.post.astype(np.int64) * c.num_pre + s.pre)
    ordered = bool((step >= 0).all() if c.capacity > 1 else (step > 0).all())
    return bool(inside and ordered and c.min_delay <= s.delay.min() and s.delay.max() <= c.max_delay)


def _population_state(
    path: Path, p: PopulationPlan, tensors: dict[str, npt.NDArray[Any]], about: dict[str, Any]
) -> PopulationState:
    """The learned values of a population, also those that are no longer learned.

    State that this compilation needs and the checkpoint does not have is initialised.
    """
    state = PopulationState.new(p)
    for name, value in p.values.items():
        if f"population:{p.name}.{name}" in tensors and name not in state.values:
            state.values[name] = value.astype(np.float32)
    ages = about.get("ages")
    age = ages.get(p.name) if isinstance(ages, dict) else None
    if age is None:
        return state
    try:
        state.age = check_count(f"training steps of population {p.name!r}", age, 0, MOST_STEPS)
    except InvalidValueError as error:
        raise RunFolderError(f"checkpoint {path} is damaged ({error})") from error
    for name, array in state.tensors().items():
        found = tensors.get(f"population:{p.name}.{name}")
        if found is None:
            continue
        if found.shape != array.shape or found.dtype != array.dtype or not np.isfinite(found).all():
            raise RunFolderError(
                f"checkpoint {path} is damaged ({name} of population {p.name!r} is not an array of numbers)"
            )
        array[:] = found
    return state


def fitting(state: ConnectionState, c: ConnectionPlan) -> ConnectionState:
    """A state for the optimisers of this compilation: the synapses as they are, with new moments where optimisers
    differ."""
    new = ConnectionState.new(state.synapses, c)
    if {name: a.shape for name, a in state.arrays().items()} == {name: a.shape for name, a in new.arrays().items()}:
        return state
    kept = state.arrays()
    for name, field in synapse_fields(c).items():
        if field.birth != "zero" and kept[name].size:
            new.values[name] = kept[name]
    return new
