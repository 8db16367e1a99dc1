"""Data that are prepared once and used for many calls, by every compiled network that they fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InvalidValueError
from ..learning.losses import Loss, Truth
from ..network import Network
from ..neurons import SpikeInput
from ..plan.exchanged import InputData
from .streamed import Stream, StreamedLabels


@dataclass(frozen=True, eq=False, repr=False)
class PreparedInputs:
    """Inputs, checked and in the form that engines load from: given in the place of `x`.

    They fit every compiled network that has inputs of the same names, sizes and kinds, as many time steps and the same
    dt. Spikes take 8 bytes each. Arrays that were float32 are not copied: they must not be changed meanwhile.

    Attributes:
        data: by name of the input population.
        time_steps, dt: length of an example, and of a step in ms.
    """

    data: Mapping[str, InputData | Stream]
    kinds: Mapping[str, str]
    time_steps: int
    dt: float

    @classmethod
    def new(
        cls, network: Network, data: Mapping[int, InputData | Stream], time_steps: int, dt: float
    ) -> PreparedInputs:
        """Inputs by index, as they are of a network."""
        named = {network.populations[index].name: own for index, own in data.items()}
        return cls(named, _kinds(network), time_steps, dt)

    def __len__(self) -> int:
        """The number of examples."""
        return len(next(iter(self.data.values())))

    def __repr__(self) -> str:
        return f"<PreparedInputs: {len(self):,} examples of {_listed(self.kinds)}, {_length(self.time_steps, self.dt)}>"

    def of(self, network: Network, time_steps: int, dt: float) -> dict[int, InputData | Stream]:
        """The inputs by index of a network's populations, or an error where they do not fit."""
        kinds = _kinds(network)
        if (kinds, time_steps, dt) != (self.kinds, self.time_steps, self.dt):
            raise InvalidValueError(
                f"inputs were prepared for {_listed(self.kinds)}, {_length(self.time_steps, self.dt)}; this network "
                f"has {_listed(kinds)}, {_length(time_steps, dt)}: prepare them with it"
            )
        return {network.find("population", name).index: own for name, own in self.data.items()}


@dataclass(frozen=True, eq=False, repr=False)
class PreparedLabels:
    """Labels and targets, checked: given in the place of `y`.

    They fit every compiled network that has outputs of the same names and sizes, whose losses compare with the same
    kind of thing.

    Attributes:
        data: by name of the output population.
        count: number of examples.
    """

    data: Mapping[str, Truth | StreamedLabels]
    kinds: Mapping[str, str]
    count: int

    @classmethod
    def new(
        cls, network: Network, data: Mapping[int, Truth | StreamedLabels], losses: Mapping[int, Loss], time_steps: int
    ) -> PreparedLabels:
        """Labels by index, as they are of a network."""
        named = {network.populations[index].name: own for index, own in data.items()}
        return cls(named, _truths(network, losses, time_steps), len(next(iter(named.values()))))

    def __len__(self) -> int:
        """The number of examples."""
        return self.count

    def __repr__(self) -> str:
        return f"<PreparedLabels: {_listed(self.kinds)} of {self.count:,} examples>"

    def of(
        self, network: Network, losses: Mapping[int, Loss], time_steps: int, count: int
    ) -> dict[int, Truth | StreamedLabels]:
        """The labels by index of a network's populations, or an error where they do not fit."""
        kinds = _truths(network, losses, time_steps)
        if kinds != self.kinds:
            raise InvalidValueError(
                f"labels were prepared for {_listed(self.kinds)}; this network has {_listed(kinds)}: prepare them "
                "with it"
            )
        if self.count != count:
            raise InvalidValueError(f"labels: {self.count} for {count} examples; there must be one for each")
        return {network.find("population", name).index: own for name, own in self.data.items()}


def _kinds(network: Network) -> dict[str, str]:
    """The kind of data that each input takes, by name."""
    kinds = {p.name: "spikes" if isinstance(p.neuron, SpikeInput) else "real values" for p in network.inputs}
    return {p.name: f"{kinds[p.name]} of {p.size} neurons" for p in network.inputs}


def _truths(network: Network, losses: Mapping[int, Loss], time_steps: int) -> dict[str, str]:
    """The kind of labels or targets of each output's loss, by name."""
    found = {}
    for p in network.outputs:
        loss = losses[p.index]
        each = f" of each of {time_steps} time steps" if loss.stepwise else ""
        found[p.name] = f"{'labels' if loss.labelled else 'targets'} of {p.size} neurons{each}"
    return found


def _listed(kinds: Mapping[str, str]) -> str:
    return ", ".join(f"{name!r} ({kind})" for name, kind in sorted(kinds.items()))


def _length(time_steps: int, dt: float) -> str:
    return f"{time_steps} time steps of {dt:g} ms"
