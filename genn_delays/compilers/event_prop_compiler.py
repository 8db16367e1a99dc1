"""mlGeNN's module of the EventProp compiler: the compiler, and the default arguments of neurons for it."""

from typing import TYPE_CHECKING

from ..arguments import DefaultParams
from ..neurons import LeakyIntegrate, LeakyIntegrateFire
from ..porting import missing_from
from ..training.event_prop_compiler import EventPropCompiler

__all__ = ["EventPropCompiler", "default_params"]

default_params: DefaultParams = {
    LeakyIntegrate: {"scale_i": True, "integration": "exact"},
    LeakyIntegrateFire: {"scale_i": True, "integration": "exact", "relative_reset": False},
}
"""For ``Network(default_params=...)``: neurons integrated as mlGeNN's own ``default_params`` of EventProp have them."""

if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
