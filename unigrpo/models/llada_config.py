"""The configuration of LLaDA, with the field names of the published config.json."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from unigrpo.errors import CheckpointError

IMPLEMENTED: dict[str, tuple[Any, ...]] = {
    "block_type": ("llama",),
    "activation_type": ("silu",),
    "layer_norm_type": ("rms",),
    "layer_norm_with_affine": (True,),
    "attention_layer_norm": (False,),
    "include_bias": (False,),
    "include_qkv_bias": (False,),
    "bias_for_layer_norm": (False,),
    "weight_tying": (False,),
    "tie_word_embeddings": (False,),
    "rope": (True,),
    "rope_full_precision": (True,),
    "rope_scaling": (),
    "clip_qkv": (),
    "alibi": (False,),
    "input_emb_norm": (False,),
    "scale_logits": (False,),
    "block_group_size": (1,),
    "attention_dropout": (0,),
    "embedding_dropout": (0,),
    "residual_dropout": (0,),
    "w_clip_vit": (False,),
}
"""Settings of the published format that change the network, and what we implement; null stands for that."""

REQUIRED = ("d_model", "n_layers", "n_heads", "vocab_size", "rope_theta", "rms_norm_eps")
"""What a config.json must say: a default for one of these would change the network without an error from the shapes."""


@strict
class LladaConfig(PreTrainedConfig):
    """A LLaDA model: a Llama block used in both directions, predicting the token at its own position."""

    model_type = "llada"
    attribute_map = {  # noqa: RUF012, transformers reads it as a plain class attribute
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "num_key_value_heads": "n_kv_heads",
        "intermediate_size": "mlp_hidden_size",
        "max_position_embeddings": "max_sequence_length",
        "initializer_range": "init_std",
    }

    d_model: int = 4096
    n_layers: int = 32
    n_heads: int = 32
    n_kv_heads: int | None = None
    multi_query_attention: bool | None = None
    mlp_hidden_size: int | None = None
    mlp_ratio: int | float = 4
    rope_theta: int | float = 500000.0
    rms_norm_eps: int | float = 1e-5
    max_sequence_length: int = 4096
    vocab_size: int = 126464
    embedding_size: int | None = None
    """Rows of the embedding and of the head, at least `vocab_size`."""
    init_std: int | float = 0.02
    tie_word_embeddings: bool = False
    mask_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    ids: dict[str, int] | None = None
    """Our own key: the special ids, see `unigrpo.models.ids`."""

    def __post_init__(self, **kwargs: Any):
        kwargs.pop("auto_map", None)  # names remote code, which we neither run nor pass on
        refuse_unimplemented({"tie_word_embeddings": self.tie_word_embeddings, **kwargs})
        check_sizes(self)
        super().__post_init__(**kwargs)

    @property
    def kv_heads(self) -> int:
        """Heads of the keys and values."""
        return self.n_kv_heads or (1 if self.multi_query_attention else self.n_heads)

    @property
    def inner_width(self) -> int:
        """Width of the feed-forward layer."""
        return self.mlp_hidden_size or int(self.mlp_ratio * self.d_model)

    @property
    def rows(self) -> int:
        """Rows of the embedding and of the head."""
        return self.embedding_size or self.vocab_size


def refuse_unimplemented(settings: dict[str, Any]) -> None:
    """Raise a CheckpointError for a setting that would make another network than ours."""
    for name, implemented in IMPLEMENTED.items():
        value = settings.get(name)
        if value is not None and value not in implemented:
            known = " or ".join(map(repr, implemented)) or "null"
            raise CheckpointError(f"{name} is {value!r}, but only {known} is implemented.")


def check_sizes(config: LladaConfig) -> None:
    """Raise a CheckpointError for sizes that do not fit each other."""
    if config.d_model % (2 * config.n_heads):
        raise CheckpointError(f"d_model {config.d_model} does not give each of {config.n_heads} heads an even width.")
    if config.n_heads % config.kv_heads:
        raise CheckpointError(f"n_heads {config.n_heads} is not a multiple of n_kv_heads {config.kv_heads}.")
    if config.rows < config.vocab_size:
        raise CheckpointError(f"embedding_size {config.rows} is less than vocab_size {config.vocab_size}.")
