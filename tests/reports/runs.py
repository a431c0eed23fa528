"""Folders of runs as the verbs leave them, for the tests of pages."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from unigrpo.config import CurateConfig, EvalConfig, SFTConfig, TrainConfig
from unigrpo.config.load import save_config
from unigrpo.config.verbs import TaskSection

SCHEMAS = {"train": TrainConfig, "sft": SFTConfig, "eval": EvalConfig, "curate": CurateConfig}


def begin(folder: Path, verb: str = "train", **settings) -> Path:
    """The folder of a run that has only begun."""
    folder.mkdir(parents=True, exist_ok=True)
    save_config(SCHEMAS[verb](output=str(folder), **settings), folder / "config.yaml")
    return folder


def lines(file: Path, rows: list[dict], tail: str = "") -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail, encoding="utf-8")


def rollout(step: int, index: int, reward: float | None, **changed) -> dict:
    """A row of rollouts.jsonl."""
    row = {"step": step, "id": f"{step}/p/{index}", "prompt": "3+4=", "output": str(index), "answer": "7"}
    return {**row, "reward": reward, "parts": {"math": reward}, **changed}


def trained(folder: Path, steps: int = 12, **settings) -> Path:
    """A run of train with metrics, rollouts and pictures."""
    run = begin(folder, "train", **settings)
    metrics = [{"step": 0, "eval/accuracy": 0.25, "eval/reward": 0.3}]
    for step in range(1, steps + 1):
        metrics += [{"step": step, "reward/mean": step / steps, "reward/math": 0.5, "reward/zero_std": 0.1}]
        metrics[-1] |= {"policy/kl": 0.01, "policy/tokens": 100.0, "time/step": 2.0, "time/learn": 1.5}
        metrics[-1] |= {"memory/host_gb": 1.0 + step}
    lines(run / "metrics.jsonl", [*metrics, {"step": steps, "eval/accuracy": 0.75, "eval/reward": 0.9}])
    pieces = {"pieces": ["3", " is", " less"], "commit": [4, 0, 0]}
    lines(
        run / "rollouts.jsonl",
        [rollout(step, 0, 1.0, output="7", chosen="best", replay=pieces) for step in (steps // 2, steps)]
        + [rollout(steps, 1, 0.0, output="it is eight", chosen="worst")],
    )
    pictures(run)
    return run


def pictures(run: Path, steps=(0, 12), side: int = 8) -> None:
    """Two drawings of each evaluation, of four codes that are committed one after the other."""
    for step in steps:
        folder = run / f"pictures/step-{step:06d}"
        folder.mkdir(parents=True)
        rows = []
        for number, prompt in enumerate(("a red square", "a blue circle")):
            Image.fromarray(np.full((side, side, 3), 60 * number, dtype=np.uint8)).save(folder / f"draw-{number}.png")
            row = {"file": f"draw-{number}.png", "task": "draw", "prompt": prompt, "thought": "", "reward": 0.5 + step}
            rows.append(row | {"parts": {"shapes": 1.0, "clip": float("nan")}, "commit": "2 0 1 3"})
        (folder / "index.json").write_text(json.dumps(rows))


def evaluated(folder: Path, right: int = 3, of: int = 12) -> Path:
    """A run of eval."""
    run = begin(folder, "eval")
    (run / "metrics.json").write_text(
        json.dumps({"metrics": {"eval/accuracy": right / of}, "protocol": {"prompts": of}})
    )
    rows = [{"id": f"eval/p{n}/0", "task": "text", "prompt": f"question {n}", "output": str(n)} for n in range(of)]
    lines(run / "samples.jsonl", [row | {"answer": "7", "reward": float(n < right)} for n, row in enumerate(rows)])
    return run


def tasks(**weights: float) -> dict[str, TaskSection]:
    """Tasks of a run, with their weights."""
    return {name: TaskSection(weight=weight) for name, weight in weights.items()}
