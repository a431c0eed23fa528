"""Real models, small enough to enumerate."""

import numpy as np
import torch

from unigrpo.batch import Batch, make_batches
from unigrpo.config import AlgoSection
from unigrpo.models import IdTable, LladaConfig, LLaDAModelLM
from unigrpo.models.seeding import private_seed
from unigrpo.types import Prompt, Rollout, Sampling, Scored, Support

IDS = IdTable(mask=9, eos=8, pad=8, bos=7, text_vocab=10)
IMAGE_IDS = IdTable(
    mask=9, eos=8, pad=8, bos=7, soi=10, eoi=11, t2i=12, mmu=13, r2i=14, ipad=15, text_vocab=16, image_offset=16,
    codebook_size=8,
)  # fmt: skip
"""Ids of a model that reads and draws images of four codes."""
SUPPORT = Support(start=0, stop=10, banned=(9,))


def tiny_model(vocab: int = 10, seed: int = 0, spread: float = 0.2, **fields) -> LLaDAModelLM:
    """A random model whose predictions differ clearly from uniform."""
    sizes = {"d_model": 16, "n_layers": 2, "n_heads": 2, "mlp_hidden_size": 32} | fields
    with private_seed(seed):
        ids = {"mask_token_id": vocab - 1, "eos_token_id": vocab - 2}
        return LLaDAModelLM(LladaConfig(**sizes, **ids, vocab_size=vocab, init_std=spread)).eval()


def scored_group(
    prompt: list[int], responses: list[list[int]], rewards: list[float], name: str = "q", width: int = 6
) -> list[Scored]:
    """A group of rollouts as a sampler and a scorer would make them."""
    asked = Prompt(id=name, task="text", text="", tokens=np.array(prompt))
    sampling = Sampling(temperature=1.0, guidance=0.0, gen_length=width, block_length=width)
    return [
        Scored(
            rollout=Rollout(
                id=f"0/{name}/{index}",
                prompt=asked,
                tokens=np.array(tokens),
                commit_step=np.arange(len(tokens))[::-1].copy(),
                output="",
                sampling=sampling,
                truncated=False,
            ),
            reward=reward,
            parts={"r": reward},
        )
        for index, (tokens, reward) in enumerate(zip(responses, rewards, strict=True))
    ]


def drawing(task: str, name: str = "d", reward: float = 0.0, guidance: float = 0.0, seed: int = 0) -> Scored:
    """A picture of four codes, after a thought of up to five tokens if the task has one."""
    generator = np.random.default_rng(seed)
    codes, thinks = generator.integers(16, 24, 4), task == "think_image"
    thought = [3, 5, 8, 8, 8, 10] if thinks else []
    known = {"image": [12, 7], "think_image": [14, 7]}[task]
    prompt = Prompt(
        id=name,
        task=task,  # pyright: ignore[reportArgumentType]
        text="",
        tokens=np.array([known[0], 7, 1, 2] + ([] if thinks else [8, 10])),
        unconditional=np.array(known + ([] if thinks else [8, 10])),
    )
    tokens = np.array([*thought, *codes, 11])
    sampled = np.array([True] * 4 * thinks + [False] * 2 * thinks + [True] * 4 + [False])
    rollout = Rollout(
        id=f"0/{name}/0",
        prompt=prompt,
        tokens=tokens,
        commit_step=np.where(sampled, np.arange(len(tokens)), -1),
        output="",
        sampling=Sampling(
            temperature=1.0, guidance=0.0, gen_length=5, block_length=5, image_temperature=0.5, image_guidance=guidance
        ),
        truncated=False,
        given=~sampled,
    )
    return Scored(rollout=rollout, reward=reward, parts={"r": reward})


def tiny_batch(algo: AlgoSection, width: int = 6, seed: int = 0) -> Batch:
    """Two groups of three, prompts of unequal length."""
    generator = np.random.default_rng(3)
    scored = []
    for name, size, rewards in (("a", 3, [0.0, 1.0, 2.5]), ("b", 5, [1.0, 0.0, 0.5])):
        responses = [generator.integers(0, 9, generator.integers(2, width + 1)).tolist() for _ in rewards]
        scored += scored_group(generator.integers(0, 8, size).tolist(), responses, rewards, name, width)
    [batch] = make_batches(scored, 3, algo, seed=seed, ids=IDS)
    return batch


def gradients(model: torch.nn.Module) -> torch.Tensor:
    """All gradients as one vector."""
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
