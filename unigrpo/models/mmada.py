"""MMaDA: LLaDA whose vocabulary goes on with the codes of an image tokenizer.

Source: MMaDA (arXiv:2505.15809).
"""

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from unigrpo.models.llada import LLaDAModelLM
from unigrpo.models.llada_config import LladaConfig


@strict
class MMadaConfig(LladaConfig):
    """An MMaDA model: the fields of LLaDA, and the image codes.

    The published `num_vq_tokens` and `llm_vocab_size` are carried along. The first may be stale; the second is how many
    rows LLaDA had, which is not where the image codes start.
    """

    model_type = "mmada"

    vocab_size: int = 134656
    llm_vocab_size: int | None = None
    codebook_size: int = 8192


class MMadaModelLM(LLaDAModelLM):
    """A masked-diffusion model of text and image codes; as a network it is LLaDA's."""

    config: MMadaConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class = MMadaConfig


AutoConfig.register("mmada", MMadaConfig)
AutoModel.register(MMadaConfig, MMadaModelLM)
AutoModelForCausalLM.register(MMadaConfig, MMadaModelLM)
