"""mlGeNN, for tests that need it: a module of tests that imports this is skipped where mlGeNN is not there."""

from __future__ import annotations

import pytest

from genn_delays import GeNN
from genn_delays.backends.genn import packages
from genn_delays.errors import BackendUnavailableError

try:
    packages.load("ml_genn")
except BackendUnavailableError as error:
    pytest.skip(str(error), allow_module_level=True)

import ml_genn
from ml_genn import connectivity, initializers, neurons, synapses

TRAINER = GeNN(trainer="ml_genn")

__all__ = ["TRAINER", "connectivity", "initializers", "ml_genn", "neurons", "synapses"]
