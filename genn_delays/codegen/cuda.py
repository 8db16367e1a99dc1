"""From a plan to CUDA C++: one source of kernels, which depends on equations, rules and forms and never on sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..bodies.functions import EXP_NEGATIVE, NORMAL_QUANTILE, PHILOX, SCALED
from ..delays import DelayKernel
from ..derive.names import derived_name
from ..derive.printed import words_of
from ..derive.transitions import Transitions
from ..learning.optimisers import Optimiser, number_names
from ..plan.plan import ConnectionPlan, Plan, PopulationPlan
from ..random import Purpose
from ..version import __version__
from .bodies import CUDA, Printer, functions, mangled
from .delay_kernels import bodies_of_kernels, delay_kernel_code
from .elementary import bodies_of_neurons
from .emit import slope_term, update_of
from .environment import environment
from .kept import Kept, kept_on_device
from .losses import bodies_of_outputs, loss_code
from .optimisers import around_code, bodies_of, optimiser_code, sorted_kinds
from .readouts import readout_code
from .rules import bodies_of_rules, cuda_rule_code, rules_of

OPTIMISER_NUMBERS = ("weight_decay", "l1", "drift", "noise", "age")
"""The members of ``struct Optimiser`` after the numbers of the optimisers themselves."""


def moved(plan: Plan) -> dict[str, Kept]:
    """The arrays per synapse that rewiring may move, in the order in which kernels take them."""
    return kept_on_device(plan.most_moments)


def optimiser_numbers(plan: Plan) -> list[str]:
    """The members of ``struct Optimiser``, in their order."""
    return [*(mangled(name) for name in number_names(plan.every_optimiser)), *OPTIMISER_NUMBERS]


STEPS, MANY_STEPS, WORD = 8, 16, 32
"""Time steps that a thread adds up: of real numbers, of these spread over lags where there are many neurons, and of
spikes, whose bits are words."""


def emit_cuda(plan: Plan, half_tape: bool = False, shared: bool = False) -> str:
    """The source of a plan's kernels, the same text for the same plan.

    Args:
        half_tape: keep variables of hidden populations in half precision for the backward pass.
        shared: sums over a batch are exchanged with other processes between kernels.
    """
    parts: list[str] = []
    environment("cuda").filters["steps"] = steps

    def add(template: str, **values: Any) -> None:
        text = environment("cuda").get_template(f"{template}.cu.j2")
        values |= {"version": __version__, "purpose": Purpose, "training_seed": plan.training_seed, "shared": shared}
        parts.append(text.render(**values))

    kinds = {p.kind for p in plan.populations}
    for name, wanted in (
        ("prelude", True), ("spikes", True), ("copy", True), ("load_dense", "real_input" in kinds),
        ("load_events", "spike_input" in kinds), ("half", half_tape),
    ):  # fmt: skip
        if wanted:
            add(name)
    learning = _learning(plan)
    kernels = bodies_of_kernels(c.kernel for c in plan.connections if c.kernel)
    needed = [EXP_NEGATIVE, *kernels, *bodies_of_outputs(plan), *bodies_of(learning)]
    needed += [*([NORMAL_QUANTILE] if learning else []), SCALED, *bodies_of_rules(rules_of(plan))]
    needed += bodies_of_neurons(plan)
    add("functions", text=functions(CUDA, needed))
    add("random", philox=Printer(CUDA).block(PHILOX, frozenset()))
    _add_passes(add, plan)
    for name, wanted in (
        ("sums", True), ("history", True), ("finite", True),
        ("batch_norm", any(p.batch_norm for p in plan.populations)),
        ("regularise", plan.regularisation is not None), ("slopes", any(p.slopes for p in plan.populations)),
        ("clip", plan.clip_norm is not None), ("limit", plan.max_spikes is not None),
    ):  # fmt: skip
        if wanted:
            add(name)
    if plan.surrogate_code is not None:
        add("surrogate", surrogate=plan.surrogate_code)
    for p in plan.populations:
        if p.model is not None:
            _add_population(add, plan, p, half_tape)
    for p in plan.outputs:
        assert p.loss is not None
        add("readout", p=p, code=readout_code(p.reading, CUDA, not p.loss.stepwise))
        add("loss", p=p, loss=loss_code(p.loss, p.reading, CUDA))
    _add_learning(add, plan, shared)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


_KERNEL = re.compile(r'extern "C" __global__ void (\w+)\(([^()]*)\) \{\n(.*?)\n\}\n', re.DOTALL)


def steps(text: str) -> str:
    """Every kernel of a template as a function that one block can call among others, and as a kernel that calls it.

    A function ``NAME_step`` uses whatever threads there are (``EACH``), and leaves waiting for them to its caller.
    """

    def both(match: re.Match[str]) -> str:
        name, parameters, body = match.groups()
        names = ", ".join(parameter.split()[-1].lstrip("*") for parameter in parameters.split(","))
        function = f"static __device__ __noinline__ void {name}_step({parameters}) {{\n{body}\n}}\n"
        return f'{function}\nextern "C" __global__ void {name}({parameters}) {{ {name}_step({names}); }}\n'

    return _KERNEL.sub(both, text)


def keeps_half(p: PopulationPlan) -> bool:
    """True if a population's tape may be in half precision. Those of outputs may not, as readouts read them."""
    return p.readout is None


def forms(plan: Plan) -> list[str]:
    """The kinds of activity that connections carry."""
    return sorted({"spikes" if plan.populations[c.source].spiking else "real" for c in plan.connections})


def _add_passes(add: Any, plan: Plan) -> None:
    """The passes over synapses, in the forms that this network has."""
    kernels = {c.kernel.code_name: c.kernel for c in plan.connections if c.kernel}
    taps = sorted({c.gradient_taps for c in plan.connections if c.gradient_taps})
    add_passes(add, forms(plan), kernels.values(), taps)


def add_passes(add: Any, forms: Sequence[str], kernels: Iterable[DelayKernel], taps: Sequence[str]) -> None:
    """The passes over synapses: gather, backgather and correlate.

    Args:
        add: adds a template with these values.
        forms: of activity, ``"real"`` and ``"spikes"``.
        kernels: delay kernels by which synapses are spread over lags.
        taps: by which gradients are: names of these kernels, or ``"difference"``.
    """
    found = {kernel.code_name: kernel for kernel in kernels}
    if found:
        add("lags")
    for name in taps:
        if name in found:
            add("taps", kernel=delay_kernel_code(found[name], CUDA, 2))
        else:
            add(f"taps_{name}")
    for spread in [False, True] if found else [False]:
        for form in forms:
            for steps in (STEPS, WORD) if form == "spikes" else (STEPS, MANY_STEPS) if spread else (STEPS,):
                add("gather", form=form, taps=spread, steps=steps)
        add("backgather", taps=spread)
    for form in forms:
        add("correlate", form=form, taps=bool(taps))


def _add_population(add: Any, plan: Plan, p: PopulationPlan, half_tape: bool) -> None:
    """The kernels of a population: forwards and backwards through its neurons."""
    model = p.model
    assert model is not None
    spiking = model.threshold is not None
    distance = [] if model.threshold is None else [model.threshold]
    jumps = [*model.steps.values(), *model.update.values(), *model.jump.values(), *distance]
    initial = {derived_name("initial", s) for s in model.states}
    shared = {"p": p, "model": model, "numbers": list(p.parameters), "spiking": spiking, "bias": p.bias is not None}
    shared["half"] = half_tape and keeps_half(p)

    def used(expressions: list[Any], always: set[str]) -> list[str]:
        return [name for name in p.parameters if name in words_of(expressions) | always]

    add("membrane", parameters=used(jumps, initial), **shared)
    if plan.event_prop is not None:
        transitions = model.transitions
        assert transitions is not None
        reads = [*transitions.flow.values(), model.gradient, transitions.arrival, *_at_spike(transitions)]
        reads += [transitions.release] if transitions.release else []
        reads += [*distance, *model.jump.values(), *([model.hold] if model.hold else [])] if spiking else []
        asked = [*_at_spike(transitions), *([transitions.release] if transitions.release else []), *distance]
        near = [s for s in model.states if s in words_of(distance)]
        before = words_of([*distance, *(model.jump[s] for s in near if s in model.jump)]) | set(near)
        add(
            "adjoint_event_prop", transitions=transitions, reads_distance=near,
            reads_here=[s for s in model.states if s in words_of(asked)],
            reads_before=[s for s in model.states if s in before], at_spike=sorted(words_of(_at_spike(transitions))),
            at_release=sorted(words_of([transitions.release])) if transitions.release else [],
            reads=p.reads,
            parameters=used(reads, {derived_name("initial", s) for s in near}), **shared,
        )  # fmt: skip
        return
    backward = [*model.back.values(), *model.adjoint.values(), model.gradient, *distance]
    backward += [model.hold] if model.hold else []
    add(
        "adjoint", later=words_of(backward), slope_terms={c: slope_term(model, c) for c in p.slopes},
        reads_current=any(c.startswith(derived_name("b", "")) for c in p.slopes),
        parameters=used([*backward, *(model.jump.values() if p.slopes else ())], initial if p.slopes else set()),
        **shared,
    )  # fmt: skip


def _at_spike(transitions: Transitions) -> list[Any]:
    return [e for e in (transitions.spike_time, *transitions.jump.values()) if e is not None]


def _learning(plan: Plan) -> list[Optimiser]:
    """The optimisers whose steps are kernels: of connections and of batch norms."""
    used = [o for c in plan.connections for o in (c.optimiser, c.delay_optimiser) if o is not None]
    return used + [o for p in plan.populations for o in p.learned_norm.values()]


def _add_learning(add: Any, plan: Plan, shared: bool) -> None:
    """Optimisers and rewiring; every connection needs the index by source neuron, and so the sort."""
    used = _learning(plan)
    add("scan")
    add("sort")
    add("index")
    rules = {kind.registered_name: cuda_rule_code(kind) for kind in rules_of(plan)}
    scored = [c for c in plan.connections if c.rewiring is not None and c.rewiring.uses_gradient]
    if rules:
        add("rules", rules=rules.values(), grown={rule_of(c) for c in scored})
        for name in ("rewire", "rewire_block"):
            add(name, rules=rules.values(), state=moved(plan))
    if used:
        kinds = [optimiser_code(kind, CUDA) for kind in sorted_kinds(used)]
        add("optimisers", optimisers=kinds, numbers=optimiser_numbers(plan))
    for kind in sorted_kinds(o for p in plan.populations for o in p.learned_norm.values()):
        add("learn", name=kind.registered_name, moments=len(kind.moments))
    for (weight, delay), c in sorted({update_of(c): c for c in plan.connections if c.learned}.items()):
        add(
            "update", weight=weight, delay=delay, weight_moments=c.num_moments, delay_moments=c.num_delay_moments,
            **around_code(CUDA, 1),
        )  # fmt: skip
    for name in sorted({rule_of(c) for c in scored}) if shared else ():
        add("rank_by_gradient", rule=rules[name])
        add("best_lag", rule=rules[name])
    for form in forms(plan) if scored else ():
        for name, kernel in sorted({(rule_of(c), c.kernel.code_name if c.kernel else "") for c in scored}):
            add("choose_gradient", form=form, kernel=kernel, rule=rules[name])
        for name in sorted({rule_of(c) for c in scored})[: 1 if shared else None]:
            add("choose_delays", form=form, rule=rules[name])


def rule_of(c: ConnectionPlan) -> str:
    """The registered name of a connection's rewiring rule, by which its kernels are called."""
    assert c.rewiring is not None
    return c.rewiring.registered_name
