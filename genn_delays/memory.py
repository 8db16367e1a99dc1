"""Memory requirements of a network, by part, checked against the available memory before anything is allocated.

Callers give the bytes that they will need, by owner and part, before anything is sampled or allocated.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from .errors import OutOfMemoryError

Needs = Mapping[tuple[str, str], int]
"""Bytes by owner (``"connection 'a_b'"``) and part."""

SAMPLING = 25
"""Bytes a synapse while a connection is sampled, its number and what stays included; measured 23 to 26, a chunk too."""
SYNAPSE = 14
"""Bytes a synapse that stay."""
NEURON = 128
"""Bytes a neuron while its parameters are sampled; measured 128 to 160."""
MOST_SYNAPSES = 2**31 - 1
"""Of a connection: kernels number them by 32 bits."""


def check_host(needs: Needs) -> None:
    """Raise an error if this process cannot have the memory.

    Raises:
        OutOfMemoryError: it names the largest parts, their bytes and the available memory.
    """
    if sum(needs.values()) > 1 << 24:  # a few megabytes are not checked
        available, limit = host_memory()
        if available is not None:
            check(needs, available, f"in this process, {limit}")


def check(needs: Needs, available: int, where: str) -> None:
    """Raise an error if more is needed than is available.

    Args:
        available: bytes.
        where: begins the end of the message, for example "on NVIDIA H100, which has".
    """
    total = sum(needs.values())
    if total <= available:
        return
    largest = sorted(needs.items(), key=lambda item: -item[1])[:6]
    listed = ", ".join(f"{part} of {owner} {n / 1e6:,.0f} MB" for (owner, part), n in largest if 1000 * n > total)
    raise OutOfMemoryError(
        f"the network needs {total / 1e6:,.0f} MB {where} {available / 1e6:,.0f} MB free; the largest: {listed}; "
        "use a smaller batch_size, fewer time steps, neurons or synapses"
    )


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Turn a MemoryError in the body into one error that says what needed the memory, and how much is left.

    Args:
        what: needs the memory, for the message.

    Raises:
        OutOfMemoryError: in the place of Python's own error.
    """
    try:
        yield
    except OutOfMemoryError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(f"{what}: {left(error)}") from error


def left(error: MemoryError) -> str:
    """The text of a MemoryError, which may be empty, and the memory that is left."""
    available, limit = host_memory()
    free = "" if available is None else f" in this process, {limit} {available / 1e6:,.0f} MB free"
    asked = " ".join(str(error).split())
    return f"not enough memory{free}" + (f" ({asked[:1].lower()}{asked[1:]})" if asked else "")


def host_memory() -> tuple[int | None, str]:
    """Bytes that this process can still have, and the name of the limit; None if the system does not tell."""
    found = [(free, what) for free, what in _limits() if free is not None]
    return min(found, default=(None, ""), key=lambda pair: pair[0] or 0)


def _limits() -> Iterator[tuple[int | None, str]]:
    yield _of_machine(), "on a machine which has"
    yield from ((free, "whose control group has") for free in _of_groups())
    try:
        import resource
    except ImportError:  # Windows
        return
    pages = _numbers(Path("/proc/self/statm"))
    if not pages:
        return
    used = {resource.RLIMIT_AS: pages[0], resource.RLIMIT_DATA: pages[5]}
    for kind, name in ((resource.RLIMIT_AS, "ulimit -v"), (resource.RLIMIT_DATA, "ulimit -d")):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            yield max(soft - used[kind] * resource.getpagesize(), 0), f"whose limit ({name}) leaves"


def _of_machine() -> int | None:
    """Memory that is available without taking it from other processes, swap included."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return 1024 * (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0))
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:  # not Linux: all of the machine's memory, used or not
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_groups(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Memory that this process's control groups (of both versions) leave; their page cache can be reclaimed."""
    try:
        lines = [line.split(":", 2) for line in groups.read_text().splitlines()]
    except OSError:
        return
    for number, controllers, path in (line for line in lines if len(line) == 3):
        if number == "0":
            folder, limit, used, cached = root, "memory.max", "memory.current", ("active_file", "inactive_file")
        elif "memory" in controllers.split(","):
            folder, limit, used = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cached = ("total_active_file", "total_inactive_file")
        else:
            continue
        here = folder / path.lstrip("/")
        for group in (here, *here.parents):  # a container may see its own group at the root only
            most, now = _numbers(group / limit), _numbers(group / used)
            if most and now and most[0] < 1 << 60:
                yield max(most[0] - now[0] + sum(_named(group / "memory.stat", cached)), 0)
            if group == folder:
                break


def _numbers(path: Path) -> list[int]:
    """The numbers in a file; none where it cannot be read or says "max"."""
    try:
        return [int(word) for word in path.read_text().split()]
    except (OSError, ValueError):
        return []


def _named(path: Path, names: tuple[str, ...]) -> Iterator[int]:
    """The numbers of these names in a file of a name and a number a line."""
    try:
        words = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return
    yield from (int(number) for name, number in words if name in names)
