"""The base of rewiring rules: when a rule acts, which synapses it drops, and its rules for signs, places and delays.

A new rule is a class with a criterion by which synapses are dropped, registered by a name. Its formulas are written
once: backend ``reference`` computes them with NumPy, and every target's kernels have them printed.

Growing is the same for all: as many as were dropped, with a weight of 1e-12 and no optimiser history. A pair has as
many *slots* as the connectivity gave any pair synapses (one, mostly); candidates are all slots without a living
synapse, just-dropped ones included. They are drawn at random, or are those that would help most: with the gradient
``G = dL/dw`` of the same batch at the delay the synapse would get, the slots of largest ``-sign G``, or
``|G|``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from ..bodies import Body, BodyError, Type, check_class, check_only_read, compute, read
from ..bodies.functions import LIBRARY
from ..errors import check_choice, check_count, check_real, check_switch, keep
from ..learning.schedules import Progress
from ..registry import Registry

GROWTH_DELAYS = ("pair", "redraw", "best")
EXACT_CANDIDATES = 1_000_000
"""Up to this many free slots every one is scored; of more, a sample."""
SAMPLED_PER_DROPPED = 8
"""Size of the sample, in dropped synapses."""

_FIXED = ("dropped", "helps", "numbers", "drop_numbers", "help_numbers", "number_names", "drop_body", "help_body")
_MOMENT = re.compile(r"\bmoment(\d+)\b")
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class RewiringRule:
    """Base of all rules: frozen dataclasses, whose further fields that are numbers its formulas may read by name.

    A rule gives one of two formulas (:mod:`genn_delays.bodies`) by which synapses are dropped, `gone` or `score`, and
    may give another by which they are grown, `help`.

    Args:
        growth_delay: the delay of a grown synapse: ``"pair"``, the pair's own for good, ``"redraw"``, a fresh one, or
            ``"best"``, the lag at which a synapse would help most (the strongest of its correlogram; of equal ones the
            shortest).
        candidates: free slots that are scored where growth goes by the gradient, chosen at random; all of them where
            not given, if they are at most a million, otherwise eight for every dropped synapse.
    """

    growth_delay: Literal["pair", "redraw", "best"] = field(default="pair", kw_only=True)
    candidates: int | None = field(default=None, kw_only=True)

    registered_name: ClassVar[str]
    signed: ClassVar[bool] = False
    """True if weights keep their signs: ``weight = sign * max(theta, 0)``."""
    gone: ClassVar[str | None] = None
    """Says of each synapse whether it is dropped, by the bool `gone`. It may read the weight `w` and the moments of the
    weight's optimiser `moment0`, `moment1`, ... (real), the optimiser steps that the synapse has had, `age` (u32, at
    most 65,535), and the rule's numbers by their names (double)."""
    score: ClassVar[str | None] = None
    """Says how much a synapse is worth, by the real `score`, out of the same: those of smallest score are dropped,
    :meth:`num_dropped` of them, and of equal ones those that come first. What is not a number is worth most."""
    help: ClassVar[str | None] = None
    """Says how much a synapse that is not there would help, by the real `help`, out of its gradient `g` (dL/dw) and the
    `sign` (1 or -1) that it would have, both real, and the rule's numbers (double). Where not given it is ``-sign * g``
    where weights keep their signs, else ``abs(g)``."""

    l1: float = field(default=0.0, init=False, repr=False)
    decoupled_l1: bool = field(default=False, init=False, repr=False)
    temperature: float = field(default=0.0, init=False, repr=False)
    dale: bool = field(default=False, init=False, repr=False)
    growth: Literal["random", "gradient"] = field(default="random", init=False, repr=False)

    def __post_init__(self) -> None:
        check_choice("growth_delay", self.growth_delay, GROWTH_DELAYS)
        check_choice("growth", self.growth, ("random", "gradient"))
        name = type(self).__name__
        keep(self, l1=check_real(f"{name} l1", self.l1, 0.0))
        keep(self, temperature=check_real(f"{name} temperature", self.temperature, 0.0))
        check_switch(f"{name} decoupled_l1", self.decoupled_l1)
        check_switch(f"{name} dale", self.dale)
        if self.candidates is not None:
            keep(self, candidates=check_count(f"{type(self).__name__} candidates", self.candidates))
        for body in (self.drop_body(), self.help_body()):
            for name in self._numbers_of(body):
                check_real(f"{type(self).__name__} {name}", getattr(self, name))

    @property
    def uses_gradient(self) -> bool:
        """True if growth is by the gradient of synapses that do not exist."""
        return self.growth == "gradient" or self.growth_delay == "best"

    @property
    def every(self) -> int:
        """Training steps from one time the rule acts to the next."""
        return 1

    def youngest(self, step: int) -> int:
        """Up to this age (optimiser steps) a synapse that is dropped after training step `step` is a newborn one.

        A newborn synapse was grown the last time the rule acted and is dropped the next time: a place that was tried.
        The synapses
        that a network began with are established from the beginning.
        """
        return min(self.every, step)

    def due(self, step: int, progress: Progress) -> bool:
        """True if the rule acts after training step `step` (from 0)."""
        return True

    def num_dropped(self, size: int, progress: Progress) -> int:
        """The number of `size` synapses to be dropped by `score`; rules with a score define it."""
        return 0

    def dropped(
        self, weight: Array, count: int, age: Array | None = None, moments: Sequence[Array] = ()
    ) -> npt.NDArray[np.bool_]:
        """The definition: True for synapses that are dropped, ``[synapse]``.

        Args:
            weight, age, moments: of every synapse; the last two only where the formula reads them.
            count: the result of :meth:`num_dropped`.
        """
        known = {"w": weight, "age": age, **{f"moment{m}": values for m, values in enumerate(moments)}}
        found = self._computed(self.drop_body(), known, weight)
        return np.array(found) if self.gone is not None else _smallest(found, count)

    def helps(self, gradient: Array, sign: Array) -> Array:
        """The definition: how much synapses with this dL/dw and sign would help."""
        return self._computed(self.help_body(), {"g": gradient, "sign": sign}, gradient)

    def _computed(self, body: Body, known: dict[str, Any], like: Array) -> Array:
        """The output of a formula for every entry of `like`, in its precision."""
        read_here = body.reads()
        known = known | {name: getattr(self, name) for name in self.number_names()}
        values = {name: known[name] if name in read_here else 0 for name in body.inputs}
        (found,) = compute(body, values, np.float64 if like.dtype == np.float64 else np.float32).values()
        return np.broadcast_to(found, like.shape)

    def noise(self, alpha: float) -> float:
        """The size of the noise that `temperature` adds to weights in a step of this learning rate."""
        return math.sqrt(2.0 * alpha * self.temperature)

    def numbers(self) -> dict[str, float]:
        """The numbers that its formulas read, by name."""
        names = {*self._numbers_of(self.drop_body()), *self._numbers_of(self.help_body())}
        return {name: float(getattr(self, name)) for name in self.number_names() if name in names}

    def drop_numbers(self) -> list[float]:
        """The numbers that the formula for dropping reads, in the order of its fields."""
        return [float(getattr(self, name)) for name in self._numbers_of(self.drop_body())]

    def help_numbers(self) -> list[float]:
        """The numbers that the formula for growing reads, in the order of its fields."""
        return [float(getattr(self, name)) for name in self._numbers_of(self.help_body())]

    @classmethod
    def _numbers_of(cls, body: Body) -> list[str]:
        return [name for name in cls.number_names() if name in body.reads()]

    @classmethod
    def number_names(cls) -> tuple[str, ...]:
        """The names of its own fields, those that all rules have left out."""
        shared = {f.name for f in fields(RewiringRule)}
        return tuple(f.name for f in fields(cls) if f.name not in shared)

    @classmethod
    @cache
    def drop_body(cls) -> Body:
        """The formula by which synapses are dropped, read."""
        text, output = (cls.score, "score") if cls.gone is None else (cls.gone, "gone")
        moments = sorted({f"moment{int(number)}" for number in _MOMENT.findall(text or "")})
        inputs = dict.fromkeys(("w", *moments), Type.REAL) | {"age": Type.U32}
        return cls._read(text, inputs, output, Type.BOOL if output == "gone" else Type.REAL)

    @classmethod
    @cache
    def help_body(cls) -> Body:
        """The formula by which they are grown, read."""
        text = cls.help or ("help = -sign * g" if cls.signed else "help = abs(g)")
        return cls._read(text, dict.fromkeys(("g", "sign"), Type.REAL), "help", Type.REAL)

    @classmethod
    def _read(cls, text: str | None, inputs: dict[str, Type], output: str, type_: Type) -> Body:
        what = f"`{output}` of rewiring rule {cls.__name__}"
        if taken := inputs.keys() & set(cls.number_names()):
            raise BodyError(f"{what}: {', '.join(sorted(taken))} cannot be names of its numbers too")
        body = read(what, text or "", inputs | dict.fromkeys(cls.number_names(), Type.DOUBLE), (output,), LIBRARY)
        check_only_read(what, body, cls.number_names())
        if body.types[output] is not type_:
            raise BodyError(f"{what} must be {type_.value}, got {body.types[output].value}")
        return body

    @classmethod
    def num_moments(cls) -> int:
        """The number of moments that the weight's optimiser must have."""
        names = (_MOMENT.fullmatch(name) for name in cls.drop_body().reads())
        return max((int(name[1]) + 1 for name in names if name), default=0)

    @classmethod
    def check_definition(cls) -> None:
        """Raise an error if the class lacks anything that backends need."""
        what = f"rewiring rule {cls.__name__}"
        if not is_dataclass(cls) or (isinstance(cls.gone, str) == isinstance(cls.score, str)):
            raise BodyError(f"{what} must be a dataclass with one of `gone` and `score`, the text of a formula")
        check_class(what, cls, RewiringRule, _FIXED)
        if cls.score is not None and cls.num_dropped is RewiringRule.num_dropped:
            raise BodyError(f"{what} drops synapses by `score` and must define `num_dropped`, how many of them")
        if not isinstance(cls.signed, bool) or not (cls.help is None or isinstance(cls.help, str)):
            raise BodyError(f"{what}: `signed` must be true or false and `help` the text of a formula")
        cls.drop_body()
        cls.help_body()

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Instances for the contract tests, which together use all features of the rule."""
        return (cls(),)

    def num_candidates(self, free: int, dropped: int) -> int:
        """The number of free slots that are scored."""
        if self.candidates is None:
            return free if free <= EXACT_CANDIDATES else min(SAMPLED_PER_DROPPED * dropped, free)
        return min(max(self.candidates, dropped), free)


def _smallest(score: Array, count: int) -> npt.NDArray[np.bool_]:
    """The `count` synapses of smallest score; of equal ones those that come first."""
    mask = np.zeros(score.size, dtype=bool)
    mask[np.argsort(score, kind="stable")[:count]] = True
    return mask


def check_share(what: str, value: float) -> float:
    """A share of the synapses, or an error unless it lies in (0, 1]."""
    return check_real(what, value, 0.0, 1.0, open_low=True)


REWIRING: Registry[RewiringRule] = Registry("rewiring rule", RewiringRule)
