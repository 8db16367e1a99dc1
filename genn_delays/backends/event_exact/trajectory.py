"""One neuron through one example. Its events are written into a log, which the adjoint reads backwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import takewhile

import numpy as np

from .dynamics import Array, Dynamics


@dataclass(eq=False)
class Spike:
    """A spike.

    Attributes:
        time: in ms.
        state: of the neuron just before.
        felt: dL/dtime through its arrivals, as far as the backward pass has come; a loss of spike times adds its
        own derivative here.
    """

    time: float
    state: Array
    felt: float = 0.0


@dataclass(frozen=True)
class Arrival:
    """An impulse ``weight * sent`` (sent: 1 of a spike, or the value of a real-valued input).

    Attributes:
        connection, synapse: the synapse it came through; connection None for the bias.
        source: the spike it comes from; None for an input, whose times are fixed.
    """

    time: float
    weight: float
    sent: float
    connection: int | None = None
    synapse: int = 0
    source: Spike | None = None


@dataclass(frozen=True)
class Sample:
    """The time of step `step`, at which a readout reads what has arrived until then."""

    time: float
    step: int


@dataclass(frozen=True)
class Release:
    """The end of a refractory period."""

    time: float
    state: Array


class Trajectory:
    """Forwards.

    Attributes:
        log: events in order of time. marks: its length before every window of time that was run.
        recorded: variables at the times of the steps, ``[time, variable]``.
        released: when the refractory period ends; None outside of one.
    """

    def __init__(self, dynamics: Dynamics, time_steps: int, dt: float) -> None:
        self.dynamics = dynamics
        self.end = (time_steps - 1) * dt
        self._inbox: list[tuple[float, int, Arrival]] = []  # a heap of future events, by time
        self._received = 0
        self.log: list[Spike | Arrival | Sample | Release] = []
        self.marks: list[int] = []
        self.recorded = np.zeros((time_steps, len(dynamics.states)))
        self.released: float | None = None
        self.now, self.state = 0.0, dynamics.initial
        self._steps = [Sample(k * dt, k) for k in range(time_steps)]
        dynamics.check_silent(self.state, "at the start")

    @property
    def spikes(self) -> list[Spike]:
        """All spikes so far."""
        return [event for event in self.log if isinstance(event, Spike)]

    def receive(self, arrival: Arrival) -> None:
        """Add a future arrival, not earlier than the time up to which the neuron has been run."""
        heappush(self._inbox, (arrival.time, self._received, arrival))
        self._received += 1

    def run(self, until: float) -> list[Spike]:
        """Go on to the time `until`, events then excluded; the spikes on the way."""
        self.marks.append(len(self.log))
        due = []
        while self._inbox and self._inbox[0][0] < until:
            due.append(heappop(self._inbox)[2])
        read = list(takewhile(lambda sample: sample.time < until, self._steps))
        self._steps = self._steps[len(read) :]
        events: list[Arrival | Sample] = [*due, *read]
        for event in sorted(events, key=lambda e: e.time):  # arrivals come before other events of the same time
            self._move(event.time)
            if isinstance(event, Arrival):
                self.state = self.state.copy()
                self.state[self.dynamics.impulse] += event.weight * event.sent
            else:
                self.recorded[event.step] = self.state[:-1]
            self.log.append(event)
        self._move(min(until, self.end))
        return [event for event in self.log[self.marks[-1] :] if isinstance(event, Spike)]

    def _move(self, to: float) -> None:
        """Let the state evolve to a time, through spikes and ends of refractory periods on the way."""
        while self.now < to:
            if self.released is not None:
                self._flow(min(to, self.released) - self.now)
                if self.released <= to:
                    self.now, self.released = self.released, None
                    self.dynamics.check_silent(self.state, "at the end of its refractory period")
                    self.log.append(Release(self.now, self.state))
                else:
                    self.now = to
            elif (wait := self.dynamics.spike_within(self.state, to - self.now)) is None:
                self._flow(to - self.now)
                self.now = to
            else:
                self._flow(wait)
                self.now += wait
                self.log.append(Spike(self.now, self.state))
                self.state = self.dynamics.jumped(self.state)
                if self.dynamics.period > 0:
                    self.released = self.now + self.dynamics.period
                else:
                    self.dynamics.check_silent(self.state, "after a spike")

    def _flow(self, t: float) -> None:
        self.state = self.dynamics.flows[self.released is not None].over(t) @ self.state


class Adjoint:
    """Backwards, after its trajectory is complete: ``lambda = dL/dx``, window after window."""

    def __init__(self, trajectory: Trajectory) -> None:
        self.trajectory, self.now = trajectory, trajectory.end
        self.held = trajectory.released is not None
        self.value = np.zeros(len(trajectory.dynamics.states))
        self._release = 0.0  # dL/d(end of the refractory period)
        self._left = len(trajectory.log)
        self._windows = len(trajectory.marks)

    def push(self, after: float, slope: float) -> None:
        """The loss depends on the output variable, by `slope`, so many ms after the last step."""
        dynamics = self.trajectory.dynamics
        self.value = self.value + slope * dynamics.flows[self.held].over(after)[dynamics.output, :-1]

    def run(self, direct: Array) -> Iterator[tuple[Arrival, float, float]]:
        """Read the log back through one more window.

        Args:
            direct: dL/d(output variable) by the loss, ``[time]``.

        Yields:
            Every arrival of a synapse, with dL/dimpulse and, for a unit impulse, dL/dtime (per ms).
        """
        dynamics = self.trajectory.dynamics
        self._windows -= 1
        first = self.trajectory.marks[self._windows]
        for event in reversed(self.trajectory.log[first : self._left]):
            flow = dynamics.flows[self.held].over(self.now - event.time)
            self.value, self.now = flow[:-1, :-1].T @ self.value, event.time
            if isinstance(event, Sample):
                self.value[dynamics.output] += direct[event.step]
            elif isinstance(event, Arrival):
                yield event, float(self.value[dynamics.impulse]), dynamics.arrival(self.value, self.held)
            elif isinstance(event, Release):
                self._release, self.held = dynamics.released(event.state, self.value), True
            else:
                self.value = dynamics.spiked(event.state, self.value, event.felt, self._release)
                self._release, self.held, event.felt = 0.0, False, 0.0
        self._left = first
