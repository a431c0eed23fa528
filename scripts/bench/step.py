"""A whole step of UniGRPO, sampling and mu inner updates with a reference, ours against one written plainly.

    python scripts/bench/step.py --out /tmp/step [--rounds 3] [--no-sampling]
    python scripts/bench/step.py --device cuda --size 8B --dtype bfloat16 --frozen --out /tmp/step

The plain one samples by the published loop, and makes the logits of all tokens over the whole vocabulary: for the old
policy, the reference and the policy of every update. Both draw at temperature 1 and have the same masks, loss and
optimiser. On the CPU one thread is used, unless `--threads` says otherwise.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import naive
import paired
import published
import sizes
import torch
from torch import Tensor

from rollout.text import denoise
from unigrpo.algo.objective import policy_loss
from unigrpo.batch import Batch
from unigrpo.config import AlgoSection, NoiseSection, OptimSection, SamplingSection
from unigrpo.engine import Engine, parameter_groups
from unigrpo.learner import Learner, Reference
from unigrpo.models.ids import IdTable, supports
from unigrpo.models.llada import LLaDAModelLM
from unigrpo.models.load import Policy

Learn = Callable[[Batch], None]


def plain_learner(model: LLaDAModelLM, reference: LLaDAModelLM, algo: AlgoSection, optim: OptimSection) -> Learn:
    """Updates by full logits, all responses at a time, with a forward of its own for each policy and update."""
    groups = parameter_groups(model, optim.weight_decay)
    adamw = torch.optim.AdamW(groups, optim.lr, betas=(optim.betas[0], optim.betas[1]), eps=optim.eps)

    def logprobs(policy: LLaDAModelLM, batch: Batch, update: int) -> Tensor:
        logits_BTV = naive.logits(policy, batch, batch.views(algo, update).masked_BKC[:, 0])
        return naive.chosen(logits_BTV.log_softmax(-1), batch)

    def learn(batch: Batch) -> None:
        with torch.no_grad():
            frozen = [[logprobs(policy, batch, update) for update in range(algo.mu)] for policy in (model, reference)]
        for update, (old_BKC, reference_BKC) in enumerate(zip(*frozen, strict=True)):
            views = batch.views(algo, update)
            loss, _ = policy_loss(
                logprobs(model, batch, update),
                old_BKC,
                reference_BKC,
                batch.advantages_B,
                views,
                batch.lengths_B,
                algo,
                responses=len(batch),
                tokens=float(views.scored_BKC.sum()),
            )
            adamw.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), optim.max_grad_norm)
            adamw.step()

    return learn


def our_learner(
    model: LLaDAModelLM, reference: LLaDAModelLM, algo: AlgoSection, optim: OptimSection, ids: IdTable
) -> Learn:
    """Updates by the learner."""
    policy = Policy(model, None, ids)  # pyright: ignore[reportArgumentType]
    learner = Learner(policy, Engine(model, optim, 1000), algo, Reference(reference, algo))
    return lambda batch: learner.learn([batch]) and None


def plain_sampler(model: LLaDAModelLM, settings: SamplingSection, ids: IdTable) -> Callable[[Tensor], Tensor]:
    """Prompts [B, P] to sequences [B, T] by the published loop."""
    steps = settings.steps or settings.gen_length
    shape = settings.gen_length, settings.block_length, steps, settings.temperature

    def sample(prompt_BP: Tensor) -> Tensor:
        drawn_BC = published.text(model, prompt_BP, ids.mask, *shape)
        return torch.cat([prompt_BP, drawn_BC.masked_fill(drawn_BC == ids.mask, 0)], 1)  # it may draw the mask itself

    return sample


def our_sampler(model: LLaDAModelLM, settings: SamplingSection, ids: IdTable) -> Callable[[Tensor], Tensor]:
    """Prompts [B, P] to sequences [B, T] by the sampler."""
    [support] = supports(ids, "text")

    def sample(prompt_BP: Tensor) -> Tensor:
        keys_B, seen_BP = torch.arange(len(prompt_BP), device=prompt_BP.device), torch.ones_like(prompt_BP).bool()
        drawn = denoise(model, prompt_BP, seen_BP, keys_B, settings, ids.mask, support)
        return torch.cat([prompt_BP, drawn.tokens_BC], 1)

    return sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", default="60M", choices=sizes.SIZES)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--group", type=int, default=4)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--response", type=int, default=64)
    parser.add_argument("--block", type=int, default=32)
    parser.add_argument("--steps", type=int, default=32, help="of sampling")
    parser.add_argument("--mu", type=int, default=4)
    parser.add_argument("--beta", type=float, default=0.01)
    parser.add_argument("--noise", default="formula", help="rule of the mask ratios")
    parser.add_argument("--no-sampling", action="store_true", help="both learn from the same responses")
    parser.add_argument("--frozen", action="store_true", help="train the last block alone, to save memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    reference = sizes.make(args.size, args.device, getattr(torch, args.dtype)).requires_grad_(False)
    vocabulary = reference.config.rows
    ids = IdTable(mask=vocabulary - 1, eos=vocabulary - 2, pad=vocabulary - 2, text_vocab=vocabulary)
    algo = AlgoSection(mu=args.mu, beta=args.beta, noise=NoiseSection(rule=args.noise))
    settings = SamplingSection(
        gen_length=args.response, block_length=args.block, steps=args.steps, temperature=1.0, early_stop=False
    )
    optim = OptimSection(lr=1e-6)
    prompt_PP = torch.randint(0, ids.eos, (args.prompts, args.prompt), device=args.device)
    prompt_BP = prompt_PP.repeat_interleave(args.group, 0)
    fixed_BT = torch.cat([prompt_BP, torch.randint(0, ids.eos, (len(prompt_BP), args.response)).to(args.device)], 1)

    def policy() -> LLaDAModelLM:
        model = copy.deepcopy(reference)
        (model.transformer.blocks[-1] if args.frozen else model).requires_grad_(True)
        return model

    models = {"plain": policy(), "ours": policy()}
    learners = {
        "plain": plain_learner(models["plain"], reference, algo, optim),
        "ours": our_learner(models["ours"], reference, algo, optim, ids),
    }
    samplers = {
        "plain": plain_sampler(models["plain"], settings, ids),
        "ours": our_sampler(models["ours"], settings, ids),
    }
    learning = {name: [] for name in models}

    def step(name: str) -> None:
        tokens_BT = fixed_BT if args.no_sampling else samplers[name](prompt_BP)
        started = time.perf_counter()
        learners[name](naive.make_batch(tokens_BT, args.response, ids))
        learning[name].append(time.perf_counter() - started)

    moved = updates(models, reference, partial(naive.make_batch, fixed_BT, args.response, ids), learners)
    times = paired.rounds({name: partial(step, name) for name in models}, args.rounds, args.device)
    rows = paired.compared(times, "plain")
    for row in rows:
        row["of which learning"] = f"{statistics.median(learning[row['']][1:]):.3g}"
    print(f"After {args.mu} updates the weights of both differ by {moved:.1e} of how far they moved.\n")
    print(paired.table(rows))
    found = {"arguments": {**vars(args), "out": str(args.out)}, "seconds": times, "learning": learning, "table": rows}
    bars = {"ours": paired.ratio(times["plain"], times["ours"])[0]}
    name = "step_learning" if args.no_sampling else "step"
    paired.write(
        args.out, name, found, bars, f"Times faster than a plain step ({args.size}, {args.device}, mu {args.mu})"
    )


def updates(
    models: dict[str, LLaDAModelLM], start: LLaDAModelLM, batch: Callable[[], Batch], learners: dict[str, Learn]
):
    """How far apart a step on the same responses takes both, relative to how far it takes them."""
    for learn in learners.values():
        learn(batch())
    plain, ours, before = (torch.cat([w.detach().flatten() for w in m.parameters()]) for m in (*models.values(), start))
    return float((ours - plain).norm() / (plain - before).norm())


if __name__ == "__main__":
    main()
