"""The layers of a module, and the connections of its networks, that are rewired, each with its rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..errors import InvalidValueError, shown, unknown
from ..rewiring import REWIRING, RewiringRule, as_rewiring
from .layer import SparseDelayed, layers_of
from .network import NetworkModule
from .wired import Wired

Rewirable = SparseDelayed | Wired
"""A layer, or a connection of a network that is a module."""


def chosen(module: Any, rule: Any) -> tuple[list[Rewirable], list[RewiringRule]]:
    """All layers and connections of a module that are rewired, with their rules.

    Args:
        module, rule: see :func:`~genn_delays.torch.rewire`.

    Raises:
        InvalidValueError: there are none, a network was closed, or a rule is unknown.
    """
    if isinstance(rule, Mapping):
        if not isinstance(module, NetworkModule):
            raise InvalidValueError(
                f"rewire: rules by connection, {shown(rule)}, are for the module of a network; call it for that"
            )
        module.compiled._check_open()
        rules = module._rules(rule)
        return [module.wired[index] for index in rules], list(rules.values())
    networks = [m for m in module.modules() if isinstance(m, NetworkModule)] if isinstance(module, nn.Module) else []
    found: list[Rewirable] = []
    for network in networks:
        network.compiled._check_open()
        found += network.wired
    if not found or any(isinstance(m, SparseDelayed) for m in module.modules()):
        found += layers_of(module)
    return found, [_rule(rule)] * len(found)


def _rule(rule: Any) -> RewiringRule:
    found = as_rewiring("SparseDelayed", rule)
    if found is None:
        raise unknown("rewiring rule", rule, REWIRING)
    return found
