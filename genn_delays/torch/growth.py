"""The synapses that grow: free slots of a layer, at random or by the gradient, without a list of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..connectivity import Synapses, home_words, ordinals
from ..delays import delays_of
from ..ops import Topology
from ..random import Purpose, philox, sample_distinct
from ..rewiring import RewiringRule
from .function import Call, Recent
from .layer import SparseDelayed, on_host
from .places import place_of

NEWBORN = 1e-12
"""Magnitude of a newborn synapse's weight."""


def grown(layer: SparseDelayed, living: Any, rule: RewiringRule, step: int) -> Synapses:
    """As many synapses as are not living, sorted by (post, pre), in slots that have no living one.

    A slot is ``pair * capacity + ordinal``, a place for a synapse of a pair; what backends do is defined in
    :mod:`genn_delays.backends.reference.rewiring`.
    """
    topology, capacity = layer.topology, layer.connectivity.synapses_per_pair()
    pre, post = topology.pre[living], topology.post[living]
    taken = (post.astype(np.int64) * topology.num_pre + pre) * capacity + ordinals(pre, post)
    free = topology.num_pre * topology.num_post * capacity - taken.size
    gap = taken - np.arange(taken.size)  # free slots before each taken one

    def slots_of(rank: Any) -> Any:
        return rank + np.searchsorted(gap, rank, side="right")

    wanted = topology.size - taken.size
    if rule.growth == "random":
        chosen = slots_of(sample_distinct(wanted, free, layer.seed, Purpose.GROWTH, 0, step))
    else:
        number = rule.num_candidates(free, wanted)
        ranks = np.arange(free)
        if number < free:
            ranks = sample_distinct(number, free, layer.seed, Purpose.CANDIDATES, 0, step)
        candidates = slots_of(ranks)
        born = _born(layer, candidates, rule, step)
        helps = rule.helps(_gradient(layer, born), np.sign(born.weight))
        chosen = np.sort(candidates[np.argsort(-helps, kind="stable")[:wanted]])
    born = _born(layer, chosen, rule, step)
    return born._replace(delay=_best_delay(layer, born, rule)) if rule.growth_delay == "best" else born


def _born(layer: SparseDelayed, slots: Any, rule: RewiringRule, step: int) -> Synapses:
    """Synapses as they would be born in slots: with the delay and the sign of their pair, or a fresh delay."""
    capacity, num_pre = layer.connectivity.synapses_per_pair(), layer.in_features
    pairs, ordinal = slots // capacity, slots % capacity
    pre, post = (pairs % num_pre).astype(np.int32), (pairs // num_pre).astype(np.int32)
    home = home_words(pre, post, ordinal, layer.seed, 0)
    if layer.dale:
        negative = layer.source_signs()[pre] < 0
    else:
        negative = home[0] < layer.connectivity.home_sign_threshold(num_pre)
    words = home[1]
    if rule.growth_delay == "redraw":
        words = philox(layer.seed, Purpose.GROWTH_DELAY, 0, pre, post, step)[ordinal & 3, np.arange(pre.size)]
    delays = layer.connectivity.delay_initializer
    delay = delays_of(words, delays.low, delays.thresholds)
    return Synapses(pre, post, delay, np.where(negative, -NEWBORN, NEWBORN).astype(np.float32))


def _gradient(layer: SparseDelayed, s: Synapses) -> Any:
    """dL/dw of synapses that need not exist, of all backward passes since the last forward pass."""
    topology = Topology(
        s.pre, s.post, s.delay, num_pre=layer.in_features, num_post=layer.out_features, max_delay=layer.max_delay
    )
    kernel = layer.delay_kernel
    weight = layer.weight
    call = Call(place_of(weight.device, layer.threads), topology, kernel, layer.width, None)
    position = None if kernel is None else torch.from_numpy(s.delay.astype(np.float32)).to(weight)
    one, total = weight.new_ones(s.pre.size), weight.new_zeros(s.pre.size)
    passed: list[Recent] = layer._recent
    for x, g in passed:
        total += call.correlate(x, g, one, position).weight
    return on_host(total)


def _best_delay(layer: SparseDelayed, s: Synapses, rule: RewiringRule) -> Any:
    """The delay at which every synapse would help most, of equal ones the shortest; as single lags."""
    delays, sign = layer.connectivity.delay_initializer, np.sign(s.weight)
    lags = np.arange(delays.low, delays.high + 1)
    helps = []
    for lag in lags:
        delay = np.full(s.pre.size, lag, np.uint16)
        topology = Topology(
            s.pre, s.post, delay, num_pre=layer.in_features, num_post=layer.out_features, max_delay=layer.max_delay
        )
        call = Call(place_of(layer.weight.device, layer.threads), topology, None, None, None)
        one = layer.weight.new_ones(s.pre.size)
        total = sum(call.correlate(x, g, one, None).weight for x, g in layer._recent)
        helps.append(rule.helps(on_host(total), sign))
    return np.asarray(lags[np.argmax(helps, axis=0)], np.uint16)
