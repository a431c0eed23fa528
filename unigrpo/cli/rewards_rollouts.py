"""Rollouts from the file of a run or an evaluation, or any other JSONL with prompts and responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rewards.arguments import OF_MANY, available
from rewards.function import RewardFunction
from rewards.trials import responding
from unigrpo.config import TaskSection
from unigrpo.config.tasks import ALONE
from unigrpo.data.files import as_plain, read_file
from unigrpo.errors import DataError
from unigrpo.types import DRAWING, Prompt, Rollout

OWN = (
    *("id", "step", "task", "prompt", "output", "response", "answer", "extracted", "truncated", "image"),
    *("columns", "reward", "parts", "notes", "faults", "before", "chosen", "replay"),
)
"""What we write of a rollout; all else is a column of the data."""


@dataclass(frozen=True)
class Old:
    """A row of the file."""

    where: str
    values: dict[str, Any]
    rollout: Rollout

    @property
    def reward(self) -> float | None:
        """What it earned."""
        return self.values.get("reward")

    @property
    def parts(self) -> dict[str, float | None]:
        """What each reward said."""
        return self.values.get("parts") or {}


def read_rollouts(file: str, tasks: Mapping[str, TaskSection], look: bool) -> list[Old]:
    """Return the rows of a file as rollouts, with a token for each word.

    Args:
        look: whether pictures are read, where rows name them.

    Raises:
        DataError: a row has no prompt or response, belongs to no task, or names a picture that cannot be read.
    """
    found = []
    for number, record in enumerate(read_file(file, "train")):
        rollout = _rollout(record.where, record.values, tasks, file, number, look)
        found.append(Old(record.where, as_plain(record.values), rollout))
    if not found:
        raise DataError(f"{file} has no rows.")
    return found


def _rollout(
    where: str, values: dict[str, Any], tasks: Mapping[str, TaskSection], file: str, number: int, look: bool
) -> Rollout:
    stream = _stream(where, values.get("task"), tasks)
    task = tasks[stream].data.task
    response = _text(where, values, "output" if "output" in values else "response")
    picture = _picture(where, values.get("image"), file) if look else None
    prompt = Prompt(
        id=str(values.get("id", number)),
        task=task,
        text=_text(where, values, "prompt"),
        tokens=np.arange(1),
        answer=_answer(where, values.get("answer")),
        images=(picture,) if picture is not None and task not in DRAWING else (),
        stream=stream,
        metadata=as_plain({k: v for k, v in values.items() if k not in OWN} | (values.get("columns") or {})),
    )
    rollout = responding(prompt, response, str(number), picture)
    return replace(
        rollout,
        id=str(values.get("id", f"{number}/0")),
        truncated=bool(values.get("truncated")),
        image=picture if task in DRAWING else None,
    )


def _stream(where: str, task: Any, tasks: Mapping[str, TaskSection]) -> str:
    if ALONE in tasks:
        return ALONE
    if task not in tasks:
        raise DataError(f"{where}: its task is {task!r}, which is none of the config's: {', '.join(tasks)}.")
    return task


def _text(where: str, values: Mapping[str, Any], key: str) -> str:
    if not isinstance(values.get(key), str):
        name = "`output` or `response`" if key == "response" else f"`{key}`"
        raise DataError(f"{where}: there is no text in {name}: a row to score has a prompt and a response.")
    return values[key]


def _answer(where: str, value: Any) -> str | None:
    """An answer as it is written."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise DataError(f"{where}: `answer` is {value!r:.60}, but an answer is text. Write it as a string.")
    return None if value is None else str(value)


def _picture(where: str, value: Any, file: str) -> np.ndarray | None:
    """The picture that a row names, from the folder of the file."""
    if value is None:
        return None
    from unigrpo.data.images import read_image

    if not isinstance(value, str):
        raise DataError(f"{where}: `image` is {value!r:.60}, but a picture is the path of a file.")
    return read_image((Path(file).parent / value).absolute(), where)


def kept(file: str, rows: Sequence[Old], rewards: Mapping[str, RewardFunction]) -> list[str]:
    """Return the rewards whose old values stay, because they look at tokens, which files do not keep.

    Args:
        rows: those of one task.
        rewards: of the same task.

    Raises:
        DataError: a row has not what a reward asks for.
    """
    found = []
    for name, reward in rewards.items():
        taken = set(reward.parameters.names) - set(reward.settings)
        pictures = bool(taken & {"image", "images"})
        stays = not pictures and bool(taken & {"tokens", "rollout", "rollouts"})
        for row in rows:
            if stays and name not in row.parts:
                raise DataError(
                    f"rewards.{name} looks at tokens, which {row.where} does not keep, nor what it said of them: give "
                    "a config without it."
                )
            if not stays:
                _check_arguments(file, row, reward)
        found += [name] * stays
    return found


def _check_arguments(file: str, row: Old, reward: RewardFunction) -> None:
    have = {**available(row.rollout), **reward.settings}
    missing = next((name for name in reward.parameters.required if OF_MANY.get(name, name) not in have), None)
    if missing in ("image", "images"):
        raise DataError(
            f"rewards.{reward.name} looks at pictures, and {row.where} points to none: give rows an `image`, a path "
            f"from the folder of {file}, or a config without that reward."
        )
    if missing:
        missing = OF_MANY.get(missing, missing)
        holds = "" if "columns" in row.values else "; it has no `columns`, in which runs keep those of their data"
        raise DataError(
            f"rewards.{reward.name} needs `{missing}`, which {row.where} does not have{holds}. Add it to the rows, or "
            "give a config without that reward."
        )
