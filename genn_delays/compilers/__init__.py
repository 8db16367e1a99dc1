"""The compilers where mlGeNN has them: names of :mod:`genn_delays.training` and nothing else."""

from ..training.compiled_network import CompiledNetwork
from ..training.compiler import Compiler
from ..training.event_prop_compiler import EventPropCompiler
from ..training.surrogate_compiler import SurrogateCompiler

__all__ = ["CompiledNetwork", "Compiler", "EventPropCompiler", "SurrogateCompiler"]
