import math
from itertools import product

import pytest
import torch

from tests.images import tiny_images
from unigrpo.config import TokenizerLossSection
from unigrpo.imaging.loss import entropies, entropy_weight, tokenizer_loss


@pytest.fixture
def latents():
    return torch.randn(20, 5, generator=torch.Generator().manual_seed(0)) * 0.4


def by_enumeration(latents_nK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The two entropies from the distances to every code, one by one."""
    codes_CK = torch.tensor(list(product([-1.0, 1.0], repeat=latents_nK.shape[1])))
    chance_nC = torch.softmax(-torch.cdist(latents_nK, codes_CK).square(), dim=1)
    token = -(chance_nC * chance_nC.log()).sum(1).mean()
    mean_C = chance_nC.mean(0)
    return token, -(mean_C * mean_C.log()).sum()


def test_entropies_are_those_of_an_enumeration_of_all_codes(latents):
    torch.testing.assert_close(entropies(latents), by_enumeration(latents))


def test_bits_in_groups_give_an_upper_bound_of_the_entropy_of_the_codebook(latents):
    token, joint = entropies(latents)
    same, grouped = entropies(latents, joint_bits=3)
    parts = [by_enumeration(latents[:, :3])[1], by_enumeration(latents[:, 3:])[1]]
    torch.testing.assert_close(grouped, torch.stack(parts).sum())
    assert token == same
    assert joint < grouped


def test_sure_latents_that_use_every_code_are_the_least_that_entropy_allows():
    every = torch.tensor(list(product([-9.0, 9.0], repeat=4)))
    token, codebook = entropies(every)
    assert float(token) == pytest.approx(0, abs=1e-6)
    assert float(codebook) == pytest.approx(4 * math.log(2))


def test_entropies_of_latents_far_out_stay_finite():
    latents = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    token, codebook = entropies(latents)
    (token - codebook).backward()
    assert (token.item(), codebook.item()) == (0, pytest.approx(math.log(2)))
    assert torch.isfinite(latents.grad).all()


@pytest.fixture
def network():
    return tiny_images().network.requires_grad_(True)


@pytest.fixture
def pixels():
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_loss_is_the_weighted_sum_of_what_the_network_makes_of_pictures(network, pixels):
    section = TokenizerLossSection(l1=0.5, l2=2.0, commitment=0.25, entropy=0.3, entropy_final=0.1, entropy_steps=9)
    found = tokenizer_loss(network, pixels, section, 99)
    with torch.no_grad():
        latents = network.encoder(pixels)
        error = network.decode(network.encode(pixels), (2, 2)) - pixels
        token, codebook = by_enumeration(latents.permute(0, 2, 3, 1).reshape(-1, 4))
    torch.testing.assert_close(found["l1"].detach(), error.abs().mean())
    torch.testing.assert_close(found["l2"].detach(), error.square().mean())
    torch.testing.assert_close(found["commitment"].detach(), (latents.abs() - 1).square().mean())
    torch.testing.assert_close(found["entropy"].detach(), token - codebook)
    parts = 0.5 * found["l1"] + 2.0 * found["l2"] + 0.25 * found["commitment"] + 0.1 * found["entropy"]
    torch.testing.assert_close(found["loss"], parts)


def test_the_error_of_the_pixels_reaches_the_encoder_as_if_nothing_were_quantised(network, pixels):
    """The gradient at the latents is the one at the vectors that the decoder is given."""
    vectors = network.quantize.vectors(network.encode(pixels)).transpose(1, 2).unflatten(2, (2, 2)).requires_grad_()
    (network.decoder(vectors) - pixels).square().mean().backward()
    latents = network.encoder(pixels)
    expected = torch.autograd.grad(latents, network.encoder.quant_conv.weight, vectors.grad)[0]
    section = TokenizerLossSection(l1=0, commitment=0, entropy=0)
    loss = tokenizer_loss(network, pixels, section, 0)["loss"]
    found = torch.autograd.grad(loss, network.encoder.quant_conv.weight)[0]
    assert expected.abs().max() > 1e-4
    torch.testing.assert_close(found, expected)


def test_the_weight_of_the_entropy_falls_in_a_line_and_stays():
    section = TokenizerLossSection(entropy=0.5, entropy_final=0.1, entropy_steps=4)
    assert [entropy_weight(section, step) for step in (0, 1, 2, 4, 9)] == pytest.approx([0.5, 0.4, 0.3, 0.1, 0.1])
