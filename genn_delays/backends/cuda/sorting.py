"""Prefix sums and a stable sort on the device, out of the kernels of ``scan.cu.j2`` and ``sort.cu.j2``.

The host gives the number of elements, or the device has counted it: then launches are sized for the maximum.
"""

from __future__ import annotations

from .buffers import tiles
from .device import Arguments, Buffer, Module

BLOCK = 256
FEW_TILES = 8
"""So many tiles are summed by one block, which saves two launches."""


def blocks(threads: int) -> int:
    """Blocks of 256 threads for so many threads, at least one."""
    return max(1, -(-threads // BLOCK))


def prefix_sums(
    module: Module, scratch: dict[str, Buffer], x: Buffer, out: Buffer, most: int, count: Buffer | None = None,
    per_tile: int = 0,
) -> None:  # fmt: skip
    """``out[k]`` is the sum of ``x[:k]``, k = 0 .. n; x int32, out int64. Nothing is written where n is 0.

    Args:
        most: n, or where the device knows it, the most it may be.
        count: where it is then, int64 (1,).
        per_tile: where not 0, there are so many numbers for each tile of n.
    """
    pieces = tiles(per_tile * tiles(most) if per_tile else most)
    if pieces == 0:
        return
    numbers: Arguments = {"found": count, "most": most, "per_tile": per_tile}
    if pieces <= FEW_TILES:
        module.launch("scan_few", 1, BLOCK, numbers, x=x, out=out)
        return
    sums = scratch["tile_sums"]
    module.launch("scan_tiles", pieces, BLOCK, numbers, x=x, sums=sums)
    module.launch("scan_sums", 1, BLOCK, numbers, sums=sums)
    module.launch("scan_finish", pieces, BLOCK, numbers, x=x, sums=sums, out=out)


def sorted_keys(scratch: dict[str, Buffer], most: int, bits: int) -> Buffer:
    """The buffer in which :func:`sort` leaves the keys."""
    return scratch["key2" if most > 1 and -(-bits // 8) % 2 else "key"]


def sort(
    module: Module, scratch: dict[str, Buffer], most: int, bits: int, count: Buffer | None = None
) -> tuple[Buffer, Buffer]:
    """The keys in scratch ``key`` and what they carry in ``number``, sorted by the lowest `bits` bits of the keys.

    Args:
        most, count: how many there are, see :func:`prefix_sums`.

    Returns:
        The buffers of sorted keys and numbers; equal keys keep their order.
    """
    key, number, other_key, other_number = (scratch[name] for name in ("key", "number", "key2", "number2"))
    counts, offsets, pieces = scratch["counts"], scratch["offsets"], tiles(most)
    for shift in range(0, bits if most > 1 else 0, 8):
        shared: Arguments = {"key": key, "found": count, "most": most, "shift": shift}
        module.launch("sort_count", pieces, 32, shared, counts=counts)
        prefix_sums(module, scratch, counts, offsets, most, count, per_tile=256)
        module.launch(
            "sort_scatter", pieces, 32, shared, carried=number, new_key=other_key, new_carried=other_number,
            offsets=offsets,
        )  # fmt: skip
        key, number, other_key, other_number = other_key, other_number, key, number
    return key, number
