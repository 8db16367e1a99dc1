"""The threads that kernels are given, and the steps or lanes of each: by shapes alone, so that every GPU does the
same."""

from __future__ import annotations

from ...codegen.cuda import MANY_STEPS, STEPS, WORD
from .device import Argument, Arguments, Module
from .sorting import BLOCK, blocks

MOST_PIECES = 65_535
"""CUDA's limit of a grid's second and third dimension."""
MOST_BLOCKS = 4096
"""Of kernels whose threads share what only the device knows: enough to fill a GPU, few to find there is nothing."""
FEW_THREADS = 1 << 17
"""Fewer threads leave processors of a large GPU without work: 1,000 on each of 132."""


def few(threads: int) -> bool:
    """True if so many threads leave most of a GPU idle."""
    return threads < FEW_THREADS


def planes(pieces: int) -> tuple[int, int]:
    """A grid's second and third dimension for at least so many pieces."""
    planes = -(-pieces // MOST_PIECES)
    return -(-pieces // planes), planes


def launch_rows(
    module: Module, kernel: str, neurons: int, of_thread: int, steps: int, lanes: int, /, *groups: Arguments,
    **named: Argument,
) -> None:  # fmt: skip
    """Run a kernel with a block for each piece of a row of each neuron; so many of the steps are a thread's."""
    if neurons and steps:
        pieces = blocks(-(-steps // of_thread) * lanes)  # whole warps, each with steps of a strip of lanes
        module.launch(kernel, (neurons, *planes(pieces)), BLOCK, *groups, named)


def gather_steps(form: str, spread: bool, neurons: int, steps: int, lanes: int) -> int:
    """Steps that a thread of gather adds up, which are part of the kernel's name."""
    more = WORD if form == "spikes" else MANY_STEPS if spread else STEPS
    enough = steps > more // 2 and not few(neurons * -(-steps // more) * lanes)
    return more if enough else STEPS


def correlate_warps(size: int, parts: int) -> int:
    """Warps of a synapse in correlate, as many as there are parts of lanes (:mod:`.lanes`) where synapses are few."""
    warps, most = 1, min(parts, BLOCK // 32)
    while 2 * warps <= most and few(64 * warps * size):
        warps *= 2
    return warps
