"""The compilers under mlGeNN's module name; they are defined in :mod:`genn_delays.training`."""

from typing import TYPE_CHECKING

from ..porting import missing_from
from ..training.compiled_network import CompiledNetwork
from ..training.compiler import Compiler
from ..training.event_prop_compiler import EventPropCompiler
from ..training.inference_compiler import CompiledInferenceNetwork, InferenceCompiler
from ..training.surrogate_compiler import SurrogateCompiler

CompiledTrainingNetwork = CompiledNetwork
"""mlGeNN's name of it."""

__all__ = [
    "CompiledInferenceNetwork",
    "CompiledNetwork",
    "CompiledTrainingNetwork",
    "Compiler",
    "EventPropCompiler",
    "InferenceCompiler",
    "SurrogateCompiler",
]

if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
