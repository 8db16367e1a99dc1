"""Optimisers. A new one is a class with its `moments` and its `body`, registered by a name.

The body is written once: backend ``reference`` computes it with NumPy, and every target's kernels have it printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ..bodies import Body, BodyError, Type, check_class, check_only_read, compute, read
from ..bodies.functions import LIBRARY
from ..errors import check_real, check_registered, check_switch, keep, unknown
from ..registry import Registry
from .schedules import Progress, Schedule, as_schedule

_AROUND_THE_BODY = ("l1", "weight_decay", "decoupled_l1", "schedule")
"""Fields that no body reads: they belong to the steps before and after it, which are the same for all optimisers."""

F32 = npt.NDArray[np.float32]
U16 = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Optimiser:
    """Base of all optimisers: frozen dataclasses, whose further fields are numbers that the body reads.

    Args:
        alpha: learning rate, above 0.
        l1, weight_decay: ``l1 * sign(w) + weight_decay * w`` is added to the gradient of weights (not to that of delays
            or of populations' values), at least 0.
        decoupled_l1: L1 is kept out of the gradient and so out of the moments; after the step weights drift towards 0,
            ``w = w - alpha l1 sign(w)``, as AdamW has it for decay. Adam scales its steps by the size of the gradient:
            where the data's has vanished, an L1 in it alone makes steps of full size, however small it is.
        schedule: how `alpha` (and with one-cycle `beta1`) change while training; constant where not given.
    """

    alpha: float = 1e-3
    l1: float = field(default=0.0, kw_only=True)
    weight_decay: float = field(default=0.0, kw_only=True)
    decoupled_l1: bool = field(default=False, kw_only=True)
    schedule: Schedule | None = field(default=None, kw_only=True)

    registered_name: ClassVar[str]
    moments: ClassVar[tuple[str, ...]] = ()
    """Names of the numbers that are kept per synapse besides its age; 0 at its birth."""
    body: ClassVar[str]
    """One step (:mod:`genn_delays.bodies`): from the value `w` that is learned, its gradient `g` and the `moments`, all
    real, to their new values. It may read `age` (u32), the steps that the value has had, this one included, and the
    optimiser's numbers by their names (double)."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        keep(self, alpha=check_real(f"{name} alpha", self.alpha, 0.0, open_low=True))
        keep(self, l1=check_real(f"{name} l1", self.l1, 0.0))
        keep(self, weight_decay=check_real(f"{name} weight_decay", self.weight_decay, 0.0))
        check_switch(f"{name} decoupled_l1", self.decoupled_l1)
        for number in self.number_names():
            check_real(f"{name} {number}", getattr(self, number))
        keep(self, schedule=as_schedule(self.schedule))

    def numbers(self) -> dict[str, float]:
        """The numbers that the body reads, by name."""
        return {name: float(getattr(self, name)) for name in self.number_names()}

    def at(self, progress: Progress) -> Optimiser:
        """The optimiser as the schedule has it at a point of training.

        The schedule's numbers are not checked as a user's are: a learning rate may have decayed to 0.
        """
        if self.schedule is None:
            return self
        values = {name: v for name, v in self.schedule.values(self.alpha, progress).items() if hasattr(self, name)}
        now = copy(self)
        keep(now, schedule=None, **values)
        return now

    def with_alpha(self, alpha: float) -> Optimiser:
        """The optimiser with another learning rate, at least 0, and no schedule."""
        changed = copy(self)
        keep(changed, alpha=alpha, schedule=None)
        return changed

    @property
    def num_moments(self) -> int:
        """Numbers kept per synapse besides its age."""
        return len(self.moments)

    @classmethod
    def number_names(cls) -> tuple[str, ...]:
        """The names of what :meth:`numbers` gives."""
        return tuple(f.name for f in fields(cls) if f.name not in _AROUND_THE_BODY)

    @classmethod
    @cache
    def formula(cls) -> Body:
        """The body, read."""
        what = f"body of optimiser {cls.__name__}"
        if not isinstance(cls.moments, (tuple, list)) or not all(isinstance(name, str) for name in cls.moments):
            raise BodyError(f"optimiser {cls.__name__}: `moments` must be a tuple of names, got {cls.moments!r}")
        inputs = dict.fromkeys(("w", "g", *cls.moments), Type.REAL) | {"age": Type.U32}
        taken = [name for name in cls.number_names() if name in inputs]
        if taken or len(inputs) != len(cls.moments) + 3:
            raise BodyError(f"optimiser {cls.__name__}: w, g, age, the moments and its numbers need names of their own")
        inputs |= dict.fromkeys(cls.number_names(), Type.DOUBLE)
        body = read(what, cls.body, inputs, ("w", *cls.moments), LIBRARY)
        if left := [name for name in ("w", *cls.moments) if name not in body.assigned()]:
            raise BodyError(f"{what} gives {', '.join(left)} no new value")
        check_only_read(what, body, ("age", *cls.number_names()))
        return body

    @classmethod
    def check_definition(cls) -> None:
        """Raise an error if the class lacks anything that backends need."""
        if not isinstance(getattr(cls, "body", None), str) or not is_dataclass(cls):
            raise BodyError(f"optimiser {cls.__name__} must be a dataclass with a `body`, the text of one step")
        fixed = ("step", "formula", "number_names", "numbers", "num_moments")
        check_class(f"optimiser {cls.__name__}", cls, Optimiser, fixed)
        cls.formula()

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Optimisers that the contract tests try: instances that between them use all that it can do."""
        return (cls(alpha=0.01),)

    def step(self, weight: F32, g: F32, moments: list[F32], age: U16) -> F32:
        """One step of the body; `moments` are updated in place.

        Args:
            weight: the learned values, weights or positions, ``[synapse]``.
            g: its gradient.
            moments: `num_moments` arrays.
            age: steps that each has had, this one included.

        Returns:
            The new weights.
        """
        kept = dict(zip(self.moments, moments, strict=True))
        new = compute(self.formula(), {"w": weight, "g": g, "age": age, **kept, **self.numbers()})
        for name, values in kept.items():
            values[:] = new[name]
        return np.broadcast_to(new["w"], weight.shape).astype(np.float32)


OPTIMISERS: Registry[Optimiser] = Registry("optimiser", Optimiser)


class Optimisers(NamedTuple):
    """The optimisers of a connection at a point of training; None where a variable is not learned."""

    weight: Optimiser | None
    delay: Optimiser | None


class Learns(NamedTuple):
    """Something that is learned.

    Attributes:
        kind: ``"connection"`` or ``"population"``.
        number: its index.
        variable: its name, such as ``"weight"``.
    """

    kind: str
    number: int
    variable: str


class L1(NamedTuple):
    """The L1 of a connection's weights, its optimiser's and its rewiring rule's together.

    Attributes:
        gradient: ``gradient * sign(w)`` is added to dL/dw before the optimiser.
        drift: ``alpha * drift * sign(w)`` is taken from w after it; `alpha` and the product are single precision.
    """

    gradient: float
    drift: float

    @classmethod
    def of(cls, *sources: Any) -> L1:
        """The sum over optimisers and rewiring rules; None stands for no L1."""
        found = [(s.l1, s.decoupled_l1) for s in sources if s is not None]
        return cls(*(sum((l1 for l1, drifts in found if drifts is decoupled), 0.0) for decoupled in (False, True)))


@OPTIMISERS.register("adam")
@dataclass(frozen=True)
class Adam(Optimiser):
    """Adam (Kingma & Ba 2015, arXiv 1412.6980), every synapse with a step count of its own::

        m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        w = w - alpha m / (1 - beta1^age) / (sqrt(v / (1 - beta2^age)) + epsilon)

    `age` counts the synapse's own steps since it was made or grown: with the global count the first steps of a newborn
    synapse would be several times too large.

    Args:
        alpha: learning rate, above 0.
        beta1, beta2: decay of the moments, in [0, 1).
        epsilon: above 0.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    moments = ("m", "v")
    body = """
        m = real(beta1) * m + (1 - real(beta1)) * g
        v = real(beta2) * v + (1 - real(beta2)) * (g * g)
        m_hat = m / real(1 - power(beta1, age))
        v_hat = v / real(1 - power(beta2, age))
        w = w - real(alpha) * m_hat / (sqrt(v_hat) + real(epsilon))
        """

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        keep(self, beta1=check_real(f"{name} beta1", self.beta1, 0.0, 1.0, open_high=True))
        keep(self, beta2=check_real(f"{name} beta2", self.beta2, 0.0, 1.0, open_high=True))
        keep(self, epsilon=check_real(f"{name} epsilon", self.epsilon, 0.0, open_low=True))

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return cls(0.01), cls(0.02, 0.8, 0.95, 1e-3)


@OPTIMISERS.register("adam_w")
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101): first ``w = w - alpha decay w``.

    Args:
        decay: at least 0; the other arguments are Adam's.
    """

    decay: float = 0.01

    body = f"""
        w = w - real(alpha) * real(decay) * w
        {Adam.body}"""

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self, decay=check_real("AdamW decay", self.decay, 0.0))

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return (cls(0.01, decay=0.1),)


@OPTIMISERS.register("sgd")
@dataclass(frozen=True)
class SGD(Optimiser):
    """Stochastic gradient descent with momentum: ``m = momentum m + g``, ``w = w - alpha m`` (PyTorch's form).

    Args:
        alpha: learning rate, above 0.
        momentum: in [0, 1); 0 is plain gradient descent.
    """

    momentum: float = 0.0

    moments = ("m",)
    body = """
        m = real(momentum) * m + g
        w = w - real(alpha) * m
        """

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self, momentum=check_real("SGD momentum", self.momentum, 0.0, 1.0, open_high=True))

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return cls(0.1), cls(0.05, momentum=0.9)


def older(age: U16) -> U16:
    """One more step for every synapse; 65,535 stays."""
    return np.minimum(age.astype(np.int64) + 1, 65_535).astype(np.uint16)


def number_names(optimisers: Iterable[Optimiser]) -> tuple[str, ...]:
    """The names of the numbers that any of these has, each once."""
    return tuple(dict.fromkeys(name for o in optimisers for name in o.number_names()))


def as_optimiser(what: str, value: Any) -> Optimiser:
    """A registered name or an optimiser as an optimiser."""
    if isinstance(value, Optimiser):
        return check_registered(f"optimiser of {what}", value, OPTIMISERS)
    if isinstance(value, str) and value in OPTIMISERS:
        return OPTIMISERS.by_default(f"optimiser of {what}", value)
    raise unknown(f"optimiser of {what}", value, OPTIMISERS)
