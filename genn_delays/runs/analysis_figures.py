"""All figures of an analysed run, as tables for JSON and as a text for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis import Classes, Comparison, Fans, Histogram, MoransI, ReceptiveFields, RewiringOverTime, Spikes


@dataclass(frozen=True)
class Fields:
    """Receptive fields of one network and their Moran's I."""

    fields: ReceptiveFields
    moran: MoransI

    def units(self) -> list[int]:
        """The neurons whose fields have an I, in its order."""
        return [int(unit) for unit in self.fields.units[self.moran.fields]]

    def table(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "units": self.units(),
            "highest_morans_i": self.moran.highest.tolist(),
            "morans_i_as_given": self.moran.given.tolist(),
            "mean": float(self.moran.highest.mean()),
            "median": float(np.median(self.moran.highest)),
            "constant_units": [int(unit) for unit in self.fields.units[self.moran.constant]],
        }


@dataclass(frozen=True)
class ConnectionFigures:
    """Synapses of a connection in figures; ages where something is learned."""

    delays: Histogram
    weights: Histogram
    fans: Fans
    ages: Histogram | None

    def table(self) -> dict[str, Any]:
        """As JSON can hold it."""
        fan = {"fan_in": self.fans.fan_in.tolist(), "fan_out": self.fans.fan_out.tolist()}
        parts = {"delays": self.delays, "weights": self.weights, "ages": self.ages}
        shown = {
            name: {"of": h.of, "edges": h.edges.tolist(), **{sign: n.tolist() for sign, n in h.counts.items()}}
            for name, h in parts.items()
            if h is not None
        }
        return {"synapses": self.delays.total, **shown, **fan}


@dataclass(frozen=True)
class Analysis:
    """All figures of a run.

    Attributes:
        epoch: after which the checkpoint was written, counted from 1.
        trained, untrained: of the checkpoint, and of the same network before training.
        comparison: Moran's I of trained against untrained fields.
        classes: of the test examples; None with real targets.
        test_loss: with real targets, in place of classes.
    """

    model: str
    dataset: str
    seed: int
    run: str
    checkpoint: str
    epoch: int
    trained: Fields
    untrained: Fields
    comparison: Comparison
    connections: dict[str, ConnectionFigures]
    rewiring: RewiringOverTime | None
    spikes: dict[str, Spikes]
    classes: Classes | None
    test_loss: float | None = None

    def tables(self) -> dict[str, Any]:
        """As JSON can hold it; fields are in ``receptive_fields.npz``."""
        fields, moran, rewiring = self.trained.fields, self.trained.moran, self.rewiring
        return {
            **{name: getattr(self, name) for name in ("model", "dataset", "seed", "run", "checkpoint", "epoch")},
            "receptive_fields": {
                "population": fields.population, "source": fields.source, "value": fields.value,
                "shape": list(fields.values.shape[1:]), "permutations": moran.permutations,
                "permutation_seed": moran.seed, "trained": self.trained.table(), "untrained": self.untrained.table(),
                "mann_whitney": asdict(self.comparison),
            },
            "connections": {name: figures.table() for name, figures in self.connections.items()},
            "rewiring": None if rewiring is None else {
                "epochs": rewiring.epochs.tolist(),
                "established": {name: n.tolist() for name, n in rewiring.established.items()},
                "newborn": {name: n.tolist() for name, n in rewiring.newborn.items()},
            },
            "spikes": {
                name: {
                    "examples": s.examples, "per_example": s.per_example, "rate": s.rate, "silent_neurons": s.silent,
                    "counts": s.counts.tolist(),
                }
                for name, s in self.spikes.items()
            },
            "classes": None if self.classes is None else {
                "output": self.classes.output, "accuracy": self.classes.accuracy,
                "accuracy_by_class": self.classes.accuracy_by_class, "confusion": self.classes.confusion.tolist(),
            },
            "test_loss": self.test_loss,
        }  # fmt: skip


def summary(found: Analysis, place: Path) -> str:
    """A short table for people."""
    fields, c = found.trained.fields, found.comparison
    rows = [
        ("checkpoint", f"{found.checkpoint}, epoch {found.epoch}"),
        (
            "receptive fields",
            f"{len(fields)} of {fields.population!r}, {fields.values.shape[1]} x {fields.values.shape[2]} "
            f"({fields.source}, delays)",
        ),
    ]
    for name, part in (("trained", found.trained), ("untrained", found.untrained)):
        values = part.moran.highest
        rows.append((f"Moran's I, {name}", f"median {np.median(values):.4f}, {values.min():.4f} to {values.max():.4f}"))
    rows += [
        ("Mann-Whitney", f"U = {c.u:g} of {c.sizes[0] * c.sizes[1]}, p = {c.p:.3g}, effect {c.effect:.2f}"),
        *((f"spikes of {n}", f"{s.per_example:.1f} an example, {s.silent} silent") for n, s in found.spikes.items()),
        _success(found),
        ("written to", str(place)),
    ]
    return "\n".join([f"{found.model}, seed {found.seed}", *(f"  {name:<22}  {text}" for name, text in rows)])


def _success(found: Analysis) -> tuple[str, str]:
    """The accuracy, or the loss where targets are real numbers."""
    if found.classes is None:
        return "test loss", f"{found.test_loss:.6g}"
    per_class = [x for x in found.classes.accuracy_by_class if x is not None]  # a class may have no test example
    return "accuracy", f"{100 * found.classes.accuracy:.2f} %, worst class {100 * min(per_class):.2f} %"
