"""Prefix sums and a stable sort on the device, out of the kernels of ``scan.cu.j2`` and ``sort.cu.j2``."""

from __future__ import annotations

from .buffers import TILE
from .device import Buffer, Module

BLOCK = 256


def blocks(threads: int) -> int:
    """Blocks of 256 threads for so many threads, at least one."""
    return max(1, -(-threads // BLOCK))


def prefix_sums(module: Module, scratch: dict[str, Buffer], x: Buffer, out: Buffer, count: int) -> None:
    """``out[k]`` is the sum of ``x[:k]``, k = 0 .. count; x int32, out int64."""
    if count == 0:
        out.clear()
        return
    tiles = -(-count // TILE)
    module.launch("scan_tiles", tiles, BLOCK, x, scratch["tile_sums"], count)
    module.launch("scan_sums", 1, BLOCK, scratch["tile_sums"], tiles)
    module.launch("scan_finish", tiles, BLOCK, x, scratch["tile_sums"], out, count)


def sort(module: Module, scratch: dict[str, Buffer], count: int, bits: int) -> tuple[Buffer, Buffer]:
    """The keys in scratch ``key`` and what they carry in ``number``, sorted by the lowest `bits` bits of the keys.

    Returns:
        Where they are then: sorted keys and numbers; equal keys keep their order.
    """
    key, number, other_key, other_number = (scratch[name] for name in ("key", "number", "key2", "number2"))
    tiles = -(-count // TILE)
    for shift in range(0, bits if count > 1 else 0, 8):
        module.launch("sort_count", tiles, 32, key, scratch["counts"], count, shift, tiles)
        prefix_sums(module, scratch, scratch["counts"], scratch["offsets"], 256 * tiles)
        module.launch(
            "sort_scatter", tiles, 32, key, number, other_key, other_number, scratch["offsets"], count, shift, tiles
        )
        key, number, other_key, other_number = other_key, other_number, key, number
    return key, number
