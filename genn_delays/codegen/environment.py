"""The templates of a target."""

from __future__ import annotations

import re
from functools import cache

import jinja2

from ..derive.names import code_name
from .over_neurons import vectorises


@cache
def environment(target: str) -> jinja2.Environment:
    """The templates of ``"cpu"``, ``"cuda"`` or ``"genn"``, in which a name that is not given is an error."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("genn_delays.codegen", f"templates/{target}"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    found.filters |= {"named": code_name, "vectorises": vectorises, "tidy": tidy}
    return found


def tidy(text: str) -> str:
    """Remove the empty lines and spaces that unused parts of a template leave."""
    return re.sub(r"\n\n+( |\})", r"\n\1", re.sub(r"[ ]+\n", "\n", text))
