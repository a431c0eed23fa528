"""A teacher whose every answer is known, over real HTTP."""

import json

import pytest

from rewards.format import format as has_format
from tests.curation.conftest import read_lines, sums, write_rows
from tests.curation.server import DOES, RIGHT, completion, does, expected
from unigrpo.curation.teacher import TeacherError
from unigrpo.errors import ConfigError, DataError, RewardError

ROWS = sums(40)
SAMPLES = len(DOES)


def out(tmp_path):
    return tmp_path / "out" / "data.jsonl"


def right_ones(rows, samples):
    """The ids of what the teacher gets right, by its formula."""
    asked = [
        (row, *map(int, row["prompt"].rstrip("=").split("+")), sample) for row in rows for sample in range(samples)
    ]
    return [f"{row['id']}/{sample}" for row, a, b, sample in asked if does(a, b, sample) == "right"]


@pytest.mark.parametrize("style", ["tags", "field", "template"])
def test_what_is_kept_is_exactly_what_is_right_however_the_thought_arrives(tmp_path, serve, run, style):
    summary = run(serve(style=style), ROWS, f"samples={SAMPLES}")
    rows = read_lines(out(tmp_path))
    assert [row["id"] for row in rows] == right_ones(ROWS, SAMPLES)
    assert all(row["response"].endswith(f" and get {row['answer']}.</think> {row['answer']}") for row in rows)
    assert all(has_format(row["response"]) == 1 for row in rows)
    assert summary.keep_rate == RIGHT
    assert summary.answers == len(ROWS) * SAMPLES


def test_every_answer_is_kept_or_counted_under_its_reason(tmp_path, server, run):
    summary = run(server, ROWS, "samples=5")
    does = expected(ROWS, 5)
    assert summary.kept == does["right"]
    assert summary.rejected == {
        "below_exact_match": does["wrong"],
        "not_closed": does["unclosed"],
        "cut": does["cut"],
        "no_answer": does["silent"],
    }
    assert json.loads((tmp_path / "out/curation.json").read_text())["rejected"] == summary.rejected
    assert f"| kept | {summary.kept:,} ({summary.kept / 200:.1%}) |" in summary.table()


def test_a_teacher_that_shows_no_thought_is_refused_unless_it_is_asked_for_one(serve, run, tmp_path):
    server = serve(style="plain")
    with pytest.raises(DataError, match=r"none of 80 answers was kept: no_thought \d+, cut \d+\."):
        run(server, ROWS, "samples=2")
    asked = run(server, ROWS, "samples=2", "data.instruction=think", "overwrite=true")
    assert asked.kept == expected(ROWS, 2)["right"]
    assert {row["prompt"] for row in read_lines(out(tmp_path))} <= {row["prompt"] for row in ROWS}


def test_rows_say_where_they_come_from(tmp_path, server, run):
    rows = [row | {"level": number % 3} for number, row in enumerate(ROWS)]
    run(server, rows, f"samples={SAMPLES}", "teacher.seed=8", "teacher.top_p=0.9", "teacher.extra_body.top_k=5")
    found = {row["id"]: row for row in read_lines(out(tmp_path))}
    assert list(found) == right_ones(ROWS, SAMPLES)  # the formula has period 8
    for name, row in found.items():
        source, _, sample = name.rpartition("/")
        assert (row["source_id"], row["sample"], row["teacher_seed"]) == (source, int(sample), 8 + int(sample))
        assert row["pass_rate"] == RIGHT
        assert row["teacher"] == "adder"
        assert json.loads(row["teacher_sampling"]) == {
            "temperature": 1.0,
            "top_p": 0.9,
            "max_tokens": 8192,
            "top_k": 5,
            "instruction": "",
        }
        assert row["rewards"] == {"exact_match": 1.0}
        assert row["level"] == next(old["level"] for old in rows if old["id"] == source)
    assert len({row["verifier"] for row in found.values()}) == 1


def test_a_second_call_asks_nothing_and_writes_the_same_bytes(tmp_path, server, run):
    first = run(server, ROWS, "samples=3")
    before, asked = out(tmp_path).read_bytes(), len(server.requests)
    again = run(server, ROWS, "samples=3")
    assert (first.asked, again.asked, len(server.requests)) == (120, 0, asked)
    assert out(tmp_path).read_bytes() == before
    assert run("http://127.0.0.1:9/v1", ROWS, "samples=3").kept == first.kept  # nobody is there, nor asked


def test_changed_settings_ask_only_what_they_change(tmp_path, server, run):
    run(server, ROWS, "samples=2")
    assert run(server, ROWS, "samples=3", "overwrite=true").asked == len(ROWS)
    fewer = run(server, ROWS, "samples=2", "filter.per_prompt=1", "overwrite=true")
    assert fewer.asked == 0
    assert run(server, [*ROWS[1:], *sums(41)[40:]], "samples=2", "overwrite=true").asked == 2
    assert run(server, ROWS, "samples=2", "teacher.temperature=0.5", "overwrite=true").asked == 2 * len(ROWS)


def test_data_of_other_settings_are_not_replaced_by_accident(tmp_path, server, run):
    run(server, ROWS, "samples=2")
    before = out(tmp_path).read_bytes()
    with pytest.raises(ConfigError, match=r"was made with other settings: samples was 2 and is 3\. Add overwrite=true"):
        run(server, ROWS, "samples=3")
    assert out(tmp_path).read_bytes() == before
    run(server, ROWS, "samples=2", "teacher.max_concurrency=1", "teacher.price_out=2")
    (tmp_path / "out/config.yaml").unlink()
    with pytest.raises(ConfigError, match="holds no curated data of ours"):
        run(server, ROWS, "samples=2")


def test_a_call_that_fails_leaves_data_and_their_settings_together(tmp_path, server, run):
    run(server, ROWS, "samples=2")
    before = out(tmp_path).read_bytes()
    with pytest.raises(ConfigError, match="answers 400"):
        run(server, ROWS, "samples=2", "teacher.model=other", "overwrite=true")
    assert run(server, ROWS, "samples=2").asked == 0
    assert out(tmp_path).read_bytes() == before


def test_tokens_and_cost_are_those_of_the_answers(server, run):
    summary = run(server, ROWS, "samples=2", "teacher.price_in=10", "teacher.price_out=30")
    usages = [completion(body, "tags")["usage"] for body in server.requests]
    tokens = sum(usage["completion_tokens"] for usage in usages)
    assert (summary.tokens_in, summary.tokens_out) == (80, tokens)
    assert summary.cost == pytest.approx((80 * 10 + tokens * 30) / 1e6)


def test_requests_fill_the_limit_and_never_pass_it(serve, run):
    server = serve(delay=0.02)
    server.meet = 5
    run(server, ROWS, "samples=1", "teacher.max_concurrency=5")
    assert server.busiest == 5


def test_a_request_that_the_teacher_refuses_is_counted_and_not_asked_again(server, run):
    server.refuses = ROWS[3]["prompt"].encode()
    summary = run(server, ROWS, "samples=2")
    assert summary.rejected["refused"] == 2
    assert "Bad value or unknown" in summary.examples["refused"]
    assert run(server, ROWS, "samples=2").asked == 0


def test_also_when_it_is_the_first(server, run):
    server.refuses = ROWS[0]["prompt"].encode()
    assert run(server, ROWS, "samples=1").rejected["refused"] == 1


def test_wrong_settings_of_the_request_are_found_by_one_request(server, run):
    with pytest.raises(ConfigError, match=r"the teacher at http.* answers 400: Bad value or unknown: best_of: "):
        run(server, ROWS, "teacher.extra_body.best_of=3")
    with pytest.raises(ConfigError, match=r"answers 400: Bad value or unknown: model: correct teacher\.model"):
        run(server, ROWS, "teacher.model=other")
    assert server.requests == []


def test_what_is_wrong_is_said_before_anything_is_asked_or_written(tmp_path, serve, run, monkeypatch):
    server = serve(key="right")
    monkeypatch.setenv("TEACHER_KEY", "wrong")
    cases = [
        (
            ["rewards.exactmatch.weight=1"],
            RewardError,
            "rewards.exactmatch is not a reward. Did you mean",
        ),
        (["teacher.api_key_env=NO_KEY"], ConfigError, "environment variable NO_KEY, which is not set"),
        (
            ["teacher.api_key_env=TEACHER_KEY"],
            ConfigError,
            "answers 401: Incorrect API key provided: set `api_",
        ),
        (
            ["filter.balance=level"],
            DataError,
            "line 1: filter.balance is level, but its columns",
        ),
        (["filter.max_tokens=9", "filter.tokenizer=nowhere"], DataError, "filter.tokenizer=nowhere cannot be loaded"),
    ]
    for settings, kind, words in cases:
        with pytest.raises(kind, match=words):
            run(server, ROWS, *settings)
    with pytest.raises(TeacherError, match=r"the teacher does not answer: .* cannot be reached"):
        run("http://127.0.0.1:9/v1", ROWS, "teacher.patience=0.1")
    assert not out(tmp_path).exists()
    monkeypatch.setenv("TEACHER_KEY", "right")
    assert run(server, ROWS, "teacher.api_key_env=TEACHER_KEY").kept
    assert "right" not in (tmp_path / "out/config.yaml").read_text().split()


def test_a_teacher_that_goes_away_stops_the_run_and_what_it_said_is_kept(tmp_path, server, run):
    first = run(server, ROWS[:20], "samples=2")
    server.fails = True
    with pytest.raises(TeacherError, match=r"the teacher does not answer: .* answers 500: out of order"):
        run(server, ROWS, "samples=2", "overwrite=true", "teacher.patience=0.1")
    server.fails = False
    assert run(server, ROWS, "samples=2", "overwrite=true").asked == 40
    assert first.asked == 40


def test_a_reward_that_fails_is_no_verdict(tmp_path, server, run):
    reward = tmp_path / "mine.py"
    reward.write_text(
        "def picky(response, prompt, answer, limit=5):\n"
        "    if prompt.startswith(str(limit)) and response != answer:\n"
        "        raise ValueError('not those')\n"
        "    return float(response.endswith(answer))\n"
    )
    mine = [f"rewards.picky.path={reward}:picky", "keep={picky: 1}"]
    with pytest.raises(TeacherError, match=r"0 are missing and \d+ could not be judged, more than max_failed=0\.01"):
        run(server, ROWS, *mine, "samples=8", "max_failed=0.01")
    some = run(server, ROWS, *mine, "samples=8")
    strange = [row for row in ROWS if row["prompt"].startswith("5")]
    known = expected(strange, 8)
    assert some.rejected["unverified"] == known["right"] + known["wrong"]
    assert {row["pass_rate"] for row in read_lines(out(tmp_path))} == {RIGHT}


def test_a_column_that_we_write_ourselves_is_refused(server, run):
    with pytest.raises(DataError, match="line 1: the column `teacher` would be replaced"):
        run(server, [{"prompt": "1+2=", "answer": "3", "teacher": "me"}])


def test_conversations_are_no_prompts(server, run):
    said = ("user", "Hi."), ("assistant", "Hello."), ("user", "1+2="), ("assistant", "3")
    row = {"messages": [{"role": role, "content": content} for role, content in said], "answer": "3"}
    with pytest.raises(DataError, match=r"line 1.*: a teacher is asked single prompts, and this is a conversation"):
        run(server, [row], "data.layout=messages")


def test_two_processes_do_not_curate_into_one_folder(tmp_path, server, run):
    from unigrpo.curation.log import Log

    run(server, ROWS)
    with Log(tmp_path / "out"), pytest.raises(ConfigError, match="is being curated by another process"):
        run(server, ROWS)


def test_a_line_that_a_kill_cut_short_is_asked_for_again(tmp_path, server, run):
    run(server, ROWS, "samples=2")
    before, log = out(tmp_path).read_bytes(), tmp_path / "out/answers.jsonl"
    log.write_bytes(log.read_bytes()[:-40])
    assert run(server, ROWS, "samples=2").asked == 1
    assert out(tmp_path).read_bytes() == before
    log.write_text("")
    assert run(server, ROWS, "samples=2").asked == 80
    log.write_text("{}\n")
    with pytest.raises(DataError, match=r"answers.jsonl line 1 is no answer \(KeyError: 'id'\): remove the line"):
        run(server, ROWS, "samples=2")


def test_parquet_holds_the_same_rows(tmp_path, server, run):
    from pyarrow import parquet

    run(server, ROWS, "samples=3")
    run(server, ROWS, "samples=3", "file=data.parquet")
    first = (tmp_path / "out/data.parquet").read_bytes()
    assert parquet.read_table(tmp_path / "out/data.parquet").to_pylist() == read_lines(out(tmp_path))
    run(server, ROWS, "samples=3", "file=data.parquet")
    assert (tmp_path / "out/data.parquet").read_bytes() == first


def test_gsm8k_rows_are_asked_as_they_are(tmp_path, server, run):
    data = write_rows(tmp_path / "gsm8k.jsonl", [{"question": "2+5=", "answer": "First <<2+5=7>>7.\n#### 7"}])
    run(server, ROWS, "samples=8", "data.source=gsm8k", f"data.path={data}", "rewards.math.weight=1", "keep={math: 1}")
    assert {row["answer"] for row in read_lines(out(tmp_path))} == {"7"}
    assert len(read_lines(out(tmp_path))) == 4
