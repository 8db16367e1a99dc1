"""One sentence in the place of PyTorch where it is missing."""

from ..errors import BackendUnavailableError, install_extra


class TorchMissingError(BackendUnavailableError, ImportError):
    """PyTorch is not installed."""


try:
    import torch  # noqa: F401
except ImportError as error:
    raise TorchMissingError(f"genn_delays.torch needs PyTorch: {install_extra('torch')}") from error
