"""One export from beginning to end: changed as asked, checked, written, with its receipt."""

from __future__ import annotations

import os
from typing import NamedTuple

from ..errors import check_choice
from ..network import Network
from ..training.compiled_network import CompiledNetwork
from .files import write_graph
from .plain import Plain, plain
from .quantise import quantise
from .receipt import Change, Receipt
from .targets import TARGETS, check_target
from .writer import ENCODINGS, written


class Deployed(NamedTuple):
    """An export: the network as exported, to be compiled and evaluated, and the receipt."""

    network: Network
    receipt: Receipt


def deploy(
    model: Network | CompiledNetwork | Plain,
    path: str | os.PathLike[str] | None = None,
    *,
    name: str = "network",
    target: str | None = None,
    bits: int | None = None,
    max_delay: int | None = None,
    delays: str = "clip",
    encoding: str = "sparse",
    dt: float | None = None,
) -> Deployed:
    """Export a network: quantise it, check it against a chip, write it as a NIR file.

    Example::

        network, receipt = deploy(compiled, "digits.nir", target="loihi2", bits=8)
        with compiler.compile(network) as exported:
            after, _ = exported.evaluate(x, y)
        print(receipt.evaluated(compiled.evaluate(x, y)[0], after, len(y)))

    Args:
        model: a network, a compiled network (its trained synapses, batch norm folded), or what :func:`.quantise` gave.
        path: of the NIR file; nothing is written where not given.
        name: in the receipt.
        target: a chip of :func:`.check_target`; it says what is refused, nothing is changed for it.
        bits, max_delay, delays: see :func:`.quantise`; by default neither weights nor delays are changed.
        encoding, dt: see :func:`.to_nir`.

    Raises:
        InvalidValueError: an argument is wrong, or NIR cannot carry the network.
        GennDelaysError: the file cannot be written, or nir is not installed.
    """
    if target is not None:
        check_choice("target", target, TARGETS)
    check_choice("encoding", encoding, ENCODINGS)
    made = quantise(plain(model, dt), bits=bits, max_delay=max_delay, delays=delays)
    changes = made.changes if path is None else (*made.changes, *_written(made, path, encoding))
    return Deployed(
        made.network,
        Receipt(
            model=name,
            dt=made.dt,
            populations={p.name: p.size for p in made.network.populations},
            synapses={c.name: c.num_synapses for c in made.network.connections},
            changes=changes,
            target=target,
            findings=check_target(made, target).findings if target is not None else (),
            file=None if path is None else os.fspath(path),
            encoding=None if path is None else encoding,
        ),
    )


def _written(made: Plain, path: str | os.PathLike[str], encoding: str) -> list[Change]:
    """Write a network, and say what a matrix cannot hold."""
    found = written(made, encoding)
    sizes = {c.name: c.num_synapses for c in made.network.connections}
    what = {
        "synapses left out": (found.left_out, "those of weight 0, which a matrix has no entry for"),
        "synapses merged": (found.merged, "synapses of one pair and one delay, which a matrix adds up"),
    }
    write_graph(path, found.graph)
    return [
        Change(f"connection {c!r}", kind, n, sizes[c], text)
        for kind, (counts, text) in what.items()
        for c, n in counts.items()
    ]
