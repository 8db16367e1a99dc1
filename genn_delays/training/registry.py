"""The compilers by name. A new one is a file and a line here."""

from .compiler import Compiler
from .event_prop_compiler import EventPropCompiler
from .surrogate_compiler import SurrogateCompiler

COMPILERS: dict[str, type[Compiler]] = {"surrogate": SurrogateCompiler, "eventprop": EventPropCompiler}
