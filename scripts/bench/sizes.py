"""Models of the sizes that are measured, with random weights: what they say is noise, what they cost is not."""

import torch

from unigrpo.models.llada import LLaDAModelLM
from unigrpo.models.llada_config import LladaConfig
from unigrpo.models.seeding import private_seed

SIZES = {
    "tiny": {"d_model": 128, "n_layers": 4, "n_heads": 8, "mlp_hidden_size": 384, "vocab_size": 1000},
    "60M": {"d_model": 512, "n_layers": 8, "n_heads": 8, "mlp_hidden_size": 1536, "vocab_size": 32000},
    "8B": {"d_model": 4096, "n_layers": 32, "n_heads": 32, "mlp_hidden_size": 12288, "vocab_size": 134656},
}
"""`60M` has 27M parameters in its blocks; `8B` is MMaDA's."""


def make(size: str, device: str = "cpu", dtype: torch.dtype = torch.float32, **changes: int) -> LLaDAModelLM:
    """A model of a size, on a device; `changes` replace fields of its config."""
    fields = SIZES[size] | changes
    with private_seed(0), torch.device(device):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            return LLaDAModelLM(LladaConfig(**fields, rope_theta=10000.0, init_std=0.05)).eval()
        finally:
            torch.set_default_dtype(before)


def flops(model: LLaDAModelLM, tokens: int, seen: int, head_rows: int) -> float:
    """Operations of one forward: `tokens` are computed, each attends to `seen`, and `head_rows` have logits."""
    blocks = sum(weight.numel() for name, weight in model.named_parameters() if ".blocks." in name and weight.ndim == 2)
    config = model.config
    attention = 4 * config.n_layers * config.d_model * seen
    return tokens * (2 * blocks + attention) + head_rows * 2 * config.d_model * config.rows
