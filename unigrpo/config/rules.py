"""Rules inside one section. Each takes the section and the prefix of its keys (`algo.`), and returns what is wrong."""

import difflib
from collections.abc import Callable
from typing import Any

from unigrpo.config.algo import AlgoSection, NoiseRule, NoiseSection
from unigrpo.config.evaluation import EvalTaskSection
from unigrpo.config.imaging import (
    MagvitSection,
    PicturesSection,
    TokenizerConfig,
    TokenizerLossSection,
    pictures_have_a_source,
)
from unigrpo.config.rewards import RewardEntry
from unigrpo.config.sections import (
    ClusterSection,
    DataSection,
    ImageSamplingSection,
    LoraSection,
    ModelSection,
    OptimSection,
    RolloutSection,
    SamplingSection,
    TrackingSection,
)
from unigrpo.config.sft import StreamSection
from unigrpo.config.sources import CHATS, DATA_RULES, GENERATED, is_streamed
from unigrpo.config.verbs import GenerateConfig

TRACKERS = ("wandb", "tensorboard")

Used = Callable[[Any], bool]
ASKED: list[tuple[tuple[str, ...], Used, str]] = [
    (("template",), lambda it: it.task != "image", "{p}task is another than image"),
    (
        ("legacy_eot",),
        lambda it: it.task != "image" and it.template == "chat",
        "{p}template=chat and {p}task is another than image",
    ),
]
CACHED: tuple[tuple[str, ...], Used, str] = (
    ("cache_refresh", "cache_check"),
    lambda it: it.cache != "none",
    "{p}cache is prefix or dual",
)
NOISE: list[tuple[tuple[str, ...], Used, str]] = [
    (("low", "high"), lambda it: it.rule == "range", "{p}rule=range"),
    (("shrink",), lambda it: it.plan == "trace", "{p}plan=trace"),
    (("block_length",), lambda it: it.plan == "block", "{p}plan=block"),
    (("count",), lambda it: it.plan == "uniform" and it.rule != "elbo", "{p}plan=uniform and a rule other than elbo"),
]
USED_WHEN: dict[type, list[tuple[tuple[str, ...], Used, str]]] = {
    ModelSection: [(("vocab_size",), lambda it: it.preset is not None, "{p}preset is set")],
    MagvitSection: [
        (
            ("bits", "encoder_widths", "decoder_widths", "encoder_blocks", "decoder_blocks", "groups"),
            lambda it: it.path is None,
            "{p}path is not set",
        )
    ],
    PicturesSection: [
        (("column", "image_root"), lambda it: it.source == "file", "{p}source=file"),
        (("fit",), lambda it: it.source not in GENERATED, "{p}source is folder or file"),
        (("split",), lambda it: it.source != "folder", "{p}source is file, shapes or digits"),
        (("size", "seed"), lambda it: it.source in GENERATED, "{p}source is shapes or digits"),
    ],
    TokenizerLossSection: [
        (("entropy_steps",), lambda it: it.entropy != it.entropy_final, "{p}entropy and {p}entropy_final differ")
    ],
    TokenizerConfig: [(("held_out_every",), lambda it: it.held_out is not None, "held_out is set")],
    SamplingSection: [CACHED],
    ImageSamplingSection: [CACHED],
    RolloutSection: [CACHED],
    LoraSection: [(("alpha", "targets"), lambda it: it.rank > 0, "{p}rank is 1 or more")],
    StreamSection: [(("weight",), lambda it: it.one_of is not None, "{p}one_of is set")],
    EvalTaskSection: [(("weight", "eval"), lambda it: False, "a run trains")],
    DataSection: [
        (("columns", "layout", "join"), lambda it: it.source in ("file", "hub"), "{p}source=file"),
        (("subset",), lambda it: it.source == "hub", "{p}source=hub"),
        (("turns",), lambda it: it.layout in CHATS, f"{{p}}layout is one of {', '.join(CHATS)}"),
        (("buffer",), is_streamed, "{p}streaming=true, or the data is of many files"),
        (("codes",), lambda it: it.task != "text", "a {p}task with images"),
        (("size",), lambda it: it.source in GENERATED, f"{{p}}source is one of {', '.join(GENERATED)}"),
        (("split",), lambda it: it.source in (*GENERATED, "hub"), f"{{p}}source is one of {', '.join(GENERATED)}"),
        (("digits",), lambda it: it.source == "arithmetic", "{p}source=arithmetic"),
        (("operands",), lambda it: it.source == "countdown", "{p}source=countdown"),
        (("kinds",), lambda it: it.source == "shapes", "{p}source=shapes"),
        (("riddle",), lambda it: it.source == "shapes" and it.task == "image", "{p}source=shapes and {p}task=image"),
        *ASKED,
        (
            ("image_root", "fit"),
            lambda it: it.source in ("file", "hub") and it.task != "text",
            "{p}source=file and a {p}task with images",
        ),
    ],
    AlgoSection: [
        (("psi",), lambda it: it.advantage == "wd1" or it.ratio == "regress", "{p}advantage=wd1 or {p}ratio=regress"),
        (("negative",), lambda it: it.ratio == "none", "{p}ratio=none"),
        (("eubo_order",), lambda it: it.negative == "eubo", "{p}negative=eubo"),
        (("clip_low", "clip_high"), lambda it: it.ratio in ("token", "sequence"), "{p}ratio is token or sequence"),
        (("kl",), lambda it: it.beta > 0, "{p}beta is above 0"),
        (
            ("weight",),
            lambda it: it.aggregation == "sequence" or it.ratio in ("sequence", "regress"),
            "{p}aggregation=sequence",
        ),
    ],
    NoiseRule: NOISE,
    NoiseSection: NOISE,
    GenerateConfig: [
        *ASKED,
        (("fit",), lambda it: it.image is not None or (it.file and it.task != "text"), "image is set"),
        (("columns", "output", "overwrite"), lambda it: it.file is not None, "file is set"),
    ],
    OptimSection: [(("min_lr_ratio",), lambda it: it.schedule != "constant", "{p}schedule is linear or cosine")],
    ClusterSection: [
        (
            (
                "address",
                "timeout",
                "watchdog",
                "max_restarts",
                "layout",
                "ranks",
                "zero",
                "reward_workers",
                "reward_gpus",
            ),
            lambda it: it.backend == "ray",
            "{p}backend=ray",
        ),
        (("rollout_workers",), lambda it: it.layout == "separate", "{p}layout=separate"),
        (("offload",), lambda it: it.zero > 0, "{p}zero is 1 or more"),
        (("sleep",), lambda it: it.backend == "ray" and it.zero < 3, "{p}backend=ray, and {p}zero below 3"),
    ],
}


def ignored(section: Any, default: Any, prefix: str) -> str | None:
    """A setting that differs from its default and is read by nothing."""
    for names, used, when in USED_WHEN.get(type(section), []):
        if used(section):
            continue
        for name in names:
            if name == "buffer" and ".mix." in prefix:
                continue  # what is mixed is streamed, whatever it is
            value = getattr(section, name)
            if value not in (getattr(default, name), getattr(type(section)(), name)):
                return f"{prefix}{name} is {value}, but it is only used when {when.format(p=prefix)}: drop it."
    return None


def model_has_one_origin(it: ModelSection, p: str) -> str | None:
    """Exactly one of path and preset."""
    if it.path and it.preset:
        return f"{p}path and {p}preset are both set: a model is either loaded or made from scratch, so drop one."
    if not it.path and not it.preset:
        return f"{p}path is not set: name a checkpoint folder, or make a small model with {p}preset=tiny."
    return None


def data_has_its_path(it: DataSection, p: str) -> str | None:
    """Files need a path and generators have none."""
    if it.source in GENERATED and it.path:
        return f"{p}path is {it.path!r}, but {p}source={it.source} generates its rows: drop it."
    if it.source not in GENERATED and not it.path:
        return f"{p}path is not set: {p}source={it.source} reads a file, so name it."
    return None


def thoughts_are_written(it: DataSection | GenerateConfig, p: str) -> str | None:
    """A drawing alone has no thought before it."""
    if it.instruction == "think" and it.task == "image":
        return f"{p}instruction is think, but {p}task=image draws without a thought: set {p}task=think_image."
    return None


def blocks_fill_the_response(it: SamplingSection, p: str) -> str | None:
    """Blocks are equal."""
    if it.gen_length % it.block_length:
        return f"{p}gen_length is {it.gen_length}, which {p}block_length={it.block_length} does not divide."
    return None


def steps_fill_the_blocks(it: SamplingSection, p: str) -> str | None:
    """Each block gets the same number of steps, and each step at least one token."""
    if it.steps is None:
        return None
    blocks = it.gen_length // it.block_length
    if it.steps % blocks:
        return f"{p}steps is {it.steps}, no multiple of the {blocks} blocks ({p}gen_length / {p}block_length)."
    if it.steps > it.gen_length:
        return f"{p}steps is {it.steps}, more than one for each token: set it to {p}gen_length={it.gen_length} or less."
    return None


def certainty_decides_alone(it: SamplingSection, p: str) -> str | None:
    """A threshold or a bound replaces both the number of steps and the order."""
    wanted = {"threshold": "confidence", "entropy_bound": "entropy"}
    found = [name for name in wanted if getattr(it, name) is not None]
    if not found:
        return None
    if len(found) == 2:
        return f"{p}threshold and {p}entropy_bound both decide how many tokens a step commits: drop one."
    [name] = found
    if it.steps is not None:
        return f"{p}{name} and {p}steps both decide how many tokens a step commits: drop one."
    if it.confidence != wanted[name]:
        meant = {"threshold": "compares probabilities", "entropy_bound": "adds up entropies"}[name]
        return f"{p}confidence is {it.confidence}, but {p}{name} {meant}: set {p}confidence={wanted[name]}."
    return None


def complements_pair_up(it: NoiseRule, p: str) -> str | None:
    """A complement needs a partner, and a plan whose masks have one."""
    if it.antithetic == "none":
        return None
    if it.draws % 2:
        return f"{p}draws is {it.draws}, but {p}antithetic=complement pairs masks: set it to an even number."
    if it.plan != "uniform":
        return f"{p}antithetic=complement does not go with {p}plan={it.plan}: only plan uniform has complements."
    return None


def range_is_a_range(it: NoiseRule, p: str) -> str | None:
    """The lowest ratio is below the highest."""
    return f"{p}low is {it.low}, not below {p}high={it.high}." if it.low >= it.high else None


def elbo_weights_have_a_ratio(it: AlgoSection, p: str) -> str | None:
    """1/t belongs to masks that hide a share t of the response at random."""
    plans = {"noise": it.noise, "noise.image": it.noise.image}
    for name, noise in plans.items():
        if it.weight == "elbo" and noise and noise.plan != "uniform":
            return f"{p}weight=elbo does not go with {p}{name}.plan={noise.plan}: its masks are not spread at random."
    return None


def betas_are_two(it: OptimSection, p: str) -> str | None:
    """Two decays, each at least 0 and below 1."""
    if len(it.betas) != 2 or not all(0 <= beta < 1 for beta in it.betas):
        return f"{p}betas is {it.betas}: set it to two numbers of at least 0 and below 1."
    return None


def caps_are_a_range(it: RewardEntry, p: str) -> str | None:
    """The lower cap is not above the upper one."""
    if it.min is not None and it.max is not None and it.min > it.max:
        return f"{p}min is {it.min}, above {p}max={it.max}: correct one."
    return None


def lora_has_targets(it: LoraSection, p: str) -> str | None:
    """Adapters sit on something."""
    return f"{p}targets is empty: name the layers that get an adapter." if it.rank and not it.targets else None


def trackers_are_known(it: TrackingSection, p: str) -> str | None:
    """Every tracker exists and is named once."""
    for name in it.to:
        if name not in TRACKERS:
            close = difflib.get_close_matches(name.lower(), TRACKERS, n=1, cutoff=0.3)
            hint = f" Did you mean: '{close[0]}'?" if close else ""
            return f"{p}to holds {name!r}, which is not one of {', '.join(TRACKERS)}.{hint}"
    return f"{p}to names a tracker twice: {', '.join(it.to)}." if len(set(it.to)) < len(it.to) else None


SAMPLING_RULES = [blocks_fill_the_response, steps_fill_the_blocks, certainty_decides_alone]
NOISE_RULES = [range_is_a_range, complements_pair_up]
SECTION_RULES: dict[type, list[Callable[[Any, str], str | None]]] = {
    ModelSection: [model_has_one_origin],
    LoraSection: [lora_has_targets],
    DataSection: [data_has_its_path, *DATA_RULES, thoughts_are_written],
    GenerateConfig: [thoughts_are_written],
    SamplingSection: SAMPLING_RULES,
    RolloutSection: SAMPLING_RULES,
    AlgoSection: [elbo_weights_have_a_ratio],
    NoiseRule: NOISE_RULES,
    NoiseSection: NOISE_RULES,
    PicturesSection: [pictures_have_a_source],
    OptimSection: [betas_are_two],
    RewardEntry: [caps_are_a_range],
    TrackingSection: [trackers_are_known],
}
