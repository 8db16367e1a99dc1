"""The structures of generated C as ctypes. Their total size is compared with the library's when it is loaded."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.emit import emit_structures
from ...errors import CompileError, unknown
from ...memory import told
from ...plan.plan import Plan

_LINE = 64
_NUMBERS: dict[str, Any] = {
    "float": ctypes.c_float, "double": ctypes.c_double,
    **{f"{sign}int{bits}_t": getattr(ctypes, f"c_{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
    # the names of CUDA C++
    "int": ctypes.c_int32, "u32": ctypes.c_uint32, "i64": ctypes.c_int64, "u64": ctypes.c_uint64,
}  # fmt: skip
_COMMENT = re.compile(r"//[^\n]*")
_STRUCT = re.compile(r"\bstruct (\w+) \{([^{}]*)\};")
_MEMBERS = re.compile(r"(?:const |struct )?(?P<type>\w+)(?P<names>[\s*]+\w[\w\s*,\[\]]*)")
_MEMBER = re.compile(r"(?P<stars>\**)(?P<name>\w+)(?:\[(?P<count>\d+)\])?")


def network_type(plan: Plan) -> Any:
    """The ctypes class of ``struct Network`` for a plan."""
    return structures(emit_structures(plan))["Network"]


def structures(source: str) -> dict[str, Any]:
    """The structures that a C source defines, as ctypes classes by name. The source is their only description.

    Members are numbers of fixed size, pointers, structures defined before, and arrays of these. A class has the members
    of its structure and no others: giving it another one is an AttributeError.

    Raises:
        CompileError: a member is none of these.
    """
    known: dict[str, Any] = {}
    for name, body in _STRUCT.findall(_COMMENT.sub("", source)):
        declarations = [" ".join(part.split()) for part in body.split(";")]
        fields = [field for declared in declarations if declared for field in _members(name, declared, known)]
        known[name] = type(name, (ctypes.Structure,), {"__slots__": (), "_fields_": fields})
    return known


def _members(structure: str, declared: str, known: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The members that a declaration of C declares, by name their types."""
    match = _MEMBERS.fullmatch(declared)
    for text in match["names"].split(",") if match else [""]:
        member = _MEMBER.fullmatch(text.replace(" ", ""))
        of = None if match is None else known.get(match["type"]) or _NUMBERS.get(match["type"])
        if member is None or (of is None and not member["stars"]):
            raise CompileError("load", f"struct {structure} declares {declared!r}, which cannot be filled", "")
        kind: Any = ctypes.c_void_p if member["stars"] else of
        yield member["name"], kind * int(member["count"]) if member["count"] else kind


def set_members(structure: ctypes.Structure, values: Mapping[str, float]) -> None:
    """Numbers of a structure by name.

    Raises:
        InvalidValueError: the structure has none of that name.
    """
    known = {member[0] for member in structure._fields_}
    for name, value in values.items():
        if name not in known:
            raise unknown(f"member of struct {type(structure).__name__}", name, known)
        setattr(structure, name, value)


def address(array: npt.NDArray[Any]) -> int:
    """The address of a contiguous array. The caller must keep the array alive."""
    assert array.flags.c_contiguous
    return int(array.ctypes.data)


class Arrays(dict[str, npt.NDArray[Any]]):
    """Named arrays that a structure points to.

    Args:
        owner: whose they are, for the error where there is no room for one.
    """

    def __init__(self, owner: str) -> None:
        super().__init__()
        self.owner = owner

    def new(self, name: str, shape: int | tuple[int, ...], dtype: Any, *, zero: bool = False) -> int:
        """Allocate, remember and return the address, a multiple of a cache line's 64 bytes.

        Memory that is never touched is never used; the system may refuse it all the same.

        Raises:
            OutOfMemoryError: it does.
        """
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        with told(f"{name} of {self.owner} needs {size / 1e6:,.0f} MB"):
            raw = (np.zeros if zero else np.empty)(size + _LINE, np.uint8)
        first = -address(raw) % _LINE
        self[name] = raw[first : first + size].view(dtype).reshape(shape)
        return self.address(name)

    def keep(self, name: str, values: npt.NDArray[Any], dtype: Any) -> int:
        """The same, with these values."""
        place = self.new(name, values.shape, dtype)
        self[name][...] = values
        return place

    def address(self, name: str) -> int:
        """The address of an array."""
        return address(self[name])


class Foreseen(Arrays):
    """A dry run of :class:`Arrays`: it allocates one number in place of each array, and adds up the sizes.

    Attributes:
        sizes: bytes by name.
    """

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.sizes: dict[str, int] = {}

    def new(self, name: str, shape: int | tuple[int, ...], dtype: Any, *, zero: bool = False) -> int:
        whole = (shape,) if isinstance(shape, int) else shape
        self.sizes[name] = prod(int(n) for n in whole) * np.dtype(dtype).itemsize
        self[name] = np.lib.stride_tricks.as_strided(np.zeros(1, dtype), whole, (0,) * len(whole))
        return 0

    def address(self, name: str) -> int:
        return 0
