"""A compiled network that is one rank of several: its share of every batch, and agreement with the others."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from ..communicators import Communicator
from ..errors import InvalidValueError
from ..plan.plan import Plan
from ..plan.protocol import Engine, ForRank, SharedEngine, SharesBatches
from ..version import __version__
from .data import Batch, Data
from .identity import describe

if TYPE_CHECKING:
    from ..callbacks import Callback


P = ParamSpec("P")
R = TypeVar("R")


class _HasCommunicator(Protocol):
    communicator: Communicator | None


S = TypeVar("S", bound=_HasCommunicator)


def build_engine(backend: Any, plan: Plan, communicator: Communicator | None) -> Engine:
    """The engine of a plan; with a communicator that of this rank, whose code rank 0 has compiled.

    Raises:
        InvalidValueError: the backend cannot share batches, or there are too many ranks.
        CommunicationError: ranks have different networks, versions or seeds.
    """
    if communicator is None:
        engine: Engine = backend.build(plan)
        return engine
    name = backend.name
    if not isinstance(backend, SharesBatches):
        raise InvalidValueError(
            f"backend {name!r} does not share batches among ranks; a communicator needs backend 'cpu' or 'cuda'"
        )
    with reported(communicator):
        communicator.check_alike("before training", {"the backend": name, **fingerprint(plan)})
        if isinstance(backend, ForRank):
            backend = backend.for_rank(plan, communicator)
        first = backend.build_share(plan, communicator) if communicator.rank == 0 else None
        communicator.everyone("agreement", "compiled")
        return first or cast(SharesBatches, backend).build_share(plan, communicator)


def fingerprint(plan: Plan) -> dict[str, Any]:
    """All that ranks must have in common: versions, seeds, the network and how it learns."""
    network = hashlib.sha256(repr(sorted(describe(plan).items())).encode())
    for c in plan.connections:
        for array in c.initial_synapses():
            network.update(np.ascontiguousarray(array).data)
    learning = [(c.name, c.optimiser, c.delay_optimiser, c.rewiring) for c in plan.connections]
    values = [(p.name, sorted(p.learned.items()), p.dropout, p.loss) for p in plan.populations]
    method = (plan.surrogate, plan.detach_reset, plan.event_prop, plan.regularisation, plan.clip_norm)
    return {
        "the version of genn_delays": __version__,
        "the version of numpy": np.__version__,
        "the network seed": plan.network_seed,
        "the network": network.hexdigest()[:12],
        "rng_seed": plan.training_seed,
        "batch_size": plan.batch_size,
        "the way of learning": hashlib.sha256(repr((learning, values, method)).encode()).hexdigest()[:12],
    }


def digest_of_data(data: Data) -> str:
    """A digest of data in memory; of data that are read batch by batch, of their number and their first batch."""
    digest = hashlib.sha256()
    few = data.batch(data.examples[:1]) if data.streamed else None
    for index, own in sorted((data.inputs if few is None else few.inputs).items()):
        digest.update(f"{index} {len(data.inputs[index])}".encode())
        for name in ("values", "start", "neuron", "step"):
            if isinstance(array := getattr(own, name, None), np.ndarray):
                digest.update(f"{name} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
    for index, labels in sorted((data.labels if few is None else few.labels).items()):
        digest.update(f"{index} {len(data.labels[index])}".encode())
        if isinstance(labels, np.ndarray):
            digest.update(np.ascontiguousarray(labels).data)
    digest.update(np.ascontiguousarray(data.examples).data)
    return digest.hexdigest()[:12]


def digest_of_state(engine: Engine, plan: Plan) -> str:
    """A digest of everything that connections carry from step to step."""
    digest = hashlib.sha256()
    for c in plan.connections:
        for name, array in sorted(engine.state(c.index).arrays().items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def reported(communicator: Communicator | None) -> Iterator[None]:
    """Tell the other ranks of an error of the body: without this one they would wait for ever."""
    try:
        yield
    except BaseException as error:
        if communicator is not None:
            communicator.fail(error)
        raise


def together(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A decorator for methods that all ranks call: the others hear of an error."""

    @wraps(method)
    def reporting(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with reported(self.communicator):
            return method(self, *args, **kwargs)

    return reporting


def share_of(engine: Engine, data: Data, numbers: npt.NDArray[np.int64], epoch: int | None = None) -> Batch:
    """This rank's share of a batch. Of one without examples the labels are those of one, for their shape."""
    first, end = cast(SharedEngine, engine).share(numbers.size)
    if first < end:
        return data.batch(numbers[first:end], epoch)._replace(total=numbers.size)
    none: Mapping[int, Any] = {}
    labels = data.batch(numbers[:1]).labels
    return Batch(dict(none), np.empty(0, np.int64), labels, numbers.size)


def own_callbacks(callbacks: list[Callback], communicator: Communicator | None) -> list[Callback]:
    """The callbacks that this rank calls: those that write or show something are rank 0's.

    Raises:
        InvalidValueError: one records activity, of which a rank has a share.
    """
    if communicator is None or communicator.size == 1:
        return callbacks
    for callback in callbacks:
        if callback.reads_activity:
            raise InvalidValueError(
                f"{callback!r} records activity, of which a rank has a share: use it in one process"
            )
    return [callback for callback in callbacks if communicator.rank == 0 or not callback.writes]
