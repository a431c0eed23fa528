"""Supervised fine-tuning in Ray actors: the learner that each hosts, and what the loop sees of them."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import ObjectRef

from actors.cluster import absolute, joined
from actors.desk import Hosted
from actors.placement import Plan, Role
from actors.remote import Actors, Saved, Watch, introduce
from actors.spawn import Crew, host, rank_group, sharded
from actors.waiting import gather
from actors.workers import Saving
from unigrpo.config import SFTConfig, streams_data, streams_of
from unigrpo.data.shards.stream import State
from unigrpo.device import resolve_device
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import load_policy
from unigrpo.sft.course import Course
from unigrpo.sft.learner import SFTLearner
from unigrpo.sft.shares import Share
from unigrpo.types import Metrics


class SFTWorker(Hosted, Saving):
    """Hosts a model in supervised fine-tuning. It reads no data: it is sent what it learns from."""

    def __init__(
        self,
        config: SFTConfig,
        words: list[str] | None,
        resume_from: Path | None,
        engine: dict[str, Any] | None = None,
    ):
        super().__init__(config)
        policy = load_policy(config.model, words, config.seed)
        self.learner = SFTLearner.build(config, policy, _images(config), resume_from, **(engine or {}))
        self.keep(self.learner)

    def learn(self, share: Share) -> Metrics:
        """See `unigrpo.sft.learner.SFTLearner.learn`."""
        return self.learner.learn(share)

    def measure(self, share: Share) -> Metrics:
        """See `unigrpo.sft.learner.SFTLearner.measure`."""
        return self.learner.measure(share)

    def export(self, folder: Path, mean: bool = False) -> None:
        """See `unigrpo.sft.learner.SFTLearner.export`."""
        self.learner.export(folder, mean)


def _images(config: SFTConfig) -> ImageTokenizer | None:
    """The image tokenizer, where pictures come as they are streamed; those in memory have their codes."""
    sees = any(stream.data.task != "text" and streams_data(stream) for stream in streams_of(config).values())
    return ImageTokenizer.load(config.model.image_tokenizer, resolve_device(config.model.device)) if sees else None


def _sent(share: Share) -> ObjectRef:
    return ray.put(replace(share, lots=list(share.lots)))


class RemoteSFT(Saved):
    """The learners of all ranks. What they learn from is read here, a step ahead, and each is sent its share."""

    def __init__(self, ranks: Actors, course: Course, steps: int, watch: Watch):
        super().__init__(ranks)
        self.course, self.steps, self.report = course, steps, watch.report
        self.reader = ThreadPoolExecutor(1, "shares")
        self.ahead: tuple[int, Future[tuple[list[ObjectRef], dict[str, State]]]] | None = None
        self.waited = 0.0
        self.held_out: list[ObjectRef] | None = None
        self.goes_on: dict[str, State] = {}

    def learn(self, step: int) -> Metrics:
        """See `unigrpo.sft.loop.Trains.learn`."""
        started = time.perf_counter()
        at, reading = self.ahead or (step, self.reader.submit(self._read, step))
        assert at == step, "steps come in order"
        shares, self.goes_on = reading.result()
        self.waited += time.perf_counter() - started
        self.ahead = (step + 1, self.reader.submit(self._read, step + 1)) if step + 1 < self.steps else None
        return self.ranks.each("learn", [(share,) for share in shares])[0]

    def measure(self) -> Metrics:
        """See `unigrpo.sft.loop.Trains.measure`."""
        if self.held_out is None:
            self.held_out = [_sent(share) for share in self.course.held_out(len(self.ranks.handles))]
        found = self.ranks.each("measure", [(share,) for share in self.held_out])
        return found[0] if found else {}

    def positions(self) -> dict[str, State]:
        """See `unigrpo.sft.loop.Trains.positions`."""
        return self.goes_on

    def export(self, folder: Path, mean: bool = False) -> None:
        """See `unigrpo.sft.loop.Trains.export`."""
        self.ranks.all("export", folder.absolute(), mean)

    def close(self) -> None:
        """Waits until nothing is read any more."""
        self.reader.shutdown(cancel_futures=True)

    def _read(self, step: int) -> tuple[list[ObjectRef], dict[str, State]]:
        """Shares of a step, and where data goes on after it, which is not known any more once the next is read."""
        shares = self.course.shares(step, len(self.ranks.handles))
        return [_sent(share) for share in shares], self.course.positions(step + 1)


def plan(config: SFTConfig, gpus: bool) -> Plan:
    """The workers of a run.

    Args:
        gpus: whether the cluster has GPUs to be used.
    """
    return Plan(policy=Role("policy", config.cluster.ranks, 1, float(gpus)))


@contextmanager
def started(
    config: SFTConfig, course: Course, words: list[str] | None, resume_from: Path | None, lost: int = 0
) -> Iterator[RemoteSFT]:
    """A learner on each rank in Ray actors, which end with the block.

    Args:
        words: of which the tokenizer of a preset is made.
        lost: how often this run has lost workers that it could not go on without.

    Raises:
        ClusterError: the cluster cannot be used, or is too small.
        MissingExtraError: several ranks need OpenRLHF and DeepSpeed.
        LostWorkerError: a worker that the run needs is gone.
    """
    with joined(config, plan) as (wanted, places):
        made = (absolute(config), words, resume_from and resume_from.absolute())
        if sharded(config):
            from actors.ranks import SFTRank

            policy = rank_group(config, wanted.policy, places, SFTRank, *made)
        else:
            policy = [host(wanted.policy, places, 0, config, SFTWorker, *made)]
            gather([policy[0].run.remote("ready")], config.cluster.timeout, "the policy worker, which is starting,")
        crew = vars(Crew(policy))
        introduce(crew, config.cluster.watchdog)
        ranks = Actors("policy", policy, config.cluster.watchdog)
        remote = RemoteSFT(ranks, course, config.steps, Watch(crew, lost))
        try:
            yield remote
        finally:
            remote.close()
