"""Which metrics of a run are drawn together, under which heading, and in what units."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unigrpo.reports.series import matching

SUMMED = ("mean", "std", "zero_std", "failed")
"""What comes of the rewards of a step, beside the rewards themselves."""
LEARNED = "Objective and optimiser"
GROUPS = "Rewards within groups"
SAID = "Responses"
SPENT = "Time and memory"


@dataclass(frozen=True)
class Panel:
    """One chart: its title, the unit of its vertical axis, its metrics, and the heading it is found under."""

    title: str
    unit: str
    patterns: tuple[str, ...]
    under: str = ""
    """Empty for what comes first, also on a short page."""


def _one(title: str, unit: str, under: str, *patterns: str) -> Panel:
    return Panel(title, unit, patterns, under)


OPTIMISER = (
    _one("Norm of the gradient", "norm", LEARNED, "optim/grad_norm"),
    _one("Learning rate", "rate", LEARNED, "optim/lr"),
)
RESOURCES = (
    _one("Speed", "tokens per second", SPENT, "speed/tokens_per_second"),
    _one("Speed in samples", "samples per second", SPENT, "speed/samples_per_second"),
    _one("Time of a step", "seconds", SPENT, "time/step", "time/eval"),
    _one(
        *("Time of its parts", "seconds", SPENT, "time/sample", "time/score", "time/batch", "time/behaviour"),
        *("time/wait", "time/learn", "time/sync", "time/data"),
    ),
    _one("Time that rewards took, over all who judge", "seconds", SPENT, "time/reward/*"),
    _one("Memory", "GiB", SPENT, "memory/*"),
)
PANELS: dict[str, tuple[Panel, ...]] = {
    "sft": (
        Panel("Loss", "nats per token", ("sft/loss",)),
        Panel("Held-out loss", "nats per token", ("sft/held_out_loss", "sft/held_out_loss_ema")),
        Panel("Loss of each stream", "nats per token", ("sft/loss/*",)),
        *OPTIMISER,
        *RESOURCES,
    ),
    "train": (
        Panel("Held-out accuracy", "share solved", ("eval/accuracy", "eval/*/accuracy")),
        Panel("Reward", "mean of the step", ("reward/mean", "reward/*/mean")),
        Panel("KL to the reference", "nats per token", ("policy/kl",)),
        _one("Held-out reward", "mean", "Held out", "eval/reward", "eval/*/reward"),
        _one("Held-out answers cut at their length", "share", "Held out", "eval/truncated", "eval/*/truncated"),
        _one("Groups with equal rewards", "share of groups", GROUPS, "reward/zero_std", "reward/*/zero_std"),
        _one("Spread of rewards", "standard deviation", GROUPS, "reward/std", "reward/*/std"),
        _one("Rewards that failed", "share of responses", GROUPS, "reward/failed", "reward/*/failed"),
        _one("Loss", "objective", LEARNED, "policy/loss"),
        _one("Clipped tokens", "share of tokens", LEARNED, "policy/clip_fraction"),
        _one("Ratio to the old policy", "ratio", LEARNED, "policy/ratio"),
        _one("Log-probability of what was sampled", "nats per token", LEARNED, "policy/logprob"),
        *OPTIMISER,
        _one("Length", "tokens", SAID, "rollout/length", "rollout/*/length"),
        _one("Cut at their length", "share of responses", SAID, "rollout/truncated", "rollout/*/truncated"),
        _one("Error of the sampler's cache", "nats per token", SAID, "rollout/cache_error"),
        _one("Age of the weights that sampled", "updates", SAID, "rollout/staleness"),
        *RESOURCES,
    ),
    "tokenizer": (
        Panel("PSNR of held-out pictures", "dB", ("held_out/psnr", "held_out/psnr_min")),
        Panel("Loss", "loss", ("tokenizer/loss",)),
        _one("Parts of the loss", "loss", "More", "tokenizer/*"),
        _one("Codes in use", "share", "More", "held_out/codes_used"),
        *OPTIMISER,
        *RESOURCES,
    ),
    "clip": (
        Panel("Loss", "nats", ("clip/loss",)),
        _one("Captions found", "share", "More", "clip/accuracy", "clip/chance"),
        *OPTIMISER,
        *RESOURCES,
    ),
}
"""The panels of each verb that trains; the first one's facts come first."""


def panels_of(verb: str, found: Mapping[str, Any]) -> list[Panel]:
    """The panels of a verb for which a run has metrics; each reward has one of its own, for their sizes differ."""
    panels = [panel for panel in PANELS[verb] if matching(found, panel.patterns)]
    return panels + [
        Panel(f"Reward {name}", "mean, without weight", (*keys,), "Rewards") for name, keys in parts(found)
    ]


def parts(found: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The rewards that a run was given, and the metrics of each: over all tasks, and of each task."""
    tasks = {key.split("/")[1] for key in found if key.startswith("reward/") and key.endswith("/zero_std")}
    tasks -= {"zero_std"}
    names: dict[str, list[str]] = {}
    for key in found:
        kind, _, rest = key.partition("/")
        first, _, own = rest.partition("/")
        name = own if first in tasks else rest
        if kind == "reward" and name not in SUMMED:
            names.setdefault(name, []).append(key)
    return sorted(names.items())
