"""Rewiring of a layer between two steps of training: the rules of this library on JAX's arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ..connectivity import Synapses
from ..connectivity.connectivity import Connectivity
from ..errors import InvalidValueError, asked, check_count, shown, unknown
from ..learning.schedules import Progress
from ..network import Connection, Network, Population
from ..neurons import Input, LeakyIntegrate
from ..ops import Topology
from ..rewiring import REWIRING, RewiringRule, as_rewiring
from ..rewiring.slots import Slots

MAX_SEED = (1 << 63) - 1


def synapses(
    connectivity: Connectivity, num_pre: int, num_post: int, *, seed: int = 0, max_delay: int | None = None
) -> tuple[Topology, Any]:
    """The synapses that a connectivity draws, and their first weights.

    Args:
        connectivity: such as ``FixedNumber(0.9, delay=UniformInt(0, 24))``, with its weights and delays.
        num_pre, num_post: neurons on each side.
        seed: of what is drawn.
        max_delay: delays that are learned stay within [0, max_delay] (time steps); the largest that the connectivity
            draws where not given.

    Returns:
        The topology, and weights, float32 ``[synapse]``.

    Raises:
        InvalidValueError: an argument is not allowed.
    """
    _connectivity(connectivity).check_trainable("synapses")
    network = Network(check_count("seed", seed, 0, MAX_SEED))
    source = Population(Input(), check_count("num_pre", num_pre), name="input", network=network)
    target = Population(LeakyIntegrate(readout="sum_var"), check_count("num_post", num_post), network=network)
    connection = Connection(source, target, connectivity, "delta", "synapses", max_delay)
    s = connection.draw()
    topology = Topology(
        s.pre, s.post, s.delay, num_pre=num_pre, num_post=num_post, max_delay=connection.max_delay_steps
    )  # fmt: skip
    return topology, jnp.asarray(s.weight)


@dataclass(frozen=True)
class Rewired:
    """A layer after its rule has acted.

    Attributes:
        topology, weight, delay: of the new synapses; `delay` is None where none was given.
        num_moved: how many were replaced.
        origin: by place the former place of a synapse, ``[synapse]``.
        born: places of the newborn ones.
    """

    topology: Topology
    weight: Any
    delay: Any
    num_moved: int
    origin: npt.NDArray[np.int64]
    born: npt.NDArray[np.int64]

    def carry(self, tree: Any, newborn: Any = 0) -> Any:
        """Move all that is kept of each synapse to its new place: any pytree, such as an optimiser's state.

        Args:
            tree: leaves of shape ``[synapse]`` are moved, the others left; give it this layer's part of a state alone.
            newborn: the value of newborn synapses.
        """
        shape = self.weight.shape

        def moved(leaf: Any) -> Any:
            if np.shape(leaf) != shape or not self.num_moved:
                return leaf
            return jnp.asarray(leaf)[self.origin].at[self.born].set(newborn)

        return jax.tree.map(moved, tree)


def rewire(
    rule: RewiringRule | str,
    connectivity: Connectivity,
    topology: Topology,
    weight: Any,
    delay: Any = None,
    *,
    step: int,
    before: Any = None,
    seed: int = 0,
    total_steps: int | None = None,
) -> Rewired:
    """Drop synapses by a rule and grow as many elsewhere, at random. Call it after every step of training.

    It runs on the host, between compiled steps; those take the new topology as an argument. A newborn synapse begins
    with a weight of 1e-12 and its pair's sign. A rule that keeps signs (DEEP R) sets a weight whose sign the step has
    changed to zero; its L1 is a term of your loss, ``rule.l1 * jnp.abs(weight).sum()``.

    Args:
        rule: a rule or its name that grows at random: ``DeepR()``, ``SET(interval=10)``.
        connectivity, seed: by which :func:`synapses` has drawn the layer.
        topology, weight, delay: the layer after the step; `delay` where delays are learned.
        step: the number of the step, from 0.
        before: the weights before the step, for rules that keep signs.
        total_steps: of the whole training, for rules that replace fewer and fewer synapses.

    Returns:
        The new layer; its ``carry`` moves the optimiser's state.

    Raises:
        InvalidValueError: an argument is traced or has another shape, or the rule does not fit.
    """
    found, number = _rule(rule), check_count("step", step, 0)
    weights = _host("weight", weight, topology)
    position = None if delay is None else _host("delay", delay, topology)
    size, pairs = topology.size, topology.num_pre * topology.num_post * _connectivity(connectivity).synapses_per_pair()
    if size >= pairs:
        raise InvalidValueError(f"rewire: all {pairs} pairs have a synapse; draw the layer with a sparsity above 0")
    if found.signed:
        if before is None:
            raise InvalidValueError(f"rewire: {found} keeps signs: give before=, the weights before the step")
        sign = np.where(np.signbit(_host("before", before, topology)), np.float32(-1), np.float32(1))
        weights = np.copysign(np.maximum(weights * sign, 0), sign)
    progress = _progress(found, size, number, total_steps)
    same = Rewired(topology, jnp.asarray(weights), delay, 0, np.arange(size), np.empty(0, np.int64))
    if not asked(f"due of {found}", found.due, number, progress):
        return same
    what = f"num_dropped of {found}"
    living = ~found.dropped(weights, check_count(what, asked(what, found.num_dropped, size, progress), 0, size))
    if living.all():
        return same
    ends = topology.pre[living], topology.post[living]
    slots = Slots(connectivity, topology.num_pre, topology.num_post, seed, None, *ends)
    born = slots.born(slots.drawn(size - slots.pre.size, number), found, number)
    return _replaced(same, weights, position, born, *slots.merged(living, born))


def _replaced(old: Rewired, weights: Any, position: Any, born: Synapses, origin: Any, place: Any) -> Rewired:
    """A layer with newborn synapses at these places, and its other ones from where they were."""
    topology = old.topology

    def moved(values: Any, fresh: Any) -> Any:
        array = values[origin]
        array[place] = fresh
        return array

    ends = [moved(getattr(topology, name), getattr(born, name)) for name in ("pre", "post", "delay")]
    sizes = {"num_pre": topology.num_pre, "num_post": topology.num_post, "max_delay": topology.max_delay}
    return Rewired(
        Topology(*ends, **sizes),
        jnp.asarray(moved(weights, born.weight)),
        None if position is None else jnp.asarray(moved(position, born.delay)),
        place.size,
        origin,
        place,
    )


def _connectivity(value: Any) -> Connectivity:
    if not isinstance(value, Connectivity):
        raise InvalidValueError(f"connectivity must be one such as FixedNumber(0.9), got {shown(value)}")
    return value


def _rule(rule: Any) -> RewiringRule:
    """A rule that can act here."""
    found = as_rewiring("a topology", rule)
    if found is None:
        raise unknown("rewiring rule", rule, REWIRING)
    if found.uses_gradient:
        raise InvalidValueError(
            f"rewire: {found} scores synapses that do not exist, which is not offered for JAX; use one that grows at "
            "random: DeepR(), SET()"
        )
    if found.dale or found.decoupled_l1 or found.temperature:
        raise InvalidValueError(f"rewire: dale, decoupled_l1 and temperature are not offered for JAX, got {found}")
    if "age" in found.drop_body().reads() or found.num_moments():
        raise InvalidValueError(f"rewire: {found} reads the age or moments of synapses, which are not known here")
    return found


def _progress(rule: RewiringRule, size: int, step: int, total: int | None) -> Progress:
    ends = [rule.num_dropped(size, Progress(0, 1, batch, 1000)) for batch in (0, 999)]
    if total is None and ends[0] != ends[1]:
        raise InvalidValueError(f"rewire: {rule} replaces fewer synapses the longer it trains; give total_steps=")
    if total is None:
        return Progress(0, 1, 0, 1)
    total = check_count("total_steps", total)
    return Progress(0, 1, check_count("step", step, 0, total - 1), total)


def _host(what: str, values: Any, topology: Topology) -> npt.NDArray[np.float32]:
    """Numbers of every synapse on the host, or an error."""
    if isinstance(values, jax.core.Tracer) or isinstance(topology.pre, jax.core.Tracer):
        raise InvalidValueError(
            f"rewire acts on the host between compiled steps, got a traced {what}: call it outside of jax.jit"
        )
    array = np.asarray(values)
    if array.shape != (topology.size,) or array.dtype != np.float32:
        raise InvalidValueError(
            f"{what} must be float32 of shape [synapse] = ({topology.size}), got {array.dtype} {array.shape}"
        )
    return array
