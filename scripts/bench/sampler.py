"""The text sampler, exact and with caches, against the published loop: times, memory, share of what is possible.

    python scripts/bench/sampler.py --out /tmp/sampler [--batch 1 8] [--rounds 3] [--temperature 1]
    python scripts/bench/sampler.py --device cuda --size 8B --dtype bfloat16 --batch 8 32 64 --out /tmp/sampler

A step of the published loop costs the same at any time, so `--baseline-steps` of them are timed and counted as many
times as it takes. Ours run from the first to the last step. One thread is used, unless `--threads` says otherwise.
"""

import argparse
import statistics
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import paired
import published
import sizes
import torch

from rollout.text import denoise
from unigrpo.config import SamplingSection
from unigrpo.types import Support

CONTENDERS = {
    "exact": {},
    "prefix": {"cache": "prefix", "cache_check": 0.0},
    "dual": {"cache": "dual", "cache_check": 0.0},
    "dual, 2 % of steps checked": {"cache": "dual", "cache_check": 0.02},
}


def ideal_flops(model, batch: int, prompt: int, settings: SamplingSection) -> float:
    """What a run has to compute at least: of each step the tokens of its window, and the head on its masked rows."""
    total, length = 0.0, prompt + settings.gen_length
    for start in range(0, settings.gen_length, settings.block_length):
        later = {"none": length, "prefix": length - prompt - start, "dual": settings.block_length}[settings.cache]
        for step in range(settings.block_length):
            tokens = later if step else length
            total += sizes.flops(model, batch * tokens, length, batch * (settings.block_length - step))
    return total


def peak_flops(device: str, dtype: torch.dtype) -> float:
    """Operations a second of this device's matrix product, measured at a size that suits it."""
    size = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(30):
        started = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", default="60M", choices=sizes.SIZES)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--response", type=int, default=128)
    parser.add_argument("--block", type=int, default=32)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--baseline-steps", type=int, default=4, help="a multiple of the number of blocks")
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype)
    model = sizes.make(args.size, args.device, dtype)
    vocabulary = model.config.rows
    mask_id, support = vocabulary - 1, Support(start=0, stop=vocabulary)
    base = SamplingSection(
        gen_length=args.response, block_length=args.block, temperature=args.temperature, early_stop=False
    )
    best, found, bars = peak_flops(args.device, dtype), {}, {}
    print(f"matrix product: {best / 1e9:.0f} GFLOP/s")
    for batch in args.batch:
        prompt_BP = torch.randint(0, mask_id, (batch, args.prompt), device=args.device)
        seen_BP, keys_B = torch.ones_like(prompt_BP, dtype=torch.bool), torch.arange(batch, device=args.device)
        shape = args.response, args.block, args.baseline_steps, args.temperature
        runs = {"published": partial(published.text, model, prompt_BP, mask_id, *shape)}
        settings = {name: replace(base, **CONTENDERS[name]) for name in args.contenders}
        for name, it in settings.items():
            runs[name] = partial(denoise, model, prompt_BP, seen_BP, keys_B, it, mask_id, support)
        times = paired.rounds(runs, args.rounds, args.device)
        times["published"] = [took * args.response / args.baseline_steps for took in times["published"]]
        rows = paired.compared(times, "published")
        for row in rows:
            name, took = row[""], statistics.median(times[row[""]])
            row["tokens/s"] = f"{batch * args.response / took:.1f}"
            row["peak MiB"] = f"{paired.peak_memory(runs[name], args.device) / 2**20:.0f}"
            row["of the matrix product's speed"] = ""
            if name in settings:
                share = ideal_flops(model, batch, args.prompt, settings[name]) / took / best
                row["of the matrix product's speed"] = f"{share:.0%}"
                bars[f"{name}, batch {batch}"] = paired.ratio(times["published"], times[name])[0]
        print(f"\nbatch {batch}\n\n{paired.table(rows)}", flush=True)
        found[str(batch)] = {"seconds": times, "table": rows}
    title = f"Times faster than the published loop ({args.size}, {args.device}, temperature {args.temperature:g})"
    paired.write(
        args.out, "sampler", {"arguments": {**vars(args), "out": str(args.out)}, "batches": found}, bars, title
    )


if __name__ == "__main__":
    main()
