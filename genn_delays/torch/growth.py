"""The synapses that grow: free slots of a layer, at random or by the gradient, without a list of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..connectivity import Synapses
from ..ops import Topology
from ..random import Purpose
from ..rewiring import RewiringRule
from ..rewiring.slots import Slots
from .chosen import Rewirable
from .function import Call, Recent
from .layer import on_host
from .places import place_of


def slots_of(layer: Rewirable, living: Any) -> Slots:
    """The slots of a layer or connection, of which these synapses take some."""
    pre, post = layer.topology.pre[living], layer.topology.post[living]
    signs = layer.source_signs() if layer.dale else None
    return Slots(
        layer.connectivity, layer.in_features, layer.out_features, layer.seed, signs, pre, post, layer.index,
        layer.training_seed,
    )  # fmt: skip


def grown(layer: Rewirable, slots: Slots, rule: RewiringRule, step: int, *, maximize: bool = False) -> Synapses:
    """As many synapses as the layer has lost, sorted by (post, pre), in slots that have no living one; `maximize` where
    the optimiser goes up the gradient."""
    way = -1.0 if maximize else 1.0
    wanted = layer.topology.size - slots.pre.size
    if rule.growth == "random":
        chosen = slots.drawn(wanted, step)
    else:
        number = rule.num_candidates(slots.num_free, wanted)
        if number < slots.num_free:
            candidates = slots.drawn(number, step, Purpose.CANDIDATES)
        else:
            candidates = slots.free(np.arange(slots.num_free))
        born = slots.born(candidates, rule, step)
        helps = rule.helps(way * _gradient(layer, born), np.sign(born.weight))
        chosen = np.sort(candidates[np.argsort(-helps, kind="stable")[:wanted]])
    born = slots.born(chosen, rule, step)
    return born._replace(delay=_best_delay(layer, born, rule, way)) if rule.growth_delay == "best" else born


def _gradient(layer: Rewirable, s: Synapses) -> Any:
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


def _best_delay(layer: Rewirable, s: Synapses, rule: RewiringRule, way: float) -> Any:
    """The delay at which every synapse would help most, of equal ones the shortest; as single lags. `way` is -1 where
    the optimiser goes up the gradient."""
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
        helps.append(rule.helps(way * on_host(total), sign))
    return np.asarray(lags[np.argmax(helps, axis=0)], np.uint16)
