import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards import answer_part


@pytest.mark.parametrize(
    ("response", "part"),
    [
        ("42", "42"),
        ("  42\n", "42"),
        ("<think>the answer is 42</think><answer>41</answer>", "41"),
        ("<think>1</think> 2 <think>3</think> 4", "4"),
        ("<think>\\boxed{1}</think> 2", "2"),
        ("<think>never ends \\boxed{42}", None),
        ("<think>1</think> 2 <think> 3", None),
        ("reasoning</think> 7", "7"),
        ("<answer>1</answer> or <answer> 2 </answer>", "2"),
        ("<answer>1 <answer>2</answer>", "2"),
        ("<answer>\\boxed{5}</answer>", "5"),
        ("\\boxed{3} ... wait no, \\boxed{4}", "4"),
        ("\\boxed{3}, \\boxed{4}", "3, 4"),
        ("so $\\boxed{3}$ and $\\boxed{4}$", "3, 4"),
        ("\\boxed{1}; \\boxed{2} or \\boxed{3}", "1, 2, 3"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\boxed{\\left\\{ 1 \\right.}", "\\left\\{ 1 \\right."),
        ("\\boxed{\\boxed{3}}", "3"),
        ("\\boxed{x = \\boxed{3}}", "3"),
        ("\\boxed {6}", "6"),
        ("\\fbox{7}", "7"),
        ("\\boxed{7} and \\fbox{8}", "7, 8"),
        ("\\fbox{\\boxed{9}}", "9"),
        ("\\boxed{3} then \\boxed{4", "3"),
        ("\\boxed{\\frac{1}{2}+\\frac{1}{", None),
        ("\\boxed{4}\n\n\\boxed{4}, \\boxed{4}", "4"),
        ("x=\\boxed{1} and x = \\boxed{2}", "1, 2"),
        ("\\boxed{1, \\boxed{2}", "2"),
        ("} \\boxed{3} }", "3"),
        ("48 + 24 = 72\n#### 72", "72"),
        ("#### 1\n#### 2\nDone.", "2"),
        ("#### 9 \\boxed{8}", "8"),
        ("", None),
        ("<think>a</think>  ", None),
        ("<answer></answer>", None),
        ("\\boxed{}", None),
    ],
)
def test_the_answer_part_is_found(response, part):
    assert answer_part(response) == part


@given(st.text(alphabet="ab{}\\<>/#,", max_size=40))
def test_any_answer_comes_out_of_every_marker(text):
    inner = text.strip()
    assert answer_part(f"<think>{text}</think>") is None
    if inner and not {"{", "}", "\\", "<", "#"} & set(inner):
        for wrapped in (f"{inner}", f"<answer>{text}</answer>", f"\\boxed{{{text}}}", f"x #### {inner}"):
            assert answer_part(f"<think>1</think>{wrapped}") == inner


MARKUP = ["\\boxed{", "{", "}", "<think>", "</think>", "<answer>", "</answer>", "####", "\\", "x", " "]


@given(st.lists(st.sampled_from(MARKUP)))
def test_no_markup_makes_extraction_fail(pieces):
    part = answer_part("".join(pieces))
    assert part is None or (part and part == part.strip())


@pytest.mark.parametrize("text", ["\\boxed{" * 30000, "\\boxed{" * 30000 + "1" + "}" * 30000, "<answer>" * 30000])
def test_degenerate_responses_take_linear_time(text):
    start = time.process_time()
    answer_part(text)
    assert time.process_time() - start < 1.0
