"""Rules about the tasks of a run, whether it names several or is one by its own settings."""

from dataclasses import fields
from typing import Any

from unigrpo.config.evaluation import COMPARED, EvalConfig, EvalTaskSection
from unigrpo.config.sections import (
    DRAWING,
    DataSection,
    ImageSamplingSection,
    ImageTokenizerSection,
    RolloutSection,
    SamplingSection,
)
from unigrpo.config.tasks import ALONE, rewards_of, tasks_of
from unigrpo.config.verbs import TaskSection, TrainConfig

EVERY_TASK = ("batch_size", "image")
"""Sampling settings that are no settings of text."""


def _prefix(name: str, group: str = "tasks") -> str:
    return f"{group}.{name}." if name != ALONE else ""


def _problem(config: TrainConfig | EvalConfig, rule: Any) -> str | None:
    found = (rule(task, _prefix(name)) for name, task in tasks_of(config).items())
    return next(filter(None, found), None)


def tasks_stand_alone(it: TrainConfig | EvalConfig) -> str | None:
    """With `tasks`, what would describe the only task is not set."""
    if not it.tasks:
        return None
    for name in it.tasks:
        if "/" in name or not name.strip():
            return f"tasks holds the name {name!r}, but metrics are called eval/NAME/accuracy: write letters only."
    alone: dict[str, tuple[Any, Any]] = {"rewards": (it.rewards, {})}
    defaults = type(it)()
    if isinstance(it, TrainConfig):
        alone |= {"eval.data": (it.eval.data, None), "eval.solved": (it.eval.solved, None)}
        alone |= {f"data.{f.name}": (getattr(it.data, f.name), getattr(DataSection(), f.name)) for f in fields(it.data)}
    else:
        alone |= {"solved": (it.solved, None)}
        alone |= {f"data.{f.name}": (getattr(it.data, f.name), getattr(defaults.data, f.name)) for f in fields(it.data)}
    sampling = ((f.name, getattr(it.rollout, f.name)) for f in fields(SamplingSection))
    alone |= {f"rollout.{name}": (value, getattr(defaults.rollout, name)) for name, value in sampling}
    for key, (value, default) in alone.items():
        if value != default:
            return f"{key} is set, but this run has tasks: set it for each, such as tasks.{next(iter(it.tasks))}.{key}."
    return None


def rewards_are_given(it: TrainConfig) -> str | None:
    """Every task earns something."""
    return _problem(it, _has_rewards)


def _has_rewards(task: TaskSection, p: str) -> str | None:
    if not task.rewards:
        return f"{p}rewards is empty: add one, such as {p}rewards.math.weight=2.0."
    if all(entry.weight == 0 for entry in task.rewards.values()):
        example = f"{p}rewards.math.weight=2.0"
        return f"{p}rewards all have weight 0, so nothing would be learned: set one, such as {example}."
    return None


def training_samples_vary(it: TrainConfig) -> str | None:
    """Equal rollouts have equal rewards."""
    return _problem(it, _varies)


def _varies(task: TaskSection, p: str) -> str | None:
    drawn = task.data.task in DRAWING
    key = "rollout.image.temperature" if drawn else "rollout.temperature"
    value = task.rollout.image.temperature if drawn else task.rollout.temperature
    return f"{p}{key} is 0, but equal rollouts teach nothing: set it above 0, such as 1.0." if value == 0 else None


def sampled_temperatures_divide(it: TrainConfig) -> str | None:
    """A thought may be greedy, but has no likelihood by the distribution it was drawn from."""
    for name, task in tasks_of(it).items():
        thinks = task.data.task == "think_image" and task.rollout.temperature == 0
        if thinks and it.algo.likelihood.temperature == "sampled":
            key = f"{_prefix(name)}rollout.temperature"
            return f"algo.likelihood.temperature is sampled, but {key} is 0, and nothing is divided by 0: change one."
    return None


def eval_samples_vary(it: TrainConfig) -> str | None:
    """Several samples of an evaluation differ."""
    greedy = any(
        task.data.task not in DRAWING and not writes_at_random(task.rollout, it.eval.temperature)
        for task in tasks_of(it).values()
    )
    if it.eval.samples > 1 and greedy:
        return (
            f"eval.samples is {it.eval.samples}, but at eval.temperature=0 they are all equal: set it above 0, or "
            "eval.samples=1."
        )
    return None


def guidance_was_sampled(it: TrainConfig) -> str | None:
    """A guided likelihood is that of guided samples."""
    guided = any(task.rollout.guidance or task.rollout.image.guidance for task in tasks_of(it).values())
    if it.algo.likelihood.guided and not guided:
        return "algo.likelihood.guided is true, but rollout.guidance is 0, so nothing is guided: drop one."
    return None


def corrected_samples_were_cached(it: TrainConfig) -> str | None:
    """What bounds or corrects the error of caches has some."""
    kinds = {kind for task in tasks_of(it).values() for kind in (task.rollout.cache, task.rollout.image.cache)}
    limit = it.rollout.max_cache_error
    of_caches = {"algo.cache_correction": it.algo.cache_correction}
    if limit != RolloutSection().max_cache_error:
        of_caches["rollout.max_cache_error"] = limit
    for name, value in of_caches.items():
        if value is not None and kinds == {"none"}:
            return f"{name} is {value:g}, but rollout.cache is none, so samples are the policy's own: drop one."
    return None


def solved_is_a_reward(it: TrainConfig | EvalConfig) -> str | None:
    """What counts as solved is among the rewards."""
    for name, task in tasks_of(it).items():
        key = f"tasks.{name}.solved" if name else ("eval.solved" if isinstance(it, TrainConfig) else "solved")
        compared = isinstance(task, EvalTaskSection) and task.likelihood is not None
        found = COMPARED if compared else tuple(rewards_of(it, task))
        if task.solved is not None and task.solved not in found:
            words = f"the rewards: {', '.join(found)}" if found else "the rewards, for there are none"
            return f"{key} is {task.solved!r}, which is not among {words}."
    return None


def images_have_a_tokenizer(it: TrainConfig | EvalConfig) -> str | None:
    """Tasks with images need the image tokenizer, and others none."""
    tasks = {name: task.data.task for name, task in tasks_of(it).items()}
    return image_tokenizer_is_used(it.model.image_tokenizer, it.model.legacy_visible_pads, tasks)


def image_tokenizer_is_used(
    tokenizer: ImageTokenizerSection, visible_pads: bool, tasks: dict[str, str], group: str = "tasks"
) -> str | None:
    """One rule for every verb.

    Args:
        tasks: what is asked for, by the name of the task; empty for the only one.
        group: the key below which the tasks stand.
    """
    seeing = next((name for name, task in tasks.items() if task != "text"), None)
    path, preset = tokenizer.path, tokenizer.preset
    if seeing is None and (path or preset):
        name = "path" if path else "preset"
        return f"model.image_tokenizer.{name} is {path or preset!r}, but no task has images: drop it, or set data.task."
    if path and preset:
        return "model.image_tokenizer.path and model.image_tokenizer.preset are both set: drop one."
    if seeing is not None and not path and not preset:
        return (
            f"{_prefix(seeing, group)}data.task is {tasks[seeing]}, which needs an image tokenizer: set "
            "model.image_tokenizer.path to a folder made by `unigrpo tokenizer`, or of the published magvitv2."
        )
    if visible_pads and "image" not in tasks.values():
        return "model.legacy_visible_pads is true, but only the task image pads its prompts: drop it."
    return None


def sampling_is_used(it: TrainConfig | EvalConfig) -> str | None:
    """Settings of text are for text, and those of drawing for drawings."""
    return _problem(it, lambda task, p: sampling_fits(task.data.task, task.rollout, f"{p}rollout."))


def sampling_fits(task: str, rollout: SamplingSection, p: str) -> str | None:
    """One rule for every verb."""
    if task == "think_image" and rollout.guidance:
        return f"{p}guidance is {rollout.guidance}, but a thought is not guided: set {p}image.guidance for the drawing."
    if task == "image":
        unused = {f.name for f in fields(SamplingSection)} - {*EVERY_TASK}
        return _unused(rollout, SamplingSection(), unused, f"{p}{{}} is for text, but data.task is image: drop it.")
    if task == "think_image":
        return None
    unused = {f.name for f in fields(ImageSamplingSection)}
    where = f"{p}image.{{}} is for drawings, but data.task is {task}: drop it."
    return _unused(rollout.image, ImageSamplingSection(), unused, where)


def _unused(section: Any, default: Any, names: set[str], message: str) -> str | None:
    for name in sorted(names):
        # An evaluation is greedy by default.
        if getattr(section, name) not in (getattr(default, name), 0.0 if name == "temperature" else None):
            return message.format(name)
    return None


def samples_vary(it: EvalConfig) -> str | None:
    """Several responses to one prompt differ."""
    return _problem(it, lambda task, p: samples_differ(task.data.task, it.samples, task.rollout, f"{p}rollout."))


def samples_differ(task: str, samples: int, rollout: SamplingSection, p: str) -> str | None:
    """One rule for every verb."""
    text = task != "image" and writes_at_random(rollout, rollout.temperature)
    drawing = task in DRAWING and (rollout.image.temperature > 0 or rollout.image.choice_temperature > 0)
    if samples == 1 or text or drawing:
        return None
    key = f"{p}image.temperature" if task == "image" else f"{p}temperature"
    return f"samples is {samples}, but at {key}=0 they are all equal: set it above 0, or samples=1."


def writes_at_random(rollout: SamplingSection, temperature: float) -> bool:
    """Whether two texts may differ: chance decides over their tokens, or over the order of these."""
    return temperature > 0 or rollout.confidence == "random"
