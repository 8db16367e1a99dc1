"""What ``genn_delays`` offers; the package itself is a door to it, so that the command line begins at once."""

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
from .delays import ConstantInt, GaussianKernel, NormalInt, TriangleKernel, UniformInt
from .errors import GennDelaysError
from .initializers import Constant, KaimingUniform, Normal, Uniform
from .learning import (
    SGD,
    Adam,
    AdamW,
    ArcTan,
    CosineAnnealing,
    ExponentialDecay,
    MeanSquareError,
    OneCycle,
    PerNeuronMeanSquareError,
    RelativeMeanSquareError,
    SparseCategoricalCrossentropy,
    Triangle,
)
from .network import Connection, Network, Population
from .neurons import (
    AdaptiveLeakyIntegrateFire,
    BatchNorm,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    SpikeInput,
    UserNeuron,
)
from .rewiring import SET, DeepR, RigL
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
    "DeepR",
    "Delta",
    "Dense",
    "EarlyStopping",
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
    "Input",
    "KaimingUniform",
    "LeakyIntegrate",
    "LeakyIntegrateFire",
    "MeanSquareError",
    "MetricsWriter",
    "Network",
    "Normal",
    "NormalInt",
    "OneCycle",
    "PerNeuronMeanSquareError",
    "Population",
    "Reference",
    "RelativeMeanSquareError",
    "RigL",
    "Sparse",
    "SparseCategoricalCrossentropy",
    "SpikeInput",
    "SpikeRecorder",
    "SurrogateCompiler",
    "Synapses",
    "Triangle",
    "TriangleKernel",
    "Uniform",
    "UniformInt",
    "UserNeuron",
    "VarRecorder",
    "fold_batch_norm",
    "from_ml_genn",
    "to_ml_genn",
]
