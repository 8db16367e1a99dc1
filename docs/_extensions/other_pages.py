"""Pages that the index does not name stand where it says ``ALL-OTHER-PAGES``: a new page needs no entry."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from typing import Any

PLACE = "ALL-OTHER-PAGES\n"


def add_others(app: Any, name: str, content: list[str]) -> None:
    """Fill in the names of all pages of the top folder that no toctree of the index has."""
    if name != "index":
        return
    named = re.findall(r"^[\w/*]+$", content[0], re.MULTILINE)
    others = [
        page
        for page in sorted(app.env.found_docs)
        if "/" not in page and page != "index" and not any(fnmatch(page, pattern) for pattern in named)
    ]
    content[0] = content[0].replace(PLACE, "".join(f"{page}\n" for page in others))


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", add_others)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
