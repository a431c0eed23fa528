"""The offline engine in a process of its own, with a stand-in for vLLM in the place of the package."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.curation.conftest import read_lines, sums
from tests.curation.server import expected
from unigrpo.curation.teacher import TeacherError
from unigrpo.errors import ConfigError, MissingExtraError

ROWS = sums(20)


@pytest.fixture
def offline(tmp_path, run):
    """Curate with a Python that has the stand-in."""
    package = tmp_path / "site/vllm"
    package.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("engine.py"), package / "__init__.py")
    shutil.copy(Path(__file__).with_name("server.py"), package.parent)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={package.parent} exec {sys.executable} "$@"\n')
    python.chmod(0o755)

    def call(*more: str, rows=ROWS):
        return run("null", rows, f"teacher.python={python}", "teacher.max_concurrency=7", "samples=3", *more)

    return call


def test_the_engine_gives_what_the_server_gives(tmp_path, offline, server, run):
    by_engine = offline()
    first = read_lines(tmp_path / "out/data.jsonl")
    assert by_engine.kept == expected(ROWS, 3)["right"]
    shutil.rmtree(tmp_path / "out")
    by_server = run(server, ROWS, "samples=3")
    assert read_lines(tmp_path / "out/data.jsonl") == first
    assert (by_engine.tokens_in, by_engine.tokens_out) == (by_server.tokens_in, by_server.tokens_out)


@pytest.mark.parametrize("setting", ["teacher.max_tokens=null", "teacher.top_p=0.5", "teacher.temperature=null"])
def test_what_is_not_set_is_left_to_the_model_and_not_to_the_library(offline, setting):
    assert offline(setting).kept == expected(ROWS, 3)["right"]


def test_a_second_call_starts_no_engine_and_other_placement_is_the_same_teacher(tmp_path, offline):
    offline()
    before = (tmp_path / "out/data.jsonl").read_bytes()
    (tmp_path / "out/teacher.log").unlink()
    assert offline().asked == 0
    assert offline("teacher.engine.tensor_parallel_size=8").asked == 0
    assert (tmp_path / "out/data.jsonl").read_bytes() == before
    assert not (tmp_path / "out/teacher.log").exists()
    assert offline("teacher.engine.max_model_len=50", "overwrite=true").asked == 60


def test_an_engine_that_dies_stops_the_run_and_what_it_said_is_kept(tmp_path, offline):
    with pytest.raises(TeacherError, match=r"vLLM cannot go on: it ended\. See .*teacher\.log"):
        offline("teacher.engine.crash=1")
    assert len(read_lines(tmp_path / "out/answers.jsonl")) == 1


def test_what_the_engine_refuses_is_no_fault_of_the_others(offline):
    long = {"id": "long", "prompt": "x" * 500 + "1+2=", "answer": "3"}
    summary = offline(rows=[*ROWS[:5], long, *ROWS[5:]])
    assert summary.rejected["refused"] == 3
    assert summary.kept == expected(ROWS, 3)["right"]
    assert "longer than the maximum model length" in summary.examples["refused"]


def test_settings_of_the_chat_template_and_of_the_format_reach_the_engine(offline):
    body = "{chat_template_kwargs: {enable_thinking: false}, structured_outputs: {regex: x}, top_k: 3}"
    with pytest.raises(ValueError, match="none of 60 answers was kept: no_thought"):
        offline(f"teacher.extra_body={body}")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("teacher.extra_body.best_of=2", r"vLLM cannot go on: TypeError: .*unexpected keyword argument 'best_of'"),
        ("teacher.engine.quantisation=fp8", r"vLLM cannot go on: TypeError: .*unexpected keyword .*'quantisation'"),
        ("teacher.model=nowhere", "vLLM cannot go on: OSError: nowhere is not a local folder"),
    ],
)
def test_what_the_engine_does_not_take_is_said(offline, setting, words):
    with pytest.raises(TeacherError, match=words):
        offline(setting)


def test_an_interpreter_must_be_there_and_have_vllm(run):
    with pytest.raises(ConfigError, match=r"teacher\.python is 'no-python', which is no program"):
        run("null", ROWS, "teacher.python=no-python")
    if find_spec("vllm") is None:
        with pytest.raises(MissingExtraError, match="vLLM is not installed here: name a server, or an interpreter"):
            run("null", ROWS)
    with pytest.raises(TeacherError, match="ModuleNotFoundError: No module named 'vllm'"):
        run("null", ROWS, f"teacher.python={shutil.which('python3', path='/usr/bin:/bin') or sys.executable}")
