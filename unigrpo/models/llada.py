"""LLaDA: a Llama block used in both directions, with the tensor names of the published checkpoints.

B sequences, T tokens, W tokens of a window, S tokens that are asked for, V vocabulary, D model width, H heads, K width
of a head, M width of the feed-forward layer.

Source: Large Language Diffusion Models (arXiv:2502.09992).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput
from transformers.models.llama.modeling_llama import LlamaRMSNorm, rotate_half

from unigrpo.algo.likelihood import UseOfHead
from unigrpo.models.embedding import TokenEmbedding
from unigrpo.models.keys_values import KeysValues
from unigrpo.models.llada_config import LladaConfig
from unigrpo.types import Support

Rope = tuple[Tensor, Tensor]
"""Cosine and sine of each position's angles, [B or 1, T, K] float32."""
Asked = slice | Tensor
"""Some tokens of each sequence: a part, or their numbers [B, S]."""
ALL = slice(None)


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

    def forward(
        self,
        x_BTD: Tensor,
        rope: Rope,
        visible_B11T: Tensor | None,
        asked: Asked = ALL,
        kept: KeysValues | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Return the next residual stream of the tokens asked for, [B, S, D]; see `LLaDAModelLM.hidden_states`."""
        attended_BSD = self.attend(self.attn_norm(x_BTD), rope, visible_B11T, asked, kept, layer)
        x_BSD = taken(x_BTD, asked) + attended_BSD
        normed_BSD = self.ff_norm(x_BSD)
        return x_BSD + self.ff_out(functional.silu(self.ff_proj(normed_BSD)) * self.up_proj(normed_BSD))

    def attend(
        self,
        x_BTD: Tensor,
        rope: Rope,
        visible_B11T: Tensor | None,
        asked: Asked = ALL,
        kept: KeysValues | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Return the attention output, [B, S, D]; the rotation is in float32 (`rope_full_precision`)."""
        q_BHSK, k_BHTK, v_BHTK = (
            projection(tokens).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
            for projection, tokens in ((self.q_proj, taken(x_BTD, asked)), (self.k_proj, x_BTD), (self.v_proj, x_BTD))
        )
        q_BHSK, k_BHTK = rotated(q_BHSK, rope, asked), rotated(k_BHTK, rope)
        if kept is not None:
            k_BHTK, v_BHTK = kept.renewed(layer, k_BHTK, v_BHTK)
        out_BHSK = functional.scaled_dot_product_attention(
            q_BHSK, k_BHTK, v_BHTK, visible_B11T, enable_gqa=self.grouped
        )
        return self.attn_out(out_BHSK.transpose(1, 2).flatten(2))


class LLaDAHead(nn.Linear):
    """The LM head, which can multiply a slice of its rows alone, or lend its weight.

    The weight is used in `forward`, where engines that shard parameters have gathered it.
    """

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, hidden_D: Tensor, start: int = 0, stop: int | None = None, use: UseOfHead | None = None
    ) -> Tensor:
        """Return the logits of the ids from start up to stop, [..., stop - start], or what `use` makes of the weight.

        Args:
            use: is given the whole weight [V, D] and the hidden states.
        """
        return use(self.weight, hidden_D) if use else functional.linear(hidden_D, self.weight[start:stop])


class LLaDATransformer(nn.Module):
    """The modules of the network, under their published names."""

    gradient_checkpointing = False
    _gradient_checkpointing_func: Callable[..., Tensor]  # set by transformers

    def __init__(self, config: LladaConfig):
        super().__init__()
        self.wte: nn.Embedding = TokenEmbedding(config.rows, config.d_model)
        self.blocks = nn.ModuleList(LLaDABlock(config) for _ in range(config.n_layers))
        self.ln_f = LlamaRMSNorm(config.d_model, eps=config.rms_norm_eps)
        self.ff_out = LLaDAHead(config.d_model, config.rows, bias=False)

    def forward(
        self,
        tokens_BT: Tensor,
        rope: Rope,
        visible_B11T: Tensor | None,
        asked: Asked = ALL,
        kept: KeysValues | None = None,
    ) -> Tensor:
        """Return the hidden states of the tokens asked for after the last norm, [B, S, D]."""
        x_BTD = self.wte(tokens_BT)
        # Not tied to train(): nothing else depends on the mode, and a forgotten train() would cost the memory saved.
        recompute = self.gradient_checkpointing and torch.is_grad_enabled()
        for layer, block in enumerate(self.blocks):
            # Of the last block nobody reads the other tokens; their keys and values it makes all the same.
            wanted = asked if layer == len(self.blocks) - 1 else ALL
            if recompute:
                x_BTD = self._gradient_checkpointing_func(block.__call__, x_BTD, rope, visible_B11T, wanted)
            else:
                x_BTD = block(x_BTD, rope, visible_B11T, wanted, kept, layer)
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
        self,
        input_ids_BT: Tensor,
        key_mask_BT: Tensor | None = None,
        position_ids_BT: Tensor | None = None,
        asked: Asked = ALL,
        kept: KeysValues | None = None,
    ) -> Tensor:
        """Return the hidden states after the last norm, [B, S, D], without logits.

        Args:
            input_ids_BT: [B, T] int64.
            key_mask_BT: [B, T] bool, True where a token is visible to all; None when all are. The hidden states of the
                other tokens are meaningless. Or what `attention_mask`, where a GPU waits, made of it.
            position_ids_BT: [B, T] int64; by default 0 to T - 1, pads counted.
            asked: the tokens whose states are returned, a slice or numbers [B, S]; others cost less in the last block.
            kept: keys and values from earlier calls. Only the tokens of its window are computed, with `asked` counted
                from its start; what they see of the others is what was kept. Without gradient.
        """
        if position_ids_BT is None:
            position_ids_BT = torch.arange(input_ids_BT.shape[1], device=input_ids_BT.device)[None]
        window = ALL if kept is None else kept.window
        rope = rope_tables(
            position_ids_BT[:, window], self.config.d_model // self.config.n_heads, self.config.rope_theta
        )
        return self.transformer(input_ids_BT[:, window], rope, attention_mask(key_mask_BT), asked, kept)

    def head_logits(self, hidden_D: Tensor, support: Support | None = None) -> Tensor:
        """Return float32 logits, [..., stop - start], -inf at the banned ids; other rows are not multiplied.

        Args:
            hidden_D: [..., D], from `hidden_states`.
            support: the ids to score; None for the whole vocabulary.
        """
        if support is None:
            return self.transformer.ff_out(hidden_D).float()
        return without_banned(self.transformer.ff_out(hidden_D, support.start, support.stop).float(), support)

    def in_head(self, hidden_D: Tensor, use: UseOfHead) -> Tensor:
        """Return what `use(weight_VD, hidden_D)` makes within one forward of the LM head.

        Engines that shard the head bring it together for that, as often on one rank as on the others.
        """
        return self.transformer.ff_out(hidden_D, use=use)

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

    What it has returned before it returns as it is.
    A row without any visible token sees all of them: nobody reads its output, and a softmax over nothing would be NaN.
    """
    if key_mask_BT is None or key_mask_BT.ndim == 4:
        return key_mask_BT
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


def taken(x_BTD: Tensor, asked: Asked) -> Tensor:
    """Return the rows of some tokens of each sequence, [B, S, D]; of all sequences alike where B is 1."""
    if isinstance(asked, slice):
        return x_BTD[:, asked]
    if len(x_BTD) == 1:
        return x_BTD[0, asked]
    return x_BTD[torch.arange(len(asked), device=asked.device)[:, None], asked]


def rotated(x_BHTK: Tensor, rope: Rope, asked: Asked = ALL) -> Tensor:
    """Return queries or keys turned by their positions' angles, in float32 and back."""
    cos_B1TK, sin_B1TK = (taken(table_BTK, asked)[:, None] for table_BTK in rope)
    wide_BHTK = x_BHTK.float()
    return (wide_BHTK * cos_B1TK + rotate_half(wide_BHTK) * sin_B1TK).to(x_BHTK.dtype)


AutoConfig.register("llada", LladaConfig)
AutoModel.register(LladaConfig, LLaDAModelLM)
AutoModelForCausalLM.register(LladaConfig, LLaDAModelLM)
