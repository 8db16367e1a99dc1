"""The pictures of a report, each a text that an HTML page holds in itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plots
from ..analysis import ReceptiveFields
from ..plots.style import marker, series_style
from .measures import Connected, Example, Measures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 110
_MARGINS = {"left": 0.24, "right": 0.96, "bottom": 0.26, "top": 0.87}
"""Of receptive fields, which then are alike."""
_MOST_MARKS = 4_000
"""Pictures of more synapses would be large files."""


@dataclass(frozen=True)
class Picture:
    """A picture with what stands in its place for readers who cannot see it.

    Attributes:
        src: a ``data:`` address with the whole picture.
        alt: what it shows, in words.
        caption: text below it; may be empty.
        width, height: in CSS pixels.
    """

    src: str
    alt: str
    caption: str
    width: int
    height: int


@contextmanager
def drawing() -> Iterator[None]:
    """While the body runs, matplotlib's own settings, whatever the user's are: the same run gives the same page."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.hashsalt": "genn_delays", "font.size": 10.0, "legend.fontsize": 8.5})
        yield


def curves(run: Measures) -> list[Picture]:
    """Accuracy if there is one, loss and, where a rule acted, rewirings over the epochs."""
    lines, selected = run.lines, None
    if run.result.get("selected_epoch"):
        selected = int(run.result["selected_epoch"]), f"epoch chosen on the {run.result.get('selected_by')}"
    told = _first_and_last(lines)
    found = []
    if run.labelled:
        ax = plots.learning_curve(lines, _axes(), selected=selected)
        found.append(_svg(ax, f"Accuracy over {_epochs(lines)}: {told}.", "Accuracy over the epochs"))
    ax = plots.learning_curve(lines, _axes(), figure="loss", selected=None if run.labelled else selected)
    if ax.get_lines():
        losses = f"from {lines[0].get('train_loss') or 0:.3g} to {lines[-1].get('train_loss') or 0:.3g}"
        found.append(_svg(ax, f"Loss over {_epochs(lines)}: training {losses}.", "Loss over the epochs"))
    if any(line.get("rewirings") for line in lines):
        total = sum(int(line.get("rewirings", 0)) for line in lines)
        ax = plots.rewirings(lines, _axes())
        found.append(_svg(ax, f"Rewirings an epoch, {total:,} in all.", "Synapses that were rewired"))
    return found


def overlaid(runs: Sequence[Measures], names: Sequence[str], figure: str = "accuracy") -> Picture:
    """The test accuracy, or the test loss, of several runs over their epochs."""
    ax, ends = _axes(5.2, 3.7), []
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        style = {"marker": marker(number), **series_style(number)}
        plots.learning_curve(run.lines, ax, figure=figure, parts=["test"], name=name, **style)
        end = run.lines[-1][f"test_{figure}"]
        ends.append(f"{name} {100 * end:.1f} %" if figure == "accuracy" else f"{name} {end:.4g}")
    ax.set_ylabel("test accuracy (%)" if figure == "accuracy" else "test loss")
    return _svg(ax, f"Test {figure} over the epochs of all runs; at the last epoch {', '.join(ends)}.", "")


def scale_of(found: ReceptiveFields) -> float:
    """The end of the scale of colours: few places are stronger, which would leave all others pale."""
    strong = np.abs(found.values[found.values != 0])
    return float(np.quantile(strong, 0.95)) if strong.size else 1.0


def fields(found: ReceptiveFields, dt: float, limit: float) -> list[Picture]:
    """The receptive field of every neuron, all with the same scale of colours, which ends at `limit`."""
    pictures = []
    for unit, field in zip(found.units, found.values, strict=True):
        title = f"{found.population} {unit}"
        ax = plots.receptive_field(
            field,
            _axes(2.2, 1.9, _MARGINS),
            dt=dt,
            unit="ms",
            source=found.source,
            limit=limit,
            title=title,
            colorbar=False,
        )
        ax.set_xlabel("time before (ms)")
        excited, inhibited = int((field > 0).sum()), int((field < 0).sum())
        alt = (
            f"Receptive field of neuron {unit} of {found.population}: {excited:,} places excite, {inhibited:,} inhibit."
        )
        pictures.append(_png(ax, alt, ""))
    return pictures


def example(shown: Example) -> list[Picture]:
    """The input, the spikes of every spiking population, and the output's variable."""
    found = []
    about = f"of test example {shown.number}"
    if isinstance(shown.inputs, np.ndarray):
        ax = plots.image(shown.inputs, _axes(4.6, 3.3), dt=shown.dt)
        ax.set_ylabel(f"neuron of {shown.source}")
        steps, neurons = shown.inputs.shape
        found.append(_png(ax, f"Input {about}: {neurons} values over {steps} time steps.", f"Input, {shown.source}"))
    else:
        times, neurons = shown.inputs
        spikes = np.asarray(times, float), np.asarray(neurons)
        found.append(_raster(spikes, shown.source, shown.size, shown, f"Input, {shown.source}"))
    for name, own in shown.spikes.items():
        found.append(_raster(own, name, shown.sizes[name], shown, f"Spikes of {name}"))
    if shown.traces is not None:
        right = shown.label if shown.label is not None and shown.label < shown.traces.shape[1] else None
        label = f"{shown.variable} of {shown.output}"
        ax = plots.traces(shown.traces, _axes(4.6, 3.3), dt=shown.dt, label=label, highlight=right)
        alt = f"{label} {about}, a line for each of {shown.traces.shape[1]} neurons."
        thick = "" if right is None else "; the thick line is the neuron of the right class"
        found.append(_svg(ax, alt, f"Output, {label}{thick}"))
    if shown.targets is not None and shown.targets.ndim == 2:
        ax = plots.traces(shown.targets, _axes(4.6, 3.3), dt=shown.dt, label=f"target of {shown.output}")
        alt = f"Targets of {shown.output} {about}, a line for each of {shown.targets.shape[1]} neurons."
        found.append(_svg(ax, alt, f"Targets of {shown.output}"))
    return found


def confusion(counts: Any) -> Picture:
    """Test examples by class and chosen class."""
    size = min(7.0, max(4.2, 2.4 + 0.2 * len(counts)))
    ax = plots.confusion(counts, _axes(size + 0.4, size - 0.2))
    right, total = int(np.trace(counts)), int(counts.sum())
    return _png(ax, f"Confusion matrix of {len(counts)} classes: {right:,} of {total:,} examples are right.", "")


def connection(c: Connected) -> list[Picture]:
    """The synapses of a connection, and their delays."""
    ax = plots.connectivity(c.synapses, _axes(4.6, 3.8), num_pre=c.num_pre, num_post=c.num_post, most_marks=_MOST_MARKS)
    delays = c.synapses.delay
    span = f"delays {delays.min()} to {delays.max()} time steps" if delays.size else "none"
    found = [_png(ax, f"The {delays.size:,} synapses of {c.name}, {span}.", f"Synapses of {c.name}")]
    if delays.size:
        ax = plots.histogram(c.delays, _axes(4.6, 3.3), title="")
        found.append(_svg(ax, f"Delays of {c.name}: {span}, by the sign of the weight.", f"Delays of {c.name}"))
    return found


def _raster(spikes: Any, name: str, size: int, shown: Example, caption: str) -> Picture:
    ax = plots.raster({name: spikes}, _axes(4.6, 3.3), sizes={name: size}, duration=shown.duration)
    count, active = len(spikes[0]), len(np.unique(spikes[1]))
    alt = f"Spikes of {name} of test example {shown.number}: {count:,} spikes of {active:,} of {size:,} neurons."
    return _png(ax, alt, f"{caption}: {count:,} spikes")


def _first_and_last(lines: Sequence[dict[str, Any]]) -> str:
    told = []
    for part in ("train", "validation", "test"):
        first, last = (line.get(f"{part}_accuracy") for line in (lines[0], lines[-1]))
        if first is not None and last is not None:
            told.append(f"{part} from {100 * first:.1f} to {100 * last:.1f} %")
    return ", ".join(told)


def _epochs(lines: Sequence[Any]) -> str:
    return f"{len(lines)} epoch{'s'[: len(lines) > 1]}"


def _axes(width: float = 4.6, height: float = 3.3, margins: dict[str, float] | None = None) -> Axes:
    """Axes of a figure of this size (inches), which belongs to nothing else; `margins` as shares of it where not laid
    out by what is drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained" if margins is None else None)
    FigureCanvasAgg(figure)
    if margins is not None:
        figure.subplots_adjust(**margins)
    return figure.subplots()


def _svg(ax: Axes, alt: str, caption: str) -> Picture:
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    return _picture(ax, alt, caption, "svg+xml", format="svg", metadata=metadata)


def _png(ax: Axes, alt: str, caption: str) -> Picture:
    return _picture(ax, alt, caption, "png", format="png", dpi=_DPI, metadata={"Software": None})


def _picture(ax: Axes, alt: str, caption: str, kind: str, **how: Any) -> Picture:
    figure: Figure = ax.figure  # type: ignore[assignment]  # never a part of one
    file = io.BytesIO()
    figure.savefig(file, **how)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    src = f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
    return Picture(src, alt, caption, width, height)
