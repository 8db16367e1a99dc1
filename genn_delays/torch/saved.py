"""Saving, loading, copying and moving the module of a network."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import InvalidValueError
from ..learning.schedules import Progress
from ..network import Network
from ..training.compiler import Compiler
from .numbers import KeepsNumbers
from .wired import Wired


class SavedNetwork(KeepsNumbers):
    """The part of :class:`~genn_delays.torch.NetworkModule` by which PyTorch saves, copies and moves it.

    Attributes:
        wired, step: see there.
    """

    wired: list[Wired]
    weights: Any
    step: int
    _progress: Progress
    _made: tuple[Network, Compiler, dict[str, bool]]

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        moved = fn(torch.empty(0))
        if moved.device.type != "cpu" or moved.dtype != torch.float32:
            raise InvalidValueError(
                f"the module of a network stays on the CPU in torch.float32, got {moved.dtype} on {moved.device}; "
                "leave it there and move its input and output (the compiler's backend says where it computes)"
            )
        super()._apply(fn, recurse)
        for wired in self.wired:
            self._buffers[wired.mark_name] = self._buffers[wired.mark_name].double()
        return self

    # --- copies ------------------------------------------------------------------------------------------------------

    def __reduce__(self) -> Any:
        return _rebuilt, (type(self), self._made, self._contents())

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        new = _rebuilt(type(self), self._made, self._contents())
        memo[id(self)] = new
        memo |= {id(own): other for own, other in zip(self.parameters(), new.parameters(), strict=True)}
        return new

    def _contents(self) -> dict[str, Any]:
        """All that a module of the same network needs to become this one."""
        return {
            "state": {name: tensor.detach().clone() for name, tensor in self.state_dict().items()},
            "learned": [p.requires_grad for p in self.parameters()],
            "training": self.training,
            "progress": self._progress,
        }

    # --- states ------------------------------------------------------------------------------------------------------

    def _numbers(self) -> dict[str, Any]:
        """The contents of a state besides parameters and averages, as tensors."""
        found = {"step": torch.tensor(self.step)}
        for wired in self.wired:
            found |= wired.numbers()
        return found

    def _check_mark(self) -> None:
        for wired in self.wired:
            wired.check_mark()

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: Any, unexpected_keys: Any,
        error_msgs: list[str],
    ) -> None:  # fmt: skip
        """The synapses, then averages as every module loads them; parameters, which belong to synapses, come last."""
        found, _ = self._parted(state_dict, prefix, strict, missing_keys)
        own = {*self._numbers(), *(n for n, _ in self.named_parameters() if n.startswith(_OF_SYNAPSES))}
        theirs = {n for n in (key.removeprefix(prefix) for key in state_dict if key.startswith(prefix)) if _belongs(n)}
        if theirs:
            weights = [state_dict.get(f"{prefix}weights.{wired.key}") for wired in self.wired]
            try:
                _check_whole(own, theirs)
                every = [wired.loaded(found, weight) for wired, weight in zip(self.wired, weights, strict=True)]
                self._check_shapes({n: state_dict.get(prefix + n) for n, _ in self.named_parameters()})
            except InvalidValueError as error:
                error_msgs.append(f"{prefix}{error}")
                # all of it is loaded, or none: what others are about to load is what there is
                state_dict.update({prefix + name: value for name, value in self.state_dict().items()})
                return
            for wired, (topology, steps), weight in zip(self.wired, every, weights, strict=True):
                wired.take(topology, steps, weight)
                wired.l1 = float(found[f"l1.{wired.key}"])
            self.step = int(found.get("step", self.step))
        _, rest = self._parted(state_dict, prefix, False, [])  # what was put back among it
        super()._load_from_state_dict(
            rest, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )  # fmt: skip

    def _check_shapes(self, state: dict[str, Any]) -> None:
        """Raise an error if a parameter of a state has another shape than the module's."""
        for name, own in self.named_parameters():
            if state[name] is not None and state[name].shape != own.shape:
                raise InvalidValueError(f"{name} must have shape {tuple(own.shape)}, got {tuple(state[name].shape)}")


_OF_SYNAPSES = ("weights.", "delays.")
"""The beginnings of the names of parameters ``[synapse]``."""


def _belongs(name: str) -> bool:
    """True for names in a state that are of synapses: of no use without one another."""
    return name.startswith((*_OF_SYNAPSES, "topology.", "mark.", "l1.", "steps."))


def _check_whole(own: set[str], theirs: set[str]) -> None:
    """Raise an error unless a state has all that belongs to synapses, and no more, whether all its names are asked for
    or not."""
    own = {name for name in own if _belongs(name)}
    if missing := ", ".join(sorted(own - theirs)):
        raise InvalidValueError(
            f"weights and delays are loaded with their synapses, and the state has no {missing}; save state_dict(), "
            "whole, of a module of the same network with the same learn_delays"
        )
    if more := ", ".join(sorted(theirs - own)):
        raise InvalidValueError(
            f"the state has {more}, of which this module has none; make it of the same network with the same "
            "learn_delays"
        )


def _rebuilt(kind: type, made: tuple[Network, Compiler, dict[str, bool]], contents: dict[str, Any]) -> Any:
    """A module of the same network, with these contents."""
    network, compiler, options = made
    new = kind(network, compiler, **options)
    new.load_state_dict(contents["state"])
    for parameter, learned in zip(new.parameters(), contents["learned"], strict=True):
        parameter.requires_grad_(learned)
    new._progress = contents["progress"]
    return new.train(contents["training"])
