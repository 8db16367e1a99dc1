"""Pictures of measurements, drawn from the numbers in the results file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .records import Measurement, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pictures = dict[str, "Figure"]
"""By name, without an ending."""

# Okabe & Ito's palette, which colour-blind readers can tell apart
COLOURS = {"genn_delays": "#0072B2", "torch": "#D55E00", "genn": "#009E73", "brian2": "#CC79A7", "ideal": "0.45"}
MORE = ("#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#D55E00")
MARKS = "osv^D*"
NAMES = {
    "torch": "PyTorch, dense",
    "genn": "GeNN",
    "brian2": "Brian2",
    "genn_delays": "genn_delays",
    "ideal": "in proportion to synapses",
}


def new_figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, drawn without a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).reshape(-1))


def logarithmic(axes: Axes, x: str, y: str, places: Sequence[float] = ()) -> None:
    """Both axes logarithmic, with a grid and plain numbers.

    Args:
        places: of the ticks of x; where not given they are at decades, or also between where there are few of those.
    """
    axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    _ticks(axes.xaxis, axes.get_xlim(), places)
    _ticks(axes.yaxis, axes.get_ylim(), ())
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, which="major", color="0.85", linewidth=0.8)
    axes.grid(True, which="minor", color="0.94", linewidth=0.5)
    axes.set_axisbelow(True)


_SUBS = ((5.0, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)), (200.0, (1.0, 2.0, 5.0)), (math.inf, (1.0,)))
"""Ticks of a decade, by how many times as large the upper limit of an axis is as the lower one."""


def _ticks(axis: Any, limits: tuple[float, float], places: Sequence[float]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

    ratio = limits[1] / limits[0] if limits[0] > 0 else math.inf
    subs = next(subs for most, subs in _SUBS if ratio < most or most == math.inf)
    axis.set_major_locator(FixedLocator(sorted(set(places))) if places else LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def line(axes: Axes, x: Sequence[float], y: Sequence[float], who: str, label: str | None = None, **how: Any) -> None:
    """A series of one of those compared."""
    style: dict[str, Any] = {"color": COLOURS.get(who), "marker": "o", "markersize": 4, "linewidth": 1.5}
    axes.plot(x, y, label=label or NAMES.get(who, who), **{**style, **how})


def ideal(axes: Axes, synapses: Sequence[float], values: Sequence[float], x: Sequence[float] | None = None) -> None:
    """A line in proportion to the synapses, from the largest network on."""
    most = max(range(len(synapses)), key=lambda n: synapses[n])
    places = list(synapses if x is None else x)
    order = sorted(range(len(places)), key=lambda n: places[n])
    scaled = [values[most] * synapses[n] / synapses[most] for n in order]
    line(axes, [places[n] for n in order], scaled, "ideal", linestyle="--", marker="", linewidth=1.2)


def against_sparsity(results: Results, label: str) -> Pictures:
    """Times against the share of synapses kept, one axes for every batch size and epoch; none for a single sparsity."""
    own = [m for m in results.of("genn_delays") if m.seconds is not None]
    if len({m.parameters["sparsity"] for m in own}) < 2:
        return {}
    groups = {_group(m): m.parameters for m in own}
    figure, all_axes = new_figure(5.4 * len(groups), 4.0, len(groups))
    for (group, p), axes in zip(groups.items(), all_axes, strict=True):
        _kept(axes, [m for m in results.measurements if _group(m) == group])
        sizes, epoch = "-".join(map(str, p["populations"])), p.get("epoch")
        named = "" if p["model"] == sizes or len({g[0] for g in groups}) == 1 else f"{p['model']}: "
        about = f"{named}{sizes}, batch {p['batch_size']}" + (f", {epoch} epoch" if epoch else "")
        axes.set_title(about, fontsize=10)
        logarithmic(axes, "synapses kept (%)", label)
        axes.legend(fontsize=8)
    return {results.benchmark.replace("-", "_"): figure}


def _group(m: Measurement) -> tuple[Any, ...]:
    return tuple(m.parameters.get(name) for name in ("model", "batch_size", "epoch"))


def _kept(axes: Axes, measurements: list[Measurement]) -> None:
    own = sorted((m for m in measurements if m.who == "genn_delays"), key=lambda m: m.parameters["synapses"])
    kept = [100 * (1 - m.parameters["sparsity"]) for m in own]
    line(axes, kept, [_ms(m) for m in own], "genn_delays")
    ideal(axes, [m.parameters["synapses"] for m in own], [_ms(m) for m in own], kept)
    for who in dict.fromkeys(m.who for m in measurements if m.who != "genn_delays"):
        theirs = [m for m in measurements if m.who == who]
        if who == "torch":
            line(axes, [kept[0], kept[-1]], [_ms(theirs[0])] * 2, who, marker="", linestyle="-.")
        else:
            theirs.sort(key=lambda m: m.parameters["synapses"])
            line(axes, [100 * (1 - m.parameters["sparsity"]) for m in theirs], [_ms(m) for m in theirs], who)


def _ms(m: Measurement) -> float:
    assert m.seconds is not None
    return 1e3 * m.seconds.median
