"""Words: documentation says what a thing is, in standard terms."""

import ast
from collections.abc import Iterator
from pathlib import Path

import genn_delays

PACKAGE = Path(genn_delays.__file__).parent
RIDDLES = ("What", "Whether", "Where", "Whoever", "Who", "How", "When", "Why", "Which")


def documented(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every docstring of a module, those of attributes included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value.strip()


def test_no_docstring_opens_with_a_question_word():
    """'What a kernel takes' is a riddle, 'The arguments of a kernel' is not."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text.splitlines()[0]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in documented(path)
        if text and text.split()[0] in RIDDLES
    ]
    assert not found, "\n".join(found)


def test_docstrings_are_found(tmp_path):
    """The test above reads docstrings of modules, classes, functions and attributes."""
    module = tmp_path / "module.py"
    module.write_text('"""Module."""\n\nX = 1\n"""Attribute."""\n\n\ndef f():\n    """What it does."""\n')
    assert list(documented(module)) == [(1, "Module."), (4, "Attribute."), (8, "What it does.")]
