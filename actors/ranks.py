"""Actors of OpenRLHF's groups, one for each rank, that host the workers which must keep step."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

from ray.actor import ActorHandle

from actors.sharded import WEIGHTS, ShardedEngine, freeze
from actors.upstream import BaseModelActor, Strategy
from actors.workers import PolicyWorker, ReferenceWorker
from unigrpo.config import TrainConfig


class Rank(BaseModelActor):
    """One process of a group; see `actors.workers.Host` for those that work alone."""

    hosted: Any

    def run(self, name: str, *args: Any) -> Any:
        """Calls a method of the worker."""
        return getattr(self.hosted, name)(*args)

    def _join(self, strategy: Strategy) -> None:
        logging.getLogger().setLevel(logging.WARNING)
        self._setup_distributed(strategy)


class PolicyRank(Rank):
    """One rank of the policy."""

    def init_model_from_pretrained(
        self, strategy: Strategy, config: TrainConfig, references: list[ActorHandle], resume_from: Path | None
    ) -> None:
        """Joins the other ranks and loads the policy; each rank asks a reference of its own."""
        self._join(strategy)
        engine = {"engine_of": partial(ShardedEngine, strategy), "shards_weights": strategy.stage == WEIGHTS}
        self.hosted = PolicyWorker(config, references[self._rank] if references else None, resume_from, engine)


class ReferenceRank(Rank):
    """One rank of a reference whose weights are in pieces."""

    def init_model_from_pretrained(self, strategy: Strategy, config: TrainConfig) -> None:
        """Joins the other ranks and loads the reference."""
        self._join(strategy)
        self.hosted = ReferenceWorker(config, partial(freeze, strategy))
