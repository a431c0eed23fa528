"""What a cache changes in what policies say: accuracy, and how far sampled log-probabilities are from exact ones.

    python scripts/bench/mismatch.py MODEL... --out /tmp/mismatch [--block 2] [--prompts 512]

Each model answers held-out sums of the quickstart at temperature 1, without a cache and with each; with a cache every
step is computed exactly too, along the cached path. Models of several accuracies come from
`unigrpo sft configs/quickstart/sft.yaml stop_below=X`.
"""

import argparse
import json
from pathlib import Path

import paired
from layouts import unigrpo

FIGURES = {"cache_error": "mean distance of log p", "cache_outside": "ratios outside 0.8-1.2", "cache_ess": "ESS"}
PROMPTS = "{source: arithmetic, template: plain, split: test, size: 800}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--length", type=int, default=4)
    parser.add_argument("--block", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--samples", type=int, default=4)
    args = parser.parse_args()
    table, found, bars = [], {}, {}
    for model in args.models:
        for cache in ("none", "prefix", "dual"):
            run = args.out / f"{Path(model).parent.name}_{cache}"
            checked = [] if cache == "none" else ["rollout.cache_check=1"]
            unigrpo(
                *("eval", f"model.path={model}", f"output={run}", "overwrite=true", f"data={PROMPTS}"),
                *(f"limit={args.prompts}", f"samples={args.samples}", "rewards={math: {weight: 1}}"),
                *(f"rollout.gen_length={args.length}", f"rollout.block_length={args.block}", "rollout.temperature=1"),
                *(f"rollout.cache={cache}", *checked, "cluster.threads=1"),
            )
            metrics = json.loads((run / "metrics.json").read_text())["metrics"]
            found[f"{model} {cache}"] = metrics
            row = {"model": Path(model).parent.name, "cache": cache, "right": f"{metrics['eval/accuracy']:.1%}"}
            for name, words in FIGURES.items():
                value = metrics.get(f"rollout/{name}")
                row[words] = "" if value is None else f"{value:.3f}"
            table.append(row)
            if cache != "none":
                bars[f"{row['model']} ({row['right']}), {cache}"] = metrics["rollout/cache_error"]
    print(paired.table(table))
    paired.write(args.out, "mismatch", found, bars, "Mean distance of sampled and exact log-probability of a token")


if __name__ == "__main__":
    main()
