"""Python's parser, for one thread at a time.

Before 3.12.1 (cpython issue 106905) the parser counts its depth once for all threads: where another thread parses
meanwhile, it raises ``SystemError: AST constructor recursion depth mismatch``. :func:`inspect.getsource` of a class
parses too, that of a module does not.
"""

from __future__ import annotations

import ast
import threading

_ONE_AT_A_TIME = threading.Lock()


def statements(text: str) -> list[ast.stmt]:
    """The statements of a text.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: those of :func:`ast.parse`.
    """
    with _ONE_AT_A_TIME:
        return ast.parse(text).body


def expression(text: str) -> ast.expr:
    """The expression that a text is.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: those of :func:`ast.parse`.
    """
    with _ONE_AT_A_TIME:
        return ast.parse(text, mode="eval").body
