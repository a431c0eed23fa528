"""Questions about a scene of the embedded world, each with its answer and the thought that leads to it."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from unigrpo.data.world import CELLS, COLOURS, SHAPES, THINGS, Scene, Thing

_STEPS = {"left of": (0, -1), "right of": (0, 1), "above": (-1, 0), "below": (1, 0)}
"""Rows and columns from a cell to the one that is left of it, and so on."""


@dataclass(frozen=True)
class Question:
    """A question that its scene answers."""

    text: str
    answer: str
    thought: str
    """What of the scene matters."""


def ask(kind: str, scene: Scene, draw: random.Random) -> Question | None:
    """Return a question of this kind, or None when the one that was drawn makes no sense of this scene."""
    return _ASK[kind](scene, draw)


def _count(scene: Scene, draw: random.Random) -> Question:
    """`How many red circles are there?`."""
    example = draw.choice(scene.things)
    shape, colour = draw.choice((example.shape, "")), draw.choice((example.colour, ""))
    seen = _like(scene, shape, colour)
    return Question(f"How many {_plural(shape, colour)} are there?", str(len(seen)), _list(seen))


def _colour(scene: Scene, draw: random.Random) -> Question | None:
    """`What colour is the circle?`."""
    cell, thing = draw.choice(scene.placed)
    if draw.random() < 0.5:
        return Question(f"What colour is the shape in the {cell}?", thing.colour, str(thing))
    only = len(_like(scene, thing.shape, "")) == 1
    return Question(f"What colour is the {thing.shape}?", thing.colour, str(thing)) if only else None


def _shape(scene: Scene, draw: random.Random) -> Question | None:
    """`Which shape is red?`."""
    cell, thing = draw.choice(scene.placed)
    if draw.random() < 0.5:
        return Question(f"Which shape is in the {cell}?", thing.shape, str(thing))
    only = len(_like(scene, "", thing.colour)) == 1
    return Question(f"Which shape is {thing.colour}?", thing.shape, str(thing)) if only else None


def _corner(scene: Scene, draw: random.Random) -> Question | None:
    """`Where is the red circle?`."""
    cell, thing = draw.choice(scene.placed)
    colour = draw.choice((thing.colour, ""))
    if len(_like(scene, thing.shape, colour)) > 1:
        return None
    return Question(f"Where is the {f'{colour} {thing.shape}'.strip()}?", cell, f"{thing} {cell}")


def _position(scene: Scene, draw: random.Random) -> Question | None:
    """`What is above the red circle?`."""
    cell, thing = draw.choice(scene.placed)
    place = draw.choice(list(_STEPS))
    there = _neighbour(cell, place)
    other = scene.cells[CELLS.index(there)] if there else None
    if other is None or len(_like(scene, thing.shape, thing.colour)) > 1:
        return None
    return Question(f"What is {place} the {thing}?", str(other), f"{thing} {cell}, {other} {there}")


def _exist(scene: Scene, draw: random.Random) -> Question:
    """`Is there a red circle?`: often one that mixes the shape and the colour of two things that are there."""
    first, second = draw.choice(scene.things), draw.choice(scene.things)
    asked = draw.choice((Thing(first.shape, second.colour), draw.choice(THINGS)))
    close = [thing for thing in scene.things if thing.shape == asked.shape or thing.colour == asked.colour]
    return Question(f"Is there a {asked}?", _yes(asked in close), _list([asked] if asked in close else close))


def _compare(scene: Scene, draw: random.Random) -> Question:
    """`Are there more circles than squares?`."""
    if draw.random() < 0.5:
        sides = [(_plural(shape, ""), len(_like(scene, shape, ""))) for shape in draw.sample(SHAPES, 2)]
    else:
        sides = [(_plural("", colour), len(_like(scene, "", colour))) for colour in draw.sample(list(COLOURS), 2)]
    (one, many), (other, few) = sides
    return Question(f"Are there more {one} than {other}?", _yes(many > few), f"{one}: {many}, {other}: {few}")


def _neighbour(cell: str, place: str) -> str | None:
    """The cell that is `place` (such as `left of`) this one."""
    down, right = _STEPS[place]
    row, column = CELLS.index(cell) // 2 + down, CELLS.index(cell) % 2 + right
    return CELLS[2 * row + column] if row in (0, 1) and column in (0, 1) else None


def _like(scene: Scene, shape: str, colour: str) -> list[Thing]:
    return [thing for thing in scene.things if shape in ("", thing.shape) and colour in ("", thing.colour)]


def _plural(shape: str, colour: str) -> str:
    return f"{colour} {shape or 'shape'}s".strip()


def _list(things: list[Thing]) -> str:
    return ", ".join(map(str, things)) or "none"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


_Ask = Callable[[Scene, random.Random], Question | None]
_ASK: dict[str, _Ask] = {
    "count": _count,
    "colour": _colour,
    "shape": _shape,
    "corner": _corner,
    "position": _position,
    "exist": _exist,
    "compare": _compare,
}
ANSWERS: dict[str, tuple[str, ...]] = {
    "count": ("1", "2", "3", "4"),
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "corner": CELLS,
    "position": tuple(map(str, THINGS)),
    "exist": ("yes", "no"),
    "compare": ("yes", "no"),
}
"""The answers to the questions of each kind, which are asked for equally often."""
