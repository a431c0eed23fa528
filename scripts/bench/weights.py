"""Handing the policy's weights to the workers that sample, under Ray, against sending them through the driver.

    python scripts/bench/weights.py --out /tmp/weights [--workers 2] [--rounds 5]

The policy has 27M parameters in its blocks (`model.preset=small`). Through the driver: it fetches the weights and sends
them to each worker. Ours: the policy puts them into the object store once, and each worker reads them from there; with
LoRA these are the adapters alone. A colocated policy hands nothing over.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import paired
import torch

from actors.cluster import started
from rollout.colocated import texts_of
from unigrpo.config import TrainConfig
from unigrpo.config.load import load_config
from unigrpo.models.load import text_side
from unigrpo.train import Workers

SETTINGS = (
    *("model.preset=small", "model.device=cpu", "data.source=arithmetic", "data.template=plain", "cluster.threads=1"),
    *(
        "cluster.layout=separate",
        "rewards.math.weight=1",
        "algo.beta=0",
        "rollout.block_length=4",
        "rollout.gen_length=4",
    ),
)
LORA_RANK = 16
VERSIONS = count(1)


class Plain:
    """A model of the same weights, in an actor."""

    def __init__(self, tensors: dict[str, torch.Tensor]):
        torch.set_num_threads(1)
        self.tensors = {name: tensor.clone() for name, tensor in tensors.items()}

    def state(self) -> dict[str, torch.Tensor]:
        return self.tensors

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            self.tensors[name].copy_(tensor)


@contextmanager
def cluster(settings: list[str]) -> Iterator[Workers]:
    """Policy and rollout workers, as a run starts them."""
    config = load_config(TrainConfig, settings)
    _, ids = text_side(config.model, texts_of(config))
    with started(config, ids, None) as workers:
        yield workers


def ours(workers: Any) -> None:
    """Publishes, as after an update, and has every rollout worker read."""
    weights = replace(workers.learner.weights(), version=next(VERSIONS))
    workers.sampler.workers.all("load", weights)


def through_driver(policy: Any, others: list[Any]) -> None:
    """Fetches, and sends to each."""
    import ray

    tensors = ray.get(policy.state.remote())
    ray.get([worker.load.remote(tensors) for worker in others])


def main() -> None:
    import ray

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    settings = [*SETTINGS, f"output={args.out}/run", f"cluster.rollout_workers={args.workers}"]
    times = {}
    with cluster(settings) as workers:
        [found] = [ray.get(part) for part in workers.learner.weights().parts]
        size = sum(tensor.nbytes for tensor in found.values())
        policy, *others = [ray.remote(num_cpus=0)(Plain).remote(found) for _ in range(args.workers + 1)]
        contenders = {"through the driver": partial(through_driver, policy, others), "ours": partial(ours, workers)}
        times |= paired.rounds(contenders, args.rounds)
    with cluster([*settings, f"model.lora.rank={LORA_RANK}"]) as workers:
        lora = f"ours, LoRA of rank {LORA_RANK}"
        times |= paired.rounds({lora: partial(ours, workers)}, args.rounds)
    rows = paired.compared(times, "through the driver")
    print(f"{size / 2**20:.0f} MiB of weights, {args.workers} rollout workers\n\n{paired.table(rows)}")
    bars = {name: paired.ratio(times["through the driver"], took)[0] for name, took in times.items()}
    found = {"weights": size, "workers": args.workers, "seconds": times}
    paired.write(args.out, "weights", found, bars, "Handing weights over, times faster than through the driver")


if __name__ == "__main__":
    main()
