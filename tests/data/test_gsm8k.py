import numpy as np
import pytest

from rewards import Scorer
from unigrpo.config import RewardEntry
from unigrpo.data import load_prompts
from unigrpo.data.rows import read_rows
from unigrpo.errors import DataError
from unigrpo.types import Rollout, Sampling

OFFICIAL = [
    {
        "question": "Weng earns $12 an hour. Yesterday, she worked 50 minutes. How much did she earn?",
        "answer": "Weng earns 12/60 = $<<12/60=0.2>>0.2 per minute.\nShe earned 0.2 x 50 = $<<0.2*50=10>>10.\n#### 10",
    },
    {"question": "How many?", "answer": "There are 2*1,000 = <<2*1000=2000>>2,000.\n#### 2,000"},
    {"question": "And below zero?", "answer": "3 - 8 = <<3-8=-5>>-5\n#### -5"},
]


def test_official_rows_become_prompts_answers_and_responses(jsonl):
    rows = read_rows(jsonl(*OFFICIAL, source="gsm8k"))
    assert [row.answer for row in rows] == ["10", "2000", "-5"]
    assert rows[0].prompt == OFFICIAL[0]["question"]
    assert rows[0].response == "<think>Weng earns 12/60 = $0.2 per minute.\nShe earned 0.2 x 50 = $10.</think> 10"
    assert [row.id for row in rows] == ["rows:1", "rows:2", "rows:3"]
    assert rows[0].metadata == {}


def test_gold_responses_score_one(jsonl, tokenizer, ids):
    section = jsonl(*OFFICIAL, source="gsm8k")
    scorer = Scorer({"math": RewardEntry(), "format": RewardEntry(), "exact_match": RewardEntry()})
    prompts = load_prompts(section, tokenizer, ids)
    scorer.check(prompts)
    rollouts = [
        Rollout(
            id=f"0/{prompt.id}/0",
            prompt=prompt,
            tokens=np.zeros(1, dtype=np.int64),
            commit_step=np.zeros(1, dtype=np.int32),
            output=str(row.response),
            sampling=Sampling(temperature=1.0, guidance=0.0, gen_length=1, block_length=1),
            truncated=False,
        )
        for prompt, row in zip(prompts, read_rows(section), strict=True)
    ]
    assert [scored.parts for scored in scorer.score(rollouts)] == [{"math": 1, "format": 1, "exact_match": 1}] * 3


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"question": "q", "answer": "just 5"}, "`answer` does not end in `#### n`, as GSM8K's do: 'just 5'."),
        (
            {"question": "q", "answer": "none\n#### "},
            "`answer` does not end in `#### n`, as GSM8K's do: 'none\\n#### '.",
        ),
        (
            {"prompt": "q"},
            "GSM8K has `question` and `answer` as text, but the columns are: prompt. For another format, set",
        ),
    ],
)
def test_another_format_is_an_error(jsonl, row, problem):
    section = jsonl(row, source="gsm8k")
    with pytest.raises(DataError) as error:
        read_rows(section)
    assert str(error.value).startswith(f"{section.path} line 1: {problem}")
