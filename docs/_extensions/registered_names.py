"""The directive ``registered``: a table of the registered classes of a kind and of their arguments."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

import genn_delays
from genn_delays.runs.tables import arguments_of

REGISTRIES = {
    "neurons": "genn_delays.neurons:NEURONS",
    "connectivity": "genn_delays.connectivity.connectivity:CONNECTIVITY",
    "synapses": "genn_delays.synapses:SYNAPSES",
    "drives": "genn_delays.runs.sections:DRIVES",
    "initializers": "genn_delays.initializers:INITIALIZERS",
    "delays": "genn_delays.delays:DELAY_INITIALIZERS",
    "delay kernels": "genn_delays.delays:DELAY_KERNELS",
    "readouts": "genn_delays.learning.readouts:READOUTS",
    "losses": "genn_delays.learning.losses:LOSSES",
    "surrogates": "genn_delays.learning:SURROGATES",
    "optimisers": "genn_delays.learning:OPTIMISERS",
    "schedules": "genn_delays.learning:SCHEDULES",
    "rewiring": "genn_delays.rewiring:REWIRING",
}
"""By the directive's argument, module and name of a mapping from registered names to classes."""


def shown(default: Any) -> str:
    """A default as a model file writes it; nothing for an argument that must be given or is None."""
    if default is inspect.Parameter.empty:
        return " (needed)"
    if default is None:
        return ""
    if isinstance(default, bool):
        return f" = {str(default).lower()}"
    if isinstance(default, str):
        return f' = "{default}"'
    if isinstance(default, (int, float)):
        return f" = {default}"
    name = getattr(type(default), "registered_name", None)
    return f' = "{name}"' if name else ""


class Registered(Directive):
    """``.. registered:: neurons``."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """The table, parsed as a list-table of reStructuredText."""
        module, name = REGISTRIES[self.arguments[0]].split(":")
        registry = getattr(importlib.import_module(module), name)
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 28 72", "", "   * - name", "     - keys"]
        for key in sorted(registry):
            cls = registry[key]
            public = cls.__name__ in genn_delays.__all__
            label = f":class:`{key} <genn_delays.{cls.__name__}>`" if public else f"``{key}``"
            keys = [f"``{argument}{shown(default)}``" for argument, default in arguments_of(cls).items()]
            lines += [f"   * - {label}", f"     - {', '.join(keys) or 'none'}"]
        node = nodes.Element()
        self.state.nested_parse(StringList(lines, "registered"), 0, node)
        return node.children


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("registered", Registered)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
