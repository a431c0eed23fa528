"""The tasks of a run: those it names, or the one that its own settings describe."""

from collections.abc import Mapping
from dataclasses import replace

from unigrpo.config.evaluation import EvalConfig, EvalTaskSection
from unigrpo.config.rewards import RewardEntry
from unigrpo.config.sections import DRAWING, DataSection
from unigrpo.config.sft import SFTConfig, StreamSection
from unigrpo.config.sources import is_streamed
from unigrpo.config.verbs import TaskSection, TrainConfig

ALONE = ""
"""Name of the only task of a run without `tasks`."""


def tasks_of(config: TrainConfig | EvalConfig) -> Mapping[str, TaskSection]:
    """The tasks of a run by name."""
    if isinstance(config, EvalConfig):
        return eval_tasks_of(config)
    if config.tasks:
        return config.tasks
    held_out, solved = config.eval.data, config.eval.solved
    task = TaskSection(data=config.data, eval=held_out, rollout=config.rollout, rewards=config.rewards, solved=solved)
    return {ALONE: task}


def eval_tasks_of(config: EvalConfig) -> Mapping[str, EvalTaskSection]:
    """The tasks of an evaluation by name."""
    if config.tasks:
        return config.tasks
    names = ("data", "rollout", "rewards", "solved", "likelihood", "categories", "summary", "drawings", "fid")
    return {ALONE: EvalTaskSection(**{name: getattr(config, name) for name in names})}


def rewards_of(config: TrainConfig | EvalConfig, task: TaskSection) -> dict[str, RewardEntry]:
    """The rewards of a task. An evaluation that names none has `math`, but none for what is drawn or only compared."""
    if task.rewards or not isinstance(config, EvalConfig):
        return task.rewards
    compared = isinstance(task, EvalTaskSection) and task.likelihood is not None
    return {} if compared or task.data.task in DRAWING else {"math": RewardEntry()}


def streams_of(config: SFTConfig) -> dict[str, StreamSection]:
    """The kinds of example of a run by name, with what stands in for their data."""
    if config.streams:
        return {name: _stood_in(_with_task(stream), config) for name, stream in config.streams.items()}
    section, batch_size = config.sft, config.sft.batch_size
    alone = StreamSection(
        data=config.data, held_out=config.held_out, batch_size=batch_size, pad_to=section.pad_to, coefficient=1.0
    )
    return {ALONE: alone}


def sets_of(stream: StreamSection) -> dict[str, DataSection]:
    """The data sets of a stream by name: those of its mix, or the only one, of no name."""
    return {name: entry.data for name, entry in stream.mix.items()} or {ALONE: stream.data}


def streams_data(stream: StreamSection) -> bool:
    """Whether a stream is read while it is used."""
    return bool(stream.mix) or is_streamed(stream.data)


def _with_task(stream: StreamSection) -> StreamSection:
    """A stream whose `data` says what its mix is of."""
    return replace(stream, data=next(iter(stream.mix.values())).data) if stream.mix else stream


def _stood_in(stream: StreamSection, config: SFTConfig) -> StreamSection:
    """A stream with other data, if its task has some."""
    other = config.stand_ins.get(stream.data.task)
    if other is None:
        return stream
    sizes = {"batch_size": other.batch_size, "max_length": other.max_length, "pad_to": other.pad_to}
    return replace(stream, data=other.data, mix={}, held_out=None, **sizes)
