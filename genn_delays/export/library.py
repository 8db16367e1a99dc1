"""The optional package ``nir``: imported here alone, and where a graph is written or read."""

from __future__ import annotations

from typing import Any

from ..errors import GennDelaysError, install_extra


def load_nir() -> Any:
    """The package ``nir``, of version 1.

    Raises:
        GennDelaysError: it cannot be imported, or is of another version; it says what to install.
    """
    try:
        import nir
    except ImportError as error:
        raise GennDelaysError(
            f"NIR graphs need the package nir, which cannot be imported ({error}): {install_extra('nir')}"
        ) from error
    version = str(getattr(nir, "__version__", getattr(nir, "version", "")))
    if not version.startswith("1."):
        raise GennDelaysError(
            f"NIR graphs need nir 1.0.8 or later of 1.x, got version {version!r}: {install_extra('nir')}"
        )
    return nir
