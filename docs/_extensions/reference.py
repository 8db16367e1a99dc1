"""The directive ``reference``: a table of names of a module, and below it the documentation of each."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.ext.autodoc.mock import mock
from sphinx.util.inspect import signature

import genn_delays

INHERITED = ("CompiledNetwork",)
"""Classes that are shown with the methods of their base."""


class Reference(Directive):
    """``.. reference:: genn_delays`` with a name a line."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The table and the entries, parsed as reStructuredText; a note where the module cannot be imported."""
        absent = self.state.document.settings.env.config.autodoc_mock_imports
        try:
            with mock(absent):
                module = importlib.import_module(self.arguments[0])
        except ImportError as error:  # an optional package that this build goes without
            return [nodes.note("", nodes.paragraph(text=f"Not shown in this build of the pages: {error}"))]
        names = [line.strip() for line in self.content if line.strip()]
        lines = [f".. currentmodule:: {module.__name__}", "", ".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   {name}" for name in names]
        for name in names:
            value = getattr(module, name)
            kind = "class" if inspect.isclass(value) else "function" if callable(value) else "data"
            if kind == "class" and issubclass(value, BaseException):
                kind = "exception"
            lines += ["", f".. auto{kind}:: {name}"]
            if kind == "class" and any(base.__module__.split(".")[0] in absent for base in value.__mro__):
                # its base stands for one that is not installed, and would be asked for the signature
                value.__signature__ = signature(value.__init__, bound_method=True)
            if kind == "class":
                lines.append("   :members:")
                if any(base.__name__ in genn_delays.__all__ for base in value.__bases__):
                    lines.append("   :show-inheritance:")
            if name in INHERITED:
                lines += ["   :inherited-members: object"]
        node = nodes.Element()
        self.state.nested_parse(StringList(lines, self.state.document.current_source), 0, node)
        return node.children


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("reference", Reference)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
