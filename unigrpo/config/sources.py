"""What each source of data offers: its tasks, and the kinds of row it can make."""

import difflib

from unigrpo.config.samples import ShotsSection
from unigrpo.config.sections import DataSection

COLUMNS = ("prompt", "answer", "response", "image", "id")
GENERATED = ("arithmetic", "countdown", "shapes", "digits")
"""Sources that read no file."""
CHATS = ("messages", "sharegpt", "llava")
"""Layouts of conversations."""
EVALUATED = ("choices", "gsm8k", "countdown", "sudoku", "pope", "mme", "vqav2", "gqa", "mmmu", "vlmevalkit")
"""Layouts of data sets that models are evaluated on."""
LAYOUTS = ("rows", "caption", "text", *CHATS, "alpaca", "geoqa", "clevr", "cogent", *EVALUATED)
TASKS: dict[str, tuple[str, ...]] = {
    "gsm8k": ("text",),
    "arithmetic": ("text",),
    "countdown": ("text",),
    "shapes": ("understand", "image", "think_image"),
    "digits": ("understand", "image"),
}
"""The tasks of each source; a file may be for any."""
KINDS: dict[str, tuple[str, ...]] = {
    "image": ("single", "colour", "count", "two", "attribute", "corner", "position"),
    "think_image": ("single", "colour", "count", "two", "attribute"),
    "understand": ("count", "colour", "shape", "corner", "position", "exist", "compare"),
}
"""The kinds of drawing and of question that `shapes` makes, by task."""


def is_remote(path: str) -> bool:
    """Whether a path is an address, such as s3://bucket/name."""
    return "://" in path


def is_pattern(path: str) -> bool:
    """Whether a path may stand for several files, or is an address."""
    return is_remote(path) or any(letter in path for letter in "*?[{")


def is_streamed(it: DataSection) -> bool:
    """Whether supervised fine-tuning reads a section while it is used, instead of holding it in memory."""
    if it.streaming is not None or it.limit is not None or it.path is None:
        return bool(it.streaming)
    return is_pattern(it.path) or it.source == "hub" or it.path.endswith((".tar", ".tar.gz", ".tgz"))


def kinds_of(it: DataSection) -> tuple[str, ...]:
    """The kinds that a section may name; those with a place make no riddle."""
    return KINDS.get("think_image" if it.riddle else it.task, ())


def columns_are_known(it: DataSection, p: str) -> str | None:
    """`columns` maps what we read to the file's names, not the reverse."""
    wrong = next((name for name in it.columns if name not in COLUMNS), None)
    return wrong and f"{p}columns.{wrong} is not one of {', '.join(COLUMNS)}: a column is used as one of them."


def source_has_the_task(it: DataSection, p: str) -> str | None:
    """A source makes rows for some tasks only."""
    tasks = TASKS.get(it.source)
    if tasks is None or it.task in tasks:
        return None
    return f"{p}task is {it.task}, but {p}source={it.source} is for {' and '.join(tasks)}: change one of them."


def kinds_are_known(it: DataSection, p: str) -> str | None:
    """Each kind is one of the task's, and named once."""
    known = kinds_of(it) if it.source == "shapes" else ()
    for kind in it.kinds if known else ():
        if kind not in known:
            close = difflib.get_close_matches(kind, known, n=1)
            hint = f"Did you mean: '{close[0]}'?" if close else f"It has {', '.join(known)}."
            riddle = " with a riddle" if it.riddle else ""
            return f"{p}kinds holds {kind!r}, which {p}task={it.task}{riddle} has not. {hint}"
    return f"{p}kinds names one twice: {', '.join(it.kinds)}." if len(set(it.kinds)) < len(it.kinds) else None


def splits_are_two(it: DataSection, p: str) -> str | None:
    """A generator has rows to train on and rows to test with."""
    if it.source in GENERATED and it.split == "validation":
        return f"{p}split is validation, but {p}source={it.source} has train and test: set it to one of them."
    return None


def layout_is_known(it: DataSection, p: str) -> str | None:
    """A row is laid out as one of those we know."""
    if it.layout in LAYOUTS:
        return None
    close = difflib.get_close_matches(it.layout, LAYOUTS, n=1)
    hint = f"Did you mean: '{close[0]}'?" if close else f"There are {', '.join(LAYOUTS)}."
    return f"{p}layout is {it.layout!r}, which is not known. {hint}"


def layout_has_its_template(it: DataSection, p: str) -> str | None:
    """Turns are told apart by the chat template, and text alone is no turn."""
    if it.layout in CHATS and it.template == "plain":
        return f"{p}template is plain, but {p}layout={it.layout} has turns: set {p}template=chat."
    if it.layout == "text" and (it.template == "chat" or it.task != "text"):
        return f"{p}layout is text, which is no prompt: set {p}template=plain and {p}task=text."
    if it.layout == "caption" and it.task not in ("image", "understand"):
        return f"{p}layout is caption, but {p}task is {it.task}: set it to image or understand."
    return None


def join_is_a_file(it: DataSection, p: str) -> str | None:
    """Columns come from somewhere."""
    missing = it.join is not None and not it.join.path
    return f"{p}join.path is not set: name the file with the columns, or drop {p}join." if missing else None


def filters_fit_the_task(it: DataSection, p: str) -> str | None:
    """Only images have sides."""
    for name in ("min_side", "max_side", "max_aspect"):
        value = getattr(it.filter, name)
        if value is not None and it.task == "text":
            return f"{p}filter.{name} is {value}, but {p}task=text has no images: drop it."
    return None


def streams_from_the_start(it: DataSection, p: str) -> str | None:
    """What is read side by side has no first rows."""
    if it.streaming and it.limit is not None:
        return f"{p}limit is {it.limit}, but {p}streaming reads all: drop one of them."
    return None


def shots_are_found(it: DataSection, p: str) -> str | None:
    """Solved rows come from somewhere, and are text."""
    if it.shots is None:
        return None
    if it.task != "text":
        return f"{p}shots is set, but {p}task is {it.task}, and solved rows hold no images: drop it."
    if it.source in GENERATED and it.shots.path:
        return f"{p}shots.path is {it.shots.path!r}, but {p}source={it.source} generates its rows: drop it."
    if it.source not in GENERATED and not it.shots.path:
        return f"{p}shots.path is not set: name the file with the solved rows."
    if it.template == "chat" and it.shots.separator != ShotsSection().separator:
        return f"{p}shots.separator is {it.shots.separator!r}, but {p}template=chat has turns: drop it."
    return None


DATA_RULES = [
    columns_are_known,
    source_has_the_task,
    kinds_are_known,
    splits_are_two,
    layout_is_known,
    layout_has_its_template,
    join_is_a_file,
    filters_fit_the_task,
    streams_from_the_start,
    shots_are_found,
]
