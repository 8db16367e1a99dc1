"""Sparse spiking networks with a delay on every synapse, trained and rewired on generated code."""

from .version import __version__ as __version__

TYPE_CHECKING = False  # typing is not imported: this module imports nothing before a name is needed
if TYPE_CHECKING:
    from typing import Any

    from ._api import *  # noqa: F403


def __getattr__(name: str) -> "Any":
    """Import a public name when it is first asked for (PEP 562); see ``_api``."""
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib
    import importlib.util

    # a module of the package: it alone, as others may ask for it while they are themselves imported with the rest
    if importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    import genn_delays._api as api

    if name == "__all__":
        return ["__version__", *api.__all__]
    if not hasattr(api, name):
        from .porting import refuse_name

        refuse_name(__name__, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(api, name)
    return found


def __dir__() -> list[str]:
    import genn_delays._api as api

    return sorted({*globals(), *api.__all__})
