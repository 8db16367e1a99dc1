"""Whether a backend computes on this machine what it should: ``genn-delays selftest``.

Small networks that between them use every pass, every optimiser and every rewiring rule are held against `reference`,
the definition: spikes and structure exactly, gradients but for rounding. It needs no test framework and no data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np

from ..backends import Backend, as_backend
from ..errors import BackendUnavailableError, InvalidValueError, unknown
from .cases import CASES, Case
from .checks import GENN, LEARNED, Difference, compare, digits, invariants, passes, trained
from .report import Report, Row, heading, machine

BACKENDS = ("cpu", "cuda", "genn")
"""Backends that are held against the definition."""
DIGITS = "digits twice, the same bits"
ACCURACY = 0.5
"""Two epochs of the digits reach more, where guessing gives a tenth."""
EVALUATED = "evaluated; GeNN's gradients are EventProp's"
WIDTH = max(len(name) for name in (DIGITS, *(case.name for case in CASES)))
"""Of the table's first column."""


def selftest(
    backend: Any = "cpu",
    *,
    quick: bool = False,
    only: Collection[str] | None = None,
    each: Callable[[Row], None] = lambda row: None,
) -> Report:
    """Hold a backend against the definition.

    Args:
        backend: its name or an object.
        quick: leave out what other features cover in part.
        only: names of the features to compute, all of them where not given.
        each: called with every row when it is there.

    Returns:
        What was found; a feature that fails is a row that says so, not an error.

    Raises:
        BackendUnavailableError: the backend cannot run here; the message says what to install.
        InvalidValueError: unknown names.
    """
    chosen = _backend(backend)
    names = [*(case.name for case in CASES if case.quick or not quick), DIGITS]
    for name in only or ():
        if name not in (*(case.name for case in CASES), DIGITS):
            raise unknown("feature of the self-test", name, (*(case.name for case in CASES), DIGITS))
    wanted = names if only is None else only
    start = time.perf_counter()
    report = Report(chosen.name, machine(chosen), quick)
    checks: list[tuple[str, Callable[[], tuple[float | None, str]]]] = [
        *((case.name, lambda case=case: _case(case, chosen)) for case in CASES),  # type: ignore[misc]
        (DIGITS, lambda: _digits(chosen, quick)),
    ]
    for name, check in checks:
        if name in wanted:
            report.rows.append(_row(name, check, partial=chosen.name == "genn"))
            each(report.rows[-1])
    return replace(report, seconds=time.perf_counter() - start)


def _backend(value: Any) -> Backend:
    """A backend that can run here and is not the definition itself."""
    if isinstance(value, str) and value not in BACKENDS:
        raise unknown("backend of the self-test", value, BACKENDS)
    found = as_backend(value)
    state = found.availability()
    if not state.available:
        raise BackendUnavailableError(f"backend {found.name!r} cannot run here: {state.detail}")
    return found


def _row(name: str, check: Callable[[], tuple[float | None, str]], *, partial: bool) -> Row:
    """A row of the table, whatever becomes of the check.

    Args:
        partial: the backend says of itself, by an InvalidValueError, what it has not got.
    """
    start, ok, deviation, note = time.perf_counter(), True, None, ""
    missing = False
    try:
        deviation, note = check()
    except BackendUnavailableError:  # the installation is broken, not a feature
        raise
    except Difference as error:
        ok, deviation, note = False, error.deviation, str(error)
    except InvalidValueError as error:
        missing = partial
        ok, note = False, " ".join(str(error).split())
    except Exception as error:  # a crash of generated code, a device that is gone: the other features are told too
        ok, note = False, f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Row(name, None if missing else ok, deviation, round(time.perf_counter() - start, 3), note)


def _case(case: Case, backend: Backend) -> tuple[float | None, str]:
    """The largest deviation of a case, and what there is to know."""
    genn = backend.name == "genn"
    if not case.steps:
        how = {"grid": genn, "gradients": case.event_prop or not genn}
        note = "" if how["gradients"] else EVALUATED
        return compare(passes(case, backend, **how), passes(case, "reference", **how)), note
    if genn and case.rewiring is not None:  # GeNN draws places in an order of its own
        invariants(case, backend)
        return None, "the invariants of rewiring"
    tolerance = GENN if genn else LEARNED
    return compare(trained(case, backend, tolerance=tolerance), trained(case, "reference", tolerance=tolerance)), ""


def _digits(backend: Backend, quick: bool) -> tuple[float | None, str]:
    """Two trainings of one seed give the same bits, and learn something."""
    how = {"event_prop": backend.name == "genn", "few": quick or backend.name == "genn"}
    (one, accuracy), (two, _) = (digits(backend, **how) for _ in range(2))
    for name, values in one.items():
        if not np.array_equal(values, two[name]):
            raise Difference(f"{name}: {int((values != two[name]).sum())} of {values.size} differ between two runs")
    note = f"training accuracy {100 * accuracy:.0f} %"
    if not how["few"] and not accuracy >= ACCURACY:
        raise Difference(f"{note} after two epochs, {100 * ACCURACY:.0f} % is the least that is expected")
    return None, note


__all__ = ["BACKENDS", "DIGITS", "WIDTH", "Report", "Row", "heading", "selftest"]
