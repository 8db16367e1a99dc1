"""Trains or simulates random networks while a sanitizer watches their kernels: ``sanitized.py KIND SEED ...``."""

from __future__ import annotations

import sys

from networks import Case
from simulated import compiled, contents, random_network

from genn_delays import CPU, DeepR, RigL

KINDS = {"numbered": Case.numbered, "published": Case.published, "current_based": Case.current_based}
RULES = (DeepR(temperature=1e-6), RigL(fraction=0.3, interval=1, growth_delay="best"), None)


def main() -> None:
    """Two epochs and an evaluation of every seed, with four threads; most are rewired."""
    kind, *seeds = sys.argv[1:]
    if kind == "simulated":
        simulate(*map(int, seeds))
        return
    for seed in map(int, seeds):
        case, rule = KINDS[kind](seed), RULES[seed % len(RULES)]
        growing = {c.name: rule for c in case.network().connections if c.synapses.pre.size < c.num_pairs}
        rewiring = {} if rule is None or case.multapses or case.kernel_count > 1 else growing
        learned = {} if case.learn_delays else {"optimisers": {"all_connections": {"weight": "adam"}}}
        with case.compile(CPU(threads=4), {"max_spikes": 10_000}, rewiring=rewiring, **learned) as compiled:
            x, y = case.data()
            compiled.train(x, y, 2, callbacks=())
            compiled.evaluate(x, y)
        print(kind, seed, "recurrent" if case.recurrent else "acyclic", flush=True)


def simulate(*seeds: int) -> None:
    """Two runs of every seed with four threads, and one more from a state that was read and written."""
    for seed in seeds:
        with compiled(random_network(seed), CPU(threads=4)) as simulation:
            simulation.run(31.0)
            simulation.run(30.0)
            simulation.engine.set_pending(simulation.engine.pending(), simulation.step)
            simulation.run(20.0)
            contents(simulation)
        print("simulated", seed, flush=True)


if __name__ == "__main__":
    main()
