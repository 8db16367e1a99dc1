"""GeNN's clock: a spike is delivered in the step after the one in which it was sent, so each layer runs later.

A population's *depth* is the longest path to it, in connections between groups; populations on one cycle have the same
depth. A population stands still for its first `depth` steps. A synapse of delay d has the GeNN delay
d + `layer_offset`, where `layer_offset` = depth(target) - depth(source) - 1: at least 0 between groups, and -1 on a
cycle, where delays are at least 1. In the backward pass `deepest - depth` takes the place of the depth.
"""

from __future__ import annotations

from ...plan.plan import ConnectionPlan, Plan


class Clock:
    """The steps of GeNN's clock in which populations run.

    Attributes:
        depth: by population.
        deepest: the largest depth.
        steps: GeNN's steps for one example, the last of which delivers what was sent in the one before.
    """

    def __init__(self, plan: Plan) -> None:
        self.depth = [0] * len(plan.populations)
        for group in plan.groups:
            incoming = [plan.connections[c] for i in group for c in plan.populations[i].incoming]
            outside = [self.depth[c.source] + 1 for c in incoming if c.source not in group]
            for i in group:
                self.depth[i] = max(outside, default=0)
        self.deepest = max(self.depth)
        self.steps = plan.time_steps + self.deepest + 1

    def layer_offset(self, c: ConnectionPlan) -> int:
        """The difference of a connection's GeNN delays and ours."""
        return self.depth[c.target] - self.depth[c.source] - 1
