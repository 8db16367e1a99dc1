"""The CUDA source of the passes over the synapses of one connection alone, out of the templates that serve networks."""

from __future__ import annotations

import re
from typing import Any

from ..delays import DelayKernel
from ..version import __version__
from .bodies import CUDA, functions
from .cuda import add_passes
from .delay_kernels import bodies_of_kernels
from .environment import environment

FORMS = ("real", "spikes")
"""Of activity; the device finds out which one it is."""
FAULTS = ("activity", "weight", "position")
"""Arrays in which kernels look for numbers that may not be, by their places in what the host is told."""
_KERNEL = re.compile(r'(extern "C" __global__ (?:__launch_bounds__\([^()]*\) )?void \w+\()([^()]*\) \{\n)')


def emit_cuda_ops(kernel: DelayKernel | None) -> str:
    """The source of gather, backgather and correlate, for single lags and for a delay kernel if there is one."""
    parts: list[str] = []

    def add(template: str, **values: Any) -> None:
        text = environment("cuda").get_template(f"{template}.cu.j2").render(version=__version__, **values)
        parts.append(of_form(text, values["form"]) if "form" in values else text)

    kernels = [] if kernel is None else [kernel]
    add("prelude")
    add("spikes")
    add("functions", text=functions(CUDA, bodies_of_kernels(kernels)))
    add_passes(add, FORMS, kernels, ["difference", *(k.code_name for k in kernels)])
    add("finite")
    add("ops", faults={name: place for place, name in enumerate(FAULTS)})
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


def of_form(text: str, form: str) -> str:
    """The kernels of a text, which return at once where activity has another form than theirs: the host launches those
    of both, and need not wait to know."""
    wanted = int(form == "real")
    return _KERNEL.sub(rf"\1\n    const int* __restrict__ is_real,\2    if (*is_real != {wanted}) return;\n", text)
