"""Readouts: how a loss reads a population over time. A new one is a dataclass with its bodies, registered by a name.

A readout is a scan over the time steps of each neuron and lane, whose formulas are written once: backend ``reference``
computes them with NumPy, and every target's kernels have them printed. It reads ``v``, which is the output variable,
its
softmax over neurons, or the spikes (as 0 and 1) of spiking neurons, and gives ``z``. Shapes: ``v`` and its derivative
``[neuron, time, lane]``, ``z`` and its derivative ``[neuron, lane]``. `dt` is the length of a time step in ms.
"""

from __future__ import annotations

import textwrap
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..bodies import Body, BodyError, Type, check_class, compute, read
from ..bodies.functions import LIBRARY
from ..bodies.over_neurons import SOFTMAX, OverNeurons, Rank, read_over_neurons
from ..errors import check_real, check_registered, unknown
from ..registry import Registry

Array = npt.NDArray[Any]
Reads = Literal["variable", "softmax", "spikes"]
_TIME = {"num_steps": Type.INT, "dt": Type.DOUBLE}
_STEP = {"t": Type.INT, **_TIME}


@dataclass(frozen=True)
class Scan:
    """The bodies of a readout, read.

    Attributes:
        begin, each, end, back, phantom: see :class:`Readout`.
        carried: the values carried from step to step, with their types.
    """

    begin: Body
    each: Body
    end: Body
    back: Body
    phantom: Body | None
    carried: dict[str, Type]

    @property
    def kept(self) -> tuple[str, ...]:
        """The carried values that `back` or `phantom` read."""
        later = self.back.reads() | (self.phantom.reads() if self.phantom else frozenset())
        return tuple(name for name in self.carried if name in later)


@dataclass(frozen=True)
class Readout:
    """Base of all readouts: frozen dataclasses, whose fields are numbers that their bodies read (double).

    The bodies (:mod:`genn_delays.bodies`) may read `num_steps` (int) and `dt` (ms, double) as well.
    """

    registered_name: ClassVar[str]
    reads: ClassVar[Reads] = "variable"
    """The activity that is scanned: the output variable; its softmax over the population's neurons; or spikes."""
    derivative: ClassVar[Literal["value", "time"]] = "value"
    """The result of `back`: dL/dv by value, or dL/dt (per ms) of the time of the spikes that are read."""
    best: ClassVar[Literal["largest", "smallest"]] = "largest"
    """The z that is the answer: the largest or the smallest."""
    begin: ClassVar[str] = ""
    """The values that are carried from step to step, before the first."""
    each: ClassVar[str] = ""
    """Their values after step `t` (int), at which the variable is `v` (real); of a readout of spikes, after a spike in
    step `t`. It is left out where only the last step counts."""
    end: ClassVar[str]
    """`z` (real) from what was carried; it may read `v`, the variable at the last step."""
    back: ClassVar[str]
    """`dv` (real), the derivative at step `t`, from `dz`, `v` and what was carried to the end."""
    phantom: ClassVar[str | None] = None
    """`push` (real), dL/d(potential) at the end of the example by EventProp's phantom spikes, from `dz`,
    `inverse_slope` (ms, real) and what was carried to the end; None where there is none."""

    @classmethod
    def examples(cls) -> list[Readout]:
        """Instances that the tests of every readout take."""
        return [cls()]

    @classmethod
    def number_names(cls) -> tuple[str, ...]:
        """The names of what :meth:`numbers` gives."""
        return tuple(f.name for f in fields(cls))

    def numbers(self) -> dict[str, float]:
        """The numbers that the bodies read, by name."""
        name = type(self).__name__
        return {n: check_real(f"{name} {n}", getattr(self, n)) for n in self.number_names()}

    @classmethod
    @cache
    def scan(cls) -> Scan:
        """The bodies, read."""
        numbers = dict.fromkeys(cls.number_names(), Type.DOUBLE)
        fixed = (*_STEP, "v", "z", "dv", "dz", "push", "inverse_slope")
        taken = [n for n in numbers if n in fixed]
        if taken:
            raise BodyError(f"readout {cls.__name__}: {taken[0]!r} is a name that every readout has; rename the field")
        variable = {} if cls.reads == "spikes" else {"v": Type.REAL}
        begin = cls._read("begin", _TIME | numbers, ())
        assigned = begin.assigned()
        carried = {name: type_ for name, type_ in begin.types.items() if name in assigned}
        wrong = [n for n in carried if n in fixed or n in numbers]
        if wrong:
            raise BodyError(f"readout {cls.__name__}: {wrong[0]!r} cannot be carried from step to step: it is given")
        each = cls._read("each", _STEP | numbers | variable | carried, tuple(carried))
        end = cls._read("end", _TIME | numbers | variable | carried, ("z",))
        derivative = {"dz": Type.REAL, **carried}
        back = cls._read("back", _STEP | numbers | variable | derivative, ("dv",))
        phantom = None
        if cls.phantom is not None:
            phantom = cls._read("phantom", _TIME | numbers | derivative | {"inverse_slope": Type.REAL}, ("push",))
        return Scan(begin, each, end, back, phantom, carried)

    @classmethod
    def _read(cls, part: str, inputs: dict[str, Type], outputs: tuple[str, ...]) -> Body:
        what = f"`{part}` of readout {cls.__name__}"
        body = read(what, getattr(cls, part), inputs, outputs, LIBRARY)
        given = sorted(body.assigned() & (_STEP.keys() | {"v", "dz", "inverse_slope", *cls.number_names()}))
        if given:
            raise BodyError(f"{what}: {given[0]!r} is given and cannot get another value")
        for name in set(outputs) & {"z", "dv", "push"}:
            if body.types[name] is not Type.REAL:
                raise BodyError(f"{what}: {name!r} must be real, got {body.types[name].value}")
        return body

    @classmethod
    @cache
    def softmax_back(cls) -> OverNeurons:
        """dL/d(variable) of a readout of the softmax q, here called v: ``q_i (dL/dq_i - sum_m q_m dL/dq_m)``."""
        scan = cls.scan()
        back = textwrap.dedent(cls.back).strip("\n")
        text = f"{back}\nmean_slope = sum(v * dv)\ndx = v * (dv - mean_slope)"
        inputs = {name: (type_, Rank.NEURON) for name, type_ in scan.back.inputs.items()}
        inputs |= {name: (inputs[name][0], Rank.ALL) for name in (*_STEP, *cls.number_names())}
        return read_over_neurons(f"`back` of readout {cls.__name__}", text, inputs, {"dx": (Type.REAL, Rank.NEURON)})

    @classmethod
    def check_definition(cls) -> None:
        """Raise an error if the class lacks anything that backends need."""
        name = cls.__name__
        missing = [n for n in ("end", "back") if not isinstance(getattr(cls, n, None), str)]
        if missing or not is_dataclass(cls):
            raise BodyError(f"readout {name} must be a dataclass with the texts `end` and `back`")
        for attribute, allowed in (
            ("reads", get_args(Reads)), ("derivative", ("value", "time")), ("best", ("largest", "smallest")),
        ):  # fmt: skip
            if getattr(cls, attribute) not in allowed:
                kinds = ", ".join(repr(k) for k in allowed)
                raise BodyError(
                    f"readout {name}: `{attribute}` must be one of {kinds}, got {getattr(cls, attribute)!r}"
                )
        if cls.derivative == "time" and cls.reads != "spikes":
            raise BodyError(f"readout {name}: a derivative by time is one of spikes, but it reads the {cls.reads}")
        fixed = ("forward", "backward", "phantom_push", "scan", "softmax_back", "number_names", "numbers")
        check_class(f"readout {name}", cls, Readout, fixed)
        cls.scan()
        if cls.reads == "softmax":
            cls.softmax_back()

    # --- with NumPy --------------------------------------------------------------------------------------------------

    def forward(self, v: Array, dt: float = 1.0) -> Array:
        """z of the activity that is read over time."""
        q = softmax(v) if self.reads == "softmax" else v
        return self._forward(q, self._carry(q, dt), dt)

    def backward(self, v: Array, dz: Array, dt: float = 1.0) -> Array:
        """dL/dv for dL/dz, or dL/dt of the spikes."""
        q = softmax(v) if self.reads == "softmax" else v
        values = {"t": np.arange(v.shape[1])[:, None], "v": q, "dz": dz[:, None], **self._given(v, dt)}
        values |= {name: value[:, None] for name, value in self._carry(q, dt).items()}
        if self.reads == "softmax":
            return np.asarray(compute(self.softmax_back().body, values, v.dtype)["dx"])
        dv = compute(self.scan().back, values, v.dtype)["dv"]
        return np.broadcast_to(dv, v.shape).astype(v.dtype)

    def phantom_push(self, v: Array, dz: Array, inverse_slope: Array, dt: float = 1.0) -> Array:
        """dL/d(potential) at the end of the example, ``[neuron, lane]``, by phantom spikes."""
        body = self.scan().phantom
        if body is None:
            return np.zeros_like(dz)
        values = {"dz": dz, "inverse_slope": inverse_slope[:, None], **self._given(v, dt), **self._carry(v, dt)}
        return np.broadcast_to(compute(body, values, v.dtype)["push"], dz.shape).astype(v.dtype)

    def _given(self, v: Array, dt: float) -> dict[str, Any]:
        return {"num_steps": v.shape[1], "dt": dt, **self.numbers()}

    def _carry(self, v: Array, dt: float) -> dict[str, Array]:
        """The values carried to the end, ``[neuron, lane]`` each."""
        scan, given, shape = self.scan(), self._given(v, dt), v[:, 0].shape
        begin = compute(replace(scan.begin, outputs=tuple(scan.carried)), given, v.dtype)
        carried = {name: np.broadcast_to(value, shape) for name, value in begin.items()}
        if not scan.each.statements:
            return carried
        for t in range(v.shape[1]):
            after = compute(scan.each, {"t": t, "v": v[:, t], **given, **carried}, v.dtype)
            if self.reads == "spikes":
                after = {name: _at_spike(v[:, t], carried[name], value) for name, value in after.items()}
            carried = {name: np.broadcast_to(value, shape) for name, value in after.items()}
        return carried

    def _forward(self, v: Array, carried: dict[str, Array], dt: float) -> Array:
        values = {"v": v[:, -1], **self._given(v, dt), **carried}
        return np.broadcast_to(compute(self.scan().end, values, v.dtype)["z"], v[:, 0].shape).astype(v.dtype)


def _at_spike(spiked: Array, before: Array, after: Array) -> Array:
    """The values carried on, where `spiked` is 0 or 1. A smooth spike between 0 and 1 counts by its value."""
    if not np.issubdtype(after.dtype, np.floating):
        return np.where(spiked != 0, after, before)
    share = before + spiked.astype(after.dtype) * (after - before)
    return np.where(spiked == 0, before, np.where(spiked == 1, after, share))


READOUTS: Registry[Readout] = Registry("readout", Readout)


@READOUTS.register("sum_var")
@dataclass(frozen=True)
class SumVar(Readout):
    """``z_i = sum_t v_i[t]``."""

    begin = "sum = real(0)"
    each = "sum = sum + v"
    end = "z = sum"
    back = "dv = dz"


@READOUTS.register("sum_softmax")
@dataclass(frozen=True)
class SumSoftmax(SumVar):
    """``z_i = sum_t q_i[t]`` with ``q[t] = softmax(v[t])`` over the population's neurons.

    Source: Hammouamri et al. 2023 (arXiv 2306.17670).
    """

    reads = "softmax"


@READOUTS.register("avg_var")
@dataclass(frozen=True)
class AvgVar(SumVar):
    """``z_i = 1/T sum_t v_i[t]``."""

    end = "z = sum / real(num_steps)"
    back = "dv = dz / real(num_steps)"


@READOUTS.register("avg_var_exp_weight")
@dataclass(frozen=True)
class AvgVarExpWeight(SumVar):
    """``z_i = 1/T sum_t exp(-t / T) v_i[t]``, t = 0, 1, ...: early steps count more; mlGeNN's of the same name."""

    each = """
        weight = real(exp(-double(t) / double(num_steps)) / double(num_steps))
        sum = sum + weight * v
        """
    back = """
        weight = real(exp(-double(t) / double(num_steps)) / double(num_steps))
        dv = weight * dz
        """


@READOUTS.register("max_var")
@dataclass(frozen=True)
class MaxVar(Readout):
    """``z_i = max_t v_i[t]``; the derivative acts in the first step that has the maximum."""

    begin = """
        top = real(0)
        first = int(0)
        """
    each = """
        first = t if t == 0 or v > top else first
        top = v if t == 0 or v > top else top
        """
    end = "z = top"
    back = "dv = dz if t == first else 0"


@READOUTS.register("var")
@dataclass(frozen=True)
class Var(Readout):
    """The variable itself: losses of a time step read it at every step, all others at the end, ``z_i = v_i[T - 1]``."""

    end = "z = v"
    back = "dv = dz if t == num_steps - 1 else 0"


@READOUTS.register("end_var")
@dataclass(frozen=True)
class EndVar(Var):
    """``z_i = v_i[T - 1]``, the variable at the end of the example; mlGeNN 3's name."""


@READOUTS.register("spike_count")
@dataclass(frozen=True)
class SpikeCount(Readout):
    """``z_i = sum_t S_i[t]``, the number of spikes of an output neuron."""

    reads = "spikes"
    begin = "count = real(0)"
    each = "count = count + 1"
    end = "z = count"
    back = "dv = dz"


@READOUTS.register("first_spike_time")
@dataclass(frozen=True)
class FirstSpikeTime(Readout):
    """``z_i``, the time in ms of neuron i's first spike, ``t dt``; without one the example's length, ``T dt``.

    The earliest is the answer. mlGeNN's of the same name gives the negative time. The derivative acts on the time of
    that spike, in its step. Without a spike there is no time to be moved, so that a silent neuron would stay silent for
    ever. Under EventProp it is pushed by a phantom spike.

    Such a neuron is taken to have spiked at the end, where `z` has it, its potential rising by a unit in
    `inverse_slope` ms. A higher potential would then have made it spike earlier, at a spike's own rule (Wunderlich &
    Pehle 2021)::

        dL/dv(T dt) = -inverse_slope max(dL/dz, 0)

    None is pushed to be more silent still. Source: mlGeNN's EventProp compiler. Its version 2 has this for the label's
    neuron under cross-entropy, ``LambdaV += ttfs_alpha / (0.01 T dt)^2 / batch_size``: the last term of the derivative
    at the end and, as its ``LambdaV`` is ``-dL/dv / tau_mem``, an inverse slope of `tau_mem`. Version 3 takes the whole
    derivative, as here, but the slope that the potential happens to have, which may be negative.
    """

    reads = "spikes"
    derivative = "time"
    best = "smallest"
    begin = "first = num_steps"
    each = "first = min(t, first)"
    end = "z = real(double(first) * dt)"
    back = "dv = dz if t == first else 0"
    phantom = "push = -inverse_slope * max(dz, 0) if first == num_steps else 0"


def softmax(v: Array) -> Array:
    """exp(v) over its sum along the first axis."""
    return np.asarray(compute(SOFTMAX.body, {"v": v}, v.dtype)["q"])


def as_readout(value: Any) -> Readout:
    """A registered name or a readout as a readout."""
    if isinstance(value, Readout):
        return check_registered("readout", value, READOUTS)
    if not isinstance(value, str) or value not in READOUTS:
        raise unknown("readout", value, READOUTS)
    return READOUTS.by_default("readout", value)


def plain_readout(value: Any) -> str | Readout:
    """A registered name or a readout, checked: its name where its numbers are the defaults."""
    readout = as_readout(value)
    readout.numbers()
    plain = all(f.default is not MISSING and getattr(readout, f.name) == f.default for f in fields(readout))
    return readout.registered_name if plain else readout


def answers(readout: Readout, z: Array, v: Array, every_step: bool) -> Array:
    """The class that each lane decides for, ``[lane]``; or the largest v at every step, ``[time, lane]``."""
    if every_step:
        return np.asarray(v.argmax(axis=0))
    return np.asarray((z if readout.best == "largest" else -z).argmax(axis=0))
