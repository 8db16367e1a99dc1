"""Names, parameters and launch limits of the kernels in a CUDA source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

import numpy as np

from ...errors import InvalidValueError

T = TypeVar("T")

SCALARS: dict[str, Any] = {
    "bool": np.bool_, "char": np.int8, "signed char": np.int8, "unsigned char": np.uint8, "short": np.int16,
    "unsigned short": np.uint16, "int": np.int32, "unsigned": np.uint32, "unsigned int": np.uint32,
    "long long": np.int64, "unsigned long long": np.uint64, "size_t": np.uint64, "float": np.float32,
    "double": np.float64,
    **{f"{sign}int{bits}_t": np.dtype(f"{sign}int{bits}").type for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
"""Types of C by their names, which are the same size on every platform."""

Dimensions = int | tuple[int, ...]
"""Blocks of a grid or threads of a block: x, or up to (x, y, z)."""

MOST_GRID = (2**31 - 1, 65_535, 65_535)
MOST_BLOCK = (1024, 1024, 64)
MOST_SHARED = 48 * 1024
"""Limits of every device: blocks of a grid, threads of a block, bytes of dynamic shared memory."""

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_ALIAS = re.compile(r"\btypedef\s+([\w ]+?)\s+(\w+)\s*;|\busing\s+(\w+)\s*=\s*([\w ]+?)\s*;")
_KERNEL = re.compile(
    r'\bextern\s+"C"\s+__global__\s+(?P<head>(?:\w+\s+|__launch_bounds__\s*\([^()]*\)\s*)*)(?P<name>\w+)\s*'
    r"\((?P<parameters>[^()]*)\)\s*\{"
)
_BOUNDS = re.compile(r"__launch_bounds__\s*\(\s*(\d+)")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel.

    Attributes:
        name: as in the source.
        type: its type in C, without qualifiers.
        pointer: whether it points to memory of the device.
        dtype: of the number, or of what it points to; None where it points to something else than numbers.
    """

    name: str
    type: str
    pointer: bool
    dtype: np.dtype[Any] | None


@dataclass(frozen=True)
class Signature:
    """A kernel of a source: its name, its parameters, and how many threads a block of it may have."""

    name: str
    parameters: tuple[Parameter, ...]
    most_threads: int


def in_order(kernel: Signature, groups: Sequence[Mapping[str, T]]) -> list[T]:
    """The arguments of a kernel in its own order.

    Args:
        groups: arguments by name, each in one group.

    Raises:
        InvalidValueError: one is missing, has no name, is given twice, or is no parameter of the kernel.
    """
    given: dict[str, T] = {}
    for group in groups:
        if not isinstance(group, Mapping):
            raise InvalidValueError(f"kernel {kernel.name!r} takes its arguments by name, got {group!r} without one")
        given |= group
    names = [p.name for p in kernel.parameters]
    if len(given) != sum(map(len, groups)) or given.keys() != set(names):
        every = [name for group in groups for name in group]
        faults = {
            "missing": [name for name in names if name not in given],
            "not among them": sorted(given.keys() - set(names)),
            "given twice": sorted({name for name in every if every.count(name) > 1}),
        }
        told = "; ".join(f"{what}: {', '.join(found)}" for what, found in faults.items() if found)
        raise InvalidValueError(f"kernel {kernel.name!r} takes {', '.join(names) or 'no arguments'}; {told}")
    return [given[name] for name in names]


def signatures(source: str) -> dict[str, Signature]:
    """The kernels that a source defines, ``extern "C" __global__ void name(...) {``, by name.

    Types may be given other names by ``typedef`` or ``using`` in the source itself.

    Raises:
        InvalidValueError: a ``__global__`` function that is not of this form, or a parameter that cannot be passed.
    """
    text = _COMMENT.sub(" ", source)
    types = dict(SCALARS)
    for match in _ALIAS.finditer(text):
        old, new = (match[1], match[2]) if match[1] else (match[4], match[3])
        if " ".join(old.split()) in types:
            types[new] = types[" ".join(old.split())]
    found = {}
    for match in _KERNEL.finditer(text):
        bounds = _BOUNDS.search(match["head"])
        declared = [part for part in match["parameters"].split(",") if part.strip() not in ("", "void")]
        parameters = tuple(_parameter(match["name"], part, types) for part in declared)
        found[match["name"]] = Signature(match["name"], parameters, int(bounds[1]) if bounds else 1024)
    if len(found) != len(re.findall(r"\b__global__\b", text)):
        raise InvalidValueError(
            f'every kernel must be defined once as extern "C" __global__ void name(...) {{...}}; these are: '
            f"{', '.join(found) or 'none'}"
        )
    return found


def _parameter(kernel: str, text: str, types: dict[str, Any]) -> Parameter:
    """A parameter as it is declared in a kernel's list."""
    words = re.findall(r"\w+|\*|\S", re.sub(r"\b(const|volatile|__restrict__)\b", " ", text))
    pointer = words.count("*") == 1 and words[-2] == "*"
    name, words = words[-1], words[: -2 if pointer else -1]
    base = " ".join(words)
    known = base in types
    if not all(re.fullmatch(r"\w+", word) for word in (*words, name)) or not words or not (pointer or known):
        raise InvalidValueError(
            f"kernel {kernel!r}: cannot pass parameter {' '.join(text.split())!r}; pointers and numbers "
            f"({', '.join(types)}) can be passed"
        )
    return Parameter(name, f"{base}*" if pointer else base, pointer, np.dtype(types[base]) if known else None)


def dimensions(kernel: Signature, grid: Dimensions, block: Dimensions, shared: int) -> tuple[list[int], list[int]]:
    """Grid and block as (x, y, z), or an error where no device has room for them."""
    sizes = []
    for what, given, most in (("grid", grid, MOST_GRID), ("block", block, MOST_BLOCK)):
        size = [int(n) for n in ((given,) if isinstance(given, int | np.integer) else given)]
        size += [1] * (3 - len(size))
        if len(size) > 3 or any(not 1 <= n <= m for n, m in zip(size, most, strict=True)):
            raise InvalidValueError(f"kernel {kernel.name!r}: {what} must be from 1 to {most}, got {given}")
        sizes.append(size)
    if prod(sizes[1]) > kernel.most_threads:
        raise InvalidValueError(f"kernel {kernel.name!r}: at most {kernel.most_threads} threads a block, got {block}")
    if not 0 <= shared <= MOST_SHARED:
        raise InvalidValueError(f"kernel {kernel.name!r}: shared must be from 0 to {MOST_SHARED} bytes, got {shared}")
    return sizes[0], sizes[1]


def number_of(dtype: np.dtype[Any], argument: object) -> np.generic | None:
    """A number in the type of a kernel's parameter, or None where it would be rounded or wrap."""
    if isinstance(argument, np.generic):
        return argument if argument.dtype == dtype else None
    if dtype.kind in "iu" and isinstance(argument, int) and not isinstance(argument, bool):
        fits = np.iinfo(dtype).min <= argument <= np.iinfo(dtype).max
    else:
        fits = isinstance(argument, bool if dtype.kind == "b" else float) and dtype in (np.bool_, np.float64)
    number: np.generic | None = dtype.type(argument) if fits else None
    return number
