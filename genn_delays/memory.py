"""Memory that is foreseen: what a network needs, by part, what there is, and one error where that is too little.

Whoever is about to allocate says what for, by owner and part, before anything is sampled or allocated.
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
    """An error where this process cannot have the memory.

    Raises:
        OutOfMemoryError: it names the largest parts, their bytes and what there is.
    """
    if sum(needs.values()) > 1 << 24:  # what is there is not asked for a few megabytes
        available, limit = host_memory()
        if available is not None:
            check(needs, available, f"in this process, {limit}")


def check(needs: Needs, available: int, where: str) -> None:
    """An error where more is needed than there is.

    Args:
        available: bytes.
        where: it is needed and what says how much is available, for the message: "on NVIDIA H100, which has".
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
    """Memory that runs out in the body, foreseen or not, is one error that says for what and what there is left.

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
    """What a MemoryError says, and what memory there is left; where memory is short it may say nothing itself."""
    available, limit = host_memory()
    free = "" if available is None else f" in this process, {limit} {available / 1e6:,.0f} MB free"
    asked = " ".join(str(error).split())
    return f"not enough memory{free}" + (f" ({asked[:1].lower()}{asked[1:]})" if asked else "")


def host_memory() -> tuple[int | None, str]:
    """Bytes that this process can still have, and what limits them; None where the system does not say."""
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
    """Memory that can be had without taking it from others, swap included."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return 1024 * (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0))
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:  # not Linux: all there is, whoever has it
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_groups(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """What the control groups of this process leave, of both versions; files that are cached can be given up."""
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
