"""The source of the passes over the synapses of one connection alone, out of the templates that serve networks."""

from __future__ import annotations

import re
from typing import Any

from ..delays import DelayKernel
from ..version import __version__
from .bodies import CPU, functions
from .delay_kernels import bodies_of_kernels, delay_kernel_code
from .emit import MOST_LEAVES, SPAN
from .environment import environment
from .kept import kept_on_cpu

_LIMITS = {
    "max_vars": 1,
    "max_pars": 1,
    "num_populations": 2,
    "num_connections": 1,
    "max_moments": 1,
    "span": SPAN,
    "most_leaves": MOST_LEAVES,
}


def forms(kernel: DelayKernel | None) -> dict[str, tuple[str, str]]:
    """The forms in which synapses may be passed over, by name: the suffixes of the passes and of the gradients."""
    found = {"whole": ("", ""), "difference": ("", "_difference")}
    return found if kernel is None else found | {"kernel": (f"_{kernel.code_name}", f"_{kernel.code_name}")}


def emit_ops(kernel: DelayKernel | None) -> str:
    """The C++ source of gather, backgather and correlate, for single lags and for a delay kernel if there is one."""
    templates = environment("cpu")
    texts = [emit_ops_structures()]

    def add(template: str, **values: Any) -> None:
        texts.append(templates.get_template(f"{template}.cpp.j2").render(version=__version__, **values))

    kernels = [] if kernel is None else [kernel]
    add("sums", most_leaves=MOST_LEAVES)
    add("tile", learns=True, **_LIMITS)
    add("functions", text=functions(CPU, bodies_of_kernels(kernels)))
    for name in ("rooms", "pool", "gather_dense", "gather_event", "lags", *(["gather_lags"] if kernels else [])):
        add(name)
    for k in kernels:
        add("taps", kernel=delay_kernel_code(k, CPU, 2))
    add("taps_difference")
    for taps in (None, *(k.code_name for k in kernels)):
        add("gather", kernel=taps, real=False, spikes=True, back=True, compact=False, exact=False)
    add("correlate_dense")
    add("correlate_event")
    for taps in (None, "difference", *(k.code_name for k in kernels)):
        add("correlate", taps=taps)
    add("spikes", regularised=False, limited=False, few=False)
    add("rebuild")
    add("ops", forms=forms(kernel))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(texts))


def emit_ops_structures() -> str:
    """The beginning of the source, with the structures that it reads; the same for every delay kernel."""
    named: dict[str, Any] = {"optimiser_numbers": [], "rule_numbers": [], "output_numbers": []}
    template = environment("cpu").get_template("prelude.cpp.j2")
    return template.render(version=__version__, kept=kept_on_cpu(), pieces=False, **named, **_LIMITS)
