import copy

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from unigrpo.errors import CheckpointError
from unigrpo.models import LladaConfig, LLaDAModelLM, MMadaConfig, MMadaModelLM
from unigrpo.models.llada import attention_mask
from unigrpo.types import Support

TINY = {"d_model": 32, "n_layers": 2, "n_heads": 4, "mlp_hidden_size": 48, "vocab_size": 50}


def tiny(**settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return LLaDAModelLM(LladaConfig(**{**TINY, "init_std": 0.2, **settings})).eval()


def test_logits_equal_the_official_codes_when_everything_is_visible(golden, vectors):
    logits = golden(vectors["forward.input_ids"]).logits
    torch.testing.assert_close(logits, vectors["forward.logits_all_visible"], atol=1e-4, rtol=0)


def test_logits_equal_the_official_codes_under_a_key_mask(golden, vectors):
    visible = vectors["forward.key_mask"]
    logits = golden(vectors["forward.input_ids"], visible).logits
    torch.testing.assert_close(logits[visible], vectors["forward.logits_key_masked"][visible], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("model_class", "config", "count"),
    [(MMadaModelLM, MMadaConfig(), 8_082_690_048), (LLaDAModelLM, LladaConfig(), 8_015_581_184)],
)
def test_full_size_has_the_published_number_of_parameters(model_class, config, count):
    config.mlp_hidden_size = 12288
    with torch.device("meta"):
        model = model_class(config)
    assert sum(p.numel() for p in model.parameters()) == count
    assert len(model.state_dict()) == 291


def llama_name(name):
    parts = {
        "wte": "embed_tokens", "ln_f": "norm", "attn_norm": "input_layernorm", "ff_norm": "post_attention_layernorm",
        "q_proj": "self_attn.q_proj", "k_proj": "self_attn.k_proj", "v_proj": "self_attn.v_proj",
        "attn_out": "self_attn.o_proj", "ff_proj": "mlp.gate_proj", "up_proj": "mlp.up_proj", "ff_out": "mlp.down_proj",
        "blocks": "layers",
    }  # fmt: skip
    if name == "model.transformer.ff_out.weight":
        return "lm_head.weight"
    return ".".join(parts.get(part, part) for part in name.split(".") if part != "transformer")


def test_llama_with_renamed_weights_and_full_attention_is_a_second_implementation():
    ours = tiny(n_kv_heads=2)
    config = LlamaConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=48,
        vocab_size=50, rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
    )  # fmt: skip
    config._attn_implementation = "sdpa"
    llama = LlamaForCausalLM(config).eval()
    state = {llama_name(name): tensor for name, tensor in ours.state_dict().items()}
    llama.load_state_dict(state)
    tokens = torch.arange(20).reshape(2, 10)
    everything = torch.zeros(2, 1, 10, 10)
    torch.testing.assert_close(ours(tokens).logits, llama(tokens, attention_mask=everything).logits, atol=1e-5, rtol=0)


def test_a_change_to_a_hidden_token_leaves_visible_logits_bit_unchanged(golden, vectors):
    tokens, visible = vectors["forward.input_ids"], vectors["forward.key_mask"]
    changed = torch.where(visible, tokens, (tokens + 17) % 300)
    assert not torch.equal(tokens, changed)
    assert torch.equal(golden(tokens, visible).logits[visible], golden(changed, visible).logits[visible])


@pytest.mark.parametrize("pads", [1, 5])
def test_left_pads_with_positions_that_skip_them_change_nothing(golden, vectors, pads):
    tokens = vectors["forward.input_ids"]
    padded = torch.cat((torch.full((3, pads), 1), tokens), 1)
    visible = torch.arange(padded.shape[1]).expand(3, -1) >= pads
    positions = (torch.arange(padded.shape[1]) - pads).clamp(min=0).expand(3, -1)
    logits = golden(padded, visible, positions).logits[:, pads:]
    torch.testing.assert_close(logits, golden(tokens).logits, atol=1e-4, rtol=0)


def test_every_token_sees_the_last_one(golden, vectors):
    tokens = vectors["forward.input_ids"].clone()
    before = golden(tokens).logits
    tokens[:, -1] = (tokens[:, -1] + 1) % 300
    assert ((golden(tokens).logits - before).abs().amax(-1) > 1e-6).all()


def test_a_row_without_visible_tokens_is_finite_and_leaves_the_others_alone(golden, vectors):
    tokens, visible = vectors["forward.input_ids"], vectors["forward.key_mask"].clone()
    visible[1] = False
    logits = golden(tokens, visible).logits
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[[0, 2]], golden(tokens[[0, 2]], visible[[0, 2]]).logits)


def test_a_mask_that_hides_nothing_is_no_mask():
    assert attention_mask(torch.ones(2, 3, dtype=torch.bool)) is None


@pytest.mark.parametrize("mask", [torch.ones(2, 3), torch.ones(2, 1, 3, dtype=torch.bool)])
def test_a_mask_that_is_not_a_boolean_key_mask_is_refused(mask):
    with pytest.raises(ValueError, match="must be bool"):
        attention_mask(mask)


def test_integer_attention_masks_mean_the_same_as_boolean_ones(golden, vectors):
    tokens, visible = vectors["forward.input_ids"], vectors["forward.key_mask"]
    assert torch.equal(golden(tokens, visible.long()).logits, golden(tokens, visible).logits)


@pytest.mark.parametrize(
    "support",
    [Support(start=0, stop=300, banned=(299, 7)), Support(start=5, stop=30, banned=(9,)), Support(start=300, stop=364)],
)
def test_head_logits_are_the_slice_of_all_logits_with_bans(golden, vectors, support):
    hidden = golden.hidden_states(vectors["forward.input_ids"])
    sliced, full = golden.head_logits(hidden, support), golden.head_logits(hidden)
    expected = full.clone()
    expected[..., list(support.banned)] = float("-inf")
    torch.testing.assert_close(sliced, expected[..., support.start : support.stop])
    assert sliced.dtype == torch.float32


def test_banned_ids_have_no_probability_and_pass_no_gradient():
    model = tiny()
    hidden = model.hidden_states(torch.arange(10)[None])
    logprobs = model.head_logits(hidden, Support(start=0, stop=40, banned=(3,))).log_softmax(-1)
    logprobs[..., 5].sum().backward()
    gradient = model.get_output_embeddings().weight.grad
    assert logprobs.exp()[..., 3].eq(0).all()
    assert gradient.isfinite().all()
    assert gradient[3].eq(0).all()
    assert gradient[40:].eq(0).all()
    assert gradient[5].ne(0).any()


@pytest.mark.parametrize("training", [True, False])
def test_gradient_checkpointing_gives_the_same_gradients_and_keeps_fewer_activations(training):
    tokens, visible = torch.arange(20).reshape(2, 10), torch.arange(10).expand(2, -1) > 1
    gradients, kept = [], []
    for checkpointing in (False, True):
        model = tiny().train(training)
        if checkpointing:
            model.gradient_checkpointing_enable()
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, saved=saved: saved.append(t.numel()) or t, lambda t: t):
            loss = model(tokens, visible).logits[visible].log_softmax(-1)[:, 0].sum()
        loss.backward()
        gradients.append([p.grad for p in model.parameters()])
        kept.append(sum(saved))
    assert kept[1] < kept[0] / 2
    for plain, recomputed in zip(*gradients, strict=True):
        assert torch.equal(plain, recomputed)


def test_bfloat16_weights_do_not_round_far_positions(golden, vectors):
    tokens = vectors["forward.input_ids"]
    far = torch.arange(24).expand(3, -1) + 400
    reference = golden(tokens).logits
    half = copy.deepcopy(golden).to(torch.bfloat16)
    errors = [(half(tokens, position_ids=p).logits - reference).abs().mean() for p in (None, far)]
    assert errors[1] < 1.5 * errors[0]


def test_normal_initialisation_has_the_configured_deviation():
    model = LLaDAModelLM(LladaConfig(**{**TINY, "d_model": 256, "vocab_size": 1000, "init_std": 0.02}))
    for tensor in (model.get_input_embeddings().weight, model.transformer.blocks[0].q_proj.weight):
        assert tensor.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.transformer.ln_f.weight.eq(1).all()


def test_resized_embeddings_keep_old_rows_and_the_sliced_head():
    model = tiny()
    before = model(torch.arange(10)[None]).logits
    model.resize_token_embeddings(60)
    logits = model(torch.arange(10)[None]).logits
    torch.testing.assert_close(logits[..., :50], before)
    assert model.head_logits(model.hidden_states(torch.arange(10)[None]), Support(start=50, stop=60)).shape[-1] == 10


@pytest.mark.parametrize(
    ("setting", "value"),
    [("alibi", True), ("layer_norm_type", "low_precision"), ("block_type", "sequential"), ("include_bias", True),
     ("include_qkv_bias", True), ("weight_tying", True), ("tie_word_embeddings", True), ("rope", False),
     ("activation_type", "gelu"), ("attention_layer_norm", True), ("attention_dropout", 0.1), ("clip_qkv", 8.0),
     ("rope_scaling", {"type": "linear", "factor": 2.0}), ("n_kv_heads", 3), ("d_model", 30), ("embedding_size", 10)],
)  # fmt: skip
def test_a_setting_we_do_not_implement_is_refused_by_name(setting, value):
    with pytest.raises(CheckpointError, match=setting):
        LladaConfig(**{**TINY, setting: value})


def test_multi_query_attention_has_one_key_head():
    assert tiny(multi_query_attention=True).transformer.blocks[0].k_proj.weight.shape == (8, 32)


def test_transformers_finds_the_classes_by_model_type(golden):
    assert type(AutoModelForCausalLM.from_config(golden.config)) is MMadaModelLM
