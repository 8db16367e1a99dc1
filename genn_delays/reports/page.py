"""The page of a report: what it shows in which order, as the templates want it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..overview import Column, Table
from . import pictures
from .measures import LONGEST, Example, Measures
from .pictures import Picture
from .settings import differences, setting_text, settings_of


@dataclass(frozen=True)
class Section:
    """A part of the page below a run's heading.

    Attributes:
        id: its anchor, unique in the page.
        title: its heading.
        texts: paragraphs above everything else.
        tables: with their captions.
        pictures: in a grid.
        small: whether they are small, several in a row.
        folded: whether the tables are shown on request only.
    """

    id: str
    title: str
    texts: tuple[str, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    pictures: tuple[Picture, ...] = ()
    small: bool = False
    folded: bool = False


@dataclass(frozen=True)
class RunPart:
    """A run on the page."""

    id: str
    title: str
    folder: str
    texts: tuple[str, ...]
    sections: tuple[Section, ...] = field(default_factory=tuple)


def render(runs: Sequence[Measures]) -> str:
    """The whole page as HTML."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("genn_delays.reports", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,
    )
    environment.filters["breakable"] = breakable
    names = _names(runs)
    title = (
        "Report of "
        + ("a run: " if len(runs) == 1 else f"{len(runs)} runs: ")
        + ", ".join(dict.fromkeys(run.config.model.name for run in runs))
    )
    with pictures.drawing():
        comparison = _comparison(runs, names) if len(runs) > 1 else ()
        parts = [_run(number, run, name) for number, (run, name) in enumerate(zip(runs, names, strict=True), 1)]
    return environment.get_template("report.html.j2").render(title=title, comparison=comparison, runs=parts)


def breakable(text: str) -> Any:
    """A text whose lines may end after dots and underscores, as names of settings are long for a phone."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=[._])(?=[a-z])", "<wbr>", str(escape(text))))


def _names(runs: Sequence[Measures]) -> list[str]:
    """A short name of every run: its model and seed, numbered where there are several runs."""
    names = [f"{run.config.model.name}, seed {run.config.seed}" for run in runs]
    return names if len(runs) == 1 else [f"{number}: {name}" for number, name in enumerate(names, 1)]


def _comparison(runs: Sequence[Measures], names: Sequence[str]) -> tuple[Section, ...]:
    """Settings that differ, results beside each other, and test accuracies over the epochs."""
    every = [{**settings_of(run.config), **{f"versions.{k}": v for k, v in run.versions.items()}} for run in runs]
    found = differences(every)
    columns = (Column("setting"), *(Column(name) for name in names))
    rows = tuple((name, *(setting_text(value) for value in values)) for name, values in found)
    texts = () if rows else ("All settings are the same.",)
    settings = Section("differences", "Settings that differ", texts, (("", Table(columns, rows)),) if rows else ())
    results = [dict(_results(run)) for run in runs]
    kinds = [kind for kind in results[0] if any(result[kind] for result in results)]
    columns = (Column("result"), *(Column(name) for name in names))
    rows = tuple((kind, *(result[kind] or "-" for result in results)) for kind in kinds)
    return (
        settings,
        Section("results", "Results", (), (("", Table(columns, rows)),)),
        *_overlaid(runs, names),
    )


def _overlaid(runs: Sequence[Measures], names: Sequence[str]) -> list[Section]:
    """Test accuracies of the runs with classes, test losses of those with real targets, each in one picture."""
    found = []
    for labelled, id, figure in ((True, "accuracies", "accuracy"), (False, "losses", "loss")):
        chosen = [number for number, run in enumerate(runs) if run.labelled == labelled]
        if chosen:
            own = pictures.overlaid([runs[n] for n in chosen], [names[n] for n in chosen], figure)
            found.append(Section(id, f"Test {figure}", (), (), (own,)))
    return found


def _run(number: int, run: Measures, name: str) -> RunPart:
    here = f"run-{number}"
    texts = [text for text in (run.config.model.description, run.config.model.citation) if text]
    if not run.result:
        texts.append("Training of this run has not ended: there is no result.json yet.")
    sections = [
        Section(f"{here}-result", "Result", (), (("", _pairs("result", [row for row in _results(run) if row[1]])),)),
        *_omitted(here, run),
        Section(f"{here}-network", "Network", *_network(run)),
        Section(f"{here}-curves", "Learning curves", pictures=tuple(pictures.curves(run))),
        *_fields(here, run),
        *_on_data(here, run),
        *_synapses(here, run),
        Section(f"{here}-configuration", "Configuration", (), (("Every setting", _settings(run)),), folded=True),
        Section(f"{here}-versions", "What it ran on", *_versions(run)),
    ]
    return RunPart(here, f"Run {name}", run.folder, tuple(texts), tuple(sections))


def _results(run: Measures) -> list[tuple[str, str]]:
    """Names and texts of a run's figures, always the same names; empty texts for figures that it does not have."""
    r = run.result
    return [
        *(row for figure in ("accuracy", "loss") for row in _success(run, figure)),
        ("data set", run.config.training.dataset),
        ("epochs", f"{len(run.lines):,}"),
        ("synapses", _number(r.get("synapses"), "{:,}")),
        ("sparsity", _number(r.get("sparsity"), "{:.4g} %", 100.0)),
        ("synapses rewired", _number(r.get("rewirings"), "{:,}")),
        ("a training step", _number(r.get("step_ms"), "{:.4g} ms, median")),
        ("training", _number(r.get("seconds"), "{:.4g} s")),
    ]


def _success(run: Measures, figure: str) -> list[tuple[str, str]]:
    """Accuracies, or losses; texts are empty for the one that a run is not judged by."""
    names = [f"test {figure}, {which} epoch" for which in ("last", "chosen", "best")]
    names += [f"{part} {figure}, last epoch" for part in ("validation", "training")]
    if run.labelled != (figure == "accuracy"):
        return [(name, "") for name in names]
    r, last = run.result, run.lines[-1]
    told = _percent if run.labelled else lambda value: _number(value, "{:.6g}")
    best = max(run.lines, key=lambda line: line["test_accuracy"] if run.labelled else -line["test_loss"])
    chosen = ""
    if r.get("selected_epoch"):
        where = f"epoch {r['selected_epoch']}, chosen on the {r.get('selected_by')}"
        chosen = f"{told(r.get(f'selected_test_{figure}'))} ({where})"
    of_best = f"{told(best[f'test_{figure}'])} (epoch {best['epoch']}, chosen on the test set)"
    found = [told(last[f"test_{figure}"]), chosen, of_best]
    found += [told(last.get(f"{part}_{figure}")) for part in ("validation", "train")]
    return list(zip(names, found, strict=True))


def _number(value: Any, form: str, factor: float | None = None) -> str:
    """A figure of ``result.json``; empty where it is none, as in an edited file."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return form.format(value if factor is None else factor * value)


def _omitted(here: str, run: Measures) -> list[Section]:
    texts = tuple(f"{text[:1].upper()}{text[1:]}." for text in run.omitted)
    return [Section(f"{here}-omitted", "Left out", texts)] if texts else []


def _percent(share: Any) -> str:
    return f"{100 * share:.2f} %" if isinstance(share, int | float) else ""


def _pairs(what: str, rows: Sequence[tuple[str, str]]) -> Table:
    return Table((Column(what), Column("value")), tuple(rows))


def _network(run: Measures) -> tuple[tuple[str, ...], tuple[tuple[str, Table], ...]]:
    """Paragraphs and tables of the trained network."""
    if run.overview is None:
        return (), ()
    tables = [(name, t) for name, t in zip(("Populations", "Connections"), run.overview.tables, strict=True) if t.rows]
    # what a backend has allocated is of this machine's threads, not of the run
    learned = tuple(note for note in run.overview.notes if note.startswith("learned: "))
    about = f"As trained after epoch {run.epoch}, the best checkpoint. In all: {run.overview.title}."
    return (about, *learned), tuple(tables)


def _fields(here: str, run: Measures) -> list[Section]:
    sections = []
    for number, found in enumerate(run.fields):
        end = f"-{number + 1}" if len(run.fields) > 1 else ""
        limit = pictures.scale_of(found)
        text = (
            f"Neurons of {found.population}: which neurons of {found.source} excite (orange) or inhibit (blue) them, "
            "and how long before. The signs of the first synapses are added up over all layers between with the "
            f"weights there, each shifted by its delay. White is 0; the strongest colours are ±{limit:.3g} and beyond, "
            "in every picture."
        )
        if run.truncated:
            text += f" The network has a cycle: paths whose delays add up to more than {LONGEST} steps are left out."
        own = tuple(pictures.fields(found, run.config.compiler.dt, limit))
        sections.append(Section(f"{here}-fields{end}", "Receptive fields", (text,), (), own, small=True))
    return sections


def _on_data(here: str, run: Measures) -> list[Section]:
    """A test example, and the confusion of classes."""
    sections = []
    if run.example is not None:
        e = run.example
        own = tuple(pictures.example(e))
        sections.append(Section(f"{here}-example", "A test example", (_about(e),), _targets(e), own))
    if run.spikes:
        sections.append(Section(f"{here}-spikes", "Spikes", *_spikes(run)))
    if run.confusion is not None:
        counts = run.confusion
        text = (
            f"{int(np.trace(counts)):,} of {int(counts.sum()):,} test examples are right "
            f"({_percent(np.trace(counts) / counts.sum())}) with the checkpoint of epoch {run.epoch}."
        )
        tables = (("Accuracy by class", _by_class(counts)),)
        sections.append(
            Section(f"{here}-confusion", "Confusion of classes", (text,), tables, (pictures.confusion(counts),))
        )
    return sections


def _about(e: Example) -> str:
    """A sentence about a test example."""
    if e.label is None:
        return f"Example {e.number} of the test set, whose targets are real numbers."
    right = "which is right" if e.label == e.chosen else "which is wrong"
    return f"Example {e.number} of the test set, of class {e.label}. The network chooses {e.chosen}, {right}."


def _targets(e: Example) -> tuple[tuple[str, Table], ...]:
    """Real targets of an example beside the readout; those of every time step are a picture."""
    if e.targets is None or e.answer is None or e.targets.ndim != 1:
        return ()
    columns = (Column(f"neuron of {e.output}", True), Column("target", True), Column("network", True))
    pairs = zip(e.targets, e.answer, strict=True)
    rows = [(str(n), f"{target:.4g}", f"{answer:.4g}") for n, (target, answer) in enumerate(pairs)]
    return (("Targets", Table.of(columns, rows)),)


def _spikes(run: Measures) -> tuple[tuple[str, ...], tuple[tuple[str, Table], ...]]:
    columns = (
        Column("population"), Column("neurons", True), Column("spikes an example", True),
        Column("spikes a neuron and time step", True), Column("silent neurons", True),
    )  # fmt: skip
    rows = tuple(
        (s.population, f"{s.counts.size:,}", f"{s.per_example:,.5g}", f"{s.rate:.3g}", f"{s.silent:,}")
        for s in run.spikes
    )
    return (f"On all {run.spikes[0].examples:,} test examples.",), (("", Table(columns, rows)),)


def _by_class(counts: Any) -> Table:
    columns = (
        Column("class", True),
        Column("examples", True),
        Column("accuracy", True),
        Column("mostly taken for"),
    )
    rows = []
    for label, row in enumerate(counts):
        wrong = np.where(np.arange(len(row)) == label, 0, row)
        taken = f"{int(wrong.argmax())} ({int(wrong.max())})" if wrong.any() else ""
        share = _percent(row[label] / row.sum()) if row.sum() else "-"
        rows.append((str(label), f"{int(row.sum()):,}", share, taken))
    return Table.of(columns, rows)


def _synapses(here: str, run: Measures) -> list[Section]:
    own = tuple(picture for c in run.connections for picture in pictures.connection(c))
    return [Section(f"{here}-synapses", "Synapses", pictures=own)] if own else []


def _settings(run: Measures) -> Table:
    rows = tuple((name, setting_text(value)) for name, value in settings_of(run.config).items())
    return _pairs("setting", rows)


def _versions(run: Measures) -> tuple[tuple[str, ...], tuple[tuple[str, Table], ...]]:
    c = run.config.compiler
    rows = [("backend", c.backend), *((k, v) for k, v in run.versions.items())]
    if c.threads is not None:
        rows.insert(1, ("threads", str(c.threads)))
    return (), (("", _pairs("software", rows)),)
