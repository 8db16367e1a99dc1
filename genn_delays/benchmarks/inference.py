"""``benchmark inference``: evaluated batches, with the model's batch size and with one example at a time."""

from __future__ import annotations

from .comparison import as_text, cases_of, check_cases, compared
from .machine import machine
from .options import Options
from .pictures import Pictures, against_sparsity
from .records import Results

__all__ = ["as_text", "draw", "measure"]

REPEATS = 10


def measure(options: Options) -> Results:
    """Time evaluated batches of a network on random data, in turns with those of its rival."""
    rival, repeats = options.rival(), options.count(REPEATS)
    cases = cases_of(options, one=True)
    check_cases(cases, rival, training=False)
    here = machine("genn" if rival == "genn" else cases[0].config.compiler.backend)
    found = compared(cases, rival, options, learn=False, repeats=repeats)
    return Results("inference", options.settings(), here, tuple(found))


def draw(results: Results) -> Pictures:
    """Time against the synapses kept, where there are several sparsities."""
    return against_sparsity(results, "one batch (ms)")
