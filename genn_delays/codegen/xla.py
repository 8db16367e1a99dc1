"""The source of the passes over synapses as XLA calls them, which JAX compiles its programs with."""

from __future__ import annotations

from ..delays import DelayKernel
from .environment import environment
from .ops import emit_ops, forms

PASSES = ("gather", "backgather", "correlate")


def xla_forms(kernel: DelayKernel | None) -> list[str]:
    """The forms of synapses for which the source has handlers: those of its delay kernel, or those without one."""
    return [form for form in forms(kernel) if (form == "kernel") == (kernel is not None)]


def emit_xla(kernel: DelayKernel | None, *, busy: float, many: int, fewer: int, jaxlib: str) -> str:
    """The C++ source of :func:`~genn_delays.codegen.ops.emit_ops` with a handler of XLA for every pass and form.

    Args:
        kernel: the delay kernel, None for synapses at single lags.
        busy: share of a row's offsets with a spike above which it is read as a whole.
        many, fewer: from so many lags of a synapse on that share is divided by `fewer`.
        jaxlib: the version whose header is included, so that a library is compiled anew for another one.
    """
    template = environment("cpu").get_template("xla.cpp.j2")
    numbers = {"busy": busy, "many": many, "fewer": fewer, "reach": 0.0 if kernel is None else kernel.reach}
    return emit_ops(kernel) + "\n" + template.render(forms=xla_forms(kernel), passes=PASSES, jaxlib=jaxlib, **numbers)
