"""The compilers under mlGeNN's module name; they are defined in :mod:`genn_delays.training`."""

from ..training.compiled_network import CompiledNetwork
from ..training.compiler import Compiler
from ..training.event_prop_compiler import EventPropCompiler
from ..training.surrogate_compiler import SurrogateCompiler

__all__ = ["CompiledNetwork", "Compiler", "EventPropCompiler", "SurrogateCompiler"]
