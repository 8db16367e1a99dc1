"""Tables and the picture of measured.json; ``measure.py --draw`` calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from measure import ASSUMED, BATCH, EARLY, EMULATED, MEMORY, scaled

LARGE = 4096
"""Examples of a batch that has tiles for 64 ranks."""
RANKS = [1, 2, 4, 8, 16, 32, 64]
PAYS = 0.75
"""More ranks pay as long as each does at least this share of what it would do alone."""


def tables(rows: list[dict[str, Any]]) -> str:
    """Steps of one process and of two ranks, messages, and predictions beside measurements, as Markdown."""
    lines = ["| network | synapses | 1 thread | 2 threads | halves | 2 ranks | 2 ranks, overlap |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in rows:
        two = row["two_ranks"]
        times = [row["alone"][f"1 x {BATCH}"], row["alone"][f"2 x {BATCH}"], row["halves"]]
        times += [two[f"{MEMORY}, after"], two[f"{MEMORY}, overlap"]]
        lines.append(f"| {row['network']} | {row['synapses']:,} | " + " | ".join(f"{t:.1f}" for t in times) + " |")
    lines += [
        "",
        "| network | wire (measured µs, MB/s) | sent | measured | predicted | halves + messages | waiting |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        for name in (MEMORY, *EMULATED):
            latency, bandwidth = row["wires"][name]
            for way in ("after", "overlap"):
                key = f"{name}, {way}"
                wire = f"{name} ({1e6 * latency:.0f}, {bandwidth / 1e6:,.0f})"
                waiting = row["seconds"][key].get("waiting for gradients", row["seconds"][key]["gradients"])
                shared = row["predicted"][key] - row["compute"] / 2 - row["fixed"] + row["halves"]
                found = [row["two_ranks"][key], row["predicted"][key], shared, waiting]
                lines.append(f"| {row['network']} | {wire} | {way} | " + " | ".join(f"{t:.1f}" for t in found) + " |")
    lines += [
        "",
        "| network | compute | fixed | window | a step of a rank sends (messages, bytes) |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        sent = ", ".join(f"{name} ({m:g}, {b:,.0f})" for name, (m, b) in sorted(row["parts"]["overlap"].items()))
        numbers = " | ".join(f"{row[name]:.1f}" for name in ("compute", "fixed", "window"))
        lines.append(f"| {row['network']} | {numbers} | {sent} |")
    lines += ["", f"| {LARGE:,} examples of | wire | sent | " + " | ".join(map(str, RANKS)) + " | pays up to |"]
    lines += ["|" + "---|" * (len(RANKS) + 4)]
    for row in rows:
        for name in ASSUMED:
            for way in ("after", "overlap"):
                times = larger(row, name, way)
                cells = " | ".join(f"{t:.1f}" for t in times)
                lines.append(f"| {row['network']} | {name} | {way} | {cells} | {pays(times)} |")
    return "\n".join(lines)


def larger(row: dict[str, Any], wire: str, way: str) -> list[float]:
    """Predicted milliseconds a step of a large batch, by number of ranks."""
    parts = {k: (m, b * LARGE / BATCH if k == "losses" else b) for k, (m, b) in row["parts"][way].items()}
    window, compute = row["window"] if way == "overlap" else 0.0, row["compute"] * LARGE / BATCH
    return [scaled(compute, row["fixed"], parts, ranks, ASSUMED[wire], window) for ranks in RANKS]


def used(times: list[float]) -> list[float]:
    """The share of what so many ranks would do if each did as much as one alone."""
    return [times[0] / (ranks * took) for ranks, took in zip(RANKS, times, strict=True)]


def pays(times: list[float]) -> int:
    """The largest number of ranks that are used well, in this list."""
    return max(ranks for ranks, share in zip(RANKS, used(times), strict=True) if share >= PAYS)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Predictions of two ranks against measurements; predictions of more for the network with early gradients."""
    colours = ["#0072B2", "#D55E00", "#009E73"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for row, marker in zip(rows, "os^", strict=True):
        for name, colour in zip((MEMORY, *EMULATED), colours, strict=True):
            for way, filled in (("after", "none"), ("overlap", colour)):
                key = f"{name}, {way}"
                left.plot(
                    row["predicted"][key], row["two_ranks"][key], marker, color=colour, markerfacecolor=filled,
                    label=f"{name}, {way}" if marker == "^" else None,
                )  # fmt: skip
    ends = [0.8 * min(left.get_xlim()[0], left.get_ylim()[0]), 1.1 * max(left.get_xlim()[1], left.get_ylim()[1])]
    left.plot(ends, ends, color="0.7", linewidth=1, zorder=0)
    left.set(xlabel="predicted, ms a step", ylabel="measured, ms a step", title="2 ranks, batches of 256")
    left.legend(fontsize=8, frameon=False)
    row = max(rows, key=lambda row: row["parts"]["overlap"].get(EARLY, (0, 0))[1])
    for name, colour in zip(ASSUMED, colours, strict=True):
        for way, style in (("after", "--"), ("overlap", "-")):
            right.semilogx(RANKS, used(larger(row, name, way)), style, color=colour, label=f"{name}, {way}")
    compute = row["compute"] * LARGE / BATCH
    alone = [compute / ranks + row["fixed"] for ranks in RANKS]
    right.semilogx(RANKS, used(alone), ":", color="0.4", label="no messages")
    right.axhline(PAYS, color="0.8", linewidth=1, zorder=0)
    right.set_xticks(RANKS, [str(ranks) for ranks in RANKS])
    right.minorticks_off()
    right.set(
        xlabel="ranks", ylabel="predicted: time of 1 rank / (ranks x time)", ylim=(0, 1.05),
        title=f"{row['network']}, batches of {LARGE:,}",
    )  # fmt: skip
    right.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
