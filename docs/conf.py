"""Configuration of the documentation: ``python -m sphinx -W --keep-going docs build/docs`` builds it."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_extensions"))

from genn_delays import __version__  # noqa: E402

project = "genn_delays"
author = "The genn_delays developers"
copyright = "the genn_delays developers, MIT licence"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "experiment_pages",
    "other_pages",
    "public_names",
    "reference",
    "registered_names",
]
exclude_patterns = ["examples/README.rst", "examples/*.py"]
suppress_warnings = [
    "ref.python",  # two classes of one name, in a signature
    "config.cache",  # functions that order the gallery are not kept between builds
]
nitpicky = True
nitpick_ignore_regex = [
    # other packages' names: their documentation is not read here, as building needs no network
    (r"py:.*", r"(abc|ast|collections|enum|hashlib|inspect|matplotlib|numpy|np|npt|typing)(\..*)?"),
    (r"py:class", r"'\w+'"),  # the values of a Literal
]

# --- pages -----------------------------------------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
default_role = "literal"  # docstrings name arguments and values in single backticks

# --- the reference ---------------------------------------------------------------------------------------------------

autodoc_mock_imports = [] if importlib.util.find_spec("torch") else ["torch"]  # its classes are bases alone
autosummary_generate = False  # the directive `reference` shows everything on the page of its kind
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_display_short_literal_types = True
maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the signature above has the types
napoleon_use_rtype = False
napoleon_preprocess_types = False

# --- the gallery -----------------------------------------------------------------------------------------------------

GALLERY = [
    "first_network.py",
    "own_data.py",
    "own_neuron.py",
    "delays_learned.py",
    "rewiring_watched.py",
    "recurrent_memory.py",
    "layer_in_pytorch.py",
    "layer_in_jax.py",
    "microcircuit.py",
    "training_to_chip.py",
]
"""Examples in the order in which they are shown."""
NEEDS = {
    "layer_in_pytorch.py": ("torch", "genn_delays.torch"),
    "layer_in_jax.py": ("jax", "genn_delays.jax"),
    "training_to_chip.py": ("nir", "genn_delays.export"),
}
"""A package that an example needs, and its part of the library. Without the package it is shown and does not run; where
this version does not have the part it is left out."""


def found(module: str) -> bool:
    """True for what can be imported."""
    return importlib.util.find_spec(module) is not None


shown_alone = [name for name, (package, _) in NEEDS.items() if not found(package)]
left_out = [name for name, (_, part) in NEEDS.items() if not found(part)]


def position(name: str) -> int:
    """An example's place in the gallery; those without one come last."""
    name = Path(name).name
    return GALLERY.index(name) if name in GALLERY else len(GALLERY)


sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "^" + "".join(f"(?!.*{re.escape(name)})" for name in shown_alone) + r".*\.py$",
    "ignore_pattern": "|".join(re.escape(name) for name in left_out) or "^$",
    "within_subsection_order": position,
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 0,
    "copyfile_regex": "",
    "remove_config_comments": True,
    "reset_modules": ("matplotlib",),
    "reference_url": {"genn_delays": None},  # names in the code of examples lead to the reference
    "write_computation_times": False,
}

# --- how it looks ----------------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"genn_delays {release}"
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_copy_source = False
html_show_sourcelink = False
copybutton_exclude = ".linenos, .gp, .go"

linkcheck_anchors = False
linkcheck_timeout = 20
linkcheck_workers = 4
