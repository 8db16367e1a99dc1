"""``benchmark train-step``: a whole training step, loading, forward, loss, backward, optimisers and rewiring."""

from __future__ import annotations

from .comparison import as_text, cases_of, check_cases, compared
from .machine import machine
from .options import Options
from .pictures import Pictures, against_sparsity
from .records import Results

__all__ = ["as_text", "draw", "measure"]

REPEATS = 10


def measure(options: Options) -> Results:
    """Time whole training steps of a network on random data, in turns with those of its rival."""
    rival, repeats = options.rival(), options.count(REPEATS)
    cases = cases_of(options)
    check_cases(cases, rival, training=True)
    here = machine("genn" if rival == "genn" else cases[0].config.compiler.backend)
    found = compared(cases, rival, options, learn=True, repeats=repeats)
    return Results("train-step", options.settings(), here, tuple(found))


def draw(results: Results) -> Pictures:
    """Time against the synapses kept, where there are several sparsities."""
    return against_sparsity(results, "one training step (ms)")
