"""Weights of bfloat16, and optimisers whose state is elsewhere."""

import pytest
import torch
from torch import nn

from tests.tiny import IDS, tiny_model
from unigrpo.config import OptimSection
from unigrpo.engine import Engine
from unigrpo.models.load import Policy
from unigrpo.models.tokenizer import train_tokenizer
from unigrpo.rounding import RoundedAdamW, round_by_chance
from unigrpo.state import Snapshot, restore_state
from unigrpo.types import Metrics

KINDS = {
    "copied": OptimSection(lr=1e-2, weight_decay=0.1),
    "rounded": OptimSection(lr=1e-2, weight_decay=0.1, bfloat16="rounded"),
    "offload": OptimSection(lr=1e-2, weight_decay=0.1, offload=True),
}


def pull(module, toward):
    """The gradient of a loss whose minimum is known."""

    def backward() -> Metrics:
        loss = sum((weight.float() - toward).square().sum() for weight in module.parameters())
        loss.backward()
        return {"loss": float(loss.detach())}

    return backward


def small(values, dtype=torch.bfloat16) -> nn.Linear:
    layer = nn.Linear(len(values), 1, bias=False, dtype=dtype)
    layer.weight.data.copy_(torch.tensor([values]))
    return layer


def test_rounding_by_chance_keeps_the_mean_and_takes_only_neighbours():
    value = torch.full((200_000,), 1.0 + 2**-9)  # a quarter of the way from 1 to the next bfloat16
    rounded = round_by_chance(value, torch.Generator().manual_seed(0))
    assert set(rounded.tolist()) == {1.0, 1.0078125}
    assert float(rounded.float().mean()) == pytest.approx(1 + 2**-9, abs=5e-5)
    exact = torch.tensor([0.0, 1.0, -2.5, 3e38]).bfloat16().float()
    assert torch.equal(round_by_chance(exact, torch.Generator().manual_seed(1)).float(), exact)


def test_rounded_adamw_is_adamw_where_nothing_is_rounded():
    ours, theirs = small([0.3, -0.2], torch.float32), small([0.3, -0.2], torch.float32)
    settings = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}
    one, other = RoundedAdamW(ours.parameters(), **settings), torch.optim.AdamW(theirs.parameters(), **settings)
    for step in range(5):
        for layer, optimizer in ((ours, one), (theirs, other)):
            layer.weight.grad = torch.tensor([[step - 1.0, 0.5]])
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


@pytest.mark.parametrize(("kind", "end"), [("copied", 0.02 - 200 * 1e-6), ("rounded", 0.02 - 200 * 1e-6)])
def test_updates_below_half_a_unit_of_bfloat16_add_up(kind, end):
    """Adam moves each weight by the rate; 1e-6 is a hundredth of what separates bfloat16 numbers at 0.02."""
    layer = small([0.02] * 4096)
    engine = Engine(layer, OptimSection(lr=1e-6, bfloat16=kind, max_grad_norm=0), 200)
    start = float(layer.weight.detach().float().mean())
    for _ in range(200):
        engine.step(pull(layer, -1.0))
    found = engine.updated["weight"] if kind == "copied" else layer.weight
    assert float(found.float().mean().detach()) == pytest.approx(start + end - 0.02, abs=1.5e-5)


def test_without_either_they_would_be_lost():
    layer = small([0.02] * 8)
    plain = torch.optim.AdamW(layer.parameters(), lr=1e-6, weight_decay=0.0)
    for _ in range(200):
        layer.weight.grad = torch.ones_like(layer.weight)
        plain.step()
    assert torch.equal(layer.weight, small([0.02] * 8).weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_goes_on_bit_for_bit(kind, dtype, tmp_path):
    def policy():
        return Policy(tiny_model().to(dtype), train_tokenizer([], 268), IDS)

    whole, first, second = policy(), policy(), policy()
    engines = [Engine(one.model, KINDS[kind], 6) for one in (whole, first, second)]
    for _ in range(6):
        engines[0].step(pull(whole.model, 0.5))
    for _ in range(3):
        engines[1].step(pull(first.model, 0.5))
    Snapshot.of(first, engines[1]).write(tmp_path)
    restore_state(second, engines[2], tmp_path)
    for _ in range(3):
        engines[2].step(pull(second.model, 0.5))
    for one, other in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_optimiser_in_host_memory_moves_weights_as_one_beside_them_does():
    here, there = tiny_model(), tiny_model()
    for model, kind in ((here, "copied"), (there, "offload")):
        engine = Engine(model, KINDS[kind], 4)
        for _ in range(4):
            engine.step(pull(model, 0.5))
    for one, other in zip(here.parameters(), there.parameters(), strict=True):
        assert torch.equal(one, other)
