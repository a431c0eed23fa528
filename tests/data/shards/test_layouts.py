import json

import pytest

from tests.data.shards.write import captioned, png, write_tar
from unigrpo.config import DataSection, JoinSection, SampleFilterSection
from unigrpo.data.files import Record
from unigrpo.data.rows import HISTORY, read_rows
from unigrpo.data.shards.filters import unfit, wrong_length
from unigrpo.data.shards.layouts import REQUESTS, expand
from unigrpo.errors import ConfigError, DataError


def laid_out(layout: str, values: dict, task: str = "text", **fields) -> list[dict]:
    section = DataSection(task=task, layout=layout, path="a.jsonl", **fields)
    return [found.values for found in expand(Record("a:1", "a line 1", values), section)]


LLAVA = {
    "image": "a.png",
    "conversations": [
        {"from": "human", "value": "<image>\nWhat is it?"},
        {"from": "gpt", "value": "A cat."},
        {"from": "human", "value": "Which colour?"},
        {"from": "gpt", "value": "Black."},
    ],
}
KNOWN = {
    "alpaca": ({"instruction": "Add.", "input": "1 2", "output": "3"}, ("Add.\n1 2", "3", None)),
    "geoqa": (
        {"problem": "<image>How long?", "solution": "<answer> 007 </answer>", "image": "a"},
        ("How long?", "007", "007"),
    ),
    "clevr": ({"problem": "How many?", "solution": "<answer>3</answer>", "image": ["a"]}, ("How many?", "3", "3")),
    "cogent": (
        {"question": "How many?", "solution": "<think>two and one</think> 3", "image_path": "a"},
        ("How many?", "<think>two and one</think> 3", "3"),
    ),
    "llava": (LLAVA, ("Which colour?", "Black.", "Black.")),
}


@pytest.mark.parametrize("layout", KNOWN)
def test_a_row_of_a_known_data_set_becomes_prompt_response_and_answer(layout):
    values, wanted = KNOWN[layout]
    (found,) = laid_out(layout, values, task="understand")
    assert (found["prompt"], found["response"], found.get("answer")) == wanted
    assert layout == "alpaca" or found["image"] in ("a", "a.png")


def test_a_conversation_gives_the_last_answer_or_each():
    (last,) = laid_out("llava", LLAVA)
    assert last[HISTORY] == (("user", "What is it?"), ("assistant", "A cat."))
    each = laid_out("llava", LLAVA, turns="each")
    assert [(one["prompt"], one["response"], len(one[HISTORY])) for one in each] == [
        ("What is it?", "A cat.", 0),
        ("Which colour?", "Black.", 2),
    ]
    (drawn,) = laid_out("llava", LLAVA, turns="random")
    assert drawn["response"] in ("A cat.", "Black.")
    assert laid_out("llava", LLAVA, turns="random") == [drawn]


def test_parts_of_a_message_are_its_text():
    parts = [{"type": "image"}, {"type": "text", "text": "What?"}]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": "That."}]
    assert laid_out("messages", {"messages": messages})[0]["prompt"] == "What?"


@pytest.mark.parametrize(
    ("layout", "values", "problem"),
    [
        ("messages", {"text": "a"}, "no list of turns in `messages`. Its columns: text"),
        ("messages", {"messages": [{"role": "user", "content": "a"}]}, "no turn of the user is answered"),
        ("messages", {"messages": [{"role": "judge", "content": "a"}]}, "is no turn: it needs `role`"),
        ("sharegpt", {"conversations": [{"from": "human", "value": 3}]}, "is no turn: it needs `from`"),
        ("caption", {"title": "a"}, "no column 'caption' or 'txt' or 'text' or 'prompt', which this data.layout needs"),
        ("geoqa", {"problem": "a", "solution": ""}, "`solution` is ''"),
    ],
)
def test_a_row_of_another_layout_is_named(layout, values, problem):
    with pytest.raises(DataError, match="a line 1") as error:
        laid_out(layout, values)
    assert problem in str(error.value)


def test_a_caption_is_drawn_or_asked_for(tmp_path):
    path = str(write_tar(tmp_path / "a.tar", captioned(range(20))))
    draws = read_rows(DataSection(task="image", layout="caption", path=path), ("image",))
    tells = read_rows(DataSection(task="understand", layout="caption", path=path), ("image", "response"))
    assert [row.prompt for row in draws] == [row.response for row in tells] == [f"picture {n}" for n in range(20)]
    assert {row.prompt for row in tells} <= set(REQUESTS)
    assert len({row.prompt for row in tells}) > 1


@pytest.mark.parametrize("kind", ["object", "rows", "texts"])
def test_captions_come_from_a_second_file(tmp_path, kind):
    path = str(write_tar(tmp_path / "a.tar", {"deep/b": {"png": png(1)}, "deep/c": {"png": png(2)}}))
    rows = {"b": {"caption": "a bee"}, "c": {"caption": "a sea"}}
    side = tmp_path / ("side.jsonl" if kind == "rows" else "side.json")
    if kind == "rows":
        side.write_text("".join(json.dumps({"key": key} | row) + "\n" for key, row in rows.items()))
    else:
        side.write_text(json.dumps(rows if kind == "object" else {key: row["caption"] for key, row in rows.items()}))
    section = DataSection(task="image", layout="caption", path=path, join=JoinSection(path=str(side)))
    assert [row.prompt for row in read_rows(section, ("image",))] == ["a bee", "a sea"]


def test_a_row_without_a_partner_is_named(tmp_path):
    path = str(write_tar(tmp_path / "a.tar", captioned([1])))
    (tmp_path / "side.json").write_text('{"other": "text"}')
    with pytest.raises(DataError, match=r"a\.tar sample 000001: .*side\.json has nothing for the key '000001'"):
        read_rows(DataSection(path=path, join=JoinSection(path=f"{tmp_path}/side.json")))


@pytest.mark.parametrize(
    ("fields", "width", "height", "left_out"),
    [
        ({"min_side": 16}, 16, 15, "min_side"),
        ({"min_side": 15}, 16, 15, None),
        ({"max_side": 16}, 17, 15, "max_side"),
        ({"max_aspect": 2.0}, 21, 10, "max_aspect"),
        ({"max_aspect": 2.0}, 20, 10, None),
    ],
)
def test_pictures_are_left_out_by_their_size(tmp_path, fields, width, height, left_out):
    path = str(write_tar(tmp_path / "a.tar", {"a": {"png": png(1, width, height), "txt": "a"}}))
    (row,) = read_rows(DataSection(task="image", layout="caption", path=path))
    assert unfit(row, SampleFilterSection(**fields)) == left_out


@pytest.mark.parametrize(
    ("text", "script", "left_out"),
    [("a cat 123", "Latin", None), ("кошка a", "Latin", "script"), ("猫だ", "Han", "script"), ("猫猫だ", "Han", None)],
)
def test_texts_are_left_out_by_their_script(tmp_path, text, script, left_out):
    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": text}) + "\n")
    (row,) = read_rows(DataSection(path=f"{tmp_path}/a.jsonl"))
    assert unfit(row, SampleFilterSection(script=script)) == left_out
    with pytest.raises(ConfigError, match="is no Unicode script"):
        unfit(row, SampleFilterSection(script="Lattin"))


def test_samples_are_left_out_by_their_length():
    section = SampleFilterSection(min_tokens=3, max_tokens=5)
    found = [wrong_length(tokens, section) for tokens in (2, 3, 5, 6)]
    assert found == ["min_tokens", None, None, "max_tokens"]


def test_the_first_of_several_columns_is_taken(tmp_path):
    path = str(write_tar(tmp_path / "a.tar", {"a": {"txt": "words"}, "b": {"caption": "others"}}))
    rows = read_rows(DataSection(path=path, columns={"prompt": "caption;txt"}))
    assert [row.prompt for row in rows] == ["words", "others"]
    with pytest.raises(DataError, match=r"sample a: there is no column `jpg`"):
        read_rows(DataSection(path=path, columns={"prompt": "jpg"}))
