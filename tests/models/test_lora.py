import pytest
import torch
from safetensors.torch import load_file

from unigrpo.config import LoraSection, ModelSection
from unigrpo.errors import CheckpointError, ConfigError
from unigrpo.models import adapters_off, load_policy, save_policy
from unigrpo.models.lora import load_lora, lora_state, save_lora

RANK4 = LoraSection(rank=4, alpha=8.0)


def shake(model, scale=0.05):
    """Give the adapters an effect."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(scale * torch.randn(parameter.shape, generator=generator))


@pytest.fixture
def adapted(make_policy):
    policy = make_policy(lora=RANK4)
    shake(policy.model)
    return policy


def test_new_adapters_change_nothing(make_policy, tokens):
    assert torch.equal(make_policy(lora=RANK4).model(tokens).logits, make_policy().model(tokens).logits)


def test_adapters_off_is_the_base_and_they_come_back_even_after_an_error(make_policy, adapted, tokens):
    model = adapted.model
    with_adapters = model(tokens).logits
    with adapters_off(model):
        assert torch.equal(model(tokens).logits, make_policy().model(tokens).logits)
    with pytest.raises(KeyError), adapters_off(model):
        raise KeyError
    assert torch.equal(model(tokens).logits, with_adapters)
    assert all(p.requires_grad == (".lora_" in name) for name, p in model.named_parameters())


def test_only_adapters_train_and_they_cover_every_linear_layer_of_the_blocks(make_policy, tokens):
    model = make_policy(lora=RANK4).model
    shake(model)
    model(tokens).logits.log_softmax(-1)[..., 3].sum().backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.ne(0).any()}
    assert trained == set(lora_state(model))
    assert len(trained) == 4 * 7 * 2
    assert not any("transformer.ff_out" in name or "wte" in name for name in trained)


def test_a_saved_adapted_policy_is_a_plain_model_with_the_same_logits(adapted, tmp_path, tokens):
    save_policy(adapted, tmp_path)
    plain = load_policy(ModelSection(path=str(tmp_path), device="cpu"))
    assert not any("lora" in name for name in load_file(tmp_path / "model.safetensors"))
    torch.testing.assert_close(plain.model(tokens).logits, adapted.model(tokens).logits, atol=1e-5, rtol=0)


def test_saved_adapters_continue_where_they_were(make_policy, adapted, tmp_path, tokens):
    save_lora(adapted.model, tmp_path)
    fresh = make_policy(lora=RANK4)
    load_lora(fresh.model, tmp_path)
    assert torch.equal(fresh.model(tokens).logits, adapted.model(tokens).logits)


def test_adapters_of_another_rank_or_missing_ones_are_refused(make_policy, adapted, tmp_path):
    save_lora(adapted.model, tmp_path)
    with pytest.raises(CheckpointError, match=r"differ in name or shape.*model\.lora"):
        load_lora(make_policy(lora=LoraSection(rank=2)).model, tmp_path)
    with pytest.raises(CheckpointError, match="truncated or corrupt"):
        load_lora(adapted.model, tmp_path / "nowhere")


def test_adapters_of_a_bfloat16_model_are_float32(make_policy, tokens):
    model = make_policy(lora=RANK4, dtype="bfloat16").model
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}
    assert model(tokens).logits.isfinite().all()


def test_gradient_checkpointing_reaches_the_adapters(make_policy, tokens):
    gradients = []
    for checkpointing in (False, True):
        model = make_policy(lora=RANK4, gradient_checkpointing=checkpointing).model
        shake(model)
        model(tokens).logits.log_softmax(-1)[..., 3].sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.requires_grad])
    for plain, recomputed in zip(*gradients, strict=True):
        assert torch.equal(plain, recomputed)


def test_the_seed_alone_fixes_the_adapters(make_policy):
    torch.manual_seed(1)
    first = lora_state(make_policy(lora=RANK4, seed=4).model)
    torch.manual_seed(2)
    second = lora_state(make_policy(lora=RANK4, seed=4).model)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("targets", "message"),
    [(["query"], "matches no linear layer.*q_proj"), (["ff_out"], r"also matches the LM head.*blocks\.\*ff_out"),
     ([], "empty")],
)  # fmt: skip
def test_targets_that_hit_nothing_or_the_head_are_refused(make_policy, targets, message):
    with pytest.raises(ConfigError, match=message):
        make_policy(lora=LoraSection(rank=2, targets=targets))


def test_a_target_names_the_end_of_a_layer(make_policy):
    names = lora_state(make_policy(lora=LoraSection(rank=2, targets=["q_proj", "blocks.*ff_out"])).model)
    assert {name.split(".lora_")[0].split(".", 4)[-1] for name in names} == {"q_proj", "ff_out"}
