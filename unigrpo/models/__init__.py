"""LLaDA and MMaDA as native transformers classes, their tokenizers and ids, and how they are loaded and saved."""

from unigrpo.models.ids import IdTable, supports
from unigrpo.models.llada import LLaDAModelLM
from unigrpo.models.llada_config import LladaConfig
from unigrpo.models.load import Policy, load_model, load_policy, save_policy
from unigrpo.models.lora import adapters_off
from unigrpo.models.mmada import MMadaConfig, MMadaModelLM
from unigrpo.models.tokenizer import ids_of, train_tokenizer

__all__ = [
    "IdTable",
    "LLaDAModelLM",
    "LladaConfig",
    "MMadaConfig",
    "MMadaModelLM",
    "Policy",
    "adapters_off",
    "ids_of",
    "load_model",
    "load_policy",
    "save_policy",
    "supports",
    "train_tokenizer",
]
