"""Runs on the workers of a Dask scheduler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import BackendUnavailableError, install_extra


def run_on_cluster(
    address: str, folder: Path, waiting: Sequence[tuple[Any, Path, int]], ended: Callable[[Any, str | None], None]
) -> None:
    """Train runs on a cluster; see :func:`.processes.run_in_processes`."""
    raise BackendUnavailableError(f"--scheduler needs distributed: {install_extra('cluster')}")
