"""Limits of neuromorphic chips as published, each with its source, and what they refuse of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import check_choice
from ..network import Connection, Network, Population
from ..neurons import DynamicNeuron, Input, LeakyIntegrate, LeakyIntegrateFire
from ..training.compiled_network import CompiledNetwork
from .plain import Plain, plain
from .receipt import Finding

Array = npt.NDArray[Any]
_GRID = 1e-3
"""A weight may be off a chip's grid by this share of a step: rounding to single precision."""


@dataclass(frozen=True)
class Limit:
    """A number of a chip and the place where it is published."""

    value: int
    source: str


@dataclass(frozen=True)
class Target:
    """A chip's published limits; what is None is not limited, or nothing is published.

    Attributes:
        title: the chip's name, for messages.
        max_delay_steps: of a synapse.
        delays: different delays that a network's synapses may have.
        weight_bits: of a signed weight, whole numbers times one scale a connection.
        fan_in, fan_out: synapses of a neuron.
        inputs, hidden, outputs: neurons of populations without incoming connections, without a readout, with one.
        neurons, synapses: of a whole network.
        readouts: whether neurons without spikes exist; None where not known.
        real_inputs: whether inputs may be other than spikes, and the remark that goes with it.
        synapse_models: names of synapses that exist.
        reset: ``"absolute"``, ``"relative"`` or None for both.
        neurons_source: of the last four.
        remarks: sentences that concern every network.
    """

    title: str
    neurons_source: str
    max_delay_steps: Limit | None = None
    delays: Limit | None = None
    weight_bits: Limit | None = None
    fan_in: Limit | None = None
    fan_out: Limit | None = None
    inputs: Limit | None = None
    hidden: Limit | None = None
    outputs: Limit | None = None
    neurons: Limit | None = None
    synapses: Limit | None = None
    readouts: bool = True
    real_inputs: str | None = None
    synapse_models: tuple[str, ...] = ("Delta", "Exponential")
    reset: str | None = None
    remarks: tuple[str, ...] = ()


_NETX = "lava-dl, src/lava/lib/dl/netx/blocks/process.py (max_delay=62) and its issue 226"
_LAVA = "Lava, src/lava/proc/dense/process.py (num_weight_bits: full 8 bit precision)"
_LOIHI2 = "Intel, Loihi 2 technology brief (2021), as given by WikiChip, Loihi 2"
_NENGO = "nengo-loihi, nengo_loihi/block.py (MAX_IN_AXONS), of Loihi 1; none is published for Loihi 2"
_S2_NIR = "py-spinnaker2, src/spinnaker2/s2_nir.py: one conn_delay, LIF, IF and CubaLIF, weights from -127 to 127"
_S2_SIZE = "SpiNNaker2 datasheet 0.03 (152 cores); NESTML's SpiNNaker2 target (250 neurons a core)"
_XYLO = "Rockpool documentation, Overview of the Xylo family (XyloAudio 2)"

TARGETS: dict[str, Target] = {
    "loihi2": Target(
        title="Loihi 2",
        neurons_source=_LOIHI2,
        max_delay_steps=Limit(62, _NETX),
        weight_bits=Limit(8, _LAVA),
        fan_in=Limit(4096, _NENGO),
        neurons=Limit(128 * 8192, _LOIHI2),
        synapses=Limit(120_000_000, _LOIHI2),
        real_inputs="real numbers reach the chip as graded spikes, which are whole numbers: scale and round the data",
    ),
    "spinnaker2": Target(
        title="SpiNNaker2 through py-spinnaker2's NIR reader",
        neurons_source=_S2_NIR,
        delays=Limit(1, _S2_NIR),
        weight_bits=Limit(8, _S2_NIR),
        neurons=Limit(152 * 250, _S2_SIZE),
        readouts=False,
        remarks=("its cores are programmable: a program of one's own can have what this reader has not",),
    ),
    "xylo": Target(
        title="Xylo (XyloAudio 2)",
        neurons_source=_XYLO,
        max_delay_steps=Limit(0, f"{_XYLO}: its neurons and synapses have no delay"),
        weight_bits=Limit(8, _XYLO),
        fan_out=Limit(64, _XYLO),
        inputs=Limit(16, _XYLO),
        hidden=Limit(1000, _XYLO),
        outputs=Limit(8, _XYLO),
        readouts=False,
        synapse_models=("Exponential",),
        reset="relative",
        remarks=("time constants decay by bit shifts there, and are rounded to what these can have",),
    ),
}
"""By name."""


@dataclass(frozen=True)
class Check:
    """The answer of a chip to a network.

    Attributes:
        target: the chip's name.
        findings: refusals first, then remarks.
    """

    target: str
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """True if the chip cannot hold the network as it is."""
        return any(f.refused for f in self.findings)

    def __str__(self) -> str:
        lines = [str(f) for f in self.findings]
        return "\n".join([f"{TARGETS[self.target].title}: {'refused' if self.refused else 'nothing refused'}", *lines])


def check_target(model: Network | CompiledNetwork | Plain, target: str) -> Check:
    """Everything of a network that exceeds a chip's published limits, counted.

    Limits of memory a core, and what a chip's compiler makes of them, are not public and not checked.

    Args:
        model: a network, a compiled network (its trained synapses, batch norm folded) or what :func:`.quantise` gave.
        target: ``"loihi2"``, ``"spinnaker2"`` or ``"xylo"``; :data:`.TARGETS` has their limits.

    Raises:
        InvalidValueError: there is no such target.
    """
    check_choice("target", target, TARGETS)
    network, chip = plain(model).network, TARGETS[target]
    found = [finding for check in _CHECKS for finding in check(chip, network)]
    found += [Finding("network", "remark", False, 0, 0, text, chip.neurons_source) for text in chip.remarks]
    return Check(target, tuple(sorted(found, key=lambda finding: not finding.refused)))


def _share(count: int, total: int, what: str) -> str:
    return f"{count:,} of {total:,} {what}"


def _span(values: Array, unit: str) -> str:
    low, high = values.min(), values.max()
    return f"{low:,} {unit}" if low == high else f"{low:,} to {high:,} {unit}"


def _delays(chip: Target, network: Network) -> Iterator[Finding]:
    limit = chip.max_delay_steps
    for c in network.connections if limit else ():
        assert limit is not None
        delay = c.draw().delay.astype(np.int64)
        above = delay > limit.value
        if above.any():
            count, has = int(above.sum()), "none" if limit.value == 0 else f"at most {limit.value}"
            text = (
                f"{_share(count, delay.size, 'synapses')} have delays of {_span(delay[above], 'steps')}; {chip.title} "
                f"has {has}"
            )
            yield Finding(f"connection {c.name!r}", "max_delay_steps", True, count, delay.size, text, limit.source)


def _different_delays(chip: Target, network: Network) -> Iterator[Finding]:
    if chip.delays is None or not network.connections:
        return
    every = np.concatenate([c.draw().delay for c in network.connections])
    values, counts = np.unique(every, return_counts=True)
    if values.size > chip.delays.value:
        most = int(counts.argmax())
        count = int(every.size - counts[most])
        text = (
            f"{_share(count, every.size, 'synapses')} have another delay than the commonest, {values[most]} steps; "
            f"there are {values.size} different delays, {chip.title} has {chip.delays.value}"
        )
        yield Finding("network", "delays", True, count, every.size, text, chip.delays.source)


def _weights(chip: Target, network: Network) -> Iterator[Finding]:
    for c in network.connections if chip.weight_bits else ():
        assert chip.weight_bits is not None
        weight, bits = np.abs(c.draw().weight.astype(np.float64)), chip.weight_bits.value
        count = int(_off_grid(weight, 2 ** (bits - 1) - 1).sum())
        if count:
            text = (
                f"{_share(count, weight.size, 'weights')} are no whole multiples of the largest weight / "
                f"{2 ** (bits - 1) - 1}; {chip.title} has weights of {bits} bits: quantise them"
            )
            yield Finding(
                f"connection {c.name!r}", "weight_bits", True, count, weight.size, text, chip.weight_bits.source
            )


def _off_grid(weight: Array, most: int) -> Array:
    """True for weights that are no whole multiples of a scale, the largest one at most `most` times it.

    Where no scale fits all of them, those that do not fit the finest one.
    """
    largest = float(weight.max())
    if largest == 0:
        return np.zeros(weight.size, bool)
    values, place = np.unique(weight, return_inverse=True)
    finest = np.ones(values.size, bool)
    for steps in range(most, 0, -1):
        multiples = values / largest * steps
        off = np.abs(multiples - np.rint(multiples)) > _GRID
        if steps == most:
            finest = off
        if not off.any() or values.size > most + 1:  # more values than a grid has fit none
            return np.asarray((off if not off.any() else finest)[place])
    return np.asarray(finest[place])


def _fans(chip: Target, network: Network) -> Iterator[Finding]:
    sides: tuple[tuple[str, Limit | None, Callable[[Population], list[Connection]], str, str], ...] = (
        ("fan_in", chip.fan_in, lambda p: p.incoming, "post", "incoming"),
        ("fan_out", chip.fan_out, lambda p: p.outgoing, "pre", "outgoing"),
    )
    for name, limit, connections, end, word in sides:
        for p in network.populations if limit else ():
            assert limit is not None
            counts = np.zeros(p.size, np.int64)
            for c in connections(p):
                counts += np.bincount(getattr(c.draw(), end), minlength=p.size)
            above = counts > limit.value
            if above.any():
                count = int(above.sum())
                text = (
                    f"{_share(count, p.size, 'neurons')} have {_span(counts[above], f'{word} synapses')}; {chip.title} "
                    f"has at most {limit.value:,} a neuron"
                )
                yield Finding(f"population {p.name!r}", name, True, count, p.size, text, limit.source)


def _sizes(chip: Target, network: Network) -> Iterator[Finding]:
    kinds: dict[str, list[Population]] = {"inputs": [], "hidden": [], "outputs": []}
    for p in network.populations:
        kinds["inputs" if p.neuron.is_input else "hidden" if p.neuron.readout is None else "outputs"].append(p)
    sizes = {kind: sum(p.size for p in members) for kind, members in kinds.items()}
    sizes["neurons"] = sizes["hidden"] + sizes["outputs"]
    sizes["synapses"] = sum(c.num_synapses for c in network.connections)
    words = {"inputs": "input neurons", "hidden": "hidden neurons", "outputs": "output neurons"}
    for kind, size in sizes.items():
        limit: Limit | None = getattr(chip, kind)
        if limit is not None and size > limit.value:
            text = f"{size:,} {words.get(kind, kind)}; {chip.title} has at most {limit.value:,}"
            yield Finding("network", kind, True, size - limit.value, size, text, limit.source)


def _populations(chip: Target, network: Network) -> Iterator[Finding]:
    for p in network.populations:
        for limit, refused, text in _population(chip, p):
            yield Finding(f"population {p.name!r}", limit, refused, p.size, p.size, text, chip.neurons_source)


def _population(chip: Target, p: Population) -> Iterator[tuple[str, bool, str]]:
    """Limit, refused or not, and sentence of what a chip lacks of a population."""
    neuron = p.neuron
    if isinstance(neuron, Input):
        text = chip.real_inputs or f"its inputs are real numbers; {chip.title} takes spikes"
        yield "real_inputs", chip.real_inputs is None, text
    if not isinstance(neuron, DynamicNeuron):
        return
    name = type(neuron).__name__
    if p.batch_norm is not None:
        yield "batch_norm", True, "it has batch norm; export the compiled network, which folds it into weights"
    if type(neuron) not in (LeakyIntegrateFire, LeakyIntegrate):
        yield (
            "neuron",
            True,
            f"{name} is not among the neurons that were checked: leaky integrate-and-fire, integrators",
        )
        return
    if not p.spiking and not chip.readouts:
        yield "readouts", True, f"{name} does not spike; {chip.title} has spiking neurons alone"
    synapses = {type(c.synapse).__name__ for c in p.incoming} - set(chip.synapse_models)
    if synapses:
        have = " and ".join(chip.synapse_models)
        yield "synapse", True, f"{', '.join(sorted(synapses))} synapses lead to it; {chip.title} has {have}"
    if isinstance(neuron, LeakyIntegrateFire) and chip.reset is not None:
        reset = "relative" if neuron.relative_reset else "absolute"
        if reset != chip.reset:
            yield (
                "reset",
                True,
                f"its reset is {reset}; {chip.title} has the {chip.reset} one (the threshold is subtracted)",
            )


_CHECKS: tuple[Callable[[Target, Network], Iterator[Finding]], ...] = (
    _delays, _different_delays, _weights, _fans, _sizes, _populations,
)  # fmt: skip
