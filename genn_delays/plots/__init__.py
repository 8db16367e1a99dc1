"""Pictures: numbers or the library's objects in, matplotlib axes in and out.

Every function draws into the axes `ax`, or into those of a new figure where none are given, and returns them;
``axes.figure.savefig("picture.pdf")`` writes them. Importing this package does not import matplotlib. A new figure is
pyplot's where ``matplotlib.pyplot`` was imported before, so that ``plt.show()`` and notebooks show it; otherwise it
belongs to nothing else and needs no screen.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart, and never say anything alone: line
styles, markers or the order of brightness say the same in a print without colours.
"""

from .confusion import confusion
from .connectivity import connectivity
from .histograms import fan_in, fan_out, histogram
from .learning_curve import learning_curve, rewirings
from .morans_i import morans_i
from .raster import image, raster
from .rates import neuron_distributions, population_rates
from .receptive_field import receptive_field
from .style import COLOURS
from .traces import traces

__all__ = [
    "COLOURS", "confusion", "connectivity", "fan_in", "fan_out", "histogram", "image", "learning_curve", "morans_i",
    "neuron_distributions", "population_rates", "raster", "receptive_field", "rewirings", "traces",
]  # fmt: skip
