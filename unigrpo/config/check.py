"""Whether the settings of a verb go together, before anything is loaded: ranges, then rules in and across sections."""

from collections.abc import Callable, Iterator
from typing import Any

from unigrpo.config.bounds import out_of_range, sections
from unigrpo.config.rules import SECTION_RULES, ignored
from unigrpo.config.verbs import EvalConfig, GenerateConfig, SFTConfig, TrainConfig
from unigrpo.errors import ConfigError

Rule = Callable[[Any], str | None]


def check_train(config: TrainConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo train` contradict each other."""
    _check(config, TRAIN_RULES)


def check_sft(config: SFTConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo sft` contradict each other."""
    _check(config, SFT_RULES)


def check_eval(config: EvalConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo eval` contradict each other."""
    _check(config, EVAL_RULES)


def check_generate(config: GenerateConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo generate` contradict each other."""
    _check(config, GENERATE_RULES)


def _check(config: Any, rules: list[Rule]) -> None:
    message = next(_problems(config, rules), None)
    if message:
        raise ConfigError(message)


def _problems(config: Any, rules: list[Rule]) -> Iterator[str]:
    yield from out_of_range(config)
    defaults = dict(sections(type(config)()))
    for prefix, section in sections(config):
        yield from filter(None, (rule(section, prefix) for rule in SECTION_RULES.get(type(section), [])))
        if message := ignored(section, defaults.get(prefix, type(section)()), prefix):
            yield message
    yield from filter(None, (rule(config) for rule in rules))


def _resume_or_overwrite(it: TrainConfig | SFTConfig) -> str | None:
    if it.resume and it.overwrite:
        return "resume and overwrite are both set: a run either goes on or is replaced, so drop one."
    return None


def _output_is_named(it: TrainConfig | SFTConfig | EvalConfig) -> str | None:
    return None if it.output.strip() else "output is empty: name a folder, such as output=runs/mine."


def _groups_compare(it: TrainConfig) -> str | None:
    size = it.rollout.group_size
    if size < 2:
        return f"rollout.group_size is {size}, but an advantage compares rollouts of one prompt: set it to 2 or more."
    return None


def _training_samples_vary(it: TrainConfig) -> str | None:
    if it.rollout.temperature == 0:
        return "rollout.temperature is 0, but equal rollouts teach nothing: set it above 0, such as 1.0."
    return None


def _rewards_are_given(it: TrainConfig) -> str | None:
    if not it.rewards:
        return "rewards is empty: add one, such as rewards.math.weight=2.0."
    if all(entry.weight == 0 for entry in it.rewards.values()):
        return "rewards all have weight 0, so nothing would be learned: set one, such as rewards.math.weight=2.0."
    return None


def _eval_solved_is_a_reward(it: TrainConfig) -> str | None:
    return _solved(it.eval.solved, it.rewards, "eval.solved")


def _solved_is_a_reward(it: EvalConfig) -> str | None:
    return _solved(it.solved, it.rewards or {"math": None}, "solved")


def _solved(name: str | None, rewards: dict, key: str) -> str | None:
    if name is not None and name not in rewards:
        return f"{key} is {name!r}, which is not among the rewards: {', '.join(rewards)}."
    return None


def _eval_samples_vary(it: TrainConfig) -> str | None:
    return _vary(it.eval.samples, it.eval.temperature, it.rollout.confidence, "eval.samples", "eval.temperature")


def _samples_vary(it: EvalConfig | GenerateConfig) -> str | None:
    return _vary(it.samples, it.rollout.temperature, it.rollout.confidence, "samples", "rollout.temperature")


def _vary(samples: int, temperature: float, confidence: str, key: str, temperature_key: str) -> str | None:
    if samples > 1 and temperature == 0 and confidence != "random":
        return f"{key} is {samples}, but at {temperature_key}=0 they are all equal: set it above 0, or {key}=1."
    return None


def _guidance_was_sampled(it: TrainConfig) -> str | None:
    if it.algo.likelihood.guided and it.rollout.guidance == 0:
        return "algo.likelihood.guided is true, but rollout.guidance is 0, so nothing is guided: drop one."
    return None


def _train_warmup_ends(it: TrainConfig) -> str | None:
    return _warmup(it.optim.warmup_steps, it.steps * it.algo.mu, "steps x algo.mu")


def _sft_warmup_ends(it: SFTConfig) -> str | None:
    return _warmup(it.optim.warmup_steps, it.steps, "steps")


def _warmup(warmup: int, steps: int, words: str) -> str | None:
    if warmup > steps:
        return f"optim.warmup_steps is {warmup}, more than the {steps} optimiser steps of the run ({words})."
    return None


def _runs_in_one_process(it: SFTConfig | EvalConfig | GenerateConfig) -> str | None:
    if it.cluster.backend == "ray":
        return "cluster.backend is ray, but only `unigrpo train` uses Ray: set cluster.backend=local or drop it."
    return None


def _generates_from_a_checkpoint(it: GenerateConfig) -> str | None:
    if it.model.preset:
        return "model.preset makes an untrained model, which has no answers: set model.path to a checkpoint."
    return None


def _updates_are_not_rounded_away(it: TrainConfig | SFTConfig) -> str | None:
    if it.model.dtype == "bfloat16" and it.model.lora.rank == 0:
        return (
            f"model.dtype is bfloat16, in which an update of optim.lr={it.optim.lr:g} to a weight is rounded away: "
            "train adapters with model.lora.rank=16, or use float32."
        )
    return None


TRAIN_RULES: list[Rule] = [
    _updates_are_not_rounded_away,
    _output_is_named,
    _resume_or_overwrite,
    _groups_compare,
    _training_samples_vary,
    _rewards_are_given,
    _eval_solved_is_a_reward,
    _eval_samples_vary,
    _guidance_was_sampled,
    _train_warmup_ends,
]


def _prompts_leave_room(it: SFTConfig) -> str | None:
    if it.data.max_prompt_length >= it.sft.max_length:
        return (
            f"data.max_prompt_length is {it.data.max_prompt_length}, which leaves no room for a response in "
            f"sft.max_length={it.sft.max_length}: lower one or raise the other."
        )
    return None


def _stops_by_a_measured_loss(it: SFTConfig) -> str | None:
    if it.stop_below is not None and it.held_out is None:
        return f"stop_below is {it.stop_below}, but there is no validation loss: set held_out."
    return None


SFT_RULES: list[Rule] = [
    _updates_are_not_rounded_away,
    _prompts_leave_room,
    _stops_by_a_measured_loss,
    _output_is_named,
    _resume_or_overwrite,
    _sft_warmup_ends,
    _runs_in_one_process,
]
EVAL_RULES: list[Rule] = [
    _output_is_named,
    _solved_is_a_reward,
    _samples_vary,
    _runs_in_one_process,
]
GENERATE_RULES: list[Rule] = [_generates_from_a_checkpoint, _samples_vary, _runs_in_one_process]
