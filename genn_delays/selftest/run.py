"""Running the self-test: a check and a row for every feature."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..backends import Backend, as_backend
from ..errors import BackendUnavailableError, InvalidValueError, unknown
from ..plan.plan import Plan
from ..plan.protocol import CompilesAhead
from .cases import CASES, Case
from .checks import GENN, LEARNED, DifferenceError, compare, digits, digits_plan, invariants, passes, trained
from .report import Report, Row, heading, machine
from .simulations import SIMULATIONS, Simulated, simulated

Check = Callable[[], tuple[float | None, str]]
"""Gives the largest deviation and what there is to know; a DifferenceError where something is wrong."""

BACKENDS = ("cpu", "cuda", "genn")
"""Backends that are held against the definition."""
DIGITS = "digits twice, the same bits"
ACCURACY = 0.5
"""Two epochs of the digits reach more, where guessing gives a tenth."""
EVALUATED = "evaluated; GeNN's gradients are EventProp's"
FEATURES = (*(case.name for case in CASES), *(case.name for case in SIMULATIONS), DIGITS)
"""All that can be held against the definition, by name."""


def selftest(
    backend: Any = "cpu",
    *,
    quick: bool = False,
    only: Collection[str] | None = None,
    each: Callable[[Row], None] = lambda row: None,
) -> Report:
    """Compare a backend with the definition.

    Args:
        backend: its name or an object.
        quick: leave out cases that others cover in part.
        only: names of the features to compute, all of them where not given.
        each: called with every row when it is complete.

    Returns:
        The report; a feature that fails is a row that says so, not an error.

    Raises:
        BackendUnavailableError: the backend cannot run here; the message says what to install.
        InvalidValueError: unknown names.
    """
    chosen = ready(backend)
    for name in only or ():
        if name not in FEATURES:
            raise unknown("feature of the self-test", name, FEATURES)
    checks: dict[str, Check] = {}
    plans: list[Callable[[], Plan]] = []
    for case in CASES:
        if case.quick or not quick if only is None else case.name in only:
            checks[case.name] = partial(_case, case, chosen)
            plans.append(case.plan)
    for simulation in SIMULATIONS:
        if simulation.quick or not quick if only is None else simulation.name in only:
            checks[simulation.name] = partial(_simulation, simulation, chosen)
    if only is None or DIGITS in only:
        checks[DIGITS] = partial(_digits, chosen, quick)
        plans.append(partial(digits_plan, **_digits_of(chosen, quick)))
    start = time.perf_counter()
    report = Report(chosen.name, machine(chosen), quick, compiling=_compile_ahead(chosen, plans))
    for name, check in checks.items():
        report.rows.append(_row(name, check, has_gaps=chosen.name == "genn"))
        each(report.rows[-1])
    return replace(report, seconds=time.perf_counter() - start)


def _compile_ahead(backend: Backend, plans: Iterable[Callable[[], Plan]]) -> float:
    """Compile the code of all cases at once, if a backend can do that; returns the seconds it took.

    A case that cannot be planned or compiled is reported by its own check.
    """
    start = time.perf_counter()
    if not isinstance(backend, CompilesAhead):
        return 0.0
    found = []
    for plan in plans:
        with suppress(Exception):
            found.append(plan())
    backend.compile_ahead(found)
    return round(time.perf_counter() - start, 3)


def ready(value: Any) -> Backend:
    """A backend that can run here and is not the definition itself."""
    if isinstance(value, str) and value not in BACKENDS:
        raise unknown("backend of the self-test", value, BACKENDS)
    found = as_backend(value)
    state = found.availability()
    if not state.available:
        raise BackendUnavailableError(f"backend {found.name!r} cannot run here: {state.detail}")
    return found


def _row(name: str, check: Check, *, has_gaps: bool) -> Row:
    """Run a check and return its row of the table, also if it fails.

    Args:
        has_gaps: whether the backend refuses features that it does not have by an InvalidValueError.
    """
    start, ok, deviation, note = time.perf_counter(), True, None, ""
    missing = False
    try:
        deviation, note = check()
    except BackendUnavailableError:  # the installation is broken, not a feature
        raise
    except DifferenceError as error:
        ok, deviation, note = False, error.deviation, str(error)
    except InvalidValueError as error:
        missing = has_gaps
        ok, note = False, " ".join(str(error).split())
    except Exception as error:  # a crash of generated code or a lost device: other features are reported too
        ok, note = False, f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Row(name, None if missing else ok, deviation, round(time.perf_counter() - start, 3), note)


def _case(case: Case, backend: Backend) -> tuple[float | None, str]:
    """The largest deviation of a case, and a remark."""
    genn = backend.name == "genn"
    if not case.steps:
        how = {"grid": genn, "gradients": case.event_prop or not genn}
        note = "" if how["gradients"] else EVALUATED
        return compare(passes(case, backend, **how), passes(case, "reference", **how)), note
    if genn and case.rewiring is not None:  # GeNN draws places in its own order
        invariants(case, backend)
        return None, "the invariants of rewiring"
    tolerance = GENN if genn else LEARNED
    return compare(trained(case, backend, tolerance=tolerance), trained(case, "reference", tolerance=tolerance)), ""


def _simulation(case: Simulated, backend: Backend) -> tuple[float | None, str]:
    """Every bit of a simulation is compared, so there is no deviation."""
    compare(simulated(case, backend), simulated(case, "reference"))
    return None, ""


def _digits(backend: Backend, quick: bool) -> tuple[float | None, str]:
    """Two trainings of one seed give the same bits, and learn something."""
    how = _digits_of(backend, quick)
    (one, accuracy), (two, _) = (digits(backend, **how) for _ in range(2))
    for name, values in one.items():
        if not np.array_equal(values, two[name]):
            raise DifferenceError(
                f"{name}: {int((values != two[name]).sum())} of {values.size} differ between two runs"
            )
    if how["few"]:  # too few steps to learn anything
        return None, ""
    note = f"training accuracy {100 * accuracy:.0f} %"
    if not accuracy >= ACCURACY:
        raise DifferenceError(f"{note} after two epochs, {100 * ACCURACY:.0f} % is the least that is expected")
    return None, note


def _digits_of(backend: Backend, quick: bool) -> dict[str, bool]:
    """The model of the digits, and its size."""
    # GeNN's CPU backend takes one example after the other, on one thread
    return {"event_prop": backend.name == "genn", "few": quick or backend.name == "genn"}


def run_and_print(backend: str, *, quick: bool, as_json: bool) -> int:
    """The command line's self-test: rows as they come, or all of it as JSON; 0, or 1 where something failed."""
    width = max(len(name) for name in FEATURES)

    def told(row: Row) -> None:
        if not as_json:
            print(row.line(width), flush=True)

    if not as_json:
        for name, text in machine(ready(backend)).items():
            print(f"{name:<20}  {text}")
        print(f"\n{heading(width)}", flush=True)
    report = selftest(backend, quick=quick, each=told)
    print(report.json() if as_json else f"\n{report.summary()}")
    return 0 if report.ok else 1
