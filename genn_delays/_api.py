"""The public names of ``genn_delays``. The package imports them lazily, so that the command line starts at once."""

from .backends import CPU, CUDA, GeNN, Reference
from .backends.event_exact import EventExact
from .backends.genn import from_ml_genn, to_ml_genn
from .callbacks import (
    BatchProgressBar,
    Callback,
    Checkpoint,
    EarlyStopping,
    MetricsWriter,
    SpikeRecorder,
    VarRecorder,
)
from .connectivity import Dense, FixedNumber, FixedProbability, Sparse, Synapses
from .delays import (
    ConstantInt,
    DelayInitializer,
    DelayKernel,
    GaussianKernel,
    NormalInt,
    TriangleKernel,
    UniformInt,
)
from .drives import Current, NoiseCurrent, PoissonDrive, StepCurrent
from .errors import GennDelaysError
from .initializers import Constant, Initializer, KaimingUniform, Normal, Uniform
from .learning import (
    SGD,
    Adam,
    AdamW,
    ArcTan,
    CosineAnnealing,
    ExponentialDecay,
    Loss,
    MeanSquareError,
    OneCycle,
    Optimiser,
    PerNeuronMeanSquareError,
    RelativeMeanSquareError,
    SparseCategoricalCrossentropy,
    Surrogate,
    Triangle,
)
from .learning.readouts import Readout
from .network import Connection, Network, Population
from .neurons import (
    AdaptiveLeakyIntegrateFire,
    BatchNorm,
    DynamicNeuron,
    Equations,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Neuron,
    PoissonInput,
    SpikeInput,
    SpikeSource,
    UserNeuron,
)
from .registry import register
from .rewiring import SET, DeepR, RewiringRule, RigL
from .simulation import Simulation, SimulationCompiler, Spikes, Trace
from .synapses import Delta, Exponential
from .training.compiled_network import CompiledNetwork
from .training.event_prop_compiler import EventPropCompiler
from .training.folding import Folded, fold_batch_norm
from .training.surrogate_compiler import SurrogateCompiler

__all__ = [
    "CPU",
    "CUDA",
    "SET",
    "SGD",
    "Adam",
    "AdamW",
    "AdaptiveLeakyIntegrateFire",
    "ArcTan",
    "BatchNorm",
    "BatchProgressBar",
    "Callback",
    "Checkpoint",
    "CompiledNetwork",
    "Connection",
    "Constant",
    "ConstantInt",
    "CosineAnnealing",
    "Current",
    "DeepR",
    "DelayInitializer",
    "DelayKernel",
    "Delta",
    "Dense",
    "DynamicNeuron",
    "EarlyStopping",
    "Equations",
    "EventExact",
    "EventPropCompiler",
    "Exponential",
    "ExponentialDecay",
    "FixedNumber",
    "FixedProbability",
    "Folded",
    "GaussianKernel",
    "GeNN",
    "GennDelaysError",
    "Initializer",
    "Input",
    "KaimingUniform",
    "LeakyIntegrate",
    "LeakyIntegrateFire",
    "Loss",
    "MeanSquareError",
    "MetricsWriter",
    "Network",
    "Neuron",
    "NoiseCurrent",
    "Normal",
    "NormalInt",
    "OneCycle",
    "Optimiser",
    "PerNeuronMeanSquareError",
    "PoissonDrive",
    "PoissonInput",
    "Population",
    "Readout",
    "Reference",
    "RelativeMeanSquareError",
    "RewiringRule",
    "RigL",
    "Simulation",
    "SimulationCompiler",
    "Sparse",
    "SparseCategoricalCrossentropy",
    "SpikeInput",
    "SpikeRecorder",
    "SpikeSource",
    "Spikes",
    "StepCurrent",
    "Surrogate",
    "SurrogateCompiler",
    "Synapses",
    "Trace",
    "Triangle",
    "TriangleKernel",
    "Uniform",
    "UniformInt",
    "UserNeuron",
    "VarRecorder",
    "fold_batch_norm",
    "from_ml_genn",
    "register",
    "to_ml_genn",
]
