"""Actors of OpenRLHF's groups, one for each rank, that host the workers which must keep step."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ray.actor import ActorHandle

from actors.desk import Desk
from actors.sft import SFTWorker
from actors.sharded import WEIGHTS, ShardedEngine, freeze
from actors.upstream import BaseModelActor, Strategy
from actors.workers import PolicyWorker, ReferenceWorker
from unigrpo.config import SFTConfig, TrainConfig


class Rank(BaseModelActor):
    """One process of a group; see `actors.desk.Host` for those that work alone."""

    desk: Desk

    def run(self, name: str, *args: Any) -> Any:
        """See `Desk.run`."""
        return self.desk.run(name, *args)

    def status(self) -> dict[str, float]:
        """See `Desk.status`."""
        return self.desk.status()

    def _join(self, strategy: Strategy, kind: Callable[..., Any], *args: Any) -> None:
        logging.getLogger().setLevel(logging.WARNING)
        self._setup_distributed(strategy)
        self.desk = Desk(partial(kind, *args))
        self.run("ready")


class PolicyRank(Rank):
    """One rank of the policy."""

    def init_model_from_pretrained(
        self, strategy: Strategy, config: TrainConfig, references: list[ActorHandle], resume_from: Path | None
    ) -> None:
        """Joins the other ranks and loads the policy; each rank asks a reference of its own."""
        engine = {"engine_of": partial(ShardedEngine, strategy), "shards_weights": strategy.stage == WEIGHTS}
        reference = references[self._rank] if references else None
        self._join(strategy, PolicyWorker, config, reference, resume_from, engine)


class ReferenceRank(Rank):
    """One rank of a reference whose weights are in pieces."""

    def init_model_from_pretrained(self, strategy: Strategy, config: TrainConfig) -> None:
        """Joins the other ranks and loads the reference."""
        self._join(strategy, ReferenceWorker, config, partial(freeze, strategy))


class SFTRank(Rank):
    """One rank of supervised fine-tuning."""

    def init_model_from_pretrained(
        self, strategy: Strategy, config: SFTConfig, words: list[str] | None, resume_from: Path | None
    ) -> None:
        """Joins the other ranks and loads the model."""
        engine = {"engine_of": partial(ShardedEngine, strategy), "shards_weights": strategy.stage == WEIGHTS}
        self._join(strategy, SFTWorker, config, words, resume_from, engine)
