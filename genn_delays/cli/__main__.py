"""``python -m genn_delays.cli``: as ``python -m genn_delays``."""

from ..interrupts import leave_at_once, leave_silently
from . import main

if __name__ == "__main__":
    leave_at_once()
    _status = main()
    leave_silently()
    raise SystemExit(_status)
