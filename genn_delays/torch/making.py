"""Arguments of a layer: its connectivity, unknown ones, and a sparsity that is rounded."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import torch

from ..connectivity import FixedNumber
from ..connectivity.connectivity import Connectivity
from ..errors import InvalidValueError, check_real, shown, unknown

_OTHERWISE = {
    "device": "move the layer afterwards, SparseDelayed(...).to(device)",
    "dtype": "a layer is made in torch.float32; SparseDelayed(...).double() computes in double precision, slowly",
}


def check_made(constructor: Any, others: dict[str, Any]) -> None:
    """Raise an error for arguments that a constructor does not have, or where tensors would not be on the CPU."""
    for name in others:
        if name in _OTHERWISE:
            raise InvalidValueError(f"SparseDelayed has no argument {name!r}: {_OTHERWISE[name]}")
        known = [p.name for p in inspect.signature(constructor).parameters.values() if p.kind != p.VAR_KEYWORD]
        raise unknown("argument of SparseDelayed", name, known[1:])
    if (device := torch.get_default_device()).type != "cpu":
        raise InvalidValueError(
            f"SparseDelayed is made on the CPU, the default device is {device}: make it under 'with "
            'torch.device("cpu"):\''
        )


def exact_sparsity(sparsity: Any, num_pre: int, num_post: int) -> float:
    """A sparsity for which the number of synapses is what it is without the rounding of ``1 - sparsity``.

    That of 100 x 100 pairs and 0.8 is 2000, while ``int((1 - 0.8) * 10000)`` is 1999.
    """
    pairs, found = num_pre * num_post, check_real("sparsity", sparsity, 0.0, 1.0, open_high=True)
    count = math.floor((1 - found) * pairs + pairs * np.finfo(float).eps)
    while FixedNumber(found, delay=0).count(num_pre, num_post) < count:
        found = math.nextafter(found, 0.0)
    return found


def connectivity_of(given: dict[str, Any], connectivity: Connectivity | None) -> Connectivity:
    """The connectivity of a layer: the one that was given, or of a fixed number of synapses with these arguments.

    Raises:
        InvalidValueError: both are given, or neither is.
    """
    if connectivity is None:
        for name in ("sparsity", "delay"):
            if name not in given:
                raise InvalidValueError(f"SparseDelayed needs {name}=, or a connectivity= that has it")
        return FixedNumber(**given)
    if not isinstance(connectivity, Connectivity):
        raise InvalidValueError(f"connectivity must be one such as FixedProbability(0.1), got {shown(connectivity)}")
    if given:
        raise InvalidValueError(f"{', '.join(given)}: give this to connectivity={type(connectivity).__name__}(...)")
    return connectivity
