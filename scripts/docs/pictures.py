"""The pictures of docs/concepts.md, made by the code that trains.

    unigrpo sft configs/quickstart/sft.yaml
    python scripts/docs/pictures.py runs/quickstart/sft/model [--out docs] [--draws 64]

Three of them need no model. For `concepts_estimators.png` the quickstart's policy answers held-out sums, and estimates
of the log-likelihood of its answers are compared with the exact one, over all sets of tokens that can be hidden
(`exact.py`). The table that docs/concepts.md has is printed.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import torch
from estimates import CONTENDERS, asked, estimates
from exact import exact_likelihoods
from matplotlib.figure import Figure

from unigrpo.algo.noise import make_views
from unigrpo.algo.objective import clipped, kl_estimate
from unigrpo.algo.random import key
from unigrpo.config import AlgoSection, ModelSection, TrainConfig
from unigrpo.config.load import load_config
from unigrpo.models import load_policy

MASKS = {
    "unigrpo": "UniGRPO (formula)",
    "unigrpo_even": "UniGRPO (even)",
    "unigrpo_random": "independent ratios",
    "diffu_grpo": "diffu-GRPO",
    "coupled_grpo": "coupled-GRPO",
    "espo": "ESPO",
    "tracerl": "TraceRL",
    "just_grpo": "JustGRPO",
    "spg": "SPG (blocks of 4)",
}
MU, PROMPT, LENGTH = 4, 6, 16
SHOWN, HIDDEN, SCORED, WORDS = (0.93, 0.93, 0.93), (0.55, 0.55, 0.55), (0.12, 0.47, 0.71), (0.98, 0.87, 0.66)
DOTS = 100
LOWEST = -1.0
"""An estimator whose mean is further below log p is in the table alone: the others would be one line."""


def algo_of(name: str) -> AlgoSection:
    """The settings of an estimator: UniGRPO's own, or those of its overlay."""
    overlay = [] if name == "unigrpo" else [f"configs/ablations/{name}.yaml"]
    return load_config(TrainConfig, ["configs/quickstart/rl.yaml", *overlay, f"algo.mu={MU}"]).algo


def rows_of(name: str) -> np.ndarray:
    """Colours [rows, prompt and response, 3] of one response in each view of each inner update."""
    noise = algo_of(name).noise
    noise.block_length = 4
    keys, prompt = torch.tensor([key("picture", 3)]), torch.ones(1, PROMPT, dtype=torch.bool)
    sampled, commit = torch.ones(1, LENGTH, dtype=torch.bool), (torch.arange(LENGTH) * 7 % LENGTH // 2)[None]
    rows = []
    for update in range(MU):
        found = make_views(keys, sampled, commit, prompt, noise, update, MU)
        asked = [HIDDEN if hidden else WORDS for hidden in _prompt(found.prompt_BP)]
        for masked, scored in zip(found.masked_BKC[0], found.scored_BKC[0], strict=True):
            rows.append(asked + [SCORED if s else HIDDEN if m else SHOWN for m, s in zip(masked, scored, strict=True)])
    return np.array(rows)


def _prompt(hidden: torch.Tensor | None) -> list[bool]:
    return [False] * PROMPT if hidden is None else hidden[0].tolist()


def masks(out: Path) -> None:
    """Which tokens each estimator hides and scores."""
    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    for axis, (name, title) in zip(figure.subplots(3, 3).flat, MASKS.items(), strict=True):
        colours = rows_of(name)
        draws = len(colours) // MU
        axis.imshow(colours, aspect="auto", interpolation="nearest")
        axis.set_xticks(np.arange(-0.5, PROMPT + LENGTH), minor=True)
        axis.set_yticks(np.arange(-0.5, len(colours)), minor=True)
        axis.grid(which="minor", color="white", linewidth=1)
        axis.tick_params(which="both", length=0)
        axis.set_yticks([draws * update + (draws - 1) / 2 for update in range(MU)], range(1, MU + 1))
        axis.set_xticks([(PROMPT - 1) / 2, PROMPT + (LENGTH - 1) / 2], ["prompt", "response"])
        for update in range(1, MU):
            axis.axhline(draws * update - 0.5, color="black", linewidth=1.2)
        axis.set_title(title, fontsize=10)
        axis.spines[:].set_visible(False)
    figure.supylabel("inner update", fontsize=10)
    figure.savefig(out / "concepts_masks.png", dpi=DOTS)


def ratios(out: Path) -> None:
    """How large a part of the response each inner update hides."""
    rules = ("formula", "even", "random", "range")
    figure = Figure(figsize=(9.6, 2.9), layout="constrained")
    keys = torch.tensor([key("ratios", row) for row in range(5_000)])
    sampled, commit = torch.ones(len(keys), 100, dtype=torch.bool), torch.zeros(len(keys), 100, dtype=torch.long)
    for axis, rule in zip(figure.subplots(1, len(rules), sharey=True), rules, strict=True):
        noise = replace(AlgoSection().noise, rule=rule)
        found = [
            make_views(keys, sampled, commit, sampled[:, :1], noise, update, MU).ratio_BK.flatten().numpy()
            for update in range(MU)
        ]
        axis.hist(found, bins=np.linspace(0, 1, 21) + 0.005, stacked=True, label=[f"update {n + 1}" for n in range(MU)])
        axis.set_title(f"{rule}: mean {np.mean(found):.2f}", fontsize=10)
        axis.set_xlabel("share of the response that is masked", fontsize=8)
        axis.set_yticks([])
        axis.spines[["top", "right", "left"]].set_visible(False)
    figure.axes[2].legend(frameon=False, fontsize=8)
    figure.savefig(out / "concepts_ratios.png", dpi=DOTS)


def objective(out: Path) -> None:
    """What a token earns by its ratio, and what three estimates of the KL say."""
    figure = Figure(figsize=(9.6, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    ratio = torch.linspace(0, 2, 401)
    for advantage, colour in ((1.0, "C0"), (-1.0, "C3")):
        earned = clipped(ratio, torch.tensor(advantage), 0.2, 0.2)
        left.plot(ratio, earned, colour, label=f"advantage {advantage:+.0f}")
    left.axvspan(0.8, 1.2, color="0.93", zorder=0)
    left.set_xlabel("ratio of new to old probability of a token")
    left.set_title("what the token earns; clip_low = clip_high = 0.2", fontsize=10)
    left.legend(frameon=False)
    gap = torch.linspace(-2, 2, 401)
    for kind in ("k1", "k2", "k3"):
        right.plot(gap, kl_estimate(gap, torch.zeros_like(gap), kind), label=kind)
    right.axhline(0, color="0.7", linewidth=0.8)
    right.set_xlabel("log-probability: policy minus reference")
    right.set_title("estimates of the KL from one token", fontsize=10)
    right.legend(frameon=False)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(out / "concepts_objective.png", dpi=DOTS)


def estimators(out: Path, model: str, draws: int) -> None:
    """Bias and spread of estimates of a response's log-likelihood, against the forwards that they take."""
    policy = load_policy(ModelSection(path=model, device="cpu"))
    batch = asked(policy)
    elbo_B, logprob_B = exact_likelihoods(policy.model, batch)
    elbo = float((elbo_B - logprob_B).mean())
    print(f"{len(batch)} responses, mean exact log p {logprob_B.mean():.3f}, exact ELBO minus that {elbo:+.3f}")
    print("| estimator | forwards | mean - log p | deviation of one | correlation with log p |")
    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for colour, (name, settings) in enumerate(CONTENDERS.items()):
        spread, bias = measured(name, settings, policy.model, batch, logprob_B, draws)
        if bias[max(bias)] > LOWEST:
            for axis, values in ((left, spread), (right, bias)):
                axis.plot(list(values), list(values.values()), "o-", color=f"C{colour}", label=name, markersize=4)
    right.axhline(0, color="black", linewidth=0.8)
    right.axhline(elbo, color="black", linewidth=0.8, linestyle=":")
    right.annotate("exact ELBO", (1, elbo), fontsize=8, va="bottom")
    left.set_title("standard deviation of one estimate (nats)", fontsize=10)
    right.set_title("mean of the estimates, minus exact log p (nats)", fontsize=10)
    left.legend(frameon=False, fontsize=8)
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        axis.set_xlabel("forwards for a response")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(out / "concepts_estimators.png", dpi=DOTS)


def measured(name, settings, model, batch, logprob_B, draws) -> tuple[dict[int, float], dict[int, float]]:
    """Deviation and bias of an estimator by the number of forwards; prints lines of the table."""
    spread, bias = {}, {}
    for forwards, algo in settings.items():
        found_NB = estimates(model, batch, algo, draws)
        spread[forwards] = float(found_NB.var(0, correction=1).mean().sqrt())
        bias[forwards] = float((found_NB.mean(0) - logprob_B).mean())
        alike = float(torch.corrcoef(torch.stack([found_NB.mean(0), logprob_B]))[0, 1])
        print(f"| {name} | {forwards} | {bias[forwards]:+.3f} | {spread[forwards]:.3f} | {alike:.2f} |", flush=True)
    return spread, bias


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="the quickstart's policy; without it that picture is not made")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--draws", type=int, default=64, help="estimates of each response")
    args = parser.parse_args()
    matplotlib.use("agg")
    masks(args.out)
    ratios(args.out)
    objective(args.out)
    if args.model:
        estimators(args.out, args.model, args.draws)


if __name__ == "__main__":
    main()
