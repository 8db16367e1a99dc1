"""The compiler of simulations: from a network to one that runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..backends import as_backend, simulating
from ..errors import InvalidValueError, check_count, check_path, check_real, shown, unknown
from ..floating import usual_errors
from ..memory import told
from ..network import Network, Population
from ..plan.lower_simulation import lower_simulation
from ..plan.simulation_memory import foresee_simulation
from ..random import MAX_SEED
from ..training.compiled_network import CompiledNetwork
from .recording import as_recording
from .simulation import Simulation
from .trained import trained_network


class SimulationCompiler:
    """Compiles networks to be simulated: one network, no examples, time that goes on.

    Networks may have cycles, and several kinds of synapses onto a population. A spike through a synapse of delay d
    arrives d steps later; delays of 0 are allowed where they close no cycle. Weights are rounded to a grid so fine that
    single precision would hide it (:mod:`genn_delays.plan.grid`); so sums are exact, and spikes and variables are the
    same, bit by bit, for any number of threads and on every backend.

    Args:
        dt: length of a time step in ms.
        backend: ``"cpu"``, ``"cuda"``, ``"reference"``, or an object such as ``CPU(threads=2)``. `cuda` needs a C++
            compiler as well, as synapses are drawn on the host.
        rng_seed: of random spikes and noise while the network runs. What it is made of comes from its own seed.

    Example::

        network = Network(seed=0)
        with network:
            e = Population(LeakyIntegrateFire(tau_mem=20.0), 800, "e", drives=PoissonDrive(rate=5000.0, weight=0.1))
            Connection(e, e, FixedProbability(p=0.1, weight=0.02, delay=UniformInt(1, 15)))
        with SimulationCompiler(dt=0.1).compile(network, record={e: "spikes"}) as simulation:
            simulation.run(1000.0)
            times, neurons = simulation.spikes(e)
    """

    def __init__(self, dt: float = 0.1, *, backend: Any = "cpu", rng_seed: int = 0) -> None:
        self.dt = check_real("dt", dt, 0.0, open_low=True)
        self.backend = as_backend(backend)
        if not callable(getattr(self.backend, "build_simulation", None)):
            raise unknown("backend of simulations", self.backend.name, simulating())
        self.rng_seed = check_count("rng_seed", rng_seed, 0, MAX_SEED)

    def compile(
        self,
        network: Network | CompiledNetwork,
        record: Mapping[Any, Any] | None = None,
        *,
        record_to: str | Path | None = None,
    ) -> Simulation:
        """A network ready to run, at step 0.

        Args:
            network: its description; or a compiled one, whose trained network is simulated
                (:func:`~genn_delays.trained_network`), in steps of the same dt.
            record: by population (or its name) what is recorded of it: ``"spikes"``, the name of a variable, a
                :class:`~genn_delays.Spikes` or :class:`~genn_delays.Trace`, or a list of these.
            record_to: an HDF5 file to which recordings are written as they are made, in place of being kept in memory;
                an existing file is replaced. Needs h5py (extra ``shd``).

        Raises:
            InvalidValueError: the network or the request cannot work.
            BackendUnavailableError: the backend cannot run here.
            CompileError: the generated code did not compile.
            OutOfMemoryError: the network needs more memory than there is; nothing has been built.
        """
        if isinstance(network, CompiledNetwork):
            if network.dt != self.dt:
                raise InvalidValueError(
                    f"dt must be {network.dt:g} ms, that of the trained network, whose delays are in its steps; got "
                    f"{self.dt:g}"
                )
            record = _by_name(network.network, record)
            network = trained_network(network)
        if not isinstance(network, Network):
            raise InvalidValueError(f"compile needs a Network, got {shown(network)}")
        if not network.populations:
            raise InvalidValueError("the network has no population: there is nothing to simulate")
        path = None if record_to is None else check_path("record_to", record_to)
        with usual_errors(), told("compile"):
            foresee_simulation(network, reference=self.backend.name == "reference")
            connect = self.backend.connect_simulation  # type: ignore[attr-defined]
            plan, wiring = lower_simulation(network, self.dt, self.rng_seed, connect)
            recording = as_recording(network, plan, {} if record is None else record)
            engine = self.backend.build_simulation(plan, wiring, recording)  # type: ignore[attr-defined]
            return Simulation(network, plan, recording, engine, path)

    def __repr__(self) -> str:
        return f"<SimulationCompiler: steps of {self.dt:g} ms, backend {self.backend.name}>"


def _by_name(network: Network, record: Mapping[Any, Any] | None) -> Mapping[Any, Any] | None:
    """The same with names in place of a network's own populations."""
    if not isinstance(record, Mapping):
        return record
    return {p.name if isinstance(p, Population) and p.network is network else p: what for p, what in record.items()}
