import subprocess
import sys

import pytest

from rewards.countdown import countdown, evaluate
from unigrpo.config import DataSection
from unigrpo.data.rows import read_rows
from unigrpo.errors import ConfigError


def rows(source, **fields):
    return read_rows(DataSection(source=source, **fields), ("answer", "response"))


def operands(row):
    return tuple(map(int, row.prompt.rstrip("=").split("+")))


@pytest.mark.parametrize("digits", [1, 2, 3, 4, 9])
def test_sums_are_right_and_have_the_digits_asked_for(digits):
    for row in rows("arithmetic", size=50, digits=digits):
        a, b = operands(row)
        assert row.prompt == f"{a}+{b}="
        assert row.answer == row.response == str(a + b)
        assert {len(str(a)), len(str(b))} == {digits}


def test_train_and_test_share_no_pair_in_any_order_whatever_the_seeds():
    train = {frozenset(operands(row)) for row in rows("arithmetic", size=7289, seed=0)}
    test = {frozenset(operands(row)) for row in rows("arithmetic", size=811, split="test", seed=1)}
    assert not train & test
    assert len(train | test) == 90 * 91 // 2


def test_the_split_does_not_follow_the_sum():
    train, test = rows("arithmetic", size=7289), rows("arithmetic", size=811, split="test")
    for last in range(10):
        share = sum(int(row.answer) % 10 == last for row in test) / len(test)
        assert 0.06 < share < 0.14
    held_out = {row.answer for row in test}
    assert len(held_out) > 0.75 * len({row.answer for row in train} | held_out)
    means = [sum(int(row.answer) for row in part) / len(part) for part in (train, test)]
    assert abs(means[0] - means[1]) < 5


@pytest.mark.parametrize(("source", "size"), [("arithmetic", 800), ("countdown", 300)])
@pytest.mark.parametrize("split", ["train", "test"])
def test_rows_are_distinct_and_depend_on_the_seed_alone(source, size, split):
    first, again = (rows(source, size=size, split=split, seed=3) for _ in range(2))
    assert first == again
    assert len({row.prompt for row in first}) == len({row.id for row in first}) == size
    assert [row.prompt for row in rows(source, size=size, split=split, seed=4)] != [row.prompt for row in first]


def test_another_process_makes_the_same_rows():
    code = (
        "from unigrpo.config import DataSection\nfrom unigrpo.data.rows import read_rows\nimport sys\n"
        "for source in ('arithmetic', 'countdown'):\n"
        "    print([row.prompt for row in read_rows(DataSection(source=source, size=20))])\n"
        "assert 'torch' not in sys.modules and 'ray' not in sys.modules\n"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = [[row.prompt for row in rows(source, size=20)] for source in ("arithmetic", "countdown")]
    assert output == "".join(f"{prompts}\n" for prompts in here)


@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_a_countdown_answer_makes_the_target_from_the_numbers(count):
    for row in rows("countdown", size=100, operands=count, seed=count):
        numbers, target = row.metadata["numbers"], row.metadata["target"]
        assert row.prompt == f"Use {', '.join(map(str, numbers))} to make {target}:"
        assert len(set(numbers)) == count
        assert 1 <= target <= 99
        evaluated = evaluate(str(row.answer))
        assert evaluated is not None
        assert evaluated[0] == target
        assert row.response == row.answer
        assert countdown(str(row.answer), numbers=numbers, target=target) == 1.0


def test_held_out_countdown_numbers_never_occur_together_in_training():
    train, test = (
        {frozenset(row.metadata["numbers"]) for row in rows("countdown", size=size, operands=2, split=split, seed=seed)}
        for size, split, seed in ((3000, "train", 0), (300, "test", 5))
    )
    assert not train & test


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"source": "arithmetic", "size": 9000},
            "data.size is 9000, but arithmetic with 2 digits gives at most 7289 train rows: set data.size=7289 or "
            "raise data.digits.",
        ),
        (
            {"source": "arithmetic", "size": 10**8, "digits": 4},
            "data.size is 100000000, but arithmetic with 4 digits gives at most 2025000 train rows:",
        ),
        ({"source": "countdown", "operands": 2, "split": "test"}, "but countdown with 2 numbers gives at most "),
        ({"source": "arithmetic", "size": 0}, "data.size is 0: set it to 1 or more."),
        ({"source": "countdown", "size": -1}, "data.size is -1: set it to 1 or more."),
        ({"source": "arithmetic", "digits": 0}, "data.digits is 0: set it to 1 to 9."),
        ({"source": "countdown", "operands": 7}, "data.operands is 7: set it to 2 to 6."),
    ],
)
def test_more_rows_than_there_are_is_an_error(fields, problem):
    with pytest.raises(ConfigError) as error:
        read_rows(DataSection(**fields))
    assert problem in str(error.value)
