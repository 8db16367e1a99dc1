"""States of modules that hold more than parameters: the synapses that these belong to, and other numbers."""

from __future__ import annotations

from typing import Any

from torch import nn


class KeepsNumbers(nn.Module):  # type: ignore[misc]
    """A module whose state has :meth:`_numbers` besides parameters and buffers."""

    def _numbers(self) -> dict[str, Any]:
        """The contents of a state besides parameters and averages, as tensors."""
        raise NotImplementedError

    def _check_mark(self) -> None:
        """Raise an error if parameters were mixed with those of other synapses."""
        raise NotImplementedError

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        self._check_mark()
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination.update({prefix + name: value for name, value in self._numbers().items()})

    def _parted(
        self, state_dict: dict[str, Any], prefix: str, strict: bool, missing_keys: list[str]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The numbers of a state by their own names, and the rest of it; those that `strict` misses are told."""
        names = {prefix + name: name for name in self._numbers()}
        if strict:
            missing_keys.extend(key for key in names if key not in state_dict)
        found = {names[key]: value for key, value in state_dict.items() if key in names}
        return found, {key: value for key, value in state_dict.items() if key not in names}
