import json
import re

import pytest

from unigrpo.cli.main import main
from unigrpo.cli.rewards_golds import flaw, prose_among


@pytest.fixture
def data(tmp_path):
    """Write rows with these answers, or these columns, and return the words that make them the data."""

    def write(rows, name="rows.jsonl", key="data"):
        rows = [row if isinstance(row, dict) else {"answer": row} for row in rows]
        lines = [json.dumps({"prompt": f"What is it, number {n}?"} | row) for n, row in enumerate(rows)]
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
        return [f"{key}.path={tmp_path / name}"]

    return write


@pytest.fixture
def own(tmp_path):
    """Write a reward with this body and return the words that make it the only one."""

    def write(body, takes="response, answer", name="mine"):
        path = tmp_path / f"{name}_{abs(hash(body + takes))}.py"
        path.write_text(f"import re\n\ndef {name}({takes}):\n    {body}\n")
        return [f"rewards.{name}.path={path}:{name}"]

    return write


def check(capsys, *words):
    """The exit status, and the lines of both tables as dictionaries."""
    status = main(["rewards", "check", *words, "--markdown"])
    tables, rows = {}, []
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("**"):
            rows = tables.setdefault(line.strip("*"), [])
        elif line.startswith("| "):
            rows.append([cell.strip() for cell in line[2:-2].split(" | ")])
    found = {name: [dict(zip(rows[0], row, strict=True)) for row in rows[2:]] for name, rows in tables.items()}
    return status, found.get("What is misjudged", []), found["Summary"]


NUMBERS = [str(n) for n in range(111, 141)]
EXACT = ["rewards.exact_match.weight=1"]


@pytest.mark.parametrize("reward", ["math", "exact_match"])
def test_three_broken_rows_are_named_and_no_others(capsys, data, reward):
    answers = [*NUMBERS]
    answers[4], answers[11], answers[20] = "", "see figure", r"\frac{1}{"
    status, findings, summary = check(capsys, *data(answers), f"rewards.{reward}.weight=1")
    assert status == 1
    assert [one["row"] for one in findings] == ["rows.jsonl line 5", "rows.jsonl line 12", "rows.jsonl line 21"]
    assert [one["answer"] for one in findings] == ["", "see figure", r"\frac{1}{"]
    assert summary[0]["right known"] == "27"


def test_sound_data_and_a_sound_reward_have_no_findings(capsys, data):
    status, findings, [summary] = check(capsys, *data(NUMBERS), *EXACT)
    assert (status, findings) == (0, [])
    assert summary["reads"] == "as it is, boxed"
    assert summary["rows"] == summary["right known"] == "30"
    assert float(summary["ms"]) <= float(summary["max"])


def test_held_out_rows_are_tried_too(capsys, data):
    words = [*data(NUMBERS), *data([*NUMBERS[:5], "N/A"], "test.jsonl", "eval.data")]
    status, [finding], _ = check(capsys, *words, *EXACT)
    assert (status, finding["row"]) == (1, "test.jsonl line 6")


def test_a_row_whose_answer_the_reward_does_not_know_is_named(capsys, data, own):
    reward = own("return float(response.strip() == answer and answer != '117')")
    status, [finding], [summary] = check(capsys, *data(NUMBERS), *reward)
    assert status == 1
    assert (finding["row"], finding["tried"]) == ("rows.jsonl line 7", "right answer, as it is")
    assert summary["right known"] == "29"
    assert summary["reads"] == "as it is"


@pytest.mark.parametrize(
    ("body", "caught"),
    [
        ("return 1.0", {"empty", "long garbage", "all answers at once", "number + 1", "the answer of another row"}),
        ("return float(answer in response)", {"all answers at once", "a percent sign", "the other sign"}),
        ("return float(not response.strip() or response == answer)", {"empty", "white space"}),
        ("return float(abs(float((re.findall('[0-9]+', response) or [0])[-1]) - float(answer)) <= 1)", {"number + 1"}),
        ("return float(bool(response.strip('} 0123456789').endswith('{')) or response == answer)", {"unclosed tags"}),
    ],
)
def test_a_reward_that_can_be_fooled_is_caught_by_what_fools_it(capsys, data, own, body, caught):
    status, findings, [summary] = check(capsys, *data(NUMBERS), *own(body))
    tried = {match[1] for one in findings if (match := re.match("wrong answer, (.*?):", one["tried"]))}
    assert status == 1
    assert caught <= tried
    assert int(summary["wrong passed"]) >= 30 * len(caught)


def test_a_reward_that_reads_one_writing_only_is_at_fault_only_if_another_is_asked_for(capsys, data, own):
    reward = own(r"return float(re.sub('.*</think> ', '', response) == '\\boxed{' + answer + '}')")
    words = [*data(NUMBERS), *reward]
    assert check(capsys, *words)[0] == 0
    assert check(capsys, *words, "data.instruction=think")[0] == 0
    bare = [*data(NUMBERS), *own("return float(response == answer)")]
    assert check(capsys, *bare)[0] == 0
    status, findings, _ = check(capsys, *bare, "data.instruction=think")
    assert status == 1
    assert findings[0]["tried"] == "right answer, in the format"
    assert check(capsys, *bare, "rewards.format.weight=1")[0] == 1


def test_only_some_lines_of_a_kind_are_shown(capsys, data, own):
    words = [*data(NUMBERS), *own("return 1.0")]
    _, findings, _ = check(capsys, *words, "--rows=2")
    empty = [one for one in findings if one["tried"].startswith("wrong answer, empty")]
    assert [one["row"] for one in empty] == ["rows.jsonl line 1", "rows.jsonl line 2"]
    assert "and 28 more rows; --rows N shows more" in [one["row"] for one in findings]


@pytest.mark.parametrize(
    ("body", "takes"),
    [("return -len(response)", "response"), ("return len(tokens) * level", "tokens, level"), ("return 1.0", "rollout")],
)
def test_a_reward_that_has_nothing_to_do_with_the_answer_need_only_be_finite(capsys, data, own, body, takes):
    rows = [{"answer": answer, "level": 2} for answer in NUMBERS]
    status, _, [summary] = check(capsys, *data(rows), *own(body, takes))
    assert (status, summary["judges"], summary["right known"]) == (0, "no answers", "")


def test_a_reward_that_fails_on_some_responses_is_named_with_its_error(capsys, data, own):
    status, findings, [summary] = check(capsys, *data(NUMBERS), *own("return 1 / len(response)", "response"))
    assert status == 1
    assert {one["tried"] for one in findings} == {"wrong answer, empty:", ""}
    assert "ZeroDivisionError" in findings[0]["note"]
    assert summary["failed"] == "30"


def test_a_reward_that_knows_answers_by_a_column_is_tried_like_one_that_is_handed_them(capsys):
    words = ["data.source=countdown", "data.size=40", "rewards.countdown.weight=1"]
    status, findings, [summary] = check(capsys, *words)
    assert (status, findings, summary["judges"], summary["right known"]) == (0, [], "answers", "40")


@pytest.mark.parametrize("best", [0.5, 0.8])
def test_a_reward_whose_best_is_below_one_has_full_marks_there(capsys, data, own, best):
    scaled = own(f"return {best} * (response == answer) * (answer != '120')")
    status, [finding], [summary] = check(capsys, *data(NUMBERS), *scaled)
    assert (status, finding["answer"], float(summary["full marks"])) == (1, "120", best)


def test_an_answer_that_the_reward_refuses_is_a_finding_and_not_the_end(capsys, data, own):
    refuse = "from unigrpo.errors import DataError\n    if answer == '115': raise DataError('no such answer: 115')"
    status, [finding], _ = check(capsys, *data(NUMBERS), *own(f"{refuse}\n    return float(response == answer)"))
    assert (status, finding["row"]) == (1, "rows.jsonl line 5")
    assert "raised DataError: no such answer: 115" in finding["note"]


def test_a_reward_that_waits_for_a_service_is_asked_about_few_rows(capsys, data, tmp_path):
    (tmp_path / "waits.py").write_text("async def waits(response, answer):\n    return float(response == answer)\n")
    words = [*data(map(str, range(100, 160))), f"rewards.waits.path={tmp_path}/waits.py:waits"]
    status, _, [summary] = check(capsys, *words)
    assert (status, summary["rows"], summary["right known"]) == (0, "50", "50")
    assert check(capsys, *words, "--limit=60")[2][0]["rows"] == "60"


def test_a_response_that_hangs_its_verifier_is_counted_and_no_finding(capsys, data, own):
    hangs = own("while not response: pass\n    return float(response == answer)")
    status, findings, [summary] = check(capsys, *data(NUMBERS[:6]), *hangs, "rewards.mine.timeout=0.3")
    assert (status, findings, summary["timeouts"]) == (0, [], "6")
    assert float(summary["max"]) >= 300


def test_programs_and_grids_are_not_taken_for_numbers(capsys, data, own):
    grids = [{"answer": f"{n}234", "given": f"{n}2.."} for n in range(1, 9)]
    fits = own("return float(re.sub('[^0-9]', '', response) == given.replace('..', '34'))", "response, given")
    assert check(capsys, *data(grids), *fits)[0] == 0
    programs = [{"answer": f"x = {n}\nprint({n})", "last": f"print({n})"} for n in range(1, 9)]
    ends = own("return float(response.split(chr(10))[-1] == last)", "response, last")
    assert check(capsys, *data(programs), *ends)[0] == 0


def test_a_missing_column_is_one_line(capsys, data):
    assert main(["rewards", "check", *data(NUMBERS), "rewards.countdown.weight=1"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("unigrpo: error: rewards.countdown fails on the right answer of every row, first: ")
    assert "needs `numbers`" in error


def test_drawings_are_tried_with_pictures_of_nothing(capsys, own):
    words = ["data.source=shapes", "data.size=20", "model.image_tokenizer.path=none-yet"]
    words += ["model.image_tokenizer.resolution=32"]
    thinks = [*words, "data.task=think_image", "rewards.shapes.weight=1", "rewards.thought_match.weight=1"]
    status, findings, summary = check(capsys, *thinks)
    assert (status, findings, {one["right known"] for one in summary}) == (0, [], {"20"})
    draws = [*words, "data.task=image"]
    blind = own("return float(image.mean() > 0)", "image")
    assert check(capsys, *draws, *blind)[2][0]["judges"] == "no answers"
    fooled = own("return float(image.mean() > 150 or image.std() > 60)", "image")
    status, findings, _ = check(capsys, *draws, *fooled)
    assert status == 1
    assert "wrong answer, a noise picture:" in {one["tried"] for one in findings}


def test_questions_about_pictures_are_tried_with_the_picture(capsys, own):
    words = ["data.source=shapes", "data.task=understand", "data.size=20", "model.image_tokenizer.path=none-yet"]
    sees = own("assert image.shape == (256, 256, 3); return float(response == answer)", "response, answer, image")
    assert check(capsys, *words, *sees)[0] == 0


def test_every_task_of_a_config_is_tried(capsys, data, tmp_path):
    [one], [two] = data(NUMBERS, "a.jsonl", "tasks.a.data"), data([*NUMBERS, "TODO"], "b.jsonl", "tasks.b.data")
    rewards = [f"tasks.{task}.rewards.exact_match.weight=1" for task in "ab"]
    status, [finding], summary = check(capsys, one, two, *rewards)
    assert (status, finding["task"], finding["row"]) == (1, "b", "b.jsonl line 31")
    assert [row["task"] for row in summary] == ["a", "b"]


def test_an_evaluation_is_checked_with_its_default_reward(capsys, data, tmp_path):
    [word] = data(NUMBERS)
    file = tmp_path / "mine.yaml"
    file.write_text(f"# unigrpo eval mine.yaml\ndata: {{path: {word.partition('=')[2]}}}\nlimit: 40\n")
    for words in (["eval", word], [str(file)]):
        status, _, [summary] = check(capsys, *words)
        assert (status, summary["reward"]) == (0, "math")


def test_a_limit_is_kept_and_told(capsys, data):
    words = ["rewards", "check", *data([*NUMBERS, "TODO"]), *EXACT, "--limit", "30"]
    assert main(words) == 0
    assert "the first 30 rows were tried" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer",
    ["", " ", "N/A", "See the graph below.", r"\text{see figure}", r"\frac{1}{", r"\sqrt{}", "3/0", "[1, 2", "x ="],
)
def test_what_is_no_answer_is_seen(answer):
    assert flaw(answer)


@pytest.mark.parametrize(
    "answer",
    ["42", "-7", "A", "(B)", "2)", "C++", "A+", "table", "east", "no solution", r"\frac{1}{2}", "[0, 1)", r"\{1, 2\}",
     "-", r"\left\{1\right.", "10/05", r"\emptyset", "50\\%", "x = 5", "def f(x):\n    return g(x"],
)  # fmt: skip
def test_what_may_be_an_answer_is_left_alone(answer):
    assert not flaw(answer)


def test_prose_is_odd_among_numbers_only():
    prose = "because the angles match"
    assert prose_among([*NUMBERS, prose, "no real solutions", "Evelyn"]) == [30]
    assert prose_among([prose, "a green apple", "42"]) == []
