"""LLaDA: a Llama block used in both directions, with the tensor names of the published checkpoints.

B sequences, T tokens, V vocabulary, D model width, H heads, K width of a head, M width of the feed-forward layer.

Source: Large Language Diffusion Models (arXiv:2502.09992).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput
from transformers.models.llama.modeling_llama import LlamaRMSNorm, apply_rotary_pos_emb

from unigrpo.models.llada_config import LladaConfig
from unigrpo.types import Support

UseOfHead = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]
Rope = tuple[Tensor, Tensor]
"""Cosine and sine of each position's angles, [B or 1, T, K] float32."""


class LLaDABlock(nn.Module):
    """Attention of every token to every visible token, then a gated feed-forward layer, each after a norm."""

    def __init__(self, config: LladaConfig):
        super().__init__()
        width, inner = config.d_model, config.inner_width
        self.head_width = width // config.n_heads
        kv_width = self.head_width * config.kv_heads
        self.grouped = config.kv_heads != config.n_heads
        self.attn_norm = LlamaRMSNorm(width, eps=config.rms_norm_eps)
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, kv_width, bias=False)
        self.v_proj = nn.Linear(width, kv_width, bias=False)
        self.attn_out = nn.Linear(width, width, bias=False)
        self.ff_norm = LlamaRMSNorm(width, eps=config.rms_norm_eps)
        self.ff_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.ff_out = nn.Linear(inner, width, bias=False)

    def forward(self, x_BTD: Tensor, rope: Rope, visible_B11T: Tensor | None) -> Tensor:
        """Return the next residual stream, [B, T, D]."""
        x_BTD = x_BTD + self.attend(self.attn_norm(x_BTD), rope, visible_B11T)
        normed_BTD = self.ff_norm(x_BTD)
        return x_BTD + self.ff_out(functional.silu(self.ff_proj(normed_BTD)) * self.up_proj(normed_BTD))

    def attend(self, x_BTD: Tensor, rope: Rope, visible_B11T: Tensor | None) -> Tensor:
        """Return the attention output, [B, T, D]; the rotation is in float32 (`rope_full_precision`)."""
        q_BHTK, k_BHTK, v_BHTK = (
            projection(x_BTD).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        q_rotated, k_rotated = apply_rotary_pos_emb(q_BHTK.float(), k_BHTK.float(), *rope)
        out_BHTK = functional.scaled_dot_product_attention(
            q_rotated.to(v_BHTK.dtype), k_rotated.to(v_BHTK.dtype), v_BHTK, visible_B11T, enable_gqa=self.grouped
        )
        return self.attn_out(out_BHTK.transpose(1, 2).flatten(2))


class LLaDAHead(nn.Linear):
    """The LM head, which can multiply a slice of its rows alone.

    The slice is taken in `forward`, where engines that shard parameters have gathered them.
    """

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, hidden_D: Tensor, start: int = 0, stop: int | None = None, use: UseOfHead | None = None
    ) -> Tensor:
        """Return the logits of the ids from start up to stop, [..., stop - start], or what `use` makes of them.

        Args:
            use: is given what makes logits of hidden states, and the hidden states.
        """

        def logits(part_D: Tensor) -> Tensor:
            return functional.linear(part_D, self.weight[start:stop])

        return logits(hidden_D) if use is None else use(logits, hidden_D)


class LLaDATransformer(nn.Module):
    """The modules of the network, under their published names."""

    gradient_checkpointing = False
    _gradient_checkpointing_func: Callable[..., Tensor]  # set by transformers

    def __init__(self, config: LladaConfig):
        super().__init__()
        self.wte = nn.Embedding(config.rows, config.d_model)
        self.blocks = nn.ModuleList(LLaDABlock(config) for _ in range(config.n_layers))
        self.ln_f = LlamaRMSNorm(config.d_model, eps=config.rms_norm_eps)
        self.ff_out = LLaDAHead(config.d_model, config.rows, bias=False)

    def forward(self, tokens_BT: Tensor, rope: Rope, visible_B11T: Tensor | None) -> Tensor:
        """Return the hidden states after the last norm, [B, T, D]."""
        x_BTD = self.wte(tokens_BT)
        # Not tied to train(): nothing else depends on the mode, and a forgotten train() would cost the memory saved.
        recompute = self.gradient_checkpointing and torch.is_grad_enabled()
        for block in self.blocks:
            if recompute:
                x_BTD = self._gradient_checkpointing_func(block.__call__, x_BTD, rope, visible_B11T)
            else:
                x_BTD = block(x_BTD, rope, visible_B11T)
        return self.ln_f(x_BTD)


class LLaDAModelLM(PreTrainedModel):
    """A masked-diffusion language model. Without a key mask every token sees every token; there is no causal mask."""

    config: LladaConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class = LladaConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["LLaDABlock"]  # noqa: RUF012, transformers reads it as a plain class attribute
    _supports_sdpa = True

    def __init__(self, config: LladaConfig):
        super().__init__(config)
        self.model = nn.Module()
        self.model.transformer = LLaDATransformer(config)
        self.post_init()

    @property
    def transformer(self) -> LLaDATransformer:
        """The network itself; `model.transformer` in the names of the tensors."""
        return self.model.transformer  # pyright: ignore[reportReturnType]

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embedding."""
        return self.transformer.wte

    def set_input_embeddings(self, value: nn.Embedding) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Replace the token embedding."""
        self.transformer.wte = value

    def get_output_embeddings(self) -> nn.Linear:
        """Return the LM head."""
        return self.transformer.ff_out

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the weights of the LM head."""
        self.transformer.ff_out.weight = new_embeddings.weight

    def hidden_states(
        self, input_ids_BT: Tensor, key_mask_BT: Tensor | None = None, position_ids_BT: Tensor | None = None
    ) -> Tensor:
        """Return the hidden states after the last norm, [B, T, D], without logits.

        Args:
            input_ids_BT: [B, T] int64.
            key_mask_BT: [B, T] bool, True where a token is visible to all; None when all are. The hidden states of the
                other tokens are meaningless.
            position_ids_BT: [B, T] int64; by default 0 to T - 1, pads counted.
        """
        if position_ids_BT is None:
            position_ids_BT = torch.arange(input_ids_BT.shape[1], device=input_ids_BT.device)[None]
        rope = rope_tables(position_ids_BT, self.config.d_model // self.config.n_heads, self.config.rope_theta)
        return self.transformer(input_ids_BT, rope, attention_mask(key_mask_BT))

    def head_logits(self, hidden_D: Tensor, support: Support | None = None) -> Tensor:
        """Return float32 logits, [..., stop - start], -inf at the banned ids; other rows are not multiplied.

        Args:
            hidden_D: [..., D], from `hidden_states`.
            support: the ids to score; None for the whole vocabulary.
        """
        if support is None:
            return self.transformer.ff_out(hidden_D).float()
        return without_banned(self.transformer.ff_out(hidden_D, support.start, support.stop).float(), support)

    def in_head(self, hidden_D: Tensor, support: Support, use: UseOfHead) -> Tensor:
        """Return what `use(logits_of, hidden_D)` makes within one forward of the LM head.

        However often `logits_of` is called, engines that shard the head bring it together once, and as often on one
        rank as on the others.
        """

        def inside(linear: Callable[[Tensor], Tensor], states_D: Tensor) -> Tensor:
            return use(lambda part_D: without_banned(linear(part_D).float(), support), states_D)

        return self.transformer.ff_out(hidden_D, support.start, support.stop, inside)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None
    ) -> MaskedLMOutput:
        """Return float32 logits over the whole vocabulary, [B, T, V]; logits of position t are for the token at t.

        Args:
            input_ids: [B, T] int64.
            attention_mask: [B, T], 1 or True where a token is visible to all.
            position_ids: [B, T] int64; by default 0 to T - 1.
        """
        key_mask_BT = None if attention_mask is None else attention_mask.bool()
        logits_BTV = self.head_logits(self.hidden_states(input_ids, key_mask_BT, position_ids))
        return MaskedLMOutput(logits=logits_BTV)  # pyright: ignore[reportArgumentType]


def without_banned(logits: Tensor, support: Support) -> Tensor:
    """Return the logits of a support with -inf at its banned ids."""
    if not support.banned:
        return logits
    columns = torch.tensor(support.banned, device=logits.device) - support.start
    return logits.index_fill(-1, columns, float("-inf"))


def attention_mask(key_mask_BT: Tensor | None) -> Tensor | None:
    """Return the key mask as attention takes it, [B, 1, 1, T] bool, or None when every token is visible.

    A row without any visible token sees all of them: nobody reads its output, and a softmax over nothing would be NaN.
    """
    if key_mask_BT is None:
        return None
    if key_mask_BT.dtype != torch.bool or key_mask_BT.ndim != 2:
        found = f"{key_mask_BT.dtype} of shape {tuple(key_mask_BT.shape)}"
        raise ValueError(f"key_mask_BT must be bool of shape [B, T], True where a token is visible, but is {found}.")
    if key_mask_BT.all():  # attention without a mask has faster kernels
        return None
    return (key_mask_BT | ~key_mask_BT.any(-1, keepdim=True))[:, None, None, :]


def rope_tables(positions_BT: Tensor, head_width: int, theta: float) -> Rope:
    """Return cosine and sine for rotary embeddings, each [B, T, K] float32.

    Made for each forward and not kept in a buffer, which casting the model to bfloat16 would round.

    Source: RoFormer (arXiv:2104.09864), equation 34.
    """
    exponents = torch.arange(0, head_width, 2, dtype=torch.float32, device=positions_BT.device) / head_width
    angles = positions_BT[..., None].float() * (1.0 / theta**exponents)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


AutoConfig.register("llada", LladaConfig)
AutoModel.register(LladaConfig, LLaDAModelLM)
AutoModelForCausalLM.register(LladaConfig, LLaDAModelLM)
