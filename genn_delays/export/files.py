"""NIR files: written whole or not at all, and read with one clear error."""

from __future__ import annotations

import os
from typing import Any

from ..errors import GennDelaysError, InvalidValueError, check_path
from ..network import Network
from ..paths import atomic_path
from ..training.compiled_network import CompiledNetwork
from .library import load_nir
from .plain import Plain
from .reader import from_nir
from .writer import to_nir


def write(
    path: str | os.PathLike[str],
    model: Network | CompiledNetwork | Plain,
    *,
    dt: float | None = None,
    encoding: str = "sparse",
) -> None:
    """Write a network as a NIR file (HDF5); see :func:`.to_nir`.

    Raises:
        InvalidValueError: NIR cannot carry the network.
        GennDelaysError: the file cannot be written, or nir is not installed.
    """
    write_graph(path, to_nir(model, dt=dt, encoding=encoding))


def write_graph(path: str | os.PathLike[str], graph: Any) -> None:
    """Write a graph: a reader finds the old file or the new one, never a part.

    Raises:
        GennDelaysError: the file cannot be written, or nir is not installed.
    """
    place = check_path("the path of a NIR file", path)
    nir = load_nir()
    with atomic_path(place) as part:
        try:
            nir.write(part, graph)
        except OSError as error:  # HDF5 names the temporary file
            raise GennDelaysError(
                f"cannot write {place}: {os.strerror(error.errno) if error.errno else error}"
            ) from error


def read(path: str | os.PathLike[str], **settings: Any) -> Network:
    """Read a NIR file into a network.

    Args:
        path: the file.
        settings: those of :func:`.from_nir`: dt, integration, spike_inputs, round_delays, seed.

    Raises:
        InvalidValueError: there is no such file, it is no NIR graph, or something in it cannot be read.
        GennDelaysError: nir is not installed.
    """
    place = check_path("the path of a NIR file", path)
    nir = load_nir()
    if not place.is_file():
        raise InvalidValueError(f"there is no NIR file {place}")
    try:
        graph = nir.read(place)
    except MemoryError:
        raise
    except Exception as error:  # HDF5's errors, and NIR's own, which are assertions and others
        raise InvalidValueError(
            f"{place} cannot be read as a NIR graph: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    return from_nir(graph, **settings)
