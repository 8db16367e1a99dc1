"""The version of the package, in a module that imports nothing."""

__version__ = "0.2.0"


def is_newer(version: str) -> bool:
    """True for a version of this package that is later than this one; False for what is no version."""
    theirs, ours = ([int(part) if part.isdecimal() else -1 for part in v.split(".")] for v in (version, __version__))
    return -1 not in theirs and theirs > ours
