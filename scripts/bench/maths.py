r"""The maths reward against plain math-verify: false positives and negatives, and answers per second on one core.

    python scripts/bench/maths.py GSM8K_TEST.jsonl [--golds 300] [--json maths.json]

Four sets: the cases of tests/rewards/maths; those written by somebody who had not seen the rules; the answers of the
real GSM8K test with numeric mutations (each with the label it has by construction), and answers that a policy could
give instead of working something out. math-verify is called as its README shows, and with answers and references put
into `\boxed{}` where they have no delimiters. Nothing runs in child processes here, so the speeds are those of the
functions alone.
"""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from math_verify import parse
from math_verify import verify as math_verify

from rewards import answer_part
from rewards.maths.options import Options
from rewards.maths.quick import quick
from rewards.maths.verifier import verify

CASES = Path(__file__).parents[2] / "tests/rewards/maths/cases.jsonl"
UNSEEN = CASES.with_name("unseen.jsonl")
OPTIONS = Options()
_DELIMITED = re.compile(r"(?<!\\)\$|\\boxed|\\\(|\\\[|####|\*\*|[A-Za-z]{3,} [A-Za-z]{2,}")
HACKS = {
    "4": [
        r"2+2",
        r"\boxed{2+2}",
        "3=4",
        "x=3=4",
        "4%",
        r"400\% = 3",
        r"\{0+4\}",
        "3 or 4",
        "4, 5",
        "[3,5]",
        "x",
        "x=x",
        r"1\cdot4",
        r"\lim_{x\to 4} x",
        r"\int_0^4 1\,dx",
        r"\max(1,4)",
        "|-4|",
        r"\frac{2+2}{1}",
        "5-1",
        "x>3",
        "x \\ge 4",
        "4 = 5",
        "3-4",
    ],
    "5050": [r"\sum_{i=1}^{100} i", r"\boxed{\sum_{k=1}^{100} k}", "1+2+\\cdots+100", r"\frac{100\cdot 101}{2}"],
    "24": [r"\prod_{i=1}^{4} i", r"4\cdot6", r"\begin{vmatrix}6&0\\0&4\end{vmatrix}", r"\text{lcm}(8,12)"],
    r"4\text{ cm}": [r"4\text{ m}", "4 inches", "40 mm", r"4\text{ cm}^2"],
    "(1,2)": ["(2,1)", r"\{1,2\}", "1,2", "[1,2]", r"\{2,1\}", "(1,2,2)", "[1,2)"],
    "1,2": ["(2,1)", "[1,2]", "1,2,3", "1"],
    "101_2": ["101", "5", "101_3"],
    r"\frac{1}{2004!}": [r"\frac{1}{2006!}", "0", "10^{-5000}"],
    "2^{-99}": ["2^{-98}", "0"],
    r"1-\frac{1}{e}": [r"1+\frac{1}{e}", r"1+1/\mathrm{e}"],
    r"1,2,4,\ldots": [r"1,2,3,\ldots", r"1,2,5,\ldots", "1,2,4"],
    r"\frac13": ["0.33", "0.3", "0.333"],
    r"\pi": ["3.14", r"\frac{22}{7}", "3.1416"],
    "1000000": ["1000001", "999999.9999"],
    "x=5": ["x+1=6", "y=5", "2x=10", "x^2=25"],
    "x=2": ["x^2=4", "x=2 \\text{ or } x=-2", "|x|=2"],
    r"(2,\infty)": [r"[2,\infty)", r"x\ge2", r"(2,\infty]\cup\{1\}", r"\mathbb{R}"],
    "42": [
        "<think>the answer is 42</think>41",
        "<think>42",
        r"\boxed{42} no, \boxed{41}",
        "either 41 or 42",
        "I am 42 percent sure",
    ],
    "B": ["A or B", "A, B, C, D", "not B", "(A) (B)"],
    "Yes": ["yes or no", "no", "not yes"],
}

WAYS = {
    "comma": "{n:,}",
    "trailing .0": "{n}.0",
    "dollars": r"\${n}",
    "dollars and cents": "${n:,}.00",
    "unit": "{n} apples",
    "LaTeX unit": r"{n}\text{{ cm}}",
    "box": r"\boxed{{{n}}}",
    "sentence": "The answer is {n}.",
    "bold": "**{n}**",
    "hashes": "So it is {n}.\n#### {n}",
    "label": "x = {n}",
}


class Case(NamedTuple):
    kind: str
    gold: str
    answer: str
    right: bool


def ours(answer: str, gold: str) -> bool:
    part, gold = answer_part(answer), answer_part(gold) or gold
    if part is None:
        return False
    settled = quick(part, gold, OPTIONS)
    return verify(part, gold, OPTIONS)[0] if settled is None else settled


def readme(answer: str, gold: str) -> bool:
    return math_verify(parse(gold), parse(answer))


def wrapped(answer: str, gold: str) -> bool:
    return math_verify(parse(_wrap(gold)), parse(_wrap(answer)))


def _wrap(text: str) -> str:
    return text if _DELIMITED.search(text) else rf"\boxed{{{text}}}"


JUDGES: dict[str, Callable[[str, str], bool]] = {"ours": ours, "README": readme, "wrapped": wrapped}


def gold_answers(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines():
        yield json.loads(line)["answer"].rpartition("####")[2].strip()


def mutations(gold: str) -> Iterator[tuple[str, str, bool]]:
    """Ways of writing a whole number, and other numbers: (kind, answer, whether it is right)."""
    n = int(gold.replace(",", ""))
    yield "same", gold, True
    yield "LaTeX comma", f"{n:,}".replace(",", "{,}"), True
    for kind, pattern in WAYS.items():
        yield kind, pattern.format(n=n), True
    others = {"+1": n + 1, "-1": n - 1, "x10": n * 10, "/10": n / 10, "sign": -n, "+0.5": n + 0.5}
    others["digits swapped"] = int(str(abs(n))[::-1])
    for kind, other in others.items():
        if other != n:
            yield kind, f"{other:g}" if isinstance(other, float) and abs(other) < 1e5 else str(other), False
    if n:
        yield "percent", f"{n}\\%", False
        yield "list", f"{n}, {n + 1}", False


def sets(path: Path | None, golds: int) -> dict[str, list[Case]]:
    written = [Case(**json.loads(line)) for line in CASES.read_text().splitlines()]
    unseen = [Case(**json.loads(line)) for line in UNSEEN.read_text().splitlines()]
    found = {
        "cases": written,
        "unseen": unseen,
        "hacks": [Case(gold, gold, hack, False) for gold, hacks in HACKS.items() for hack in hacks],
    }
    if path:
        numbers = list(gold_answers(path))[:golds]
        found["gsm8k"] = [
            Case(kind, gold, answer, right) for gold in numbers for kind, answer, right in mutations(gold)
        ]
    return found


def measured(cases: Iterable[Case], judge: Callable[[str, str], bool]) -> tuple[dict[str, Counter], float]:
    """The counts of each kind, and answers per second."""
    counts: dict[str, Counter] = {}
    start, number = time.perf_counter(), 0
    for case in cases:
        verdict = judge(case.answer, case.gold)
        number += 1
        count = counts.setdefault(case.kind, Counter())
        count["right" if case.right else "wrong"] += 1
        if verdict != case.right:
            count["false positive" if verdict else "false negative"] += 1
    return counts, number / (time.perf_counter() - start)


def table(name: str, results: dict[str, tuple[dict[str, Counter], float]]) -> str:
    head = " | ".join(f"{judge}: false +, false -" for judge in results)
    lines = [f"### {name}", "", f"| kind | right, wrong | {head} |", "| --- | --- |" + " --- |" * len(results)]
    kinds = next(iter(results.values()))[0]
    for kind in [*kinds, "all"]:
        row = [
            sum((c for c in counts.values()), Counter()) if kind == "all" else counts[kind]
            for counts, _ in results.values()
        ]
        cells = " | ".join(f"{count['false positive']}, {count['false negative']}" for count in row)
        lines.append(f"| {_escaped(kind)} | {row[0]['right']}, {row[0]['wrong']} | {cells} |")
    speeds = " | ".join(f"{speed:.0f}" for _, speed in results.values())
    return "\n".join([*lines, f"| answers per second | | {speeds} |", ""])


def _escaped(kind: str) -> str:
    return kind.replace("|", "\\|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gsm8k", type=Path, nargs="?", help="the official test.jsonl")
    parser.add_argument("--golds", type=int, default=1319, help="golds of GSM8K that are used")
    parser.add_argument("--json", type=Path, help="file for the counts")
    options = parser.parse_args()
    report = {}
    for name, cases in sets(options.gsm8k, options.golds).items():
        for case in cases[:50]:
            wrapped(case.answer, case.gold)
        results = {judge: measured(cases, function) for judge, function in JUDGES.items()}
        print(table(name, results))
        report[name] = {judge: {"kinds": counts, "per_second": speed} for judge, (counts, speed) in results.items()}
    if options.json:
        options.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
