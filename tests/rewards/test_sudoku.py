import random
import time
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards import Scorer, resolve
from rewards.sudoku import sudoku
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError, DataError

PUZZLE, SOLUTION = "3102200002100320", "3142243142131324"
NINE = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"


def every_grid() -> set[str]:
    """All grids of 4 by 4, by trying: rows are permutations, and columns and boxes are looked at cell by cell."""
    rows = ["".join(row) for row in permutations("1234")]
    grids = [""]
    for _ in range(4):
        grids = [grid + row for grid in grids for row in rows if fits(grid + row)]
    return set(grids)


def fits(cells: str) -> bool:
    where = [(place // 4, place % 4) for place in range(len(cells))]
    return not any(
        cells[i] == cells[j] and (a == c or b == d or (a // 2, b // 2) == (c // 2, d // 2))
        for i, (a, b) in enumerate(where)
        for j, (c, d) in enumerate(where[:i])
    )


GRIDS = sorted(every_grid())


def test_of_all_fillings_near_a_grid_those_that_the_rules_allow_are_right():
    assert len(GRIDS) == 288
    draw = random.Random(0)
    for grid in GRIDS:
        assert sudoku(grid, puzzle="." * 16) == 1
        swapped = list(grid)
        i, j = draw.sample(range(16), 2)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        assert sudoku("".join(swapped), puzzle="." * 16) == ("".join(swapped) in GRIDS)


@given(st.sampled_from(GRIDS), st.sampled_from(GRIDS), st.sets(st.integers(0, 15)))
def test_what_was_given_is_kept(grid, other, blanks):
    puzzle = "".join("0" if place in blanks else cell for place, cell in enumerate(grid))
    kept = all(place in blanks or grid[place] == other[place] for place in range(16))
    assert sudoku(other, puzzle=puzzle) == kept


LINES = "\n".join(SOLUTION[i : i + 4] for i in range(0, 16, 4))
DRAWN = "+-----+-----+\n| 3 1 | 4 2 |\n| 2 4 | 3 1 |\n+-----+-----+\n| 4 2 | 1 3 |\n| 1 3 | 2 4 |\n+-----+-----+"


@pytest.mark.parametrize(
    ("response", "value"),
    [
        (SOLUTION, 1),
        (f"<think>3333</think>\n<answer>\n{LINES}\n</answer>", 1),
        (DRAWN, 1),
        ("[[3, 1, 4, 2], [2, 4, 3, 1], [4, 2, 1, 3], [1, 3, 2, 4]]", 1),
        (f"The grid is:\n```\n{LINES}\n```", 1),
        (f"{'1234' * 4}, no: {SOLUTION}", 1),
        (f"{SOLUTION}, or perhaps {'1234' * 4}", 0),
        (f"{SOLUTION} {SOLUTION}", 0),
        (f"{SOLUTION}1", 0),
        (SOLUTION[:-1], 0),
        (PUZZLE, 0),
        (f"<think>{SOLUTION}</think>", 0),
        (f"<think>{SOLUTION}", 0),
        (SOLUTION.translate(str.maketrans("1234", "١٢٣٤")), 0),
        (SOLUTION.replace("1", "5"), 0),
        ("", 0),
        ("0" * 16, 0),
    ],
)
def test_the_last_grid_of_the_answer_part_counts(response, value):
    assert sudoku(response, puzzle=PUZZLE) == value


@pytest.mark.parametrize("blank", "0._")
def test_a_grid_of_nine_is_judged_too(blank):
    puzzle = "".join(blank if place % 3 else cell for place, cell in enumerate(NINE))
    assert sudoku(NINE, puzzle=puzzle) == 1
    assert sudoku(NINE, puzzle="\n".join(puzzle[i : i + 9] for i in range(0, 81, 9))) == 1
    assert sudoku(NINE, puzzle=[list(puzzle[i : i + 9]) for i in range(0, 81, 9)]) == 1
    assert sudoku(NINE[::-1], puzzle=puzzle) == 0
    assert sudoku(NINE[9:] + NINE[:9], puzzle="0" * 81) == 0


def test_a_share_is_of_blank_cells_only_and_only_where_the_givens_are_kept():
    blanks = [place for place in range(16) if PUZZLE[place] == "0"]
    for wrong in range(1, len(blanks) + 1):
        cells = list(SOLUTION)
        for place in blanks[:wrong]:
            cells[place] = "1" if SOLUTION[place] != "1" else "2"
        value = sudoku("".join(cells), puzzle=PUZZLE, solution=SOLUTION, partial=0.5)
        assert value == pytest.approx(0.5 * (1 - wrong / len(blanks)))
        assert sudoku("".join(cells), puzzle=PUZZLE, solution=SOLUTION) == 0
    assert sudoku("1" + SOLUTION[1:], puzzle=PUZZLE, solution=SOLUTION, partial=1.0) == 0
    assert sudoku(SOLUTION, puzzle=PUZZLE, solution=SOLUTION, partial=0.5) == 1


@pytest.mark.parametrize("puzzle", ["123", "0" * 36, "5" + "0" * 15, "x" * 16, "", 140432014020000])
def test_a_puzzle_that_is_none_is_an_error(puzzle):
    with pytest.raises(DataError, match=r"`puzzle` is .* takes 16 cells of 1 to 4 or 81"):
        sudoku(SOLUTION, puzzle=puzzle)


def test_a_share_needs_a_solution_of_the_same_size():
    with pytest.raises(DataError, match="partial needs the column `solution`"):
        sudoku("1", puzzle=PUZZLE, partial=0.5)
    with pytest.raises(DataError, match="`solution` has 81 cells, but `puzzle` has 16"):
        sudoku("1" * 16, puzzle="0" * 16, solution=NINE, partial=0.5)


@pytest.mark.parametrize("partial", [-1, 2, True, "1"])
def test_a_share_that_is_none_is_found_before_training(partial):
    with pytest.raises(ConfigError, match=r"rewards\.sudoku\.args\.partial is "):
        resolve("sudoku", RewardEntry(args={"partial": partial}))


def test_columns_come_from_the_data(rollout):
    scorer = Scorer({"sudoku": RewardEntry()})
    items = [rollout(text, metadata={"puzzle": PUZZLE}) for text in (SOLUTION, PUZZLE)]
    scorer.check([items[0].prompt])
    assert [scored.reward for scored in scorer.score(items)] == [1.0, 0.0]


def test_a_degenerate_response_takes_linear_time():
    start = time.process_time()
    for text in ("1" * 200000, "1 - " * 50000, "1 x " * 50000, "-" * 200000, "1" + " " * 200000 + "x"):
        sudoku(text, puzzle=PUZZLE)
    assert time.process_time() - start < 2
