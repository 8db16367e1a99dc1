"""The report of the self-test: a row per feature, and the machine; as a table for people and as JSON."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from ..backends import Backend
from ..version import __version__

PACKAGES = ("numpy", "cuda-core", "cuda-bindings", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")
"""Packages whose versions are reported if they are installed."""


@dataclass(frozen=True)
class Row:
    """One feature.

    Attributes:
        name: the feature.
        ok: whether the backend computes it as the definition does; None if the backend does not have it.
        deviation: the largest difference by rounding, as a share of the largest number; None where all must be
            equal or nothing could be compared.
        seconds: its duration, including compilation that was not done ahead.
        note: the fault, or a remark.
    """

    name: str
    ok: bool | None
    deviation: float | None
    seconds: float
    note: str = ""

    def line(self, width: int) -> str:
        """The row of the table, its first column `width` wide."""
        result = {True: "ok", False: "FAILED", None: "not there"}[self.ok]
        deviation = "" if self.deviation is None else f"{self.deviation:.1e}"
        return f"{self.name:<{width}}  {result:<9}  {deviation:>9}  {self.seconds:>6.1f} s  {self.note}".rstrip()


@dataclass(frozen=True)
class Report:
    """The results of a self-test.

    Attributes:
        backend: its name.
        machine: device, driver, compiler and versions, by name.
        quick: whether only a part was computed.
        rows: by feature.
        seconds: altogether.
        compiling: of them those of compiling ahead, all features at once.
    """

    backend: str
    machine: dict[str, str]
    quick: bool
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    compiling: float = 0.0

    @property
    def ok(self) -> bool:
        """True if nothing failed."""
        return all(row.ok is not False for row in self.rows)

    def failed(self) -> list[str]:
        """The features that failed."""
        return [row.name for row in self.rows if row.ok is False]

    def json(self) -> str:
        """One line of JSON; a deviation that is not finite is null."""
        rows = [asdict(row) for row in self.rows]
        for row in rows:
            if row["deviation"] is not None and not math.isfinite(row["deviation"]):
                row["deviation"] = None
        facts = {"backend": self.backend, "ok": self.ok, "quick": self.quick, "machine": self.machine}
        times = {"compiling": self.compiling, "seconds": round(self.seconds, 3)}
        return json.dumps({**facts, "rows": rows, **times}, allow_nan=False)

    def summary(self) -> str:
        """The last line of the table."""
        failed, missing = self.failed(), sum(row.ok is None for row in self.rows)
        passed = len(self.rows) - len(failed) - missing
        without = f", {missing} not supported by this backend" if missing else ""
        text = f"{passed} of {len(self.rows) - missing} features ok{without}, {self.seconds:.1f} s"
        text += f", {self.compiling:.1f} s of them compiling" if self.compiling else ""
        return f"{text}; FAILED: {'; '.join(failed)}" if failed else text


def heading(width: int) -> str:
    """The first line of the table."""
    return f"{'feature':<{width}}  {'result':<9}  {'deviation':>9}  {'time':>8}  note"


def machine(backend: Backend) -> dict[str, str]:
    """Device, driver, compiler and versions of a backend that can run here, by name."""
    found = {"genn_delays": __version__, "python": platform.python_version()}
    found |= {"system": f"{platform.system()} {platform.release()} {platform.machine()}", "processor": _processor()}
    found["device"] = backend.availability().detail
    found |= backend.versions()
    for package in PACKAGES:
        version = _version(package)
        if version is not None:
            found[package] = version
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines: Any = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = ()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
