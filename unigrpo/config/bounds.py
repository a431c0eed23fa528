"""The range of each number, by section and field. A number that is null is not checked."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """What a number must satisfy, and the words for it."""

    words: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number is finite and in range."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return math.isfinite(value) and above and below


COUNT = Range("1 or more", low=1)
NOT_NEGATIVE = Range("0 or more", low=0)
POSITIVE = Range("a number above 0", low=0, open_low=True)
FINITE = Range("a finite number")
SHARE = Range("between 0 and 1", low=0, high=1)
RATIO = Range("above 0 and at most 1", low=0, high=1, open_low=True)
BELOW_ONE = Range("at least 0 and below 1", low=0, high=1, open_high=True)
INSIDE = Range("above 0 and below 1", low=0, high=1, open_low=True, open_high=True)

NOISE = {
    "draws": COUNT,
    "low": RATIO,
    "high": RATIO,
    "prompt_mask": BELOW_ONE,
    "shrink": COUNT,
    "block_length": COUNT,
}
SAMPLING = {
    "gen_length": COUNT,
    "block_length": COUNT,
    "steps": COUNT,
    "threshold": RATIO,
    "entropy_bound": NOT_NEGATIVE,
    "cache_refresh": COUNT,
    "cache_check": SHARE,
    "temperature": NOT_NEGATIVE,
    "guidance": NOT_NEGATIVE,
    "eos_tail": NOT_NEGATIVE,
    "batch_size": COUNT,
}
RANGES: dict[str, dict[str, Range]] = {
    "TrainConfig": {"steps": COUNT, "seed": NOT_NEGATIVE},
    "SFTConfig": {"steps": COUNT, "seed": NOT_NEGATIVE, "held_out_every": COUNT, "stop_below": POSITIVE},
    "EvalConfig": {"seed": NOT_NEGATIVE, "samples": COUNT, "limit": COUNT, "max_failed": SHARE, "bootstrap": COUNT},
    "ClipConfig": {
        "steps": COUNT,
        "seed": NOT_NEGATIVE,
        "batch_size": Range("2 or more", low=2),
        "shrink": RATIO,
        "noise": NOT_NEGATIVE,
    },
    "CurateConfig": {"samples": COUNT, "max_failed": SHARE, "seed": NOT_NEGATIVE},
    "TeacherSection": {
        "temperature": NOT_NEGATIVE,
        "top_p": RATIO,
        "max_tokens": COUNT,
        "seed": NOT_NEGATIVE,
        "resolution": COUNT,
        "max_concurrency": COUNT,
        "timeout": POSITIVE,
        "patience": POSITIVE,
        "price_in": NOT_NEGATIVE,
        "price_out": NOT_NEGATIVE,
    },
    "FilterSection": {
        "max_characters": COUNT,
        "max_tokens": COUNT,
        "near": RATIO,
        "ngram": COUNT,
        "min_pass": SHARE,
        "max_pass": SHARE,
        "per_prompt": COUNT,
        "bins": COUNT,
        "ratio": Range("1 or more", low=1),
    },
    "GenerateConfig": {"seed": NOT_NEGATIVE, "samples": COUNT, "max_prompt_length": COUNT},
    "DemoConfig": {
        "seed": NOT_NEGATIVE,
        "max_prompt_length": COUNT,
        "port": Range("between 0 and 65535", low=0, high=65535),
    },
    "EvalSection": {"every": COUNT, "samples": COUNT, "temperature": NOT_NEGATIVE, "limit": COUNT},
    "SFTSection": {
        "batch_size": COUNT,
        "micro_batch": COUNT,
        "max_length": COUNT,
        "pad_to": COUNT,
        "workers": NOT_NEGATIVE,
        "eps": INSIDE,
        "condition_dropout": SHARE,
        "accumulation": COUNT,
        "ema": BELOW_ONE,
    },
    "ModelSection": {"vocab_size": COUNT},
    "InitMmadaConfig": {"codebook_size": COUNT, "seed": NOT_NEGATIVE},
    "LoraSection": {"rank": NOT_NEGATIVE, "alpha": POSITIVE},
    "DataSection": {
        "size": COUNT,
        "digits": COUNT,
        "operands": Range("2 or more", low=2),
        "max_prompt_length": COUNT,
        "limit": COUNT,
        "seed": NOT_NEGATIVE,
        "buffer": COUNT,
        "max_broken": SHARE,
    },
    "JoinSection": {},
    "FidSection": {},
    "ShotsSection": {"count": COUNT},
    "ChoicesSection": {"samples": COUNT, "batch_size": COUNT},
    "SampleFilterSection": {
        "min_tokens": COUNT,
        "max_tokens": COUNT,
        "min_side": COUNT,
        "max_side": COUNT,
        "max_aspect": Range("1 or more", low=1),
    },
    "MixSection": {"weight": POSITIVE},
    "SamplingSection": SAMPLING,
    "RolloutSection": SAMPLING
    | {"prompts_per_step": COUNT, "group_size": COUNT, "max_staleness": NOT_NEGATIVE, "max_cache_error": POSITIVE},
    "PipelineConfig": {},
    "ExportConfig": {},
    "ReportConfig": {},
    "StageSection": {},
    "SweepConfig": {"max_concurrent": COUNT},
    "AxisSection": {"low": FINITE, "high": FINITE, "points": COUNT},
    "SearchSection": {"trials": COUNT, "seed": NOT_NEGATIVE},
    "ResourcesSection": {"cpus": COUNT, "gpus": NOT_NEGATIVE},
    "EarlyStopSection": {"grace": COUNT, "reduction": Range("above 1", low=1, open_low=True)},
    "SweepClusterSection": {},
    "RewardEntry": {"weight": FINITE, "min": FINITE, "max": FINITE, "timeout": POSITIVE, "memory_gb": POSITIVE},
    "ScoringSection": {"max_failed": SHARE, "max_failed_steps": NOT_NEGATIVE},
    "AlgoSection": {
        "mu": COUNT,
        "eubo_order": Range("above 1", low=1, open_low=True),
        "psi": POSITIVE,
        "cache_correction": Range("1 or more", low=1),
        "clip_low": RATIO,
        "clip_high": POSITIVE,
        "beta": NOT_NEGATIVE,
        "dynamic_sampling": NOT_NEGATIVE,
    },
    "NoiseRule": NOISE,
    "NoiseSection": NOISE,
    "TokenizeImagesConfig": {"workers": NOT_NEGATIVE},
    "TokenizerConfig": {
        "steps": COUNT,
        "seed": NOT_NEGATIVE,
        "resolution": COUNT,
        "held_out_every": COUNT,
        "batch_size": COUNT,
    },
    "MagvitSection": {"bits": Range("between 1 and 20", low=1, high=20), "groups": COUNT},
    "PicturesSection": {"size": COUNT, "limit": COUNT, "seed": NOT_NEGATIVE},
    "TokenizerLossSection": {
        "l1": NOT_NEGATIVE,
        "l2": NOT_NEGATIVE,
        "commitment": NOT_NEGATIVE,
        "entropy": NOT_NEGATIVE,
        "entropy_final": NOT_NEGATIVE,
        "entropy_steps": COUNT,
    },
    "ImageTokenizerSection": {"resolution": COUNT, "batch_size": COUNT},
    "ImageSamplingSection": {
        "cache_refresh": COUNT,
        "cache_check": SHARE,
        "steps": COUNT,
        "power": POSITIVE,
        "temperature": NOT_NEGATIVE,
        "guidance": NOT_NEGATIVE,
        "choice_temperature": NOT_NEGATIVE,
    },
    "TaskSection": {"weight": POSITIVE},
    "EvalTaskSection": {"weight": POSITIVE},
    "StreamSection": {
        "batch_size": COUNT,
        "coefficient": POSITIVE,
        "weight": POSITIVE,
        "max_length": COUNT,
        "pad_to": COUNT,
    },
    "StandInSection": {"batch_size": COUNT, "max_length": COUNT, "pad_to": COUNT},
    "LikelihoodSection": {"micro_batch": COUNT, "chunk": COUNT},
    "OptimSection": {
        "lr": POSITIVE,
        "eps": POSITIVE,
        "weight_decay": NOT_NEGATIVE,
        "warmup_steps": NOT_NEGATIVE,
        "min_lr_ratio": SHARE,
        "max_grad_norm": NOT_NEGATIVE,
        "max_skipped": NOT_NEGATIVE,
    },
    "CheckpointSection": {"every": COUNT, "keep": COUNT},
    "TrackingSection": {"rollouts_every": NOT_NEGATIVE, "rollouts_rows": COUNT},
    "ClusterSection": {
        "ranks": COUNT,
        "zero": Range("0, 1, 2 or 3", low=0, high=3),
        "rollout_workers": COUNT,
        "reward_workers": COUNT,
        "reward_gpus": NOT_NEGATIVE,
        "threads": COUNT,
        "timeout": POSITIVE,
        "watchdog": POSITIVE,
        "max_restarts": NOT_NEGATIVE,
    },
}


def sections(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every section inside a config, itself included, with the dotted prefix of its keys (`algo.noise.`)."""
    yield prefix, config
    for field in fields(config):
        value = getattr(config, field.name)
        inside = {f"{field.name}.{name}": item for name, item in value.items()} if isinstance(value, dict) else {}
        for name, item in (inside or {field.name: value}).items():
            if is_dataclass(item):
                yield from sections(item, f"{prefix}{name}.")


def out_of_range(config: Any) -> Iterator[str]:
    """One message for each number that is out of its range."""
    for prefix, section in sections(config):
        for name, allowed in RANGES[type(section).__name__].items():
            value = getattr(section, name)
            if value is not None and not allowed.holds(value):
                yield f"{prefix}{name} is {value}: set it to {allowed.words}."
