"""The options of ``benchmark simulation``, checked before anything is computed, and the networks that follow."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from typing import Any

from ..backends import simulating
from ..backends.cpu import CPU
from ..backends.genn import GeNN
from ..delays.initializers import MAX_DELAY
from ..errors import BackendUnavailableError, InvalidValueError, check_count, check_real, shown, unknown
from ..plan.simulation_memory import foresee_simulation
from .options import Options, check_available, listed, once
from .simulation_network import Point, simulated_network

RIVALS = ("genn", "brian2")
SIZES, SYNAPSES, DELAYS, RATES, DURATION, DT = (10_000,), 1000, ("1,25",), (5.0,), 1000.0, 1.0


@dataclass(frozen=True)
class Asked:
    """All that is measured: every network with every number of threads.

    Attributes:
        threads: of `cpu`; a single None on another backend.
        rivals: of :data:`RIVALS`.
    """

    points: tuple[Point, ...]
    backend: str
    threads: tuple[int | None, ...]
    rivals: tuple[str, ...]
    repeats: int


def asked(options: Options, usual_repeats: int) -> Asked:
    """All that the options ask for.

    Raises:
        InvalidValueError: an option is wrong, or options do not fit each other.
        BackendUnavailableError: a rival is not installed; the message says what to install.
        OutOfMemoryError: one of the networks does not fit this machine.
    """
    repeats, sizes = options.count(usual_repeats), options.widths(SIZES)
    synapses = SYNAPSES if options.synapses is None else check_count("--synapses", options.synapses)
    for size in sizes:
        if synapses > size:
            raise InvalidValueError(
                f"--synapses {synapses}: a network of {size} neurons has at most {size} for each; give fewer, or "
                "larger --sizes"
            )
    dt = DT if options.dt is None else check_real("--dt", options.dt, 0.0, open_low=True)
    steps, rates = _steps(options.duration, dt), _rates(options.rate, dt)
    backend, threads = _backend(options)
    delays = _delays(DELAYS if options.delays is None else options.delays)
    points = tuple(Point(size, synapses, d, rate, dt, steps) for size, d, rate in product(sizes, delays, rates))
    rivals = _rivals(options)
    for point in points:
        foresee_simulation(simulated_network(point).network, reference=backend == "reference")
    return Asked(points, backend, threads, rivals, repeats)


def _steps(duration: Any, dt: float) -> int:
    duration = check_real("--duration", DURATION if duration is None else duration, 0.0, open_low=True)
    steps: int = round(duration / dt)
    if steps < 1 or abs(steps * dt - duration) > 1e-9 * duration:
        raise InvalidValueError(
            f"--duration must be a multiple of --dt, {dt:g} ms, and at least that; got {duration:g}"
        )
    return steps


def _rates(given: Any, dt: float) -> tuple[float, ...]:
    """Rates that neurons can have: a spike every two steps at most."""
    values = listed(RATES if given is None else given)
    return once("--rate", tuple(check_real("--rate", rate, 0.0, 500.0 / dt, open_low=True) for rate in values))


def _delays(given: Any) -> tuple[tuple[int, int], ...]:
    found = []
    for text in given if isinstance(given, list | tuple) else [given]:
        values = listed(text)
        if len(values) != 2:
            raise InvalidValueError(f"--delays must be the shortest and the longest, such as 1,25; got {shown(text)}")
        low, high = (check_count("--delays", value, 1, MAX_DELAY) for value in values)
        if low > high:
            raise InvalidValueError(f"--delays: the shortest comes first, got {shown(text)}")
        found.append((low, high))
    return once("--delays", tuple(found))


def _backend(options: Options) -> tuple[str, tuple[int | None, ...]]:
    backend = "cpu" if options.backend is None else str(options.backend)
    if backend not in simulating():
        raise unknown("--backend", backend, simulating())
    check_available(backend)
    if backend != "cpu":
        if options.threads is not None:
            raise InvalidValueError(
                f"--threads {options.threads} is a setting of backend 'cpu', got --backend {backend}"
            )
        return backend, (None,)
    if options.threads is None:
        return backend, (CPU().num_threads,)
    return backend, once("--threads", tuple(check_count("--threads", n, 1, 1024) for n in listed(options.threads)))


def _rivals(options: Options) -> tuple[str, ...]:
    names = () if options.against is None else tuple(str(options.against).split(","))
    for name in names:
        check_installed(name)
    return once("--against", names)


def check_installed(rival: str) -> None:
    """Raise an error for an unknown rival, or for one that is not installed; it says what to install."""
    if rival not in RIVALS:
        raise unknown("--against", rival, RIVALS)
    if rival == "genn":
        found = GeNN(backend="single_threaded_cpu").availability()
        if not found.available:
            raise BackendUnavailableError(f"--against genn: {found.detail}")
    elif brian2_version() is None:
        raise BackendUnavailableError("--against brian2: Brian2 is not installed; pip install brian2")


def brian2_version() -> str | None:
    """The version that is installed; None where none is."""
    try:
        return version("brian2")
    except PackageNotFoundError:
        return None
