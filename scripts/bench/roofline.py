"""The most that a device could sample, from counted operations and bytes; nothing is run.

    python scripts/bench/roofline.py [--size 8B] [--flops 989e12] [--bandwidth 3.35e12] [--batch 1 8 64]

The defaults are an H100 SXM in bfloat16. Operations: of each step the tokens of its window, and the head on the tokens
that are still masked (`sampler.ideal_flops`). Bytes: of each step all weights once, and the kept keys and values. The
longer of both times bounds the speed, the one named under `bound by`. `scripts/bench/sampler.py` measures what share is
achieved.
"""

import argparse

import paired
import sizes
from sampler import CONTENDERS, ideal_flops

from unigrpo.config import SamplingSection


def moved(model, batch: int, prompt: int, settings: SamplingSection, width: int) -> float:
    """Bytes that a run has to read at least, with numbers of so many bytes."""
    weights = sum(weight.numel() for name, weight in model.named_parameters() if "wte" not in name)
    config, length = model.config, prompt + settings.gen_length
    per_token = 2 * config.n_layers * config.kv_heads * (config.d_model // config.n_heads)
    total = 0.0
    for start in range(0, settings.gen_length, settings.block_length):
        kept = {"none": 0, "prefix": prompt + start, "dual": length - settings.block_length}[settings.cache]
        total += settings.block_length * weights + (settings.block_length - 1) * batch * kept * per_token
    return total * width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="8B", choices=sizes.SIZES)
    parser.add_argument("--flops", type=float, default=989e12, help="operations a second")
    parser.add_argument("--bandwidth", type=float, default=3.35e12, help="bytes a second")
    parser.add_argument("--width", type=int, default=2, help="bytes of a number")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--response", type=int, default=256)
    parser.add_argument("--block", type=int, default=32)
    args = parser.parse_args()
    model, rows = sizes.make(args.size, "meta"), []
    for name in ("exact", "prefix", "dual"):
        settings = SamplingSection(gen_length=args.response, block_length=args.block, **CONTENDERS[name])
        for batch in args.batch:
            work = ideal_flops(model, batch, args.prompt, settings)
            read = moved(model, batch, args.prompt, settings, args.width)
            times = {"operations": work / args.flops, "bytes": read / args.bandwidth}
            tokens = batch * args.response
            rows.append(
                {
                    "": f"{name}, batch {batch}",
                    "TFLOP a token": f"{work / tokens / 1e12:.2f}",
                    "GB a token": f"{read / tokens / 1e9:.2f}",
                    "tokens/s at most": f"{tokens / max(times.values()):.0f}",
                    "bound by": max(times, key=times.__getitem__),
                }
            )
    print(paired.table(rows))


if __name__ == "__main__":
    main()
