"""Speed of simulations, by ``genn-delays benchmark simulation``: writes ``speed.jsonl`` (a line a measurement), tables
(``speed_*.txt``) and pictures beside this file. One command takes all figures again:

    python experiments/simulation/speed.py

GeNN and Brian2 take part where they are installed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from genn_delays.benchmarks.options import Options
from genn_delays.benchmarks.simulation import as_text, draw, measure
from genn_delays.benchmarks.simulation_options import check_installed
from genn_delays.errors import BackendUnavailableError

HERE = Path(__file__).parent
PARTS: dict[str, dict[str, Any]] = {
    # beside the rivals: 10,000 x 1,000, delays 1-25
    "rivals": {"rate": "5,50", "threads": "1,2", "against": "genn,brian2"},
    "size": {"sizes": "1000,3000,10000,30000,100000", "threads": "1,2"},
    "rate": {"rate": "1,2,5,10,20,50,100", "threads": "1,2"},
    "delay": {"delays": ["1,1", "1,10", "1,25", "1,100", "1,250", "1,1000"], "threads": "1,2"},
    # the shortest delay is the length of a block: steps of 0.1 ms, delays 1 to 25 ms
    "short_steps": {"delays": ["10,250"], "dt": 0.1, "rate": "5,50", "threads": "1,2"},
}
"""Options of the command line, by part."""


def installed(names: str) -> str | None:
    """Those of the rivals that are installed."""
    found = []
    for name in names.split(","):
        try:
            check_installed(name)
            found.append(name)
        except BackendUnavailableError as error:
            print(f"left out: {error}", file=sys.stderr)
    return ",".join(found) or None


def main() -> None:
    """Measure the parts asked for; lines of other parts are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="some of the parts, with commas between")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--duration", type=float, default=1000.0, help="model time of a sample in ms")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for data, tables and pictures")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    kept: dict[str, list[str]] = {}
    data = args.out / "speed.jsonl"
    for line in data.read_text().splitlines() if data.exists() else []:
        kept.setdefault(json.loads(line)["part"], []).append(line)
    for part in args.parts.split(","):
        options = Options(**PARTS[part], repeats=args.repeats, duration=args.duration, told=tell)
        if options.against is not None:
            options = replace(options, against=installed(options.against))
        results = measure(options)
        kept[part] = [json.dumps({"part": part, **m.tables(results.machine)}) for m in results.measurements]
        data.write_text("".join(f"{line}\n" for name in PARTS for line in kept.get(name, [])))
        (args.out / f"speed_{part}.txt").write_text(as_text(results) + "\n")
        print(f"{part}\n{as_text(results)}\n", flush=True)
        for name, figure in draw(results).items():
            if name.endswith(part):
                figure.savefig(args.out / f"speed_{part}.png", dpi=150, metadata={"Software": None})


def tell(text: str) -> None:
    """How far it has come."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
