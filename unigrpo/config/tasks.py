"""The tasks of a run: those it names, or the one that its own settings describe."""

from collections.abc import Mapping

from unigrpo.config.verbs import EvalConfig, SFTConfig, StreamSection, TaskSection, TrainConfig

ALONE = ""
"""Name of the only task of a run without `tasks`."""


def tasks_of(config: TrainConfig | EvalConfig) -> Mapping[str, TaskSection]:
    """The tasks of a run by name."""
    if config.tasks:
        return config.tasks
    held_out = config.eval.data if isinstance(config, TrainConfig) else None
    solved = config.eval.solved if isinstance(config, TrainConfig) else config.solved
    task = TaskSection(data=config.data, eval=held_out, rollout=config.rollout, rewards=config.rewards, solved=solved)
    return {ALONE: task}


def streams_of(config: SFTConfig) -> dict[str, StreamSection]:
    """The kinds of example of a run by name."""
    if config.streams:
        return config.streams
    section, batch_size = config.sft, config.sft.batch_size
    alone = StreamSection(
        data=config.data, held_out=config.held_out, batch_size=batch_size, pad_to=section.pad_to, coefficient=1.0
    )
    return {ALONE: alone}
