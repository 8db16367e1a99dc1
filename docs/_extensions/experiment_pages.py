"""A page for the README of every folder of ``experiments/``, made when the documentation is built."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


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
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
