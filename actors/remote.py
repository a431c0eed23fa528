"""What the loop sees: objects like the local ones, whose work is done by actors."""

import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import ray
import torch
from ray import ObjectRef
from ray.actor import ActorHandle

from actors.waiting import call, first, gather
from actors.workers import Published
from rewards.compose import Entries, finished
from rewards.score import Judged
from rollout.sampler import portions
from unigrpo.batch import Batch
from unigrpo.config import SamplingSection
from unigrpo.machine import GB
from unigrpo.progress import console
from unigrpo.types import Metrics, Prompt, Rollout, Scored

PATIENCE_SECONDS = 0.05
"""How long a report waits for workers that may be busy."""
SHARED = "/dev/shm"
POLL_SECONDS = 0.1
"""How often ranks are asked whether they have written a checkpoint."""


class Actors:
    """Workers of one kind, asked together."""

    def __init__(self, what: str, handles: list[ActorHandle], watchdog: float):
        self.what, self.handles, self.watchdog = f"the {what} worker", handles, watchdog

    def ask(self, number: int, name: str, *args: Any) -> ObjectRef:
        """A question to one of them, not waited for; each answers in the order it was asked."""
        return self.handles[number % len(self.handles)].run.remote(name, *args)

    def wait(self, asked: Sequence[ObjectRef]) -> list[Any]:
        """The answers to what was asked."""
        return gather(asked, self.watchdog, self.what)

    def deal(self, name: str, args: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """The answers to a question with each of these arguments, as they come; whoever is free gets the next."""
        left, busy = deque(args), {}
        for number in range(len(self.handles)):
            if left:
                busy[self.ask(number, name, *left.popleft())] = number
        while busy:
            done, answer = first(list(busy), self.watchdog, self.what)
            number = busy.pop(done)
            if left:
                busy[self.ask(number, name, *left.popleft())] = number
            yield answer

    def all(self, name: str, *args: Any) -> list[Any]:
        """The answers of all to one question."""
        return self.each(name, [args] * len(self.handles))

    def each(self, name: str, args: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answers to a question for each of the first workers."""
        return self.wait([self.ask(number, name, *own) for number, own in enumerate(args)])


def introduce(roles: Mapping[str, list[ActorHandle]], watchdog: float) -> None:
    """Prints where each worker runs."""
    found = {role: Actors(role, handles, watchdog).all("where") for role, handles in roles.items() if handles}
    listed = "; ".join(f"{role} {', '.join(places)}" for role, places in found.items())
    console.print(f"Workers run, as process@node: {listed}", markup=False, highlight=False, soft_wrap=True)


class Watch:
    """What is to be said of all workers after a step."""

    def __init__(self, roles: dict[str, list[ActorHandle]], lost: int):
        """Args:
        lost: how often lost workers have ended an attempt at this run.
        """
        self.actors = [(role, actor) for role, handles in roles.items() for actor in handles]
        self.lost = lost
        self.pids: list[set[float]] = [set() for _ in self.actors]
        self.asked: dict[int, ObjectRef] = {}
        self.latest: dict[int, Metrics] = {}

    def report(self) -> Metrics:
        """Memory by role, as the largest of its workers; seconds they worked; restarts so far; the object store.

        A worker that is busy is not waited for: what it last said stands.
        """
        for index, (_, actor) in enumerate(self.actors):
            if index not in self.asked:
                self.asked[index] = actor.status.remote()
        ray.wait(list(self.asked.values()), num_returns=len(self.asked), timeout=PATIENCE_SECONDS)
        for index, reference in list(self.asked.items()):
            if ray.wait([reference], timeout=0)[0]:
                self._hear(index, call(self.asked.pop(index), what=f"the {self.actors[index][0]} worker"))
        metrics: Metrics = {}
        for said in self.latest.values():
            metrics |= {name: max(value, metrics.get(name, 0.0)) for name, value in said.items()}
        metrics["cluster/restarts"] = self.lost + sum(max(0, len(pids) - 1) for pids in self.pids)
        return metrics | {"memory/object_store_gb": _object_store() / GB}

    def _hear(self, index: int, status: Metrics) -> None:
        role = self.actors[index][0]
        self.pids[index].add(status.pop("pid"))
        busy = {f"time/busy_{role}": status.pop("busy")}
        self.latest[index] = busy | {f"memory/{role}_{name}": used for name, used in status.items()}


def _object_store() -> float:
    """Shared memory in use on this machine, where the object store lies; where there is none, Ray uses files."""
    return shutil.disk_usage(SHARED).used if os.path.isdir(SHARED) else 0.0


class Saved:
    """The learners of all ranks, as far as they are saved; the folders must be ones that driver and workers all see."""

    def __init__(self, ranks: Actors):
        self.ranks = ranks

    def snapshot(self) -> None:
        """Takes hold of model and optimiser as they are."""
        self.ranks.all("snapshot")

    def write(self, folder: Path) -> None:
        """Writes the last snapshot; each rank does its part."""
        self.ranks.all("begin_write", folder.absolute())
        while not all(self.ranks.all("written")):
            time.sleep(POLL_SECONDS)

    def export(self, folder: Path) -> None:
        """Writes a Hugging Face model folder."""
        self.ranks.all("export", folder.absolute())


class RemoteLearner(Saved):
    """The learners of the policy's ranks."""

    def __init__(self, ranks: Actors, publishes: bool):
        super().__init__(ranks)
        self.publishes = publishes

    def learn(self, batches: Sequence[Batch]) -> Metrics:
        """See `unigrpo.learner.Learner.learn`; every rank takes its share of each batch."""
        return self.ranks.all("learn", ray.put(batches))[0]

    def weights(self) -> Published | None:
        """Where rollout workers find the weights; nothing where the policy samples itself."""
        if not self.publishes:
            return None
        found = self.ranks.all("publish")
        return Published(found[0][0], [part for _, parts in found for part in parts])


class RemoteSampler:
    """Samplers: those of the policy's ranks, or rollout workers. Each answers some of the prompts."""

    def __init__(self, workers: Actors, streams: Mapping[str, SamplingSection], together: bool):
        """Args:
        streams: the settings of each stream by name.
        together: whether all have to be asked the same number of times, because they hold parts of one model.
        """
        self.workers, self.streams, self.together = workers, streams, together
        self.weights: Published | None = None

    def load(self, weights: Published | None) -> None:
        """Says where new weights are; a policy that samples itself hands them over inside each actor."""
        self.weights = weights
        if weights is None:
            self.workers.all("hand_over")

    def sample(
        self, prompts: Sequence[Prompt], group_size: int, step: int | str, temperature: float | None = None
    ) -> list[Rollout]:
        """See `rollout.sampler.Sampler.sample`."""
        count = len(self.workers.handles)
        first = () if self.weights is None else (self.weights,)
        args = [(*first, prompts[at::count], group_size, step, temperature) for at in range(min(count, len(prompts)))]
        shares = self.workers.each("sample", args)
        groups = [[share[at : at + group_size] for at in range(0, len(share), group_size)] for share in shares]
        return [rollout for at in range(len(prompts)) for rollout in groups[at % count][at // count]]

    def stream(self, prompts: Sequence[Prompt], group_size: int, step: int | str) -> Iterator[list[Rollout]]:
        """See `rollout.sampler.Sampler.stream`."""
        if self.together:
            yield self.sample(prompts, group_size, step)
            return
        weights = () if self.weights is None else (self.weights,)
        parts = portions(prompts, group_size, self.streams, len(self.workers.handles))
        yield from self.workers.deal("sample", [(*weights, part, group_size, step, None) for part in parts])

    def with_behaviour(self, batches: Sequence[Batch]) -> list[Batch]:
        """Adds the log-probabilities that the rollout workers' weights give to the responses; each scores some."""
        count = len(self.workers.handles)
        args = [(self.weights, [batch.share(rank, count) for batch in batches]) for rank in range(count)]
        shares = self.workers.each("behaviour", args)
        whole = [
            torch.cat(parts)[: len(batch)] for batch, parts in zip(batches, zip(*shares, strict=True), strict=True)
        ]
        return [replace(batch, behaviour_BUKC=found) for batch, found in zip(batches, whole, strict=True)]


class RemoteScorer:
    """A pool of scorers; the rollouts of one prompt are judged by one of them, what they earn is put together here."""

    def __init__(self, workers: Actors, tasks: Mapping[str, Entries]):
        self.workers, self.tasks = workers, tasks
        self.turn = 0

    def begin(self, rollouts: list[Rollout]) -> Callable[[], list[Judged]]:
        """See `rewards.tasks.TaskScorer.begin`; the workers judge while the caller goes on."""
        prompts = [rollout.prompt.id for rollout in rollouts]
        starts = [at for at, name in enumerate(prompts) if at == 0 or name != prompts[at - 1]]
        size = -(-len(starts) // len(self.workers.handles))
        cuts = [*starts[::size], len(rollouts)]
        shares: dict[int, list[Rollout]] = {}
        for start, end in pairwise(cuts):
            shares[self.turn] = rollouts[start:end]
            self.workers.ask(self.turn, "begin", self.turn, rollouts[start:end])
            self.turn += 1
        return partial(self._finish, shares)

    def _finish(self, shares: dict[int, list[Rollout]]) -> list[Judged]:
        """What the workers say; one that was started again meanwhile knows nothing of it, and is asked again."""
        found = dict(zip(shares, self.workers.wait([self.workers.ask(t, "finish", t) for t in shares]), strict=True))
        lost = [turn for turn, judged in found.items() if judged is None]
        again = self.workers.wait([self.workers.ask(turn, "judge", shares[turn]) for turn in lost])
        found |= zip(lost, again, strict=True)
        return [item for judged in found.values() for item in judged]

    def finish(
        self, begun: Sequence[tuple[Sequence[Rollout], Callable[[], list[Judged]]]], normalize: bool = True
    ) -> list[Scored]:
        """See `rewards.tasks.TaskScorer.finish`."""
        return finished(self.tasks, begun, normalize)
