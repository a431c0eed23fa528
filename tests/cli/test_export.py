"""What is given away loads as it says, and the hub gets it."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.e2e.runs import SFT
from tests.e2e.runs import run as command
from unigrpo.cli.main import main
from unigrpo.config import ModelSection
from unigrpo.models import load_model, load_policy

TEXT = torch.tensor([[5, 9, 12, 40]])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run from scratch, and one of adapters on its model."""
    folder = tmp_path_factory.mktemp("runs")
    command(["sft", *SFT, f"output={folder}/first", "sft.ema=0.5"])
    (folder / "first/model/README.md").write_text("---\nlicense: apache-2.0\ntags: [x]\n---\n# Base\n")
    adapters = ["model.preset=null", "model.vocab_size=512", "model.lora.rank=2", f"model.path={folder}/first/model"]
    command(["sft", *SFT, *adapters, f"output={folder}/second", "optim.lr=1e-2"])
    return folder


def front(card: Path) -> dict:
    return yaml.safe_load(card.read_text().split("---\n")[1])


def error(capsys, *args) -> str:
    capsys.readouterr()
    assert main(["export", *map(str, args)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_an_export_is_the_model_with_a_card_and_nothing_of_the_training(runs, tmp_path):
    command(["export", f"{runs}/first", f"{tmp_path}/given"])
    names = {path.name for path in (tmp_path / "given").iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    command(["export", f"{runs}/first/checkpoint-6", f"{tmp_path}/same"])
    for name in names - {"README.md"}:
        assert (tmp_path / "given" / name).read_bytes() == (tmp_path / "same" / name).read_bytes()
    text = (tmp_path / "given/README.md").read_text()
    rows = [json.loads(line) for line in (runs / "first/metrics.jsonl").read_text().splitlines()]
    assert f"| sft/loss | {rows[-1]['sft/loss']:.6g} |" in text
    assert "a tiny model from scratch -> given" in text
    assert "sft.ema: 0.5" in text
    assert str(runs) not in text


def test_the_snippet_of_a_card_runs_and_gives_the_model(runs, tmp_path, monkeypatch):
    command(["export", f"{runs}/first", f"{tmp_path}/given"])
    monkeypatch.chdir(tmp_path)
    [snippet] = re.findall(r"```python\n(.*?)```", (tmp_path / "given/README.md").read_text(), re.DOTALL)
    scope: dict = {}
    exec(snippet, scope)
    assert torch.equal(scope["policy"].model(TEXT).logits, load_model(runs / "first/model")(TEXT).logits)


def test_the_running_mean_is_exported_by_its_folder(runs, tmp_path):
    command(["export", f"{runs}/first/model-ema", f"{tmp_path}/mean"])
    found, last = load_file(tmp_path / "mean/model.safetensors"), load_file(runs / "first/model/model.safetensors")
    assert any(not torch.equal(found[name], last[name]) for name in last)
    assert "unigrpo sft, 6 steps" in (tmp_path / "mean/README.md").read_text()


def test_adapters_are_exported_alone_or_merged_and_are_the_same_model(runs, tmp_path):
    command(["export", f"{runs}/second", f"{tmp_path}/adapters"])
    command(["export", f"{runs}/second", f"{tmp_path}/whole", "--merge-lora"])
    command(["export", f"{runs}/second/checkpoint-6", f"{tmp_path}/merged", "--merge-lora"])
    assert not (tmp_path / "adapters/model.safetensors").exists()
    whole = load_model(tmp_path / "whole")(TEXT).logits
    model = load_model(runs / "first/model")
    assert not torch.allclose(model(TEXT).logits, whole, atol=1e-3)
    model.load_adapter(str(tmp_path / "adapters"))
    torch.testing.assert_close(model(TEXT).logits, whole, atol=1e-5, rtol=1e-4)
    assert torch.equal(load_model(tmp_path / "merged")(TEXT).logits, whole)
    policy = load_policy(ModelSection(path=f"{tmp_path}/merged", device="cpu"))
    assert len(policy.tokenizer) == policy.ids.text_vocab
    card = (tmp_path / "adapters/README.md").read_text()
    assert "a tiny model from scratch -> first -> adapters" in card
    assert front(tmp_path / "adapters/README.md")["library_name"] == "peft"


def test_a_card_has_the_licence_of_the_base_or_the_one_that_is_given(runs, tmp_path):
    command(["export", f"{runs}/first/model", f"{tmp_path}/own", "--license", "mit"])
    assert front(tmp_path / "own/README.md")["license"] == "mit"
    bare = tmp_path / "bare"
    command(["export", f"{runs}/first", str(bare)])
    assert "license" not in front(bare / "README.md")
    (bare / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    command(["export", str(bare), f"{tmp_path}/again"])
    assert front(tmp_path / "again/README.md")["license"] == "apache-2.0"


def test_what_cannot_be_exported_is_one_line(runs, tmp_path, capsys):
    (tmp_path / "there").mkdir()
    assert "add --overwrite" in error(capsys, runs / "first", tmp_path / "there")
    assert "was not trained with adapters" in error(capsys, runs / "first", tmp_path / "x", "--merge-lora")
    assert "no folder of a run or a model" in error(capsys, tmp_path / "nowhere", tmp_path / "x")
    assert "config.json: no such file" in error(capsys, tmp_path / "there", tmp_path / "x")
    assert "but nothing is pushed" in error(capsys, runs / "first", tmp_path / "x", "--private")
    assert "--publish has no value" in error(capsys, runs / "first", tmp_path / "x", "--publish")
    assert "Did you mean: 'push_to_hub'?" in error(capsys, runs / "first", tmp_path / "x", "--push-to-hubb=x")
    assert "unigrpo export RUN FOLDER" in error(capsys)
    assert not (tmp_path / "x").exists()


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as an upload of small files needs; it keeps what it was sent."""

    sent: list = []  # noqa: RUF012

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.sent.append((self.path, self.headers.get("authorization"), body))
        if self.path.endswith("/repos/create"):
            answer = {"url": f"http://{self.headers['host']}/me/mine", "name": "me/mine"}
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            answer = {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
        elif self.path.endswith("/validate-yaml"):
            answer = {"errors": [], "warnings": []}
        else:
            answer = {"commitUrl": f"http://{self.headers['host']}/me/mine/commit/{'1' * 40}", "commitOid": "1" * 40}
        self._answer(answer)

    def do_GET(self):
        self._answer({"sha": "1" * 40, "id": "me/mine", "siblings": []})

    def _answer(self, values):
        content = json.dumps(values).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


def test_a_push_makes_the_repository_and_sends_every_file(runs, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_address[1]}"
    env = os.environ | {"HF_ENDPOINT": place, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_test", "HF_HUB_DISABLE_XET": "1"}
    args = ["export", f"{runs}/first", f"{tmp_path}/given", "--push-to-hub", "me/mine", "--private"]
    done = subprocess.run([sys.executable, "-m", "unigrpo", *args], env=env, capture_output=True, text=True)
    server.shutdown()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("/me/mine")
    made = [json.loads(body) for path, _, body in Hub.sent if path.endswith("/repos/create")]
    assert made[0]["visibility"] == "private"
    assert {token for _, token, _ in Hub.sent} == {"Bearer hf_test"}
    [commit] = [body for path, _, body in Hub.sent if "/commit/" in path]
    sent = [json.loads(line) for line in commit.splitlines()]
    files = {line["value"]["path"] for line in sent if line["key"] == "file"}
    assert files == {path.name for path in (tmp_path / "given").iterdir()}


def test_a_hub_that_cannot_be_reached_is_one_line_and_leaves_the_folder(runs, tmp_path, capsys):
    said = error(capsys, runs / "first", tmp_path / "given", "--push-to-hub", "me/mine")
    assert "me/mine was not pushed: " in said
    assert f"{tmp_path}/given is whole." in said
    load_model(tmp_path / "given")
