"""
Your own neuron
===============

A neuron is its equations. Here a leaky integrate-and-fire neuron whose threshold rises with every spike; nobody writes
its backward pass: SymPy derives it, and the same kernels are printed for every backend.
"""

from genn_delays import Current, Network, Population, SimulationCompiler, UserNeuron

# %%
# ``vars`` gives each variable its derivative and its value after a spike; ``threshold`` is the condition of a spike:
# it is crossed where the expression reaches 0.

neuron = UserNeuron(
    vars={"v": ("-v / tau_mem + Isyn", "0"), "a": ("-a / tau_a", "a + 1")},
    threshold="v - v_thresh - beta * a",
    param_vals={"tau_mem": 10.0, "tau_a": 100.0, "v_thresh": 1.0, "beta": 0.3},
)

# %%
# One neuron with a constant current. The same `neuron` can stand in a network that is trained.

network = Network(seed=0)
with network:
    cell = Population(neuron, 1, "cell", drives=Current(0.25))

record = {cell: ["spikes", "v", "a"]}
with SimulationCompiler(dt=0.5).compile(network, record=record) as simulation:
    simulation.run(300.0)
    times, _ = simulation.spikes(cell)
    t, v = simulation.trace(cell, "v")
    _, a = simulation.trace(cell, "a")

intervals = times[1:] - times[:-1]
print(
    f"{times.size} spikes; the first interval is {intervals[0]:g} ms, the last {intervals[-1]:g} ms"
)

# %%
# A neuron that uses a word with no meaning is refused when its network is compiled:

from genn_delays import GennDelaysError

with Network() as wrong:
    mistaken = UserNeuron(
        vars={"v": ("-v / tau + Isyn", "0")}, threshold="v - 1", param_vals={"tau_mem": 10.0}
    )
    Population(mistaken, 1, "cell")
try:
    SimulationCompiler(dt=0.5).compile(wrong)
except GennDelaysError as error:
    print(f"error: {error}")

# %%

from matplotlib import pyplot as plt

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
axes.plot(t, v[:, 0], color="#0072B2", label="v")
axes.plot(t, 1.0 + 0.3 * a[:, 0], color="#D55E00", linestyle="--", label="threshold")
axes.plot(times, [2.6] * times.size, "|", color="black", markersize=10, label="spikes")
axes.set_xlabel("time (ms)")
axes.legend(ncols=3, frameon=False)
plt.show()
