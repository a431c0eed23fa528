"""The embedded world as rows: captions to draw, riddles to think about and draw, questions to answer."""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

from unigrpo.config import DataSection
from unigrpo.config.sources import kinds_of
from unigrpo.data.files import Record
from unigrpo.data.generators import PATIENCE, TEST_SHARE, digest
from unigrpo.data.world import CELLS, THINGS, Scene, render
from unigrpo.data.world_captions import Caption, captions
from unigrpo.data.world_questions import ANSWERS, Question, ask
from unigrpo.data.world_riddles import riddle
from unigrpo.errors import ConfigError


def shapes(section: DataSection) -> Iterator[Record]:
    """Return rows of scenes for `section.task`, the kinds in turn; `tag` names a row's kind.

    `image` and `think_image`: a caption or riddle, a picture of it, and `include` and `exclude` for the reward
    `shapes`. The captions of a kind are equally frequent; once all have had their turn they come again, with pictures
    of their own. A held-out caption, or one that means the same, never occurs in training, as caption or as riddle.

    `understand`: a question about a picture, with each answer of its kind equally frequent; with
    `instruction=think` the response thinks first. Training never asks about a held-out scene.
    """
    draw = random.Random(f"shapes/{section.task}/{section.split}/{section.seed}")
    rows = _questions(section, draw) if section.task == "understand" else _drawings(section, draw)
    for number, values in enumerate(islice(rows, section.size), start=1):
        yield Record(f"shapes-{section.task}-{section.split}:{number}", f"shapes row {number}", values)


def _drawings(section: DataSection, draw: random.Random) -> Iterator[dict[str, Any]]:
    kinds = section.kinds or kinds_of(section)
    endless = {kind: _shuffled(captions_of(kind, section.split), draw) for kind in kinds}
    for kind in cycle(kinds):
        caption = next(endless[kind])
        values = {"image": render(caption.scene(draw)), "include": caption.include, "exclude": caption.exclude}
        if section.task == "think_image":
            thought = {"answer": str(caption), "response": f"<think>{caption}</think>"}
            yield {"prompt": riddle(caption, draw), **thought, **values, "tag": kind}
        else:
            prompt = riddle(caption, draw) if section.riddle else str(caption)
            yield {"prompt": prompt, **values, "tag": kind}


def _questions(section: DataSection, draw: random.Random) -> Iterator[dict[str, Any]]:
    kinds = section.kinds or kinds_of(section)
    answers = {kind: _shuffled(ANSWERS[kind], draw) for kind in kinds}
    asked: set[tuple[str, Scene]] = set()
    for kind in cycle(kinds):
        question, scene = _question(kind, next(answers[kind]), section, draw, asked)
        asked.add((question.text, scene))
        thinks = f"<think>{question.thought}</think> " if section.instruction == "think" else ""
        answer = {"answer": question.answer, "response": f"{thinks}{question.answer}"}
        yield {"prompt": question.text, **answer, "image": render(scene), "tag": kind}


def _question(
    kind: str, answer: str, section: DataSection, draw: random.Random, asked: set[tuple[str, Scene]]
) -> tuple[Question, Scene]:
    """Draw scenes and questions until one is new, of the split, and has this answer."""
    for _ in range(PATIENCE * TEST_SHARE):
        scene = _random_scene(draw)
        if (digest(str(scene)) % TEST_SHARE == 0) != (section.split == "test"):
            continue
        question = ask(kind, scene, draw)
        if question is not None and question.answer == answer and (question.text, scene) not in asked:
            return question, scene
    raise ConfigError(
        f"data.size is {section.size}, but shapes finds no more than {len(asked)} {section.split} questions of the "
        f"kinds {', '.join(section.kinds or kinds_of(section))}: set data.size={len(asked)} or allow more data.kinds."
    )


def captions_of(kind: str, split: str) -> list[Caption]:
    """Return the captions of a kind that belong to a split: a tenth of what can be meant is held out."""
    meanings = sorted({caption.meaning for caption in captions(kind)}, key=digest)
    held_out = set(meanings[: math.ceil(len(meanings) / TEST_SHARE)])
    return [caption for caption in captions(kind) if (caption.meaning in held_out) == (split == "test")]


def _random_scene(draw: random.Random) -> Scene:
    """Draw a scene of one to four things, each number equally often; in half of them things are often equal."""
    count = draw.randint(1, len(CELLS))
    pool = draw.choice((THINGS, draw.sample(THINGS, 2)))
    things = [draw.choice(pool) for _ in range(count)] + [None] * (len(CELLS) - count)
    draw.shuffle(things)
    return Scene((things[0], things[1], things[2], things[3]))


def _shuffled(items: Sequence[Any], draw: random.Random) -> Iterator[Any]:
    """Go through the items again and again, each time in another order."""
    while True:
        yield from draw.sample(items, len(items))
