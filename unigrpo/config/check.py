"""Whether the settings of a verb go together, before anything is loaded: ranges, then rules in and across sections."""

from collections.abc import Callable, Iterator
from typing import Any

from unigrpo.config import eval_rules, generate_rules, sft_rules, task_rules
from unigrpo.config.bounds import out_of_range, sections
from unigrpo.config.clip import ClipConfig, captions_are_of_images, prompts_are_not_made
from unigrpo.config.cluster_rules import CLUSTER_RULES, SFT_CLUSTER_RULES
from unigrpo.config.curate import CURATE_RULES, CurateConfig
from unigrpo.config.demo import DEMO_RULES, DemoConfig
from unigrpo.config.evaluation import EvalConfig
from unigrpo.config.export import EXPORT_RULES, ExportConfig
from unigrpo.config.imaging import TokenizerConfig, something_is_learned
from unigrpo.config.init_mmada import InitMmadaConfig, source_is_named
from unigrpo.config.pipeline import PIPELINE_RULES, PipelineConfig
from unigrpo.config.report import REPORT_RULES, ReportConfig
from unigrpo.config.rules import SECTION_RULES, ignored
from unigrpo.config.secrets import written_secrets
from unigrpo.config.sft import SFTConfig
from unigrpo.config.sweep import SweepConfig
from unigrpo.config.sweep_rules import SWEEP_RULES
from unigrpo.config.tasks import tasks_of
from unigrpo.config.tokenize_images import TOKENIZE_IMAGES_RULES, TokenizeImagesConfig
from unigrpo.config.verbs import GenerateConfig, TrainConfig
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


def check_pipeline(config: PipelineConfig) -> None:
    """Raises a ConfigError when a pipeline has no stages; the settings of each are checked as those of its verb."""
    _check(config, [_output_is_named, *PIPELINE_RULES])


def check_sweep(config: SweepConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo sweep` contradict each other; trials are checked as runs."""
    _check(config, [_output_is_named, *SWEEP_RULES])


def check_clip(config: ClipConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo clip` contradict each other."""
    _check(config, CLIP_RULES)


def check_curate(config: CurateConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo curate` contradict each other."""
    _check(config, [_output_is_named, *CURATE_RULES])


def check_tokenizer(config: TokenizerConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo tokenizer` contradict each other."""
    _check(config, TOKENIZER_RULES)


def check_tokenize_images(config: TokenizeImagesConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo tokenize-images` contradict each other."""
    _check(config, [_output_is_named, *TOKENIZE_IMAGES_RULES, _runs_in_one_process])


def check_generate(config: GenerateConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo generate` contradict each other."""
    _check(config, GENERATE_RULES)


def check_demo(config: DemoConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo demo` cannot be used."""
    _check(config, [_generates_from_a_checkpoint, *DEMO_RULES, _runs_in_one_process])


def check_init_mmada(config: InitMmadaConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo init-mmada` cannot be used."""
    _check(config, [_output_is_named, source_is_named])


def check_export(config: ExportConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo export` cannot be used."""
    _check(config, [*EXPORT_RULES, _output_is_named])


def check_report(config: ReportConfig) -> None:
    """Raises a ConfigError when the settings of `unigrpo report` cannot be used."""
    _check(config, REPORT_RULES)


def _check(config: Any, rules: list[Rule]) -> None:
    message = next(_problems(config, rules), None)
    if message:
        raise ConfigError(message)


def _problems(config: Any, rules: list[Rule]) -> Iterator[str]:
    yield from written_secrets(config)  # first, for other messages show values
    yield from out_of_range(config)
    defaults = _defaults(config)
    mixed = {f"streams.{name}.data." for name, stream in getattr(config, "streams", {}).items() if stream.mix}
    for prefix, section in sections(config):
        if prefix == "data." and (getattr(config, "tasks", None) or getattr(config, "streams", None)):
            continue  # unused, which the rules of tasks and streams see to
        if prefix in mixed:
            continue  # unused too
        yield from filter(None, (rule(section, prefix) for rule in SECTION_RULES.get(type(section), [])))
        if message := ignored(section, defaults.get(prefix, type(section)()), prefix):
            yield message
    yield from filter(None, (rule(config) for rule in rules))


def _defaults(config: Any) -> dict[str, Any]:
    """Each section as it is when nothing is set, by its prefix; those of a task as they are in such a task."""
    found = dict(sections(type(config)()))
    for name, task in getattr(config, "tasks", {}).items():
        found |= sections(type(task)(), f"tasks.{name}.")
    return found


def _resume_or_overwrite(it: TrainConfig | SFTConfig) -> str | None:
    if it.resume and it.overwrite:
        return "resume and overwrite are both set: a run either goes on or is replaced, so drop one."
    return None


def _output_is_named(it: Any) -> str | None:
    return None if it.output.strip() else "output is empty: name a folder, such as output=runs/mine."


def _prompts_are_in_memory(it: TrainConfig | EvalConfig) -> str | None:
    for name, task in tasks_of(it).items():
        held_out = f"tasks.{name}.eval" if name else "eval.data"
        for key, section in ((f"tasks.{name}.data" if name else "data", task.data), (held_out, task.eval)):
            if section is not None and section.streaming:
                return f"{key}.streaming is true, but only supervised fine-tuning streams its data: drop it."
    return None


def _groups_compare(it: TrainConfig) -> str | None:
    size = it.rollout.group_size
    if size < 2:
        return f"rollout.group_size is {size}, but an advantage compares rollouts of one prompt: set it to 2 or more."
    return None


def _train_warmup_ends(it: TrainConfig) -> str | None:
    return _warmup(it.optim.warmup_steps, it.steps * it.algo.mu, "steps x algo.mu")


def _sft_warmup_ends(it: SFTConfig | ClipConfig) -> str | None:
    return _warmup(it.optim.warmup_steps, it.steps, "steps")


def _warmup(warmup: int, steps: int, words: str) -> str | None:
    if warmup > steps:
        return f"optim.warmup_steps is {warmup}, more than the {steps} optimiser steps of the run ({words})."
    return None


def _runs_in_one_process(it: EvalConfig | GenerateConfig | DemoConfig | ClipConfig) -> str | None:
    if it.cluster.backend == "ray":
        return (
            "cluster.backend is ray, but only `unigrpo train` and `unigrpo sft` use Ray: set cluster.backend=local or "
            "drop it."
        )
    return None


def _generates_from_a_checkpoint(it: GenerateConfig | DemoConfig) -> str | None:
    if it.model.preset:
        return "model.preset makes an untrained model, which has no answers: set model.path to a checkpoint."
    return None


def _half_precision_is_trained(it: TrainConfig | SFTConfig) -> str | None:
    full = it.model.dtype == "bfloat16" and it.model.lora.rank == 0
    several = it.cluster.ranks > 1 or it.cluster.zero > 0
    if it.optim.bfloat16 != "copied" and (not full or several or it.optim.offload):
        return (
            f"optim.bfloat16 is {it.optim.bfloat16}, but it is only used when one process trains all weights, "
            "model.dtype is bfloat16 and optim.offload is false: drop it."
        )
    if it.optim.states != "float32" and several:
        return f"optim.states is {it.optim.states}, but it is for one process: drop it; ZeRO keeps states in pieces."
    if it.optim.offload and several:
        return "optim.offload is true, but it is for one process: set cluster.offload with cluster.zero=1 or more."
    return None


def _trains_float32(it: ClipConfig | TokenizerConfig) -> str | None:
    if it.optim.bfloat16 != "copied" or it.optim.offload:
        name = "offload" if it.optim.offload else "bfloat16"
        return f"optim.{name} is {getattr(it.optim, name)}, but it is only used when a policy is trained: drop it."
    return None


TRAIN_RULES: list[Rule] = [
    _half_precision_is_trained,
    _output_is_named,
    _resume_or_overwrite,
    _groups_compare,
    task_rules.tasks_stand_alone,
    _prompts_are_in_memory,
    task_rules.training_samples_vary,
    task_rules.sampled_temperatures_divide,
    task_rules.rewards_are_given,
    task_rules.solved_is_a_reward,
    task_rules.images_have_a_tokenizer,
    task_rules.sampling_is_used,
    task_rules.eval_samples_vary,
    task_rules.guidance_was_sampled,
    task_rules.corrected_samples_were_cached,
    _train_warmup_ends,
    eval_rules.given_responses_stand_somewhere,
    *CLUSTER_RULES,
]


SFT_RULES: list[Rule] = [
    _half_precision_is_trained,
    sft_rules.streams_stand_alone,
    sft_rules.choices_are_choices,
    sft_rules.stand_ins_are_of_a_task,
    sft_rules.ends_are_drawn,
    sft_rules.mixes_are_of_one_task,
    sft_rules.held_out_is_in_memory,
    sft_rules.workers_have_work,
    sft_rules.prompts_leave_room,
    sft_rules.stops_by_a_measured_loss,
    sft_rules.held_out_is_of_the_task,
    sft_rules.texts_are_padded,
    sft_rules.prompts_of_drawings_are_dropped,
    sft_rules.images_have_a_tokenizer,
    _output_is_named,
    _resume_or_overwrite,
    _sft_warmup_ends,
    eval_rules.examples_have_no_shots,
    *SFT_CLUSTER_RULES,
]
EVAL_RULES: list[Rule] = [
    _output_is_named,
    task_rules.tasks_stand_alone,
    _prompts_are_in_memory,
    task_rules.solved_is_a_reward,
    task_rules.images_have_a_tokenizer,
    task_rules.sampling_is_used,
    *eval_rules.EVAL_ONLY_RULES,
    task_rules.samples_vary,
    eval_rules.given_responses_stand_somewhere,
    _runs_in_one_process,
]
CLIP_RULES: list[Rule] = [
    _output_is_named,
    _trains_float32,
    captions_are_of_images,
    prompts_are_not_made,
    _sft_warmup_ends,
    _runs_in_one_process,
]
TOKENIZER_RULES: list[Rule] = [
    _output_is_named,
    _trains_float32,
    _resume_or_overwrite,
    something_is_learned,
    _sft_warmup_ends,
    _runs_in_one_process,
]
GENERATE_RULES: list[Rule] = [
    _generates_from_a_checkpoint,
    generate_rules.a_file_stands_alone,
    generate_rules.settings_fit_the_task,
    generate_rules.model_and_sampling_fit_the_task,
    generate_rules.samples_vary,
    _runs_in_one_process,
]
