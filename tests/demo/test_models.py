"""Which models can be shown, and what is said of those that cannot do everything."""

import os
import signal
import socket
import sys
import time
import urllib.request
from threading import Thread

import gradio
import pytest

from tests.demo.tiny import DEMO, SMALL
from tests.e2e.runs import ONE
from unigrpo.cli.demo import asks_of, examples, names_of
from unigrpo.cli.main import main
from unigrpo.config import DataSection, SFTConfig
from unigrpo.config.load import load_config, save_config
from unigrpo.demo.models import load_model
from unigrpo.demo.page import kinds_shown
from unigrpo.types import TASKS

TEXT = """
    model.preset=tiny model.vocab_size=268 model.device=cpu cluster.threads=1 steps=1
    data.source=arithmetic data.template=plain data.size=8 sft.batch_size=2 sft.micro_batch=2
""".split()  # noqa: SIM905


def load(name, folder, **given):
    return load_model(name, {task: asks_of(str(folder), task, {"model.device": "cpu", **given}) for task in TASKS})


def titles(*models):
    kinds, why = kinds_shown(models)
    return [kind.title for kind in kinds], why


def test_tabs_are_those_that_all_models_can_serve_and_the_page_says_why_others_are_not(runs, tmp_path):
    assert main(["sft", *TEXT, f"output={tmp_path / 'sums'}"]) == 0
    sees, reads = load("sees", runs[0]), load("reads", tmp_path / "sums")
    bare = load("bare", runs[1] / "model", **{"model.image_tokenizer.path": None})
    assert titles(sees) == (["Text", "Understand", "Draw", "In-paint"], None)
    missing = "Not shown: Understand, Draw, In-paint."
    assert titles(sees, reads) == (["Text"], f"{missing} reads has no codes of images: it is a model of text.")
    start = "start the demo with model.image_tokenizer.path=FOLDER."
    assert titles(bare) == (["Text"], f"{missing} bare has no image tokenizer: {start}")


def test_a_picture_is_fitted_as_a_run_fits_its_own(tmp_path):
    config = SFTConfig(data=DataSection(task="understand", path="rows.jsonl", fit="pad"))
    save_config(config, tmp_path / "config.yaml")
    assert asks_of(str(tmp_path), "understand", {}).fit == "pad"
    assert asks_of(str(tmp_path), "understand", {"fit": "squash"}).fit == "squash"


def test_a_run_whose_pictures_are_gone_is_shown_without_examples_of_them(runs, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "What?", "image": "gone.png"}\n')
    config = load_config(SFTConfig, [str(runs[0] / "config.yaml"), "streams.ask.data.source=file"])
    config.streams["ask"].data.path = str(tmp_path / "rows.jsonl")
    save_config(config, tmp_path / "config.yaml")
    found = examples(str(tmp_path), tmp_path)
    assert "Understand" not in found
    assert len(found["Text"]) == len(found["Draw"]) == 4


def test_models_are_called_by_what_tells_them_apart(tmp_path):
    paths = [tmp_path / "a/sft/model", tmp_path / "a/rl"]
    assert names_of(paths) == ["sft", "rl"]
    assert names_of([tmp_path / "a/rl", tmp_path / "b/rl/model"]) == ["a/rl", "b/rl"]


FAULTS = {
    "": "model.path is not set",
    "{run} {run}": "the model itself: name another one, or drop it.",
    "{run} nowhere": "nowhere is no folder of a run or a model",
    "{run} port=70000": "port is 70000: set it to between 0 and 65535.",
    "{run} port={port}": "cannot be listened on (Address already in use): set port=0 for one that is free",
    "{run} host=203.0.113.7": "203.0.113.7:0 cannot be listened on",
    "{run} host=": "host is empty: set an address",
    "{run} rollout.gen_lenght=3": "rollout.gen_lenght: Key 'gen_lenght' not in 'SamplingSection'.",
}


@pytest.mark.parametrize("words", FAULTS)
def test_a_demo_that_cannot_be_shown_says_so_in_one_line(runs, tmp_path, words, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        given = words.format(run=runs[0], port=taken.getsockname()[1]).split()
        port = [] if "port" in words else ["port=0"]
        assert main(["demo", *given, *port, *SMALL, ONE]) == 2
    found = capsys.readouterr().err
    assert FAULTS[words] in found
    assert found.count("\n") == 1


def test_the_command_says_where_the_page_is_tells_nobody_else_and_ends_when_told_to(runs, monkeypatch, capsys):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    monkeypatch.setenv("GRADIO_SHARE", "True")
    seen = []

    def visit():
        while not (said := capsys.readouterr().out):
            time.sleep(0.05)
        address = said.split()[0]
        with urllib.request.urlopen(address) as page:
            policy = page.headers["Content-Security-Policy"]
        [blocks] = [one for one in gradio.Blocks.instances if getattr(one, "local_url", "") == address]
        seen.append((address, policy, blocks.analytics_enabled, blocks.share_url))
        os.kill(os.getpid(), signal.SIGTERM)

    visitor = Thread(target=visit)
    visitor.start()
    assert main(["demo", str(runs[0]), *DEMO]) == 0
    visitor.join()
    [(address, policy, telemetry, public)] = seen
    assert address.startswith("http://127.0.0.1:")
    assert "default-src 'self'" in policy
    assert (telemetry, public) == (False, None)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address)


def test_without_gradio_it_is_said_how_to_get_it(runs, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo", str(runs[0]), *DEMO]) == 2
    assert "needs gradio, which is not installed: pip install 'unigrpo[demo]'" in capsys.readouterr().err
