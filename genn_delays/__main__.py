"""``genn-delays`` and ``python -m genn_delays``: the command line, ready to be interrupted from its first line on."""

import sys


def main() -> int:
    """Run the command line; returns its exit status."""
    try:
        from .interrupts import leave_at_once, leave_silently

        leave_at_once()
        from .cli import main as command

        status = command()
        leave_silently()
        return status
    except KeyboardInterrupt:
        if sys.stderr is not None:
            print("genn-delays: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
