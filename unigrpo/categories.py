"""Results by what the rows of the data say of themselves: their subject, their level, their tag."""

from collections.abc import Mapping, Sequence
from typing import Any

from unigrpo.config import EvalConfig
from unigrpo.config.tasks import eval_tasks_of
from unigrpo.errors import DataError
from unigrpo.evaluate import evaluation_intervals, evaluation_metrics
from unigrpo.types import Prompt, Scored

SHOWN = ("eval/accuracy", "eval/reward")


def by_category(
    scored: Sequence[Scored], config: EvalConfig, solved: Mapping[str, str | None]
) -> dict[str, list[dict[str, Any]]]:
    """A row for each value of each column that a task names, by `COLUMN` or, of several tasks, `TASK/COLUMN`."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, task in eval_tasks_of(config).items():
        own = [item for item in scored if item.rollout.prompt.stream == name]
        for column in task.categories:
            values: dict[str, list[Scored]] = {}
            for item in own:
                values.setdefault(value_of(item.rollout.prompt, column), []).append(item)
            rows = [_row(column, value, values[value], config, solved) for value in sorted(values)]
            found[f"{name}/{column}" if name else column] = rows
    return found


def check_categories(prompts: Sequence[Prompt], config: EvalConfig) -> None:
    """Raise `DataError` unless every prompt has the columns that its task names as categories."""
    tasks = eval_tasks_of(config)
    for prompt in prompts:
        for column in tasks[prompt.stream].categories:
            value_of(prompt, column)


def value_of(prompt: Prompt, column: str) -> str:
    """Return what a prompt's row says in a column.

    Raises:
        DataError: there is no such column.
    """
    if column not in prompt.metadata:
        have = ", ".join(prompt.metadata) or "none"
        raise DataError(f"{prompt.id}: categories names {column!r}, but its other columns are: {have}.")
    return str(prompt.metadata[column])


def _row(
    column: str, value: str, scored: Sequence[Scored], config: EvalConfig, solved: Mapping[str, str | None]
) -> dict[str, Any]:
    metrics = evaluation_metrics(scored, config.samples, solved)
    intervals = evaluation_intervals(scored, config.samples, solved, config.bootstrap, config.seed)
    row: dict[str, Any] = {column: value, "prompts": len(scored) // config.samples}
    for name in SHOWN:
        if name in metrics:
            short = name.removeprefix("eval/")
            row |= {short: metrics[name], f"{short} from": intervals[name][0], f"{short} to": intervals[name][1]}
    return row
