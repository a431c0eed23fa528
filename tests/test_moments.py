"""AdamW whose moments are bytes."""

import pytest
import torch
from torch import nn

from tests.tiny import IDS, tiny_model
from unigrpo import moments
from unigrpo.config import OptimSection
from unigrpo.engine import Engine
from unigrpo.models.load import Policy
from unigrpo.models.tokenizer import train_tokenizer
from unigrpo.moments import BLOCK, Int8AdamW, coded, decoded
from unigrpo.state import Snapshot, restore_state

SETTINGS = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8], ids=str)
def test_codes_are_within_a_step_and_right_on_average(dtype):
    values = torch.logspace(-6, 0, 600)
    values = values if dtype == torch.uint8 else values * torch.where(torch.arange(600) % 2 == 0, 1, -1)
    drawn = torch.stack([decoded(*coded(values, dtype, chance(seed))) for seed in range(400)])
    # At a level u of the fourth root, a step is 4 / u of the number.
    largest = torch.cat([block.abs().max().expand(len(block)) for block in values.split(BLOCK)])
    level = (values.abs() / largest) ** 0.25 * (255 if dtype == torch.uint8 else 127)
    clear = level > 4
    assert clear.sum() > 500
    assert ((drawn - values).abs() <= values.abs() * 9 / level)[:, clear].all()
    error = (drawn.mean(0) - values).abs() / values.abs()
    assert error[clear].mean() < 0.012


def test_nothing_is_coded_exactly_and_a_block_of_one_number_too():
    assert torch.equal(decoded(*coded(torch.zeros(300), torch.int8, chance())), torch.zeros(300))
    single = torch.tensor([-3.0])
    assert torch.equal(decoded(*coded(single, torch.int8, chance())), single)


def test_no_second_moment_becomes_0_by_which_adamw_would_divide():
    values = torch.cat([torch.tensor([1.0]), torch.full((BLOCK - 1,), 1e-20)])
    codes, _ = coded(values, torch.uint8, chance())
    assert (codes > 0).all()


@pytest.mark.parametrize("chunk", [moments.CHUNK, BLOCK])
def test_a_noisy_descent_ends_where_that_of_float32_moments_does(monkeypatch, chunk):
    monkeypatch.setattr(moments, "CHUNK", chunk)
    sizes = torch.logspace(-3, 0, 3 * BLOCK + 10)  # gradients of very different sizes in one block
    ends = []
    for kind in (torch.optim.AdamW, Int8AdamW):
        weight, noise = nn.Parameter(torch.ones_like(sizes)), chance(1)
        optimizer = kind([weight], **SETTINGS)
        for _ in range(300):
            weight.grad = (weight.detach() - 0.5) * sizes + 0.1 * sizes * torch.randn(sizes.shape, generator=noise)
            optimizer.step()
        ends.append(weight.detach())
    exact, ours = ends
    assert (exact - 0.5).abs().mean() < 0.05
    assert (ours - exact).abs().mean() < 0.02


def test_the_first_step_is_that_of_float32_moments():
    weights = [nn.Parameter(torch.linspace(-1, 1, 50).view(5, 10)) for _ in range(2)]
    for kind, weight in zip((torch.optim.AdamW, Int8AdamW), weights, strict=True):
        weight.grad = torch.arange(50.0).view(5, 10) - 20
        kind([weight], **SETTINGS).step()
    torch.testing.assert_close(*weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("more", [{}, {"bfloat16": "rounded"}, {"offload": True}], ids=str)
def test_what_was_saved_goes_on_bit_for_bit_and_takes_a_quarter(dtype, more, tmp_path):
    optim = OptimSection(lr=1e-2, weight_decay=0.1, states="int8", **more)

    def made():
        policy = Policy(tiny_model().to(dtype), train_tokenizer([], 268), IDS)
        return policy, Engine(policy.model, optim, 6)

    def steps(engine, count):
        for _ in range(count):
            engine.step(lambda: pull(engine.module))

    (whole, one), (first, other), (second, third) = made(), made(), made()
    steps(one, 6)
    steps(other, 3)
    Snapshot.of(first, other).write(tmp_path)
    restore_state(second, third, tmp_path)
    steps(third, 3)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True))
    state = one.state()
    kept = sum(state[name].nbytes for name in state if "exp_avg" in name)
    assert kept < 2.2 * sum(weight.numel() for weight in whole.model.parameters())


def pull(module):
    """The gradient of a loss whose minimum is known."""
    loss = sum((weight.float() - 0.5).square().sum() for weight in module.parameters())
    loss.backward()
    return {"loss": float(loss.detach())}
