"""Saving, loading, copying and moving the module of a network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..errors import InvalidValueError
from ..learning.schedules import Progress
from ..network import Network
from ..training.compiler import Compiler
from .wired import Wired


class SavedNetwork(nn.Module):  # type: ignore[misc]
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

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for wired in self.wired:
            wired.check_mark()
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination.update({prefix + name: value for name, value in self._numbers().items()})

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: Any, unexpected_keys: Any,
        error_msgs: list[str],
    ) -> None:  # fmt: skip
        """The synapses, then averages as every module loads them; parameters, which belong to synapses, come last."""
        names = {prefix + name: name for name in self._numbers()}
        found = {names[key]: state_dict[key] for key in names if key in state_dict}
        if strict:
            missing_keys.extend(key for key in names if key not in state_dict)
        if len(found) == len(names):
            weights = [state_dict.get(f"{prefix}weights.{wired.key}") for wired in self.wired]
            try:
                every = [wired.loaded(found, weight) for wired, weight in zip(self.wired, weights, strict=True)]
            except InvalidValueError as error:
                error_msgs.append(f"{prefix}{error}")
                # all of it is loaded, or none: what others are about to load is what there is
                state_dict.update({prefix + name: value for name, value in self.state_dict().items()})
                return
            for wired, (topology, steps), weight in zip(self.wired, every, weights, strict=True):
                wired.take(topology, steps, weight)
                wired.l1 = float(found[f"l1.{wired.key}"])
            self.step = int(found["step"])
        rest = {key: value for key, value in state_dict.items() if key not in names}
        super()._load_from_state_dict(
            rest, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )  # fmt: skip


def _rebuilt(kind: type, made: tuple[Network, Compiler, dict[str, bool]], contents: dict[str, Any]) -> Any:
    """A module of the same network, with these contents."""
    network, compiler, options = made
    new = kind(network, compiler, **options)
    new.load_state_dict(contents["state"])
    for parameter, learned in zip(new.parameters(), contents["learned"], strict=True):
        parameter.requires_grad_(learned)
    new._progress = contents["progress"]
    return new.train(contents["training"])
