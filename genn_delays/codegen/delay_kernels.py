"""Delay kernels' bodies as kernels have them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..bodies import Body, Type
from ..delays import DelayKernel
from .bodies import Dialect, Printer, mangled, number
from .optimisers import comment_of


@dataclass(frozen=True)
class DelayKernelCode:
    """A delay kernel as templates see it.

    Attributes:
        name: in generated code.
        comment: its documentation, up to its arguments.
        reach: the widths within which lags lie, as a number of single precision.
        numbers: declarations of those of its numbers that the body reads.
        text: the statements; they set ``e_`` and ``slope_`` of ``x_`` and ``width_``.
    """

    name: str
    comment: str
    reach: str
    numbers: tuple[str, ...]
    text: str


def delay_kernel_code(kernel: DelayKernel, dialect: Dialect, indent: int) -> DelayKernelCode:
    """The code of a delay kernel in a dialect that has functions, its statements `indent` levels deep."""
    body, type_ = kernel.formula(), dialect.types[Type.DOUBLE]
    reads = body.reads()
    numbers = tuple(
        f"const {type_} {mangled(name)} = {number(value, Type.DOUBLE, dialect)};"
        for name, value in kernel.numbers().items()
        if name in reads
    )
    text = Printer(dialect).block(body, indent=indent)
    reach = number(kernel.reach, Type.REAL, dialect)
    return DelayKernelCode(kernel.code_name, comment_of(type(kernel)), reach, numbers, text)


def bodies_of_kernels(kernels: Iterable[DelayKernel]) -> list[Body]:
    """The bodies that those of delay kernels call."""
    return [called for kernel in kernels for called in kernel.formula().called()]
