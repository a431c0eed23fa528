"""Small models made from scratch, for a laptop and for tests."""

from unigrpo.models.ids import IdTable
from unigrpo.models.llada import LLaDAModelLM
from unigrpo.models.llada_config import LladaConfig
from unigrpo.models.mmada import MMadaConfig, MMadaModelLM
from unigrpo.models.seeding import private_seed

PRESETS = {
    "tiny": {"d_model": 128, "n_layers": 4, "n_heads": 8, "mlp_hidden_size": 384, "rope_theta": 100.0},
    "small": {"d_model": 512, "n_layers": 8, "n_heads": 8, "mlp_hidden_size": 1536, "rope_theta": 10000.0},
}
"""Sizes by name: 0.85M and 27M parameters, and the embedding and the head beside them.

Their texts are short, so their rotary base is small: with the published 500000 most of a narrow head would hardly turn.
"""
INIT_STD = 0.05


def make_model(preset: str, ids: IdTable, seed: int) -> LLaDAModelLM:
    """Make a model with normally distributed weights: LLaDA for text, MMaDA when the ids have image codes."""
    rows = ids.text_vocab + ids.codebook_size
    fields = {
        **PRESETS[preset],
        "vocab_size": rows,
        "embedding_size": rows,
        "max_sequence_length": 2048,
        "init_std": INIT_STD,
        "mask_token_id": ids.mask,
        "eos_token_id": ids.eos,
        "pad_token_id": ids.pad,
        "bos_token_id": ids.bos,
        "ids": ids.as_dict(),
    }
    with private_seed(seed):
        if ids.codebook_size:
            return MMadaModelLM(MMadaConfig(**fields, codebook_size=ids.codebook_size)).eval()
        return LLaDAModelLM(LladaConfig(**fields)).eval()
