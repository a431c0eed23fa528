"""Keys and values that a denoising step leaves for the next ones, of tokens that are then not computed again.

B sequences, T tokens, W tokens of the window, H heads of keys, K width of a head.

They go stale: in a bidirectional model every token's keys change with every token that is committed, so what is made
from them is an approximation, except for the first layer's.

Source: Fast-dLLM (arXiv:2505.22618), section 3.2.
"""

from torch import Tensor

ALL = slice(None)


class KeysValues:
    """The keys, after rotation, and values of all tokens at each layer, as they were last computed."""

    def __init__(self):
        self.window = ALL
        """The tokens that the next forward computes and whose keys and values it renews; all of them at first."""
        self.layers: list[tuple[Tensor, Tensor]] = []

    def renewed(self, layer: int, keys_BHWK: Tensor, values_BHWK: Tensor) -> tuple[Tensor, Tensor]:
        """Takes those of the window, and returns those of all tokens, [B, H, T, K]."""
        if self.window == ALL:
            self.layers[layer:] = [(keys_BHWK, values_BHWK)]
        else:
            for whole, part in zip(self.layers[layer], (keys_BHWK, values_BHWK), strict=True):
                whole[:, :, self.window] = part
        return self.layers[layer]

    def rows(self, index: Tensor) -> "KeysValues":
        """Those of some sequences, by number; of one sequence as often as it is named."""
        kept = KeysValues()
        kept.window, kept.layers = self.window, [(keys[index], values[index]) for keys, values in self.layers]
        return kept
