"""Several ranks on this machine, without Ray: what one of them runs."""

import copy
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.multiprocessing as mp

from tests.ports import free_port
from tests.tiny import IDS, tiny_batch, tiny_model
from unigrpo.config import AlgoSection, LikelihoodSection, LoraSection, OptimSection
from unigrpo.engine import Engine
from unigrpo.errors import TrainingError
from unigrpo.learner import Learner
from unigrpo.models.load import Policy
from unigrpo.models.lora import add_lora
from unigrpo.models.tokenizer import train_tokenizer
from unigrpo.state import restore_optimizer, restore_weights

OPTIM = OptimSection(lr=1e-2, weight_decay=0.1, schedule="cosine", warmup_steps=2)
ALGO = AlgoSection(beta=0.0, likelihood=LikelihoodSection(micro_batch=2, chunk=3))
"""Ranks have different numbers of chunks."""


@dataclass(frozen=True)
class Case:
    """How a policy is trained; stage None is the engine of one process."""

    stage: int | None = None
    lora: bool = False
    dtype: str = "float32"
    offload: bool = False
    ratio: str = "token"
    """With `sequence` the head's gradient cannot be foreseen, so that its weight is needed in the backward pass."""


def make(case: Case, folder: Path | None = None, optim: OptimSection = OPTIM) -> Learner:
    """A learner, from a checkpoint if there is one."""
    model = tiny_model()
    if case.lora:
        add_lora(model, LoraSection(rank=2), 0)
    policy = Policy(model.to(getattr(torch, case.dtype)), train_tokenizer([], 268), IDS)
    if folder:
        restore_weights(policy, folder)
    if case.stage is None:
        engine = Engine(model, optim, 20)
    else:
        from actors.sharded import ShardedEngine
        from actors.upstream import Strategy

        class InPieces(Strategy):
            """Keeps no weight whole, however small it is."""

            def get_ds_train_config(self, *args, **kwargs):
                config = super().get_ds_train_config(*args, **kwargs)
                config["zero_optimization"]["stage3_param_persistence_threshold"] = 0
                return config

        strategy = InPieces(case.stage, case.offload, case.dtype, 0, 600)
        strategy.setup_distributed()
        if case.stage == 3:
            policy = Policy(copy.deepcopy(model), policy.tokenizer, policy.ids)
        engine = ShardedEngine(strategy, model, optim, 20)
    if folder:
        restore_optimizer(engine, folder)
    return Learner(policy, engine, replace(ALGO, ratio=case.ratio), None)


def steps(learner: Learner, numbers: range) -> list[dict[str, float]]:
    """The metrics of some steps."""
    return [learner.learn([tiny_batch(ALGO, seed=number)]) for number in numbers]


def final(learner: Learner) -> dict[str, torch.Tensor]:
    """The weights, whole."""
    return {name: tensor.detach().clone() for name, tensor in learner.weights().tensors.items()}


def go_on(case: Case, folder: Path) -> dict:
    """Four steps at once; and two, saved, and two by fresh engines: here, and by the engine of one process."""
    whole = make(case)
    metrics = steps(whole, range(4))
    first = make(case)
    steps(first, range(2))
    first.snapshot()
    first.write(folder)
    barrier()
    second = make(case, folder)
    steps(second, range(2, 4))
    found = {"metrics": metrics, "whole": final(whole), "cut": final(second)}
    if first.engine.rank == 0:
        alone = make(Case(lora=case.lora, dtype=case.dtype, ratio=case.ratio), folder)
        steps(alone, range(2, 4))
        found["alone"] = final(alone)
    first.export(folder / "model")
    barrier()
    return found


def leave_out(case: Case, folder: Path) -> dict:
    """Steps whose gradient is not finite, between steps that are."""
    learner = make(case, optim=OptimSection(lr=1e-2, max_skipped=2))
    steps(learner, range(2))
    before = final(learner)
    poisoned = tiny_batch(ALGO, seed=2)
    poisoned.advantages_B[-1] = float("nan")  # of the last rank alone
    skipped = [learner.learn([poisoned])["optim/skipped"]]
    after = final(learner)
    [good] = steps(learner, range(3, 4))
    try:
        for _ in range(2):
            learner.learn([poisoned])
        error = ""
    except TrainingError as raised:
        error = str(raised)
    return {"before": before, "after": after, "skipped": skipped, "good": good, "error": error}


def barrier() -> None:
    """Waits for the other ranks."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def work(rank: int, world: int, port: int, jobs: list, folder: str) -> None:
    """One rank; the first writes what was found."""
    places = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": 0}
    os.environ.update({name: str(value) for name, value in places.items()})
    torch.set_num_threads(1)
    found = []
    for index, (job, case) in enumerate(jobs):
        place = Path(folder) / str(index)
        place.mkdir(exist_ok=True)
        found.append(job(case, place))
    if rank == 0:
        torch.save(found, Path(folder) / "found.pt")
    barrier()


def run(world: int, jobs: list) -> dict:
    """The answers of rank 0 to jobs that all ranks do, by name of the job and case."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(work, (world, free_port(), jobs, folder), nprocs=world)
        found = torch.load(Path(folder) / "found.pt")
    return {(job.__name__, case): answer for (job, case), answer in zip(jobs, found, strict=True)}
