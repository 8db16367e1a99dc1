"""What docstrings of this package need of Sphinx: links by public names, and lines that Napoleon reads as it should."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import genn_delays

PACKAGE = Path(genn_delays.__file__).parent
SEVERAL = re.compile(r"^(\s*:(?:param|ivar|keyword) )([\w*\\]+(?:, [\w*\\]+)+)(:.*)$")
RETURNED = re.compile(r"^(\s*(?::returns: |\* )?)\*([^*]+)\* -- ")
_kept: list[str] = []


@cache
def defined() -> frozenset[str]:
    """Names of all modules of the package, and of all that they and their classes define."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        found.add(path.stem if path.stem != "__init__" else path.parent.name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                found.add(node.name)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
            elif isinstance(node, ast.Assign):
                found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return frozenset(found)


def resolved(app: Any, env: Any, node: Any, content: Any) -> Any:
    """The link of a reference to what is defined in one module and has its page under another name.

    A name in an annotation, or of a part that is there for developers alone, is text where it has no page. One that a
    docstring refers to and that does not exist is an error of the build.
    """
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    target = node["reftarget"].lstrip(".")
    parts = target.split(".")
    names = [".".join(parts[start:]) for start in range(len(parts))]  # the longest part of the path that is known
    owner = node.get("py:class")
    if owner and len(parts) == 1:  # a method of the class or of one that it derives from
        names.insert(0, f"{owner.rpartition('.')[2]}.{target}")
    for name in names:
        found = [place for place in domain.objects if place == name or place.endswith(f".{name}")]
        if found:
            best = min(found, key=lambda place: (place.count("."), place))
            return domain.resolve_xref(env, node.get("refdoc", env.docname), app.builder, "obj", best, node, content)
    known = "refexplicit" not in node or parts[-1] in defined()
    return content if known else None


ARRAY = re.compile(
    r"~?(?:numpy\.)?ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], "
    r"~?(?:numpy\.)?dtype\[~?(?:numpy\.)?((?:[\w.~]|\[[^\]]*\])+)\]\]"
)
ARRAY_LIKE = re.compile(r"(?:~?[\w.]*_Buffer) \| .*?bytes \| str\]")


def short_types(text: str | None) -> str | None:
    """An annotation with NumPy's names for its long types."""
    if text is None:
        return None
    return ARRAY_LIKE.sub("ArrayLike", ARRAY.sub(r"NDArray[\1]", text))


def signed(app: Any, what: str, name: str, value: Any, options: Any, *signature: str | None) -> Any:
    """A signature, its arguments and what it returns, that can be read."""
    return tuple(short_types(part) for part in signature)


def before(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Keep the docstring of an attribute: Napoleon would take the words before its first colon for a type."""
    _kept[:] = lines


def after(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Put it back, and mend two more things that Napoleon takes for types: "x, y: both" and "Returns: text: more"."""
    if what in ("attribute", "property", "data"):
        lines[:] = _kept
    for number, line in enumerate(lines):
        if found := SEVERAL.match(line):
            lines[number] = found[1] + found[2].replace(", ", ",\u200b") + found[3]
        lines[number] = RETURNED.sub(r"\1\2: ", lines[number])


def skipped(app: Any, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """True for the fields of a NamedTuple, which the docstring of its class describes."""
    return True if str(getattr(value, "__doc__", "")).startswith("Alias for field number") else None


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("missing-reference", resolved)
    app.connect("autodoc-process-signature", signed)
    app.connect("autodoc-skip-member", skipped)
    app.connect("autodoc-process-docstring", before, priority=400)
    app.connect("autodoc-process-docstring", after, priority=600)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
