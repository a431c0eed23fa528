import json

import pytest

from tests.data.shards.write import captioned, png, write_tar, write_tars
from tests.images import save_tiny_images
from unigrpo.cli.main import main

CONFIG = """# unigrpo sft {tmp}/sft.yaml
model: {{preset: tiny, vocab_size: 300, device: cpu, image_tokenizer: {{path: {tmp}/images, resolution: 8}}}}
streams:
  draw: {{batch_size: 4, data: {{task: image, path: "{path}", layout: caption}}}}
  add: {{batch_size: 4, pad_to: 4, data: {{source: arithmetic, template: plain, size: 20}}}}
sft: {{max_length: 600}}
"""


@pytest.fixture
def config(tmp_path):
    """A run of two streams, whose pictures are yet to be written."""
    save_tiny_images(tmp_path / "images")
    path = tmp_path / "sft.yaml"
    path.write_text(CONFIG.format(tmp=tmp_path, path=f"{tmp_path}/tars/{{00000..00002}}.tar"))
    return str(path)


def table(text: str) -> dict[str, dict[str, str]]:
    """A Markdown table by its first column."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return {cells[0]: dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]}


def test_sound_data_is_counted_and_shown_as_the_model_sees_it(config, tmp_path, capsys):
    write_tars(tmp_path / "tars", shards=3, each=5)
    assert main(["data", "check", config, "--markdown", "--samples", "1", "sft.condition_dropout=0"]) == 0
    out = capsys.readouterr().out
    found = table(out)
    assert found["streams.draw.data"]["rows"] == "15"
    assert found["streams.draw.data"]["image"] == "8x8 / 8x8 / 8x8"
    # A sum has ids for the beginning, two numbers of two digits, and two signs; its answer two or three, and the end.
    assert found["streams.add.data"]["prompt tokens"] == "7 / 7 / 7"
    assert found["streams.add.data"]["response tokens"].endswith("/ 4")
    assert found["streams.add.data"]["cut"] == "0.0%"
    assert "<t2i><|startoftext|>picture 0<eos><soi>[4 codes, " in out
    assert "[mask x " in out


def test_responses_that_lose_their_end_are_counted(config, tmp_path, capsys):
    write_tars(tmp_path / "tars", shards=3, each=5)
    settings = ["sft.max_length=9", "streams.add.data.max_prompt_length=8", "streams.draw.data.max_prompt_length=8"]
    assert main(["data", "check", config, "--markdown", *settings]) == 0
    out = capsys.readouterr().out
    cut = float(table(out)["streams.add.data"]["cut"].rstrip("%"))
    assert 0 < cut <= 100


def test_broken_rows_are_named_and_end_in_an_exit_status(config, tmp_path, capsys):
    write_tars(tmp_path / "tars", shards=1, each=5)
    cut = write_tar(tmp_path / "tars" / "00001.tar", captioned(range(5, 9)))
    cut.write_bytes(cut.read_bytes()[:5000])
    write_tar(
        tmp_path / "tars" / "00002.tar", captioned([9]) | {"x": {"txt": "none"}, "y": {"png": png(1)[:40], "txt": "a"}}
    )
    assert main(["data", "check", config]) == 1
    out = capsys.readouterr().out
    for part in (
        "00001.tar: damaged after sample 000006",
        "sample x: there is no column `image`",
        "sample y: the image",
    ):
        assert f"error: streams.draw.data: {tmp_path}/tars/" in out
        assert part in out
    assert main(["data", "check", config, "streams.draw.data.max_broken=0.5"]) == 0
    assert "left out: streams.draw.data:" in capsys.readouterr().out


def test_a_wrong_column_is_said_with_those_there_are(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "a", "response": "b"}) + "\n")
    settings = [f"data.path={tmp_path}/a.jsonl", "data.template=plain"]
    assert main(["data", "check", *settings]) == 1
    assert "there is no column `prompt`. Its columns: question, response" in capsys.readouterr().out
    assert main(["data", "check", *settings, "data.columns.prompt=question", "sft.batch_size=1"]) == 0


def test_prompts_of_a_training_run_are_checked_with_their_answers(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('{"prompt": "1+1=", "answer": "2"}\n{"prompt": "1+2="}\n')
    settings = ["model.preset=tiny", f"data.path={tmp_path}/a.jsonl", "data.template=plain", "rewards.math.weight=1"]
    assert main(["data", "check", "train", *settings, "data.max_broken=0.6"]) == 0
    assert "line 2: there is no column `answer`" in capsys.readouterr().out
    assert main(["data", "check", "train", *settings]) == 1
    capsys.readouterr()
    assert main(["data", "check", "train", *settings, "data.streaming=true"]) == 2
    assert "data.streaming is true, but only supervised fine-tuning streams its data" in capsys.readouterr().err


def test_a_missing_file_is_an_error_of_its_data_set(config, capsys):
    assert main(["data", "check", config]) == 1
    out = capsys.readouterr().out
    assert "error: streams.draw.data:" in out
    assert "00000.tar does not exist" in out


def test_a_data_set_smaller_than_a_batch_is_an_error(config, tmp_path, capsys):
    write_tars(tmp_path / "tars", shards=3, each=1)
    assert main(["data", "check", config]) == 1
    assert "3 examples are fewer than batch_size=4" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["chekc"], ["list"]])
def test_the_word_check_is_asked_for(words, capsys):
    assert main(["data", *words]) == 2
    assert "data needs the word check" in capsys.readouterr().err


def test_solved_rows_are_shown_in_front_of_a_prompt_and_counted(tmp_path, capsys):
    rows = [{"prompt": f"{n}+{n}=", "answer": str(2 * n)} for n in range(4)]
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = f"data={{path: {path}, template: plain, shots: {{path: {path}, count: 2}}}}"
    args = ["model.preset=tiny", "model.vocab_size=300", "rewards.exact_match.weight=1", data]
    assert main(["data", "check", "train", *args, "--markdown", "--samples", "1"]) == 0
    out = capsys.readouterr().out
    assert "<|startoftext|>1+1=2\n\n2+2=4\n\n0+0=" in out
    assert table(out)["data"]["prompt tokens"].startswith(f"{1 + len('1+1=2..2+2=4..0+0=')} /")
    assert main(["data", "check", "train", *args, "data.max_prompt_length=10"]) == 1
    assert "the prompt has 19 tokens, but data.max_prompt_length is 10" in capsys.readouterr().out
