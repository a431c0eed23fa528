"""Where tensors live."""

import torch

from unigrpo.errors import ConfigError


def resolve_device(name: str, key: str = "model.device") -> torch.device:
    """Return the device of a name; `auto` takes cuda, then mps, then cpu.

    Args:
        key: the setting it comes from, for the message.

    Raises:
        ConfigError: it cannot be used.
    """
    if name == "auto":
        mps = "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device("cuda" if torch.cuda.is_available() else mps)
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{key} is {name!r}, which cannot be used ({reason}). Set auto.") from None
    return torch.device(name)
