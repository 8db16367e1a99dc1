"""Checkpoints: everything needed to go on with the same bits, and nothing of when, where or by how many threads.

A checkpoint is one safetensors file. Its tensors are, for every connection, ``<name>.pre``, ``.post``, ``.delay``,
``.weight``, and where it is learned ``.age`` and ``.moment0``, ``.moment1``; its metadata one JSON text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .backends.protocol import ConnectionState
from .compilers.plan import Plan
from .connectivity import Synapses
from .errors import RunFolderError
from .paths import atomic_write

FORMAT = 1


@dataclass
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        states: by connection name.
        progress: epochs and steps done, rewirings so far, state of callbacks; as JSON can hold it.
    """

    states: dict[str, ConnectionState]
    progress: dict[str, Any]


def save_checkpoint(path: Path, plan: Plan, checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside `path` and rename it: a reader finds the old one or the new one, never a part."""
    from safetensors.numpy import save

    tensors: dict[str, npt.NDArray[Any]] = {}
    for name, state in checkpoint.states.items():
        tensors |= {f"{name}.{field}": array for field, array in state.synapses._asdict().items()}
        tensors |= {f"{name}.moment{m}": array for m, array in enumerate(state.moments)}
        tensors[f"{name}.age"] = state.age
    about = {"format": FORMAT, "network": describe(plan), "progress": checkpoint.progress}
    # one key only: safetensors does not promise an order of several, and files must be equal bit by bit
    atomic_write(path, save(tensors, {"genn_delays": json.dumps(about, sort_keys=True)}))


def describe(plan: Plan) -> dict[str, Any]:
    """What must agree between a checkpoint and the network that takes it over."""
    return {
        "seed": plan.network_seed,
        "populations": {p.name: p.size for p in plan.populations},
        "connections": {c.name: c.connection.synapses.pre.size for c in plan.connections},
    }


def load_checkpoint(path: Path, plan: Plan) -> Checkpoint:
    """Read a checkpoint and check that it belongs to the network.

    Raises:
        RunFolderError: the file is missing, damaged, of another format or of another network.
    """
    tensors, about = _read(path)
    if about.get("format") != FORMAT:
        raise RunFolderError(f"checkpoint {path} has format {about.get('format')!r}; this version reads {FORMAT}")
    expected = describe(plan)
    if about.get("network") != expected:
        raise RunFolderError(
            f"checkpoint {path} is of another network: it holds {about.get('network')}, not {expected}"
        )
    states = {}
    for c in plan.connections:
        try:
            synapses = Synapses(*(tensors[f"{c.name}.{field}"] for field in Synapses._fields))
            age = tensors[f"{c.name}.age"]
            moments = [tensors[f"{c.name}.moment{m}"] for m in range(2)]
        except KeyError as error:
            raise RunFolderError(f"checkpoint {path} lacks {error}") from error
        _check(path, c.name, c.num_pre, c.num_post, c.connection.max_delay_steps, synapses)
        states[c.name] = ConnectionState(synapses, moments, age)
    return Checkpoint(states, about["progress"])


def _read(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise RunFolderError(f"there is no checkpoint {path}")
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        about = json.loads(metadata["genn_delays"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise RunFolderError(f"checkpoint {path} is damaged ({error}); delete it or use another one") from error
    return tensors, about


def _check(path: Path, name: str, num_pre: int, num_post: int, max_delay: int, s: Synapses) -> None:
    """Kernels trust their indices, so no file may smuggle in one that is out of range."""
    size = s.pre.size
    fine = all(a.shape == (size,) for a in s) and [a.dtype for a in s] == [np.int32, np.int32, np.uint16, np.float32]
    fine = fine and bool(
        size == 0
        or (s.pre.min() >= 0 and s.pre.max() < num_pre and s.post.min() >= 0 and s.post.max() < num_post
            and s.delay.max() <= max_delay and (np.diff(s.post) >= 0).all() and np.isfinite(s.weight).all())
    )  # fmt: skip
    if not fine:
        raise RunFolderError(f"checkpoint {path} is damaged (synapses of {name!r} are out of range)")
