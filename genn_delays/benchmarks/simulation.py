"""``benchmark simulation``: synaptic events a second of recurrent networks with delays, beside GeNN and Brian2."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..backends.genn import packages
from .children import in_a_process
from .machine import load, machine
from .options import Options
from .pictures import MARKS, NAMES, Pictures, line, logarithmic, new_figure
from .records import Measurement, Results, of_machine, short, table
from .simulation_brian import brian2
from .simulation_network import Point, Simulated, simulated_network
from .simulation_options import Asked, asked, brian2_version
from .simulation_subjects import Counted, genn, out_degree, own
from .timing import Opener, Summary, interleaved

REPEATS = 5
Key = tuple[str, int | None]
"""Who, and its threads."""


def measure(options: Options) -> Results:
    """Time every network, with every number of threads in turns with each other and with the rivals."""
    found = asked(options, REPEATS)
    here = machine(found.backend)
    if "genn" in found.rivals:
        here["pygenn"] = packages.version("pygenn")
    if "brian2" in found.rivals:
        here["brian2"] = brian2_version()
    measurements: list[Measurement] = []
    for number, point in enumerate(found.points):
        name = f"simulation: network {number + 1} of {len(found.points)}"
        options.told(f"{name}: {_title(point)}")
        measurements += _of_point(point, found, lambda text, name=name: options.told(f"{name}: {text}"))
    return Results("simulation", options.settings(), here, tuple(measurements))


def _of_point(point: Point, found: Asked, told: Any) -> list[Measurement]:
    """Everyone's measurements of one network."""
    costs = _costs(point, found, told)
    simulated = simulated_network(point)
    counts, openers = _openers(simulated, point, found)
    told("building")
    times = interleaved(openers, found.repeats, told=told)
    measurements = []
    for key, seconds in times.items():
        who, threads = key
        cost = costs.get(key, {})
        figures = _figures(point, counts[key], seconds, cost, simulated.connection.num_synapses)
        if who == "genn_delays":
            for rival in found.rivals:
                other = times["genn", 1] if rival == "genn" else times["brian2", threads or 1]
                figures[f"times_as_fast_as_{rival}"] = other.median / seconds.median
        parameters = {
            "populations": [point.size],
            "synapses": simulated.connection.num_synapses,
            "delays": list(point.delay),
            "rate": point.rate,
            "dt": point.dt,
            "duration": point.steps * point.dt,
        }
        backend = found.backend if who == "genn_delays" else who
        grown = cost.get("growth")
        measurements.append(
            Measurement("simulation", who, parameters, backend, threads, seconds, bytes=grown, figures=figures)
        )
    return measurements


def _figures(point: Point, counted: Counted, seconds: Summary, cost: dict[str, Any], synapses: int) -> dict[str, Any]:
    samples = len(seconds.seconds)
    spikes, events = (sum(every[-samples:]) / samples for every in (counted.spikes, counted.events))
    figures = {
        "events_a_second": events / seconds.median,
        "real_time_factor": seconds.median / point.seconds,
        "spikes_a_neuron_second": spikes / point.size / point.seconds,
        "build_seconds": cost.get("build_seconds") or counted.build_seconds,
        "load": load(),
    }
    if "growth" in cost:
        figures |= {"bytes_a_synapse": cost["growth"] / synapses, "peak_growth_bytes": cost["peak_growth"]}
    return figures


def _costs(point: Point, found: Asked, told: Any) -> dict[Key, dict[str, Any]]:
    """Memory and time to build, in processes of their own: of backend `cpu` and of GeNN."""
    keys: list[Key] = [("genn_delays", n) for n in found.threads if n is not None]
    keys += [("genn", 1)] if "genn" in found.rivals else []
    costs = {}
    for who, threads in keys:
        told(f"memory of {NAMES[who]}, {_threads(threads)}")
        costs[who, threads] = in_a_process("simulation", point=point.tables(), who=who, threads=threads)
    return costs


def _openers(simulated: Simulated, point: Point, found: Asked) -> tuple[dict[Key, Counted], dict[Key, Opener]]:
    degree = out_degree(simulated)
    keys: list[Key] = [("genn_delays", n) for n in found.threads]
    keys += [("genn", 1)] if "genn" in found.rivals else []
    keys += [("brian2", n or 1) for n in found.threads] if "brian2" in found.rivals else []
    counts = {key: Counted(degree) for key in keys}
    openers: dict[Key, Opener] = {}
    for key in keys:
        who, threads = key
        if who == "genn_delays":
            openers[key] = partial(own, simulated, point, found.backend, threads, counts[key])
        elif who == "genn":
            openers[key] = partial(genn, simulated, point, counts[key])
        else:
            openers[key] = partial(brian2, point, threads or 1, counts[key])
    return counts, openers


def _threads(threads: int | None) -> str:
    return "" if threads is None else f"{threads} thread{'s'[: threads > 1]}"


def _title(point: Point) -> str:
    low, high = point.delay
    return f"{point.size:,} x {point.synapses:,}, delays {low}-{high}, {point.rate:g} Hz"


def as_text(results: Results) -> str:
    """A row a measurement."""
    rivals = results.others
    head = ["network", "delays", "Hz", "spikes/s", "threads", "Mevents/s", "real-time factor", "quartiles"]
    head += ["build s", "B/synapse", *(f"x {who}" for who in rivals)]
    rows = []
    for m in results.measurements:
        p, f = m.parameters, m.figures
        assert m.seconds is not None
        scale = 1000.0 / p["duration"]
        name = f"{p['populations'][0]:,} x {p['synapses'] / p['populations'][0]:,.10g}"
        row = [
            name + ("" if m.who == "genn_delays" else f" {m.who}"),
            "-".join(map(str, p["delays"])),
            f"{p['rate']:g}",
        ]
        row += [short(f["spikes_a_neuron_second"]), str(m.threads or ""), short(f["events_a_second"] / 1e6)]
        row += [short(f["real_time_factor"]), " - ".join(short(scale * q) for q in m.seconds.quartiles)]
        row += [short(f["build_seconds"]), short(f["bytes_a_synapse"]) if "bytes_a_synapse" in f else ""]
        faster = [f.get(f"times_as_fast_as_{who}") for who in rivals]
        rows.append(row + ["" if value is None else short(value) for value in faster])
    return f"{of_machine(results.machine)}\n\n{table(head, rows)}"


AXES: dict[str, tuple[str, Any]] = {
    "size": ("neurons", lambda p: p["populations"][0]),
    "rate": ("spikes of a neuron and second (Hz)", lambda p: p["rate"]),
    "delay": ("longest delay (time steps)", lambda p: p["delays"][1]),
}


def draw(results: Results) -> Pictures:
    """Events a second, and seconds of a model second, against each of size, rate and delays that varies."""
    return {
        f"simulation_against_{axis}": _figure(results, axis)
        for axis, (_, value) in AXES.items()
        if len({value(m.parameters) for m in results.measurements}) > 1
    }


def _figure(results: Results, axis: str) -> Any:
    """A line for everyone, every number of threads and every combination of the other two."""
    label, value = AXES[axis]
    others = {name: get for name, (_, get) in AXES.items() if name != axis}
    vary = [name for name, get in others.items() if len({get(m.parameters) for m in results.measurements}) > 1]
    groups = list(dict.fromkeys(tuple(others[name](m.parameters) for name in vary) for m in results.measurements))
    figure, every = new_figure(11.0, 4.4, 2)
    for axes, (quantity, of) in zip(every, _QUANTITIES.items(), strict=True):
        for who, threads in dict.fromkeys((m.who, m.threads) for m in results.measurements):
            for number, group in enumerate(groups):
                own_ones = [m for m in results.of(who) if m.threads == threads
                            and tuple(others[name](m.parameters) for name in vary) == group]  # fmt: skip
                own_ones.sort(key=lambda m: value(m.parameters))
                named = ", ".join([NAMES.get(who, who), *filter(None, [_threads(threads)]),
                                   *(_UNITS[n].format(x) for n, x in zip(vary, group, strict=True))])  # fmt: skip
                style = "-" if (threads or 1) == 1 else "--"
                places = [value(m.parameters) for m in own_ones]
                marker = MARKS[number % len(MARKS)]
                line(axes, places, [of(m) for m in own_ones], who, named, linestyle=style, marker=marker)
        ticks = sorted({value(m.parameters) for m in results.measurements})
        logarithmic(axes, label, quantity, ticks if len(ticks) <= 8 else ())
    every[0].legend(fontsize=7)
    return figure


_UNITS = {"size": "{:,} neurons", "rate": "{:g} Hz", "delay": "delays to {:,}"}
_QUANTITIES: dict[str, Any] = {
    "synaptic events a second (millions)": lambda m: m.figures["events_a_second"] / 1e6,
    "time of a model second (s)": lambda m: m.figures["real_time_factor"],
}
