"""Overviews of a network: short tables, as text for a terminal and as HTML for a notebook."""

from .overview import Column, Overview, Summarised, Table, bytes_text, counted

__all__ = ["Column", "Overview", "Summarised", "Table", "bytes_text", "counted"]
