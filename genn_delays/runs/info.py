"""A report of what works on this machine."""

from __future__ import annotations

import os
import platform

from ..backends import BACKENDS
from ..backends.cpu.backend import available_processors
from ..backends.cuda.probe import probe
from ..datasets import DATASETS
from ..datasets.fsdd import DATA_VARIABLE
from ..errors import GennDelaysError
from ..paths import CACHE_VARIABLE, cache_dir
from ..version import __version__
from .models import model_names, models_folder


def report() -> str:
    """Several lines for people."""
    import numpy

    lines = [
        f"genn-delays {__version__}, Python {platform.python_version()}, NumPy {numpy.__version__}, "
        f"{platform.system()} {platform.machine()}",
        "backends",
    ]
    for name, make in BACKENDS.items():
        found = make().availability()
        lines.append(f"  {name:<11} {'available' if found.available else 'not available'}: {found.detail}")
        if name == "cuda":
            lines += [f"  {'':<11} {told}" for told in probe()]
    lines.append(f"threads       {available_processors()} (processors this process may use; --threads chooses)")
    try:
        lines.append(f"cache         {cache_dir()} (${CACHE_VARIABLE} chooses)")
    except GennDelaysError as error:
        lines.append(f"cache         none: {error}")
    data = os.environ.get(DATA_VARIABLE)
    lines.append(f"data          {data or 'downloaded where needed'} (${DATA_VARIABLE} or --data-dir chooses)")
    lines.append(f"data sets     {', '.join(sorted(DATASETS))}")
    lines.append(f"models        {', '.join(model_names(kind='training')) or 'none'} ({models_folder()})")
    lines.append(f"simulations   {', '.join(model_names(kind='simulation')) or 'none'}")
    return "\n".join(lines)
