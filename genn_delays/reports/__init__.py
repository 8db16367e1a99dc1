"""Reports of runs: one HTML page with everything in it, to be read without a network."""

from .write import report, write_report

__all__ = ["report", "write_report"]
