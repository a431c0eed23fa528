"""Gradients of a likelihood over a large vocabulary, ours against a naive loss: time, memory, equality.

    python scripts/bench/likelihood.py --out /tmp/likelihood [--rounds 3] [--micro-batch 1] [--chunk 128]
    python scripts/bench/likelihood.py --device cuda --size 8B --dtype bfloat16 --frozen --out /tmp/likelihood

The naive loss makes the logits of all tokens over the whole vocabulary, as a reader of the formula would write it. Ours
is what the learner does for one inner update. Both have the same masks, the same loss and the same model. Memory is
what is needed beside the weights, gradients included. On the CPU one thread is used, unless `--threads` says otherwise.
The naive one needs about 11 GiB at the sizes given here.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import naive
import paired
import sizes
import torch
from torch import Tensor

from unigrpo.algo.objective import policy_loss
from unigrpo.batch import Batch
from unigrpo.config import AlgoSection, LikelihoodSection, NoiseSection, OptimSection
from unigrpo.engine import Engine
from unigrpo.learner import Learner
from unigrpo.models.ids import PUBLISHED
from unigrpo.models.llada import LLaDAModelLM
from unigrpo.models.load import Policy

VOCABULARY = 134656
CONTENDERS = ("naive, nothing kept in vain", "naive, one response at a time", "ours", "ours, all at a time")


def naively(model: LLaDAModelLM, batch: Batch, algo: AlgoSection, size: int, let_go: bool = False) -> None:
    """Adds up the gradient of one inner update, so many responses at a time, by the logits of all tokens.

    Args:
        let_go: nothing is kept but what the gradient needs.
    """
    scored = float(batch.views(algo, 0).scored_BKC.sum())
    for at in range(0, len(batch), size):
        rows = slice(at, at + size)
        views = batch.views(algo, 0, rows)
        logits_BTV = naive.logits(model, batch, views.masked_BKC[:, 0], rows)
        logprobs_BTV = logits_BTV.log_softmax(-1)
        logprobs_BKC = naive.chosen(logprobs_BTV, batch, rows)
        if let_go:
            del logits_BTV, logprobs_BTV
        loss, _ = policy_loss(
            logprobs_BKC,
            logprobs_BKC.detach(),
            None,
            batch.advantages_B[rows],
            views,
            batch.lengths_B[rows],
            algo,
            responses=len(batch),
            tokens=scored,
        )
        loss.backward()


def ours(learner: Learner, batch: Batch) -> None:
    """The same by the learner."""
    learner._backward([batch], 0, None, None, **learner._count([batch], 0))


def largest_difference(model: LLaDAModelLM, expected: list[Tensor]) -> float:
    """Of all weights the largest distance of the gradients, relative to their size."""
    found = [weight.grad for weight in model.parameters() if weight.grad is not None]
    distances = [(a.float() - b.float()).norm() / b.float().norm() for a, b in zip(found, expected, strict=True)]
    return float(torch.stack(distances).max())


def fresh(model: LLaDAModelLM, work: Callable[[], None]) -> None:
    """Does it from weights without gradients."""
    model.zero_grad()
    work()


def measured(model: LLaDAModelLM, runs: Mapping[str, Callable[[], None]], device: str):
    """Peaks of memory by kind and contender, and how far the gradients are from the first contender's."""
    memory: dict[str, dict[str, int]] = {"GiB of tensors": {}, "GiB of the process": {}}
    difference, expected = {}, []
    for name, work in runs.items():
        model.zero_grad()
        memory["GiB of the process"][name] = paired.peak_memory(work, device)
        if not expected:
            expected = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
        difference[name] = largest_difference(model, expected)
        memory["GiB of tensors"][name] = paired.peak_tensors(partial(fresh, model, work), device)
    return memory, difference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", default="60M", choices=sizes.SIZES)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=0)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--share", type=float, default=0.5, help="of the tokens that are masked")
    parser.add_argument("--micro-batch", type=int, default=1, help="responses that ours scores at one time")
    parser.add_argument("--chunk", type=int, default=128)
    parser.add_argument("--frozen", action="store_true", help="train the blocks alone, as LoRA does")
    parser.add_argument("--contenders", nargs="+", default=["ours"], choices=CONTENDERS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = sizes.make(args.size, args.device, getattr(torch, args.dtype), vocab_size=VOCABULARY)
    for part in (model.get_input_embeddings(), model.get_output_embeddings()):
        part.weight.requires_grad_(not args.frozen)
    ids = PUBLISHED["mmada", VOCABULARY]
    tokens_BT = torch.randint(0, ids.eos, (args.rows, args.prompt + args.length))
    batch = naive.make_batch(tokens_BT, args.length, ids)
    noise = NoiseSection(rule="range", low=args.share, high=args.share)

    def learner(micro_batch: int) -> Learner:
        section = LikelihoodSection(micro_batch=micro_batch, chunk=args.chunk)
        algo = AlgoSection(beta=0.0, noise=noise, likelihood=section)
        policy = Policy(model, None, ids)  # pyright: ignore[reportArgumentType]
        return Learner(policy, Engine(model, OptimSection(), 1), algo, None)

    algo = AlgoSection(beta=0.0, noise=noise)
    runs = {
        "naive": partial(naively, model, batch, algo, args.rows),
        "naive, nothing kept in vain": partial(naively, model, batch, algo, args.rows, True),
        "naive, one response at a time": partial(naively, model, batch, algo, 1, True),
        "ours": partial(ours, learner(args.micro_batch), batch),
        "ours, all at a time": partial(ours, learner(args.rows), batch),
    }
    runs = {name: runs[name] for name in ("naive", *args.contenders)}
    memory, difference = measured(model, runs, args.device)
    times = paired.rounds({name: partial(fresh, model, work) for name, work in runs.items()}, args.rounds, args.device)
    rows = paired.compared(times, "naive")
    for row in rows:
        for column, found in memory.items():
            share = found[row[""]] / found["naive"]
            row[column] = f"{found[row['']] / 2**30:.2f} ({share:.1%})"
        row["gradient off by"] = f"{difference[row['']]:.1e}"
    print(paired.table(rows))
    found = {"arguments": {**vars(args), "out": str(args.out)}, "seconds": times, "bytes": memory, "table": rows}
    title = (
        f"Times faster than the naive loss ({args.size}, V {VOCABULARY}, {args.rows} x {args.length}, {args.device})"
    )
    bars = {name: paired.ratio(times["naive"], took)[0] for name, took in times.items() if name != "naive"}
    paired.write(args.out, "likelihood", found, bars, title)


if __name__ == "__main__":
    main()
