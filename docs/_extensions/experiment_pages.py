"""A page for the README of every folder of ``experiments/``, and links that lead to files in the source as well.

Pages link to what lies in the source (``../experiments/figure3/README.md``, ``examples/first_network.py``), and so can
be read there. When the documentation is built such a link leads to the page that is made of the file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")

PAGES = (
    (re.compile(r"\]\(\.\./experiments/(\w+)(?:/README\.md)?/?(#[^)]*)?\)"), r"](experiments/\1.md\2)"),
    (re.compile(r"\]\(examples/(\w+)\.py\)"), r"](gallery/\1.rst)"),
    (re.compile(r"\]\(examples/?\)"), "](gallery/index.rst)"),
    (re.compile(r"\]\(\.\./(CONTRIBUTING|CHANGELOG)\.md(#[^)]*)?\)"), lambda m: f"]({m[1].lower()}.md{m[2] or ''})"),
    (re.compile(r"\]\(\.\./README\.md\)"), "](index.md)"),
)
"""Links to files in the source, and to the pages that are made of them."""


def link_pages(app: Any, name: str, content: list[str]) -> None:
    """Links of a page of the top folder."""
    if "/" not in name:
        for link, page in PAGES:
            content[0] = link.sub(page, content[0])


def page_of(readme: Path, page: Path, experiments: Path) -> str:
    """The text of a README with its links as they are from its page; files that have no page are named."""

    def linked(found: re.Match[str]) -> str:
        mark, text, target, anchor = found[1], found[2], found[3], found[4] or ""
        if re.match(r"[a-z]+:", target):
            return found[0]
        place = (readme.parent / target).resolve()
        if mark:
            return f"![{text}]({os.path.relpath(place, page.parent)})"
        if place.name == "README.md" and place.parent.parent == experiments:
            place = place.parent
        if place.parent == experiments and (place / "README.md").is_file():
            return f"[{text}]({place.name}.md{anchor})"
        return f"{text} (`{place.relative_to(experiments.parent)}`)" if text != place.name else f"`{text}`"

    return LINK.sub(linked, readme.read_text(encoding="utf-8"))


def write_pages(app: Any) -> None:
    """Write all pages; a page that has not changed keeps its time."""
    source = Path(app.srcdir)
    experiments = source.parent / "experiments"
    folder = source / "experiments"
    folder.mkdir(exist_ok=True)
    for readme in sorted(experiments.glob("*/README.md")):
        page = folder / f"{readme.parent.name}.md"
        text = page_of(readme, page, experiments)
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", link_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
