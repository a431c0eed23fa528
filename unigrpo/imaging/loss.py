"""What an image tokenizer learns from: pixels that come back, and latents that use all codes and keep to one.

B images, K bits of a code, h w codes, n = B x h x w latents.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from unigrpo.config import TokenizerLossSection
from unigrpo.models.magvit import Magvit

JOINT_BITS = 10
"""Bits whose codes are counted together; 2 ** 10 probabilities of each latent is what memory allows."""


def tokenizer_loss(network: Magvit, pixels_B3HW: Tensor, section: TokenizerLossSection, step: int) -> dict[str, Tensor]:
    """The weighted sum of optimiser step `step` (0-based) as `loss`, and its unweighted parts.

    The gradient passes the quantisation as if it were not there (straight through).

    Source: MAGVIT-v2 (arXiv:2310.05737), section 3.1, without its perceptual and adversarial terms.
    """
    latents_BKhw = network.encoder(pixels_B3HW)
    codes_BKhw = torch.where(latents_BKhw > 0, 1.0, -1.0)
    error_B3HW = network.decoder(latents_BKhw + (codes_BKhw - latents_BKhw).detach()) - pixels_B3HW
    token, codebook = entropies(latents_BKhw.movedim(1, -1).flatten(0, -2))
    parts = {
        "l1": error_B3HW.abs().mean(),
        "l2": error_B3HW.square().mean(),
        "commitment": functional.mse_loss(latents_BKhw, codes_BKhw),
        "entropy": token - codebook,
    }
    weights = {name: getattr(section, name) for name in parts} | {"entropy": entropy_weight(section, step)}
    return {"loss": torch.stack([weights[name] * part for name, part in parts.items()]).sum()} | parts


def entropy_weight(section: TokenizerLossSection, step: int) -> float:
    """Weight of the entropy at an optimiser step (0-based)."""
    done = min(1.0, step / section.entropy_steps)
    return section.entropy + done * (section.entropy_final - section.entropy)


def entropies(latents_nK: Tensor, joint_bits: int = JOINT_BITS) -> tuple[Tensor, Tensor]:
    """Mean entropy of the code of one latent, and entropy of the codes of all, in nats.

    Low and high is what is wanted. A latent z has the code c with probability softmax(-|z - c|^2), in which bits are
    independent: each is set with probability sigmoid(4 z). Of all latents together the bits are not independent;
    beyond `joint_bits` of them they are taken in groups, whose entropies add up to an upper bound.
    """
    logits_nK = 4 * latents_nK
    set_nK = torch.sigmoid(logits_nK)
    token = functional.binary_cross_entropy_with_logits(logits_nK, set_nK, reduction="none").sum(1).mean()
    groups = -(-latents_nK.shape[1] // joint_bits)
    used = [_joint(group.unbind(1)).mean(0) for group in set_nK.tensor_split(groups, dim=1)]
    # The slope of the entropy is infinite at 0, where a code that no latent is near underflows to.
    least = torch.finfo(torch.float32).tiny
    return token, torch.stack([torch.special.entr(share.clamp(min=least)).sum() for share in used]).sum()


def _joint(set_n: Sequence[Tensor]) -> Tensor:
    """Probability of each code of some independent bits, the first the highest, [n, 2 ** bits]."""
    joint = torch.ones_like(set_n[0])[:, None]
    for bit_n in set_n:
        chance_n2 = torch.stack([1 - bit_n, bit_n], dim=1)
        joint = (joint[:, :, None] * chance_n2[:, None, :]).flatten(1)
    return joint
