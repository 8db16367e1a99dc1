"""Sparse delayed synapses as a function that JAX differentiates and compiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..delays import DelayKernel, as_delay_kernel
from ..errors import InvalidValueError, check_real, shown
from ..ops import Topology
from ..ops.arguments import MOST
from ..ops.library import threads_of
from .targets import targets

_NEURONS_FIRST = (2, 0, 1)
"""The layout of activity in memory for kernels: ``[time, batch, neuron]`` with the neurons outermost."""


def _apart(topology: Topology) -> tuple[Any, Any]:
    return (topology.pre, topology.post, topology.delay), (topology.num_pre, topology.num_post, topology.max_delay)


def _together(sizes: Any, leaves: Any) -> Topology:
    """A topology of any leaves: JAX puts tracers there, or its own objects."""
    topology = Topology.__new__(Topology)
    topology.num_pre, topology.num_post, topology.max_delay = sizes
    concrete = (jax.Array, jax.core.Tracer)
    topology.pre, topology.post, topology.delay = (
        np.asarray(a) if isinstance(a, concrete[0]) and not isinstance(a, concrete[1]) else a for a in leaves
    )
    return topology


jax.tree_util.register_pytree_node(Topology, _apart, _together)


@dataclass(frozen=True)
class _Call:
    """The part of a call that is known before its numbers are.

    Attributes:
        kernel: the delay kernel, None where there is none.
        form: of the synapses: "whole", "difference" (delays that are rounded) or "kernel".
        num_pre, num_post, max_delay: of the topology.
        threads: to compute on.
    """

    kernel: DelayKernel | None
    form: str
    num_pre: int
    num_post: int
    max_delay: int
    threads: int

    def run(self, name: str, synapses: Any, activity: tuple[Any, ...], results: Any, rows: bool) -> Any:
        """Call a pass; `rows` where its result is activity."""
        vectors = (None,) * len(synapses)
        call = jax.ffi.ffi_call(
            targets(self.kernel)[f"{name}_{self.form}"],
            results,
            vmap_method="sequential",
            input_layouts=(*vectors, *(_NEURONS_FIRST for _ in activity)),
            output_layouts=_NEURONS_FIRST if rows else (None,) * len(results),
        )
        return call(*synapses, *activity, max_delay=np.int64(self.max_delay), threads=np.int64(self.threads))

    def gather(self, synapses: Any, x: Any) -> Any:
        return self.run("gather", synapses, (x,), _like((*x.shape[:2], self.num_post)), True)

    def backgather(self, synapses: Any, g: Any) -> Any:
        return self.run("backgather", synapses, (g,), _like((*g.shape[:2], self.num_pre)), True)

    def correlate(self, synapses: Any, x: Any, g: Any) -> tuple[Any, Any]:
        """Gradients of weights and of delays, None where those are whole."""
        one = _like(synapses[0].shape)
        found = self.run("correlate", synapses, (x, g), [one] if self.form == "whole" else [one, one], False)
        return found[0], None if self.form == "whole" else found[1]


def _like(shape: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _synapses(ends: Any, weight: Any, position: Any, width: Any) -> Any:
    """The first operands of every pass; where delays are whole nobody reads the positions."""
    return (*ends, weight, weight if position is None else position, width)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _propagate(call: _Call, ends: Any, spikes: Any, weight: Any, position: Any, width: Any) -> Any:
    return call.gather(_synapses(ends, weight, position, width), spikes)


def _forward(call: _Call, ends: Any, spikes: Any, weight: Any, position: Any, width: Any) -> Any:
    if width.perturbed:
        raise InvalidValueError("propagate: sigma has no gradient, it is narrowed by a schedule; give it as a number")
    need = (spikes.perturbed, weight.perturbed or (position is not None and position.perturbed))
    ends, spikes, weight, position, width = jax.tree.map(
        lambda a: a.value, (ends, spikes, weight, position, width), is_leaf=lambda a: hasattr(a, "perturbed")
    )
    synapses = _synapses(ends, weight, position, width)
    return call.gather(synapses, spikes), (synapses, spikes, *(() if n else None for n in need))


def _backward(call: _Call, kept: Any, g: Any) -> Any:
    synapses, spikes, *need = kept
    of_spikes = of_weight = of_position = None
    if not isinstance(g, jax.custom_derivatives.SymbolicZero):
        if need[0] is not None:
            of_spikes = call.backgather(synapses, g)
        if need[1] is not None:
            of_weight, of_position = call.correlate(synapses, spikes, g)
    return None, of_spikes, of_weight, of_position, None


_propagate.defvjp(_forward, _backward, symbolic_zeros=True)


def propagate(
    topology: Topology,
    spikes: Any,
    weight: Any,
    delay: Any = None,
    *,
    delay_kernel: str | DelayKernel | None = None,
    sigma: Any = None,
    threads: int | None = None,
) -> Any:
    """The input currents of the targets, ``I[t, b, i] = sum_k w_k x[t - d_k, b, pre_k]`` over the synapses k onto i.

    Differentiable (``jax.grad``, ``jax.vjp``) by spikes, weight and delay, in programs that ``jax.jit`` compiles and
    within ``jax.lax.scan``, by generated kernels on the CPU. Under ``jax.vmap`` members are computed one after the
    other. What lies before the sequence is zero. See ``docs/jax.md``.

    Args:
        topology: the synapses, also as an argument of a compiled function: other synapses, as many, run the same
            program.
        spikes: float32 ``[time, batch, num_pre]``: spikes or real numbers. Rows of few spikes are passed over as lists,
            to the same bits.
        weight: float32 ``[synapse]``, in the topology's order.
        delay: real-valued delays in place of the topology's, float32 ``[synapse]`` within [0, max_delay] time steps.
            Without a kernel they are rounded, and their gradient is the difference between the neighbouring steps.
        delay_kernel: ``"gaussian"``, ``"triangle"`` or a :class:`~genn_delays.GaussianKernel`: every synapse is spread
            over the lags around its delay (DCLS).
        sigma: the width of the kernel in time steps, above 0: a number, also a traced one.
        threads: to compute on; the processors there are where not given. Results do not depend on it.

    Returns:
        float32 ``[time, batch, num_post]``.

    Raises:
        InvalidValueError: an argument has another type or shape.
        jax.errors.JaxRuntimeError: when it runs: a number is not finite, a delay is out of its range.

    Example::

        from genn_delays import FixedNumber, KaimingUniform, UniformInt
        from genn_delays.jax import propagate, synapses

        topology, weight = synapses(FixedNumber(0.9, delay=UniformInt(0, 24), weight=KaimingUniform()), 40, 128)
        current = propagate(topology, spikes, weight)       # [80, 16, 40] -> [80, 16, 128]
    """
    if not isinstance(topology, Topology):
        raise InvalidValueError(f"propagate needs a genn_delays.ops.Topology, got {shown(topology)}")
    ends = tuple(
        _array(f"topology {name}", getattr(topology, name), topology.pre.shape, kind, "synapse")
        for name, kind in (("pre", np.int32), ("post", np.int32), ("delay", np.uint16))
    )
    _array("spikes", spikes, (None, None, topology.num_pre), np.float32, "time, batch, num_pre")
    if spikes.shape[0] * spikes.shape[1] > MOST:
        raise InvalidValueError(f"spikes must have at most {MOST} entries a neuron, got shape {spikes.shape}")
    _array("weight", weight, topology.pre.shape, np.float32, "synapse")
    kernel = as_delay_kernel(delay_kernel)
    width = _width(kernel, sigma)
    form = "whole" if delay is None else "difference" if kernel is None else "kernel"
    if delay is not None:
        _array("delay", delay, topology.pre.shape, np.float32, "synapse")
    elif kernel is not None:
        raise InvalidValueError("a delay kernel needs real-valued delays: give delay= [synapse]")
    call = _Call(kernel, form, topology.num_pre, topology.num_post, topology.max_delay, threads_of(threads))
    return _propagate(call, ends, spikes, weight, delay, width)


def _width(kernel: DelayKernel | None, sigma: Any) -> Any:
    """The width of a delay kernel with its offset, as a traced or a plain number of single precision."""
    if kernel is None:
        if sigma is not None:
            raise InvalidValueError(f"sigma {shown(sigma)} is that of a delay kernel: give delay_kernel= too")
        return np.float32(0)
    if sigma is None:
        raise InvalidValueError("a delay kernel needs its width in time steps: give sigma=, above 0")
    if isinstance(sigma, jax.Array):
        if sigma.shape != ():
            raise InvalidValueError(f"sigma must be one number, got shape {sigma.shape}")
        return (sigma + kernel.offset).astype(jnp.float32)
    return np.float32(check_real("sigma", sigma, 0.0, open_low=True) + kernel.offset)


def _array(what: str, values: Any, shape: tuple[int | None, ...], dtype: Any, axes: str) -> Any:
    """An array of JAX or NumPy of this type and shape (None: any number from 1), or an error; tracers too."""
    named = np.dtype(dtype).name
    if not isinstance(values, (jax.Array, np.ndarray)):
        raise InvalidValueError(f"{what} must be an array of {named}, got a {type(values).__name__}")
    if values.dtype != np.dtype(dtype):
        raise InvalidValueError(f"{what} must be {named}, got {values.dtype}; call .astype(jnp.{named}) on it")
    fits = values.ndim == len(shape) and all(
        n == wanted or (wanted is None and n > 0) for n, wanted in zip(values.shape, shape, strict=True)
    )
    if not fits:
        sizes = ", ".join("any" if n is None else str(n) for n in shape)
        raise InvalidValueError(f"{what} must have shape [{axes}] = ({sizes}), got {values.shape}")
    return values
