"""One sentence in the place of JAX where it is missing."""

from ..errors import BackendUnavailableError, install_extra


class JaxMissingError(BackendUnavailableError, ImportError):
    """JAX is not installed."""


try:
    import jax  # noqa: F401
except ImportError as error:
    raise JaxMissingError(f"genn_delays.jax needs JAX: {install_extra('jax')}") from error
