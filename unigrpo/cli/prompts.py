"""The prompts of a run's tasks, each labelled with the name of its task."""

from transformers import PreTrainedTokenizerBase

from unigrpo.config import DataSection, TrainConfig, tasks_of
from unigrpo.data.load import load_prompts
from unigrpo.data.stream import MixedStream, PromptStream, most_drawn
from unigrpo.models.ids import IdTable
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.types import Prompt


def training_prompts(
    config: TrainConfig, tokenizer: PreTrainedTokenizerBase, ids: IdTable, images: ImageTokenizer | None
) -> tuple[MixedStream, list[Prompt]]:
    """The stream that a run draws its prompts from, and all of them."""
    tasks, every = tasks_of(config), []
    total = sum(task.weight for task in tasks.values())
    streams = {}
    for name, task in tasks.items():
        prompts = load_prompts(
            task.data, tokenizer, ids, stream=name, images=images, visible_pads=config.model.legacy_visible_pads
        )
        draw = most_drawn(config.rollout.prompts_per_step, task.weight / total)
        streams[name] = PromptStream(prompts, config.seed, task.data.shuffle, draw=draw)
        every += prompts
    return MixedStream(streams, {name: task.weight for name, task in tasks.items()}), every


def held_out_prompts(
    sections: dict[str, DataSection | None],
    tokenizer: PreTrainedTokenizerBase,
    ids: IdTable,
    images: ImageTokenizer | None,
    limit: int | None,
    visible_pads: bool,
) -> list[Prompt]:
    """The prompts of an evaluation, at most `limit` of each task."""
    prompts = []
    for name, section in sections.items():
        if section is not None:
            prompts += load_prompts(
                section, tokenizer, ids, stream=name, images=images, visible_pads=visible_pads, most=limit
            )
    return prompts
