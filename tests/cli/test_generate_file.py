"""`unigrpo generate` with a file of prompts: every format, in batches, cut and gone on with."""

import csv
import json
import sys

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_generate import QUIET, SHORT, STEPS, here, images, made, one_of, pixels, vq  # noqa: F401
from tests.images import picture
from unigrpo.cli.main import main
from unigrpo.data.images import fit_image

TEXTS = ["1+1=", "a much longer question than the others: 12+34=", "7", "20+3="]
GREEDY = "rollout.temperature=0"


def write(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"file={file}"


def ask(run, *settings):
    return main(["generate", str(run), *QUIET, *settings])


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def outputs(file):
    return [(line["id"], line["sample"], line["output"]) for line in lines(file)]


@pytest.fixture
def asked(here):  # noqa: F811
    return write(here / "asked.jsonl", [{"prompt": text, "answer": "2", "level": 3} for text in TEXTS])


def test_an_answer_does_not_depend_on_the_batch_that_it_is_in(made, here, asked):  # noqa: F811
    for size in (1, 3, 8):
        settings = ["samples=2", f"rollout.batch_size={size}", *SHORT]
        assert ask(made, "task=text", asked, f"output=answers-{size}.jsonl", *settings) == 0
    assert outputs(here / "answers-1.jsonl") == outputs(here / "answers-3.jsonl") == outputs(here / "answers-8.jsonl")
    first, second = lines(here / "answers-1.jsonl")[:2]
    assert (first["id"], first["answer"], first["columns"]) == ("asked:1", "2", {"level": 3})
    assert first["output"] != second["output"]


def test_every_format_of_a_file_asks_the_same(made, here, asked):  # noqa: F811
    (here / "lines.txt").write_text("\n\n".join(TEXTS) + "\n")
    with (here / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["question"], *[[text] for text in TEXTS]])
    outputs_of = []
    for setting in ("file=lines.txt", "file=table.csv columns.prompt=question", asked):
        assert ask(made, "task=text", *setting.split(), "output=out/a.jsonl", "overwrite=true", GREEDY, *SHORT) == 0
        found = lines(here / "out/a.jsonl")
        assert [line["prompt"] for line in found] == TEXTS
        assert len({line["id"] for line in found}) == len(TEXTS)
        outputs_of.append([line["output"] for line in found])
    assert outputs_of[0] == outputs_of[1] == outputs_of[2]


def test_what_is_answered_is_not_asked_again_and_what_was_cut_is(made, here, asked, capsys):  # noqa: F811
    settings = ["task=text", asked, "output=answers.jsonl", "samples=2", *SHORT]
    assert ask(made, *settings) == 0
    assert capsys.readouterr().out == "answers.jsonl  answers to 4 prompts\n"
    file, whole = here / "answers.jsonl", outputs(here / "answers.jsonl")
    kept = file.read_text().replace(json.dumps(whole[0][2]), '"kept"', 1).splitlines(keepends=True)
    file.write_text("".join(kept[:5]) + kept[5][:20])
    assert ask(made, *settings, "rollout.batch_size=2") == 0
    expected = [("asked:1", 0, "kept"), *whole[1:]]
    assert sorted(outputs(file)) == sorted(expected)
    write(here / "asked.jsonl", [{"prompt": text} for text in ["9+9=", *TEXTS[1:], "5"]])
    assert ask(made, *settings) == 0
    again = outputs(file)
    assert [row for row in again if row[0] in ("asked:2", "asked:3", "asked:4")] == whole[2:]
    assert [row[0] for row in again[-4:]] == ["asked:1", "asked:1", "asked:5", "asked:5"]


def test_drawings_are_files_and_keep_what_a_mask_leaves(made, here, images):  # noqa: F811
    Image.fromarray(picture(3, 32, 50)).save(here / "given.png")
    white = np.zeros((32, 50, 3), dtype=np.uint8)
    white[6:8, 18:20] = 255
    Image.fromarray(white).save(here / "mask.png")
    rows = [{"prompt": "a", "image": "given.png"}] + [
        {"prompt": "a", "image": "given.png", "mask": mask} for mask in ("9,6,11,8", "mask.png")
    ]
    asked = ["task=image", write(here / "rows.jsonl", rows), *STEPS]
    assert ask(made, *asked, "output=new/drawn.jsonl", "samples=2") == 0
    found = lines(here / "new/drawn.jsonl")
    assert [line["picture"] for line in found][:3] == [f"drawn/00000{n}.png" for n in ("1-0", "1-1", "2-0")]
    drawn = [pixels(here / "new" / line["picture"]) for line in found]
    assert (drawn[0] != drawn[1]).any()
    [codes] = images.encode([fit_image(picture(3, 32, 50), 32, "crop")])
    assert [one_of(image, codes, 1 * 8 + 2, images) for image in drawn] == [False, False, True, True, True, True]


def test_a_question_of_a_file_is_about_its_own_picture(made, here, capsys):  # noqa: F811
    for number in (0, 3):
        Image.fromarray(picture(number, 40, 60)).save(here / f"{number}.png")
    asked = write(here / "rows.jsonl", [{"prompt": "a red circle", "image": f"{n}.png"} for n in (0, 3, 0)])
    assert ask(made, "task=understand", asked, "output=seen.jsonl", GREEDY, *SHORT) == 0
    first, other, again = [line["output"] for line in lines(here / "seen.jsonl")]
    assert first == again
    for number, expected in ((0, first), (3, other)):
        capsys.readouterr()
        alone = ["--prompt", "a red circle", f"image={number}.png", GREEDY, *SHORT]
        assert ask(made, "task=understand", *alone) == 0
        assert capsys.readouterr().out == f"{expected}\n"


def test_rows_may_move_without_taking_the_answers_of_others(made, here):  # noqa: F811
    """Answers that were gone on with are those that are made at once, and drawings stay those of their prompts."""
    for number in range(3):
        Image.fromarray(picture(number, 32, 32)).save(here / f"{number}.png")

    def rows(*numbers):
        return [{"prompt": "a red circle", "image": f"{number}.png"} for number in numbers]

    settings = ["task=understand", write(here / "rows.jsonl", rows(0, 1)), GREEDY, *SHORT]
    assert ask(made, *settings, "output=grown.jsonl") == 0
    write(here / "rows.jsonl", rows(2, 0, 1))
    assert ask(made, *settings, "output=grown.jsonl") == ask(made, *settings, "output=new.jsonl") == 0
    assert outputs(here / "grown.jsonl") == outputs(here / "new.jsonl")
    assert [line["about"] for line in lines(here / "grown.jsonl")] == ["2.png", "0.png", "1.png"]

    captions = [{"id": name, "prompt": name} for name in "abc"]
    settings = ["task=image", write(here / "captions.jsonl", captions[:2]), "output=drawn.jsonl", *STEPS]
    assert ask(made, *settings) == 0
    before = {line["id"]: pixels(here / line["picture"]) for line in lines(here / "drawn.jsonl")}
    write(here / "captions.jsonl", captions[::-1])
    assert ask(made, *settings) == 0
    after = {line["id"]: pixels(here / line["picture"]) for line in lines(here / "drawn.jsonl")}
    assert sorted(after) == ["a", "b", "c"]
    assert all((after[name] == before[name]).all() for name in before)


def test_answers_may_draw_into_one_folder_and_name_their_pictures(made, here):  # noqa: F811
    asked = ["task=image", write(here / "rows.jsonl", [{"prompt": "a"}]), "picture=shared/all", *STEPS]
    for seed, output in enumerate(("one.jsonl", "deep/two.jsonl")):
        assert ask(made, *asked, f"seed={seed}", f"output={output}") == 0
    [one], [two] = lines(here / "one.jsonl"), lines(here / "deep/two.jsonl")
    assert (one["picture"], two["picture"]) == ("shared/all/one-000001-0.png", "../shared/all/two-000001-0.png")
    assert (pixels(here / one["picture"]) != pixels(here / "deep" / two["picture"])).any()


def test_a_line_of_text_is_one_prompt_whatever_is_in_it(made, here):  # noqa: F811
    (here / "lines.txt").write_text("one\u2028two\nthree\x0cfour\n", encoding="utf-8")
    assert ask(made, "task=text", "file=lines.txt", "output=a.jsonl", *SHORT) == 0
    assert [line["prompt"] for line in lines(here / "a.jsonl")] == ["one\u2028two", "three\x0cfour"]


@pytest.mark.parametrize("settings", ["file=asked.jsonl output=mine.jsonl", "file=asked.jsonl output=notes.jsonl"])
def test_nothing_of_others_is_replaced(made, here, asked, capsys, settings):  # noqa: F811
    texts = {"mine.yaml": "steps: 3\n", "notes.jsonl": '{"note": 1}\n'}
    for name, text in texts.items():
        (here / name).write_text(text)
    assert ask(made, "task=text", *settings.split(), "overwrite=true", *SHORT) == 2
    assert "name another file." in capsys.readouterr().err
    assert {name: (here / name).read_text() for name in texts} == texts


FAULTS = {
    "file=asked.jsonl": "file is set, but not where the answers go: set output=answers.jsonl.",
    "file=asked.jsonl output=a.csv": "output is 'a.csv', but answers are JSON, one on each line",
    "file=asked.jsonl output=a.jsonl prompt=x": "prompt is set, but it is for one prompt, and file has many",
    "file=asked.jsonl output=a.jsonl show_steps=true": "show_steps is set, but it is for one prompt",
    "file=asked.jsonl output=asked.jsonl": "output is 'asked.jsonl', the file of prompts itself",
    "file=asked.jsonl output=lost.jsonl": "output is lost.jsonl, which is there and holds no answers of ours",
    "prompt=\udc80": "the prompt '\\udc80' has bytes that are not UTF-8: write them as UTF-8.",
    "file=none.jsonl output=a.jsonl": "none.jsonl does not exist.",
    "file=none.txt output=a.jsonl": "none.txt does not exist",
    "file=empty.txt output=a.jsonl": "empty.txt has no prompts: write one on each line.",
    "file=asked.jsonl output=a.jsonl max_prompt_length=20": "asked.jsonl line 2: the prompt 'a much longer",
    "file=asked.jsonl output=asked.jsonl/a.jsonl": "output=asked.jsonl/a.jsonl cannot be written",
    "task=understand file=asked.jsonl output=a.jsonl": "asked.jsonl line 1: there is no column `image`.",
    "task=understand file=lost.jsonl output=a.jsonl": "lost.jsonl line 1: the image ",
    "task=image file=masks.jsonl output=a.jsonl": "masks.jsonl line 1: there is a mask, but no image",
    "task=image file=boxes.jsonl output=a.jsonl": "boxes.jsonl line 1: mask is the box 0,0,99,9",
    "task=image file=asked.jsonl output=a.jsonl picture=a.png": "picture is 'a.png', but file asks for many drawings",
    "prompt=x output=a.jsonl": "output is a.jsonl, but it is only used when file is set: drop it.",
    "prompt=x overwrite=true": "overwrite is True, but it is only used when file is set: drop it.",
}


@pytest.mark.parametrize("settings", FAULTS)
def test_a_file_that_cannot_be_answered_is_refused_in_one_line(made, here, asked, capsys, settings):  # noqa: F811
    (here / "empty.txt").write_text("\n \n")
    Image.fromarray(picture(0)).save(here / "given.png")
    write(here / "lost.jsonl", [{"prompt": "a", "image": "lost.png"}])
    write(here / "masks.jsonl", [{"prompt": "a", "mask": "0,0,4,4"}])
    write(here / "boxes.jsonl", [{"prompt": "a", "image": "given.png", "mask": "0,0,99,9"}])
    task = [] if "task=" in settings else ["task=text"]
    assert ask(made, *task, *settings.split()) == 2
    found = capsys.readouterr()
    assert FAULTS[settings] in found.err
    assert found.out == ""


def test_answers_to_other_settings_are_not_gone_on_with(made, here, asked, capsys):  # noqa: F811
    settings = ["task=text", asked, "output=answers.jsonl", *SHORT]
    assert ask(made, *settings) == 0
    assert ask(made, *settings, "seed=1") == 2
    expected = (
        "answers.jsonl holds answers to other settings: seed was 0 and is 1. Name another output=, or overwrite=t"
    )
    assert expected in capsys.readouterr().err
    assert ask(made, *settings, "seed=1", "overwrite=true") == 0
    assert len(lines(here / "answers.jsonl")) == len(TEXTS)


def test_nothing_is_asked_of_wandb(made, here, asked, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import of it fails
    assert ask(made, "task=text", asked, "output=answers.jsonl", *SHORT) == 0
