"""Faults put into the cpu templates, to see whether the self-test finds them and names what is broken."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
import pytest

from genn_delays.backends.cpu import compiler
from genn_delays.codegen import emit, simulation
from genn_delays.codegen.bodies import Printer

BODIES = "bodies"


@dataclass(frozen=True)
class Mutant:
    """One edit of a template.

    Attributes:
        name: what is wrong.
        template: its file, or :data:`BODIES` for text that is printed from bodies.
        old, new: text that occurs once, and what takes its place.
        features: what the self-test must name, all of it.
    """

    name: str
    template: str
    old: str
    new: str
    features: tuple[str, ...]

    def text(self, template: str, text: str) -> str:
        """A template's text with the fault in it."""
        if template != self.template:
            return text
        assert text.count(self.old) == 1, f"{self.name}: {self.old!r} occurs {text.count(self.old)} times"
        return text.replace(self.old, self.new)

    def printed(self, text: str) -> str:
        """What is printed from a body, with the fault in it."""
        return text.replace(self.old, self.new) if self.template == BODIES else text


def put_in(mutant: Mutant, monkeypatch: pytest.MonkeyPatch, cache: Any) -> None:
    """From now on the cpu backend's source has the fault; it is compiled quickly, into a cache of its own."""
    folder = resources.files("genn_delays.codegen") / "templates" / "cpu"
    loader = jinja2.FunctionLoader(lambda name: mutant.text(name, (folder / name).read_text()))
    faulty = emit.environment("cpu").overlay(loader=loader, cache_size=200)
    true = emit.environment
    for module in (emit, simulation):
        monkeypatch.setattr(module, "environment", lambda target: faulty if target == "cpu" else true(target))
    block = Printer.block
    monkeypatch.setattr(Printer, "block", lambda *a, **k: mutant.printed(block(*a, **k)))
    monkeypatch.setattr(compiler, "FLAGS", tuple("-O0" if flag[:2] == "-O" else flag for flag in compiler.FLAGS))
    monkeypatch.setenv("GENN_DELAYS_CACHE", str(cache))


REAL, SPIKES = "surrogate gradient, real inputs", "surrogate gradient, spike inputs"
EVENT_PROP, CYCLE = "EventProp, spike inputs", "a cycle, EventProp"
RANDOM, BY_GRADIENT, BEST = "DEEP R", "DEEP R, by the gradient", "DEEP R, the best delays"
DALE, SPREAD = "DEEP R, Dale's law, noise, fresh delays", "DEEP R under DCLS"
NORM = "batch norm and time constants"

MUTANTS = (
    # simulations
    Mutant("a spike does not go on to its later synapses", "simulation_arrivals.cpp.j2",
           "    if (a.left) wait(n, part, a, k);\n", "", ("a simulation, every input",)),
    # passes over synapses
    Mutant("the first step of a block has no spikes", "gather_event.cpp.j2",
           "event_start[max64(t0 - delay, 0)]", "event_start[max64(t0 - delay + 1, 0)]", (CYCLE,)),
    Mutant("spikes of the other sign", "gather_event.cpp.j2", "] += weight;", "] -= weight;", (SPIKES, CYCLE)),
    Mutant("one tap of four is not added", "gather_dense.cpp.j2", "        sum += w3 * s3[o];\n", "", (REAL,)),
    Mutant("the last step has no gradient", "correlate_event.cpp.j2",
           "(delay * B), last = delay < T ? event_start[T - delay]",
           "(delay * B), last = delay < T ? event_start[T - delay - 1]",
           ("several synapses a pair",)),
    Mutant("half of a dot product is missing", "correlate_dense.cpp.j2", "width > 0", "width > 1", (REAL,)),
    Mutant("times of spikes have the wrong sign", "gather.cpp.j2",
           "e_times[a - begin] += weight", "e_times[a - begin] -= weight", (EVENT_PROP, CYCLE)),
    Mutant("the second source has the first's synapses", "rebuild.cpp.j2",
           "c->by_pre_start[j] = place;", "c->by_pre_start[j] = j == 1 ? 0 : place;",
           (REAL, EVENT_PROP)),
    # neurons
    Mutant("the readout's gradient has the wrong sign", "adjoint.cpp.j2",
           '" + e" if not model.threshold', '" - e" if not model.threshold', (REAL,)),
    Mutant("times of arrival have the wrong sign", "adjoint_event_prop.cpp.j2",
           "= {{ transitions.arrival.c }};", "= -({{ transitions.arrival.c }});",
           (EVENT_PROP, "EventProp, real inputs")),
    Mutant("dropped neurons have gradients", "dropout.cpp.j2", "*= (float)mask[b]", "*= 1.0f", ("dropout",)),
    Mutant("variance without the mean", "batch_norm.cpp.j2", "/ count - mean * mean;", "/ count;", (NORM,)),
    Mutant("batch norm's gradient without its mean", "batch_norm.cpp.j2", " + constant;", ";", (NORM,)),
    # losses and readouts
    Mutant("a loss forgets its smoothing", BODIES, "e_ / total_ - share_ - ", "e_ / total_ - ",
           ("readouts and losses",)),
    Mutant("a tile's lanes in the place of the batch's", "loss.cpp.j2",
           "num_lanes_ = n->all_lanes;", "num_lanes_ = n->B;",
           ("long examples, a batch in tiles",)),
    Mutant("the smallest in the place of the largest", BODIES, "t_ == 0 || v_ > top_ ?", "t_ == 0 || v_ < top_ ?",
           ("readouts and losses", EVENT_PROP)),
    # delays
    Mutant("a difference becomes a sum", "taps_difference.cpp.j2", "slope[0] -= step", "slope[0] += step",
           ("whole delays, learned",)),
    Mutant("one lag too many", "lags.cpp.j2", "floorf(d + reach)", "ceilf(d + reach)",
           ("DCLS, Gaussian kernel, narrowest",)),
    Mutant("shares do not sum to 1 as delays move", "lags.cpp.j2",
           "(slope[l] - share[l] * tilt) * inverse", "slope[l] * inverse",
           ("DCLS, Gaussian kernel, half way", "kernel count 2")),
    Mutant("half a triangle", BODIES, "width_ - fabsf(x_)", "width_ - x_",
           ("DCLS, triangle kernel",)),
    # optimisers
    Mutant("Adam without its second correction", BODIES, "power(beta2_, age_)", "power(beta2_, 65535)",
           ("optimiser Adam", "optimiser AdamW")),
    Mutant("weights that grow by decay", BODIES, "w_ - (float)alpha_ * (float)decay_",
           "w_ + (float)alpha_ * (float)decay_",
           ("optimiser AdamW",)),
    Mutant("descent without momentum", BODIES, "(float)alpha_ * m_;", "(float)alpha_ * g_;",
           ("optimiser SGD", RANDOM)),
    Mutant("no weight decay", BODIES, " + (float)weight_decay_ * w_;", ";", ("optimiser AdamW",)),
    Mutant("delays are cut off, not rounded", BODIES, "(uint32_t)rintf(position_)", "(uint32_t)position_",
           ("optimiser Adam", "SET")),
    Mutant("noise of the other sign", BODIES, "new_ + sign_ * (float)", "new_ - sign_ * (float)", (DALE,)),
    Mutant("weights that grow by L1", BODIES, "new_ - length_ * sign_", "new_ + length_ * sign_",
           ("optimiser AdamW", SPREAD)),
    # rewiring
    Mutant("synapses that reached zero stay", BODIES, "new_ * sign_ <= 0.0f", "new_ * sign_ <= -1.0f",
           (RANDOM, DALE)),
    Mutant("newborn synapses have an age", "grow.cpp.j2", '{{ "0.0f" if f.real else "0" }}',
           '{{ "0.0f" if f.real else "1" }}', (RANDOM, "SET", "RigL")),
    Mutant("newborn synapses come before their pair's others", "grow.cpp.j2",
           "c->pre[middle] <= c->slot[s].pre", "c->pre[middle] < c->slot[s].pre", ("RigL, two synapses a pair",)),
    Mutant("the most negative in the place of the smallest", BODIES, "score_ = fabsf(w_);", "score_ = w_;",
           ("SET", "RigL")),
    Mutant("growth where it helps least", BODIES, "help_ = -sign_ * g_", "help_ = sign_ * g_",
           (BY_GRADIENT, BEST)),
    Mutant("one lag beside the best", "choose_delays.cpp.j2", "(c->delay_low + best)", "(c->delay_low + best + 1)",
           (BEST,)),
    Mutant("a free place is counted from the row's beginning", "slots.cpp.j2",
           "const int64_t slot = place + w->living;", "const int64_t slot = place;", (RANDOM, BY_GRADIENT)),
    Mutant("Dale's law upside down", "slots.cpp.j2", "c->pre_sign[s->pre] < 0", "c->pre_sign[s->pre] > 0", (DALE,)),
    Mutant("the same places at every step", "sample_distinct.cpp.j2", "low, high, (uint32_t)n->step)",
           "low, high, 0)", (RANDOM, "SET")),
    Mutant("scores without the kernel", "score_sources.cpp.j2",
           "const float weight = share[l];", "const float weight = 1.0f;",
           (SPREAD,)),
)  # fmt: skip
"""More than one of every kind: a sign, an index, a bound, a missing term; in passes, optimisers and growth."""
