"""The passes as targets of JAX's foreign function interface: compiled and registered when they are first asked for."""

from __future__ import annotations

import ctypes
import hashlib
import threading

import jax
import jaxlib

from ..backends.cpu.compiler import load_library
from ..backends.cpu.engine import BUSY, WIDE
from ..codegen.xla import PASSES, emit_xla, xla_forms
from ..delays import DelayKernel

LIBRARIES: dict[str, ctypes.CDLL] = {}
"""By the name of the delay kernel, empty where there is none."""
_NAMES: dict[str, dict[str, str]] = {}
_REGISTERING = threading.Lock()


def targets(kernel: DelayKernel | None) -> dict[str, str]:
    """Names of targets by pass and form, as ``gather_whole``.

    A name holds the hash of the source: programs that JAX keeps on disk run the code that they were compiled for, or
    none. On a GPU a target is an error that says where it computes.

    Raises:
        BackendUnavailableError: no C++ compiler.
    """
    many, fewer = WIDE
    key = "" if kernel is None else kernel.code_name
    with _REGISTERING:
        if key not in _NAMES:
            source = emit_xla(kernel, busy=BUSY, many=many, fewer=fewer, jaxlib=jaxlib.__version__)
            library, _, _ = load_library(source, (f"-I{jax.ffi.include_dir()}",))
            tag = hashlib.sha256(source.encode()).hexdigest()[:16]
            names = {
                f"{name}_{form}": f"genn_delays_{name}_{form}_{tag}" for name in PASSES for form in xla_forms(kernel)
            }
            for name, target in names.items():
                jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(library[f"xla_{name}"]), platform="cpu")
                for elsewhere in ("CUDA", "ROCM"):
                    handler = jax.ffi.pycapsule(library["xla_elsewhere"])
                    jax.ffi.register_ffi_target(target, handler, platform=elsewhere)
            _NAMES[key], LIBRARIES[key] = names, library
        return _NAMES[key]
