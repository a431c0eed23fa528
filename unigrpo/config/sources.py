"""What each source of data offers: its tasks, and the kinds of row it can make."""

import difflib

from unigrpo.config.sections import DataSection

COLUMNS = ("prompt", "answer", "response", "image", "id")
GENERATED = ("arithmetic", "countdown", "shapes", "digits")
"""Sources that read no file."""
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
