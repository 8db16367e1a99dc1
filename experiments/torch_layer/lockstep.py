"""The compiled fsdd_paper and its layers' version in lock step, with the same random numbers, compared step by step.

    python experiments/torch_layer/lockstep.py --seed 0            # every step from the compiled network's state
    python experiments/torch_layer/lockstep.py --seed 0 --free     # from states of their own: rounding adds up

Both have the same first synapses, order of examples, dropout masks, homes and signs of pairs. The layers' own random
numbers are replaced by the compiled network's for that; everything else is fsdd.py's and the library's.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import fsdd
import numpy as np
import torch
from torch import nn

from genn_delays import DeepR
from genn_delays.connectivity import home_words
from genn_delays.learning.schedules import Progress
from genn_delays.random import Purpose, dropout_threshold, permutation, philox
from genn_delays.rewiring.signs import dale_signs
from genn_delays.runs.build import compile_network, load_data
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.resume import new_config
from genn_delays.torch import Adam, growth, rewire, shrink

L1, DROPOUT = 0.01, 0.4
NORM = {"scale": "weight", "shift": "bias", "mean": "running_mean", "var": "running_var"}


class Layers:
    """The layers' version, beginning with a compiled network's synapses and drawing its random numbers."""

    def __init__(self, compiled: Any, epochs: int) -> None:
        self.compiled, self.plan, self.step = compiled, compiled.plan, 0
        torch.manual_seed(0)
        self.model = fsdd.FSDD(0.875)
        self.layers = (self.model.hidden, self.model.digit)
        self._share_random_numbers()
        for i in range(2):
            self.take_synapses(i)
        delays = [layer.delay for layer in self.layers]
        others = [p for p in self.model.parameters() if all(p is not d for d in delays)]
        self.optimizers = [Adam(others, 5e-3), Adam(delays, 0.1)]
        self.schedules = [
            torch.optim.lr_scheduler.OneCycleLR(self.optimizers[0], 5e-3, epochs),
            torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizers[1], epochs),
        ]

    def _share_random_numbers(self) -> None:
        network, index = self.compiled.network, {}
        for i, layer in enumerate(self.layers):
            connection = network.connections[i]
            layer.seed, signs = network.seed, dale_signs(connection.source, [connection])
            layer.source_signs, index[layer.in_features] = (lambda signs=signs: signs), i
        born = growth._born

        def born_at_home(layer: Any, *rest: Any) -> Any:
            growth.home_words = lambda pre, post, ordinal, seed, _: home_words(
                pre, post, ordinal, seed, index[layer.in_features]
            )
            return born(layer, *rest)

        growth._born = born_at_home

        def dropout(ones: Any, share: float) -> Any:
            neuron, lane = np.arange(ones.shape[1])[:, None], np.arange(ones.shape[0])
            words = philox(self.plan.training_seed, Purpose.DROPOUT, 1, neuron, lane >> 2, self.step)
            kept = words[lane & 3, neuron, lane] >= dropout_threshold(share)
            return torch.from_numpy(kept.T.astype(np.float32)) / (1 - share)

        nn.functional.dropout = dropout

    def train(self, x: Any, y: Any) -> dict[str, Any]:
        """The loss and all gradients of a step, which is made."""
        loss = nn.functional.cross_entropy(self.model(x), y)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        found = {"loss": loss.item(), "batch_norm_scale": self.model.norm.weight.grad.clone()}
        for i, layer in enumerate(self.layers):
            found |= {f"weight {i}": layer.weight.grad.clone(), f"delay {i}": layer.delay.grad.clone()}
            if self.step == 0:  # the hook of rewire begins at its first call
                layer.weight.grad += L1 * layer.weight.detach().sign()
        for optimizer in self.optimizers:
            optimizer.step()
        rule = DeepR(l1=L1, dale=True, growth="gradient")
        replaced = [rewire(layer, rule, self.optimizers) for layer in self.layers]
        self.step += 1
        return {**found, "replaced": replaced}

    def tensors(self, i: int) -> dict[str, Any]:
        """All that is learned and kept of a layer's synapses, by the compiled network's names."""
        layer = self.layers[i]
        found = {"weight": layer.weight.detach(), "position": layer.delay.detach()}
        for prefix, o, p in (("", self.optimizers[0], layer.weight), ("delay_", self.optimizers[1], layer.delay)):
            state = o.state[p]
            if state:
                found |= {f"{prefix}moment{m}": state[n] for m, n in enumerate(("exp_avg", "exp_avg_sq"))}
                found[f"{prefix}age"] = state["steps"]
        return found

    def compiled_tensors(self, i: int) -> dict[str, Any]:
        """The same of the compiled network."""
        s = self.compiled.engine.state(i)
        found = {"weight": s.synapses.weight, "position": s.position, "age": s.age, "delay_age": s.age}
        for prefix, moments in (("", s.moments), ("delay_", s.delay_moments)):
            found |= {f"{prefix}moment{m}": values for m, values in enumerate(moments)}
        return found

    def take_synapses(self, i: int) -> None:
        """Let a layer have the compiled network's synapses with all that is kept of them."""
        layer, s = self.layers[i], self.compiled.engine.state(i).synapses
        layer._set(s.pre, s.post, s.delay)
        given = self.compiled_tensors(i)
        self_tensors = self.tensors(i) if self.step else {"weight": layer.weight.data, "position": layer.delay.data}
        for name, tensor in self_tensors.items():
            tensor.copy_(torch.from_numpy(given[name].astype(np.float32)))
        layer._negative = np.signbit(s.weight)

    def take_norm(self) -> None:
        """Let the batch norm have the compiled network's values."""
        state = self.compiled.populations[1]
        with torch.no_grad():
            for name, own in NORM.items():
                getattr(self.model.norm, own).copy_(torch.from_numpy(state.values[f"batch_norm_{name}"]))
            for name, p in (("scale", self.model.norm.weight), ("shift", self.model.norm.bias)):
                for m, kept in enumerate(("exp_avg", "exp_avg_sq")):
                    moment = torch.from_numpy(state.moments[f"batch_norm_{name}"][m])
                    self.optimizers[0].state[p][kept].copy_(moment)


def apart(a: Any, b: Any) -> float:
    """The largest difference in the largest of `b`."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


def compare(theirs: Layers, own: dict[str, Any], gradients: dict[str, Any]) -> tuple[bool, dict[str, float]]:
    """True if the synapses are the same ones, and how far numbers are apart after a step."""
    found = {f"gradient of {name}": apart(own[name], values) for name, values in gradients.items() if name != "loss"}
    found["loss"] = apart(own["loss"], gradients["loss"])
    same = True
    for i, layer in enumerate(theirs.layers):
        s = theirs.compiled.engine.state(i).synapses
        if not (np.array_equal(s.pre, layer.topology.pre) and np.array_equal(s.post, layer.topology.post)):
            same = False
            continue
        given = theirs.compiled_tensors(i)
        for name, tensor in theirs.tensors(i).items():
            value = tensor.clamp(0, layer.max_delay) if name == "position" else tensor
            found[f"{name} {i}"] = apart(value, given[name])
    values = theirs.compiled.populations[1].values
    for name, own_name in NORM.items():
        found[f"norm {name}"] = apart(getattr(theirs.model.norm, own_name).detach(), values[f"batch_norm_{name}"])
    return same, found


def compiled_step(compiled: Any, batch: Any, metrics: Any) -> tuple[dict[str, Any], list[int]]:
    """A step of the compiled network: its loss and gradients, and how many synapses were replaced."""
    engine = compiled.engine
    gradients: dict[str, Any] = {"loss": compiled._pass_both_ways(batch, metrics).mean()}
    gradients |= {f"{v} {i}": engine.gradient(i, v) for i in range(2) for v in ("weight", "delay")}
    gradients["batch_norm_scale"] = engine.population_gradients(1)["batch_norm_scale"]
    rewired = compiled._learner.step(compiled.step, compiled._progress, batch.size)
    compiled.step += 1
    return gradients, [sum(rewired[i]) if i in rewired else 0 for i in range(2)]


def quantiles(steps: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Of every number the median over steps, the 99th percentile and the largest difference."""
    found = {}
    for name in dict.fromkeys(name for step in steps for name in step):
        values = [step[name] for step in steps if name in step]
        middle, high, top = np.quantile(values, [0.5, 0.99, 1.0])
        found[name] = {"median": float(middle), "99 %": float(high), "largest": float(top)}
    return found


def run(seed: int, epochs: int, free: bool, data_dir: str | None) -> dict[str, Any]:
    """Both trainings; how far they are apart, and their accuracies."""
    overrides = Overrides(epochs=epochs, seed=seed, threads=1, validation=0.0, data_dir=data_dir)
    config = new_config("fsdd_paper", overrides, {})
    data, compiled = load_data(config), compile_network(config)
    source, output = compiled.network.inputs[0], compiled.network.outputs[0]
    prepared = compiled._data({source: data.x_train}, {output: data.y_train})
    x, y = torch.from_numpy(data.x_train).transpose(0, 1).contiguous(), torch.from_numpy(data.y_train).long()
    x_test, y_test = torch.from_numpy(data.x_test).transpose(0, 1).contiguous(), torch.from_numpy(data.y_test).long()
    theirs, steps, alike, first = Layers(compiled, epochs), [], 0, None
    replaced, accuracies = np.zeros(2, int), []
    for epoch in range(epochs):
        theirs.model.train()
        shrink(theirs.model, epoch, epochs)
        compiled.epoch, order = epoch, permutation(y.numel(), compiled.plan.training_seed, epoch)
        metrics = compiled._metrics = compiled._new_metrics(training=True)
        with closing(compiled._batches(prepared, prepared.examples[order], epoch)) as batches:
            parts = torch.from_numpy(order).split(256)
            for number, (batch, part) in enumerate(zip(batches, parts, strict=True)):
                compiled._progress = Progress(epoch, epochs, number, len(parts))
                gradients, rewired = compiled_step(compiled, batch, metrics)
                own = theirs.train(x[:, part], y[part])
                same, found = compare(theirs, own, gradients)
                same = same and rewired == own["replaced"]
                alike, replaced = alike + same, replaced + np.array([sum(rewired), sum(own["replaced"])])
                first = compiled.step if first is None and not same else first
                steps.append(found)
                if not free:
                    theirs.take_synapses(0)
                    theirs.take_synapses(1)
                    theirs.take_norm()
        for schedule in theirs.schedules:
            schedule.step() if epoch < epochs - 1 else None
        ours = compiled.evaluate({source: data.x_test}, {output: data.y_test})[0].accuracy
        accuracies.append((ours, round(fsdd.accuracy(theirs.model, x_test, y_test), 4)))
        print(f"epoch {epoch + 1}: {alike} of {compiled.step} steps alike, accuracy {accuracies[-1]}", flush=True)
    compiled.__exit__(None, None, None)
    columns = {"compiled": [a for a, _ in accuracies], "layers": [b for _, b in accuracies]}
    return {
        "seed": seed,
        "free": free,
        "steps": compiled.step,
        "steps_with_the_same_synapses": alike,
        "first_step_with_others": first,
        "replaced": dict(zip(columns, replaced.tolist(), strict=True)),
        "last": {name: column[-1] for name, column in columns.items()},
        "best": {name: max(column) for name, column in columns.items()},
        "difference": None if free else quantiles(steps),
        "accuracies": columns,
    }


def main() -> None:
    """One pair of trainings, added to what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--free", action="store_true", help="let both go on from states of their own")
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "lockstep.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = json.loads(options.out.read_text()) if options.out.exists() else []
    found.append(run(options.seed, options.epochs, options.free, options.data_dir))
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
