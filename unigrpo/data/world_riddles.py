"""Captions of the embedded world as riddles, which have to be thought through before they can be drawn."""

import random

from unigrpo.data.world_captions import Caption, Group

SHAPE_HINTS = {
    "circle": ("like a wheel", "like a coin"),
    "square": ("like a chessboard", "with four equal sides"),
    "triangle": ("like a pyramid", "with three sides"),
}
COLOUR_HINTS = {
    "red": ("blood", "a tomato"),
    "green": ("grass", "a frog"),
    "blue": ("the sky", "the sea"),
    "yellow": ("a lemon", "the sun"),
}
NUMBER_HINTS = {
    2: ("a bird has wings", "a cat has ears"),
    3: ("a clover has leaves", "a traffic light has lamps"),
    4: ("a dog has legs", "a car has wheels"),
}


def riddle(caption: Caption, draw: random.Random) -> str:
    """Describe what a caption names, by hints: `as many shapes with three sides as a cat has ears`."""
    assert not caption.place
    return " and ".join(_describe(group, draw) for group in caption.groups)


def _describe(group: Group, draw: random.Random) -> str:
    words = ["shape" if group.count == 1 else "shapes"]
    if group.shape:
        words.append(draw.choice(SHAPE_HINTS[group.shape]))
    if group.colour:
        words.append(f"in the colour of {draw.choice(COLOUR_HINTS[group.colour])}")
    if group.count == 1:
        return " ".join(["a", *words])
    return " ".join(["as many", *words, "as", draw.choice(NUMBER_HINTS[group.count])])
