"""Stand-ins for what the guides take as given: data, models, runs and files of the reader's own, as small as can be."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.data.shards.write import write_tars
from tests.docs.pages import fences
from tests.docs.worlds_asked import evaluation, generate
from tests.e2e.runs import SFT, run
from tests.images import save_tiny_images

MINE = """
model: {preset: tiny, vocab_size: 268, device: cpu}
data: {source: arithmetic, template: plain, size: 40}
rollout: {prompts_per_step: 2, group_size: 2, gen_length: 4, block_length: 4}
rewards: {math: {}}
"""
BACKEND = ("cluster.backend=local", "cluster.threads=1")
ALONE = {"threads": 1}
LOCAL = ALONE | {"backend": "local"}
SFT_STAGES = ("llada", "stage_1_1", "stage_1_2", "stage_1_3", "stage_2_1", "stage_2_2")
SFT_STAGE = {"settings": {"steps": 2, "stop_below": None, "held_out": {"size": 4}}}
RL_STAGE = {
    "settings": {
        "steps": 1,
        "rollout": {"prompts_per_step": 2, "group_size": 2},
        "eval": {"limit": 2, "data": {"size": 2}},
        "tracking": {"rollouts_every": 1},
        "cluster": LOCAL,
    }
}


def write_yaml(name: str, value: dict) -> None:
    Path(name).write_text(yaml.safe_dump(value))


def gsm8k(name: str, count: int = 12) -> None:
    """Rows as GSM8K's official files have them, which a teacher that can add can answer."""
    rows = [
        {"question": f"{a}+{a + 7}=", "answer": f"{a} and {a + 7}.\n#### {2 * a + 7}"} for a in range(10, 10 + count)
    ]
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def shown(page: str, language: str, holds: str) -> str:
    """The fence of a page that holds a text."""
    return next(text for _, text in fences(page, language) if holds in text)


def readme() -> None:
    """A reward and a config of the reader's, GSM8K, and overlays that make the pipelines tiny."""
    Path("my.yaml").write_text(MINE)
    Path("brevity.py").write_text(shown("README.md", "python", "def brevity"))
    gsm8k("train.jsonl")
    gsm8k("test.jsonl")
    quickstart()
    once = {"steps": 1, "optim": {"warmup_steps": 0}}
    tasks = {name: {"data": {"size": 8}, "eval": {"size": 2}} for name in ("sums", "ask", "draw")}
    multimodal(once, tasks)
    stages = {name: {"settings": once} for name in (*SFT_STAGES, "clip")}
    write_yaml("shorter.yaml", {"stages": stages | {"rl": {"settings": once | {"tasks": tasks}}}})


def multimodal(once: dict, tasks: dict) -> None:
    """An overlay that makes the multimodal quickstart tiny."""
    pictures = {"data": {"size": 16}, "held_out": {"size": 8}, "batch_size": 4, "device": "cpu"}
    stream = {"batch_size": 4, "data": {"size": 8}, "held_out": {"size": 2}}
    learn = once | {"cluster": LOCAL, "rollout": {"prompts_per_step": 3, "group_size": 2}}
    settings = {
        "tokenizer": once | pictures | {"cluster": ALONE},
        "clip": once | pictures | {"cluster": ALONE},
        "sft": {"steps": 1, "streams": dict.fromkeys(("sums", "ask", "draw", "think"), stream), "cluster": ALONE},
        "rl": learn | {"algo": {"dynamic_sampling": 0}, "tasks": tasks},
        "think": learn | {"data": {"size": 8}, "eval": {"data": {"size": 2}}},
    }
    write_yaml("multimodal.yaml", {"stages": {name: {"settings": own} for name, own in settings.items()}})


def quickstart() -> None:
    """An overlay that makes the quickstart tiny."""
    write_yaml("quick.yaml", {"stages": {"sft": SFT_STAGE, "unigrpo": RL_STAGE, "diffu_grpo": RL_STAGE}})


def cluster() -> None:
    Path("my.yaml").write_text(MINE)


def curation() -> None:
    """Questions that the teacher of the tests can answer; `teacher.yaml` with its address is written by the test."""
    gsm8k("train.jsonl")


def data() -> None:
    """Two shards of captioned pictures, an image tokenizer, and the config of a run that draws."""
    save_tiny_images(Path("magvitv2"))
    Path("cc12m").mkdir()
    write_tars(Path("cc12m"), shards=2, each=8)
    tokenizer = {"path": "magvitv2", "resolution": 8}
    draw = {"data": {"task": "image", "layout": "caption", "path": "cc12m/*.tar", "buffer": 8}, "batch_size": 2}
    model = {"preset": "tiny", "vocab_size": 300, "device": "cpu", "image_tokenizer": tokenizer}
    settings = {"model": model, "streams": {"draw": draw}, "sft": {"workers": 1}}
    Path("my.yaml").write_text("# unigrpo sft my.yaml\n" + yaml.safe_dump(settings))


def pipelines() -> None:
    """The pipeline that the page shows, and an overlay of the reader's."""
    Path("mine.yaml").write_text(shown("docs/pipelines.md", "yaml", "stages:"))
    write_yaml("tiny.yaml", {"stages": {"sft": SFT_STAGE, "rl": RL_STAGE}})
    write_yaml("overlay.yaml", {"stages": {"rl": {"settings": {"seed": 1}}}})


def report() -> None:
    """The runs of the quickstart."""
    quickstart()
    run(["pipeline", "configs/pipelines/quickstart.yaml", "quick.yaml"])


def reproduce() -> None:
    """Runs that were made at another size."""
    Path("my.yaml").write_text(MINE)
    run(["train", "my.yaml", "steps=1", "output=runs/mmada-mixed", *BACKEND])
    for name in ("uni", "d1", "random"):
        shutil.copytree("runs/mmada-mixed", f"runs/{name}")


def rewards() -> None:
    """A config, a reward and a run of the reader's."""
    Path("my.yaml").write_text(MINE)
    Path("brevity.py").write_text(shown("docs/rewards.md", "python", "def brevity"))
    run(["train", "my.yaml", "steps=1", "tracking.rollouts_every=1", "output=runs/mine", *BACKEND])


def stages() -> None:
    """A LLaDA, and a run with adapters."""
    run(["sft", *SFT, "output=llada", "steps=1", "model.vocab_size=300"])
    Path("llada/model").rename("LLaDA-8B-Instruct")
    lora = ["model.preset=null", "model.vocab_size=512", "model.path=LLaDA-8B-Instruct", "model.lora.rank=2"]
    run(["sft", *SFT, "output=runs/lora", "steps=1", *lora])


WORLDS: dict[str, Callable[[], None]] = {
    "README.md": readme,
    "docs/cluster.md": cluster,
    "docs/curation.md": curation,
    "docs/data.md": data,
    "docs/evaluation.md": evaluation,
    "docs/generate.md": generate,
    "docs/pipelines.md": pipelines,
    "docs/report.md": report,
    "docs/reproduce.md": reproduce,
    "docs/rewards.md": rewards,
    "docs/stages.md": stages,
}
"""What is written into an empty folder before the commands of a page run there, in order."""
