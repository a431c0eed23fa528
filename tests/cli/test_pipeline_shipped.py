"""The shipped pipelines: the whole of MMaDA at the smallest size, and the quickstarts."""

import json
import re

import pytest
import yaml
from PIL import Image

from tests.curation.conftest import serve, sums, write_rows  # noqa: F401
from tests.e2e.runs import metrics
from tests.test_report import run as write_run
from unigrpo.cli import quickstart
from unigrpo.cli.main import main
from unigrpo.cli.pipeline_stages import stages_of
from unigrpo.cli.verbs import STAGES, VERBS
from unigrpo.config import ModelSection
from unigrpo.config.load import shipped_configs
from unigrpo.models import load_policy

SFT_STAGES = ("llada", "stage_1_1", "stage_1_2", "stage_1_3", "stage_2_1", "stage_2_2")
FILES = sorted((shipped_configs() / "pipelines").glob("*.yaml"))


def shorter(teacher: str, folder) -> dict:
    """What makes the tiny pipeline shorter still, and has a teacher write the thoughts."""
    stages = {name: {"settings": {"steps": 2, "optim": {"warmup_steps": 1}}} for name in SFT_STAGES}
    learned = {"source": "file", "path": "{thoughts}/data.jsonl", "size": 800}
    stages["stage_2_2"]["settings"]["stand_ins"] = {"think_image": {"data": learned}}
    stages["stage_2_2"]["settings"]["streams"] = {"think": {"weight": 1000.0}}
    stages["clip"] = {"settings": {"steps": 2, "optim": {"warmup_steps": 1}}}
    tasks = {name: {"data": {"size": 8}, "eval": {"size": 2}} for name in ("sums", "ask", "draw")}
    stages["rl"] = {"settings": {"steps": 1, "tasks": tasks}}
    stages["thoughts"] = {"skip": False, "files": [str(folder / "thoughts.yaml")]}
    stages["thoughts"]["settings"] = {"teacher": {"base_url": teacher, "model": "adder"}}
    return {"output": str(folder / "out"), "stages": stages}


def captions(folder) -> None:
    """Prompts with pictures, and a curation that keeps every thought."""
    rows = sums(12)
    for number, row in enumerate(rows):
        Image.new("RGB", (16, 16), (20 * number, 0, 0)).save(folder / f"{number}.png")
        row["image"] = f"{number}.png"
    (folder / "any.py").write_text("def any(response):\n    return 1.0\n")
    data = {"task": "think_image", "path": str(write_rows(folder / "rows.jsonl", rows))}
    rewards = {"any": {"path": f"{folder / 'any.py'}:any"}}
    own = {"data": data, "rewards": rewards, "samples": 2, "filter": {"near": None}}
    (folder / "thoughts.yaml").write_text(yaml.safe_dump(own))


@pytest.mark.slow
def test_the_whole_of_mmada_runs_at_the_smallest_size_and_then_has_nothing_to_do(tmp_path, capsys, serve):  # noqa: F811
    server = serve()
    captions(tmp_path)
    file = tmp_path / "shorter.yaml"
    file.write_text(yaml.safe_dump(shorter(server.url, tmp_path)))
    args = ["pipeline", "configs/pipelines/mmada.yaml", "configs/pipelines/tiny.yaml", str(file)]
    assert main(args) == 0
    out = tmp_path / "out"
    before = {}
    for name in SFT_STAGES[1:]:  # each starts from the weights that the one before ended with
        settings = yaml.safe_load((out / f"{name}.yaml").read_text())
        before[name] = settings["model"]["path"]
    assert list(before.values()) == [str(out / "init"), *(f"{out}/{name}/model" for name in SFT_STAGES[1:-1])]
    assert {key for row in metrics(out / "stage_2_2") for key in row} >= {"sft/loss/draw", "sft/loss/think"}
    assert json.loads((out / "eval/metrics.json").read_text())["protocol"]["model"] == f"{out}/rl/model"
    given = (out / "export/model.safetensors").read_bytes()
    assert given == (out / "rl/model/model.safetensors").read_bytes()
    assert load_policy(ModelSection(path=str(out / "export"), device="cpu")).ids.codebook_size == 64
    asked = len(server.requests)
    capsys.readouterr()
    assert main(args) == 0
    assert capsys.readouterr().err.count("done before, unchanged") == 12
    assert len(server.requests) == asked == 24


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_command_of_every_shipped_pipeline_is_one_that_plans(tmp_path, capsys, file):
    command = re.match(r"# unigrpo (pipeline .*)\n", file.read_text())[1]  # type: ignore[index]
    assert file.name in command
    assert main([*command.split(), "--plan", f"output={tmp_path / 'out'}"]) == 0
    assert "not run before" in capsys.readouterr().out


def test_the_published_pipeline_has_every_stage_and_each_reads_what_comes_before():
    stages = stages_of(VERBS["pipeline"].checked(["configs/pipelines/mmada.yaml"]))
    assert list(stages) == ["init", "thoughts", *SFT_STAGES[1:], "rl", "eval", "export"]
    reads = {name: stage.reads for name, stage in stages.items() if stage.reads}
    chain = ["init", *SFT_STAGES[1:], "rl"]
    assert reads == {
        **{after: (name,) for name, after in zip(chain, [*chain[1:], "eval"], strict=True)},
        "stage_2_2": ("stage_2_1", "thoughts"),
        "export": ("rl",),
    }


def test_every_verb_of_a_stage_says_what_it_leaves():
    for name, verb in STAGES.items():
        assert {"output", "overwrite"} <= set(vars(verb.config_type()()))
        assert verb.result, name


def test_the_quickstart_is_its_pipeline_and_compares_its_runs(tmp_path, capsys):
    stages = stages_of(VERBS["pipeline"].checked([quickstart.PIPELINE]))
    assert list(stages) == ["sft", *quickstart.METHODS.values()]
    for name, last in (("unigrpo", 0.75), ("diffu_grpo", 0.5)):
        write_run(tmp_path / name, [{"step": 0, "eval/accuracy": 0.25}, {"step": 9, "eval/accuracy": last}])
    quickstart.compare(tmp_path)
    assert "| UniGRPO | 25.0% | 75.0% |\n| diffu-GRPO | 25.0% | 50.0% |" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "curve.png").exists()
    assert f"Ask it: unigrpo generate {tmp_path}/unigrpo --prompt '37+85='" in capsys.readouterr().out


@pytest.mark.parametrize("arg", ["steps=3", "output", "overwrite", "--overwrite=no", "output="])
def test_the_quickstart_takes_a_folder_and_nothing_else(capsys, arg):
    assert main(["quickstart", arg]) == 2
    assert f"{arg} is no setting of quickstart: it takes output=FOLDER and --overwrite." in capsys.readouterr().err
