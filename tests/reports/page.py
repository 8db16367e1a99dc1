"""Reading a report's page as a program: elements, tables, headings."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

_VOID = {"meta", "img", "wbr", "br", "link", "input"}


class Page(HTMLParser):
    """The elements of a page; reading fails where they are not closed in order.

    Attributes:
        elements: name and attributes of each in order.
        headings: level, id and text.
        tables: by caption or label the rows of cells.
        text: all that is shown.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.headings: list[list[Any]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._open: list[str] = []
        self._label = ""
        self.feed(html)
        self.close()
        assert not self._open, self._open

    def of(self, name: str) -> list[dict[str, Any]]:
        """The attributes of all elements of a kind."""
        return [attributes for kind, attributes in self.elements if kind == name]

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if tag not in _VOID:
            self._open.append(tag)
        if tag in ("h1", "h2", "h3"):
            self.headings.append([int(tag[1]), found.get("id"), ""])
        if tag == "div" and found.get("class") == "scroll":
            label, number = found["aria-label"], 2
            while label in self.tables:
                label, number = f"{found['aria-label']} {number}", number + 1
            self._label = label
            self.tables[label] = []
        if tag == "tr":
            self.tables[self._label].append([])
        if tag in ("td", "th"):
            self.tables[self._label][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if self._open and self._open[-1] in ("td", "th"):
            self.tables[self._label][-1][-1] += data
        elif self._open and self._open[-1] in ("h1", "h2", "h3"):
            self.headings[-1][2] += data
