"""What a page says of one run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Span = tuple[str, str]
"""A piece of a text: what it is in a comparison (`same`, `missing`, or nothing), and the piece."""


@dataclass(frozen=True)
class Fact:
    """A number that matters, with what it was at first where it changed."""

    name: str
    last: str
    first: str | None = None


@dataclass(frozen=True)
class Concern:
    """Something that a person should look at."""

    what: str
    """What was found, with its number."""
    do: str = ""
    """What to do about it, and when it is looked at."""


@dataclass(frozen=True)
class Picture:
    """An image that is part of the page."""

    title: str
    address: str
    """As `data:image/...`, so that the page needs no other file."""


@dataclass(frozen=True)
class Legend:
    """A line of a chart: how it looks, what it is, and where it ends."""

    name: str
    color: int
    dash: int
    last: str


@dataclass(frozen=True)
class Chart:
    """A panel with axes, as SVG that takes its colours from the page."""

    title: str
    svg: str
    lines: list[Legend]


@dataclass(frozen=True)
class Table:
    """Rows under a heading; the first cell of a row names it."""

    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A rollout to read."""

    place: str
    """What it is there for, such as `best`."""
    reward: str
    index: str
    """Its place in its group."""
    output: list[Span]
    """The response, where it agrees with the answer told apart."""
    gold: list[Span]
    """The answer, what the response lacks told apart; empty where there is none."""
    parts: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Rollouts of one prompt, side by side."""

    prompt: str
    task: str
    cards: list[Card]


@dataclass(frozen=True)
class Step:
    """What is shown of one step."""

    title: str
    groups: list[Group]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A response as it came about: text by its tokens, a drawing by its codes over the final picture."""

    title: str
    caption: str
    steps: int
    """Steps that committed something."""
    tokens: list[tuple[str, int]] = field(default_factory=list)
    """Text and step of each token, from 1; 0 for one that was given."""
    picture: str = ""
    """Address of the drawing."""
    codes: list[int] = field(default_factory=list)
    """Step of each code, row by row of a square, as for tokens."""
    side: int = 0
    """Codes in a row."""


@dataclass(frozen=True)
class Drawing:
    """A picture that was kept, and what was said of it."""

    address: str
    caption: str
    """Its thought, if any."""
    reward: str
    parts: str


@dataclass(frozen=True)
class Grid:
    """The same prompts drawn at several steps."""

    task: str
    prompts: list[str]
    rows: list[tuple[str, list[Drawing | None]]]
    """For each step its name and a drawing for each prompt."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is found in the folder of a run."""

    facts: list[Fact] = field(default_factory=list)
    """The most telling one first."""
    charts: list[Chart] = field(default_factory=list)
    more: dict[str, list[Chart]] = field(default_factory=dict)
    """Charts that a short page leaves out, under their headings."""
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    """Rollouts."""
    replays: list[Replay] = field(default_factory=list)
    warnings: list[Concern] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Section:
    """One run on a page."""

    title: str
    verb: str
    state: str
    """Such as `done`."""
    folder: str
    time: str = ""
    ended: str = ""
    seed: str = ""
    why: list[str] = field(default_factory=list)
    """Why it was run: what had changed since it was run before."""
    settings: list[tuple[str, str, str]] = field(default_factory=list)
    """What differs from the defaults: key, value, default."""
    told: Told = field(default_factory=Told)


@dataclass(frozen=True)
class Differences:
    """The settings in which runs of one verb differ."""

    verb: str
    runs: list[str]
    rows: list[tuple[str, list[tuple[str, bool]]]]
    """The key, and for each run its value and whether that is the default."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What several runs of a page have in common, and in what they differ."""

    charts: dict[str, list[Chart]] = field(default_factory=dict)
    """Under their headings, with a line for each run."""
    table: Table | None = None
    """The last values of the runs beside each other."""
    differences: list[Differences] = field(default_factory=list)
    """Of each verb with several runs."""
    runs: list[str] = field(default_factory=list)
