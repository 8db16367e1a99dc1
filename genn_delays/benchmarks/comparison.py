"""Training steps and evaluated batches of several networks and of their rivals, timed in one run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ..errors import InvalidValueError
from ..runs.config import Config
from .dense_torch import dense
from .networks import Case
from .options import Options, at_sparsity, check_available, check_rival, on_backend, threads_of, with_batch
from .records import Measurement, Results, milliseconds, of_machine, short, table
from .subjects import evaluation, training
from .timing import Opener, interleaved

Key = tuple[Any, ...]


def check_cases(cases: Sequence[Case], rival: str | None, *, training: bool) -> None:
    """Raise an error for the first network that cannot be measured, before anything is measured."""
    for case in cases:
        backend = case.config.compiler.backend
        check_available(backend)
        check_rival(rival, case.config, training=training)
        if rival == "torch" and backend != "cpu":
            raise InvalidValueError(
                f"--against torch: PyTorch computes on the processor here, so --backend must be 'cpu', got {backend!r}"
            )
        if training and backend == "genn" and case.config.compiler.kind != "eventprop":
            raise InvalidValueError(
                '--backend genn: GeNN trains by EventProp alone; choose a model with compiler kind = "eventprop", '
                f"got {case.config.model.name!r} with {case.config.compiler.kind!r}"
            )


def compared(
    cases: Sequence[Case], rival: str | None, options: Options, *, learn: bool, repeats: int
) -> list[Measurement]:
    """Every network, and the rival's where there is one, measured in turns.

    Args:
        learn: whole training steps; else evaluated batches.
        repeats: samples of each.
    """
    what = "training step" if learn else "inference"
    openers: dict[Key, Opener] = {}
    facts: dict[Key, dict[str, Any]] = {}
    backends: dict[Key, str] = {}
    for number, case in enumerate(cases):
        for who, own in _sides(case, rival):
            key = (who, number) if who != "torch" else (who, *_shape(case))
            if key in openers:
                continue  # a dense network is the same whatever the sparsity
            facts[key], backends[key] = {}, own.config.compiler.backend
            openers[key] = _opener(who, own, learn, facts[key])
    times = interleaved(openers, repeats, told=lambda text: options.told(f"{what}: {text}"))
    found = []
    for key, seconds in times.items():
        parameters = {"network": key[1], **facts[key]} if key[0] != "torch" else facts[key]
        threads = parameters.pop("threads")
        batch = parameters["batch_size"]
        figures: dict[str, Any] = {"examples_a_second": batch / seconds.median}
        if key[0] == "genn_delays" and rival is not None:
            other = times[("torch", *_shape(cases[key[1]])) if rival == "torch" else ("genn", key[1])]
            figures[f"times_as_fast_as_{rival}"] = other.median / seconds.median
        found.append(Measurement(what, key[0], parameters, backends[key], threads, seconds, figures=figures))
    return found


def _sides(case: Case, rival: str | None) -> list[tuple[str, Case]]:
    """A network, and the rival's form of it."""
    sides = [("genn_delays", case)]
    if rival == "torch":
        sides.append(("torch", case))
    elif rival == "genn":
        sides.append(("genn", Case(on_backend(case.config, "genn"), case.epoch, case.ready, case.batches)))
    return sides


def _shape(case: Case) -> Key:
    """The parameters on which a dense network depends."""
    return (
        case.config.model.name,
        *(p.size for p in case.config.populations),
        case.config.compiler.batch_size,
        case.epoch,
    )


def _opener(who: str, case: Case, learn: bool, facts: dict[str, Any]) -> Opener:
    if who != "torch":
        return partial(training if learn else evaluation, case, facts)
    threads, config = threads_of(case.config) or 1, case.config
    facts |= {
        "model": config.model.name,
        "populations": [p.size for p in config.populations],
        "time_steps": config.compiler.example_timesteps,
        "batch_size": config.compiler.batch_size,
        "threads": threads,
        **({"epoch": case.epoch} if learn else {}),
    }
    return partial(dense, config, threads, training=learn, epoch=case.epoch, batches=case.batches, facts=facts)


def cases_of(options: Options, *, one: bool = False) -> list[Case]:
    """The networks that were asked for: every model and sparsity at every epoch.

    Args:
        one: with a batch of one example besides the model's own.
    """
    configs: list[Config] = [at_sparsity(base, s) for base in options.bases() for s in options.sparsities() or (None,)]
    return [
        Case(with_batch(config, batch), epoch, batches=2 if batch != 1 or not one else 16)
        for config in configs
        for batch in dict.fromkeys((config.compiler.batch_size, *([1] if one else [])))
        for epoch in options.epochs()
    ]


def as_text(results: Results) -> str:
    """A row a measurement."""
    rival = next(iter(results.others), None)
    head = ["network", "sparsity", "synapses", "batch", "epoch", "threads", "median ms", "quartiles ms", "examples/s"]
    head += [] if rival is None else [f"x {rival}"]
    rows = []
    several = len({m.parameters["model"] for m in results.measurements}) > 1
    for m in results.measurements:
        p = m.parameters
        name = p["model"] if several else "-".join(map(str, p["populations"]))
        who = name + ("" if m.who == "genn_delays" else f" {m.who}")
        sparsity = f"{100 * p['sparsity']:.4g} %" if "sparsity" in p else "dense"
        row = [who, sparsity, f"{p['synapses']:,}" if "synapses" in p else "", str(p["batch_size"]), p.get("epoch", "")]
        row += [str(m.threads or ""), *milliseconds(m.seconds), short(m.figures["examples_a_second"])]
        if rival is not None:
            faster = m.figures.get(f"times_as_fast_as_{rival}")
            row.append("" if faster is None else short(faster))
        rows.append(row)
    return f"{of_machine(results.machine)}\n\n{table(head, rows)}"
