"""A reward ready to be called, on one rollout or on many."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rewards.arguments import OF_MANY, OF_ONE, Parameters, available
from rewards.isolation.pool import Pool
from unigrpo.config.secrets import filled
from unigrpo.errors import RewardError
from unigrpo.types import Prompt, Rollout, Task

OnError = Literal["nan", "zero", "raise"]


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether a function, a class's objects or an object are awaited."""
    called = function if inspect.isfunction(function) else getattr(function, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


@dataclass(frozen=True)
class RewardFunction:
    """A reward ready to be called: its function, the tasks it judges and the settings it is handed."""

    name: str
    function: Callable[..., Any]
    tasks: tuple[Task, ...]
    settings: dict[str, Any] = field(repr=False)
    parameters: Parameters
    group: bool = False
    """Whether one call judges the rollouts of one prompt, instead of all."""
    timeout: float | None = None
    """Seconds of one call."""
    on_error: OnError = "nan"
    pool: Pool | None = None
    """Where it runs, if not in this process; `function` is not called then."""

    @property
    def asynchronous(self) -> bool:
        """Whether it is awaited."""
        return is_async(self.function)

    def filled(self) -> "RewardFunction":
        """Return it with the settings that are in environment variables, which are read here.

        Raises:
            ConfigError: one of them is not set.
        """
        return replace(self, settings=filled(self.name, self.settings, self.parameters.names))

    def __call__(self, rollout: Rollout) -> Any:
        """Return what the function says of one rollout, unchecked."""
        return self.function(**self.bind(rollout))

    def bind(self, rollout: Rollout) -> dict[str, Any]:
        """Return the arguments by name: settings first, then the rollout, then the columns of the prompt's row.

        Raises:
            RewardError: the reward does not judge this task, or a required argument is nowhere.
        """
        self._check_task(rollout.prompt)
        found = {**available(rollout), **self.settings}
        if self.pool is not None:
            del found["rollout"]  # which cannot be handed to another process
        for name in self.parameters.required:
            if name not in found:
                raise self._missing(name, rollout.prompt, found)
        return found if self.parameters.everything else {n: found[n] for n in self.parameters.names if n in found}

    def bind_many(self, rollouts: Sequence[Rollout]) -> dict[str, Any]:
        """Return the arguments of a function of many rollouts: settings as they are, all else as lists.

        An optional argument that only some rollouts have is None for the others; one that none has is left out.

        Raises:
            RewardError: as `bind` does.
        """
        each = []
        for rollout in rollouts:
            self._check_task(rollout.prompt)
            each.append(available(rollout))
        wanted = {name: value for name, value in self.settings.items() if name in self.parameters.names}
        for name in self.parameters.names:
            source = OF_MANY.get(name, name)
            have = [source in found for found in each]
            if name in wanted:
                continue
            if name in self.parameters.required and not all(have):
                at = have.index(False)
                raise self._missing(source, rollouts[at].prompt, {**each[at], **self.settings})
            if any(have):
                wanted[name] = [found.get(source) for found in each]
        return wanted

    def _check_task(self, prompt: Prompt) -> None:
        if prompt.task not in self.tasks:
            raise RewardError(
                f"rewards.{self.name} judges {' and '.join(self.tasks)}, but prompt {prompt.id} is of task "
                f"{prompt.task}: remove the reward, or the prompts."
            )

    def _missing(self, argument: str, prompt: Prompt, found: dict[str, Any]) -> RewardError:
        setting = f"set rewards.{self.name}.args.{argument}."
        if argument in OF_MANY:
            singular = ", ".join(f"`{name}`" for name in self.parameters.names if name in OF_ONE)
            fix = f"It belongs to a reward of many rollouts, and {singular} to a reward of one: use either kind."
        elif argument == "image":
            fix = "A drawing has one, and a prompt whose data has images: correct data.task, or remove the reward."
        elif argument == "answer":
            fix = f"Either map a column to it with data.columns.answer, or {setting}"
        else:
            fix = f"Either add the column, or {setting}"
        return RewardError(
            f"rewards.{self.name} needs `{argument}`, which prompt {prompt.id} does not have. "
            f"Available: {', '.join(sorted(found))}. {fix}"
        )
