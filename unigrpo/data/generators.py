"""Tasks made from a seed. Train and test are disjoint whatever the seeds: a hash of the task decides its split."""

import hashlib
import random
from collections.abc import Iterator

import numpy as np

from unigrpo.config import DataSection
from unigrpo.data.files import Record
from unigrpo.errors import ConfigError

TEST_SHARE = 10
"""One task in so many is held out."""
COUNTDOWN_NUMBERS = range(1, 100)
COUNTDOWN_TARGETS = range(1, 100)
PATIENCE = 2000
"""Draws in a row that bring nothing new, after which there is taken to be nothing new."""
_ENUMERABLE = 2_000_000


def arithmetic(section: DataSection) -> Iterator[Record]:
    """Return additions of two numbers of `digits` digits: `37+85=`, answer and response `122`.

    Whether a pair is held out does not depend on its order, so `85+37=` never gives `37+85=` away.
    """
    if not 1 <= section.digits <= 9:
        raise ConfigError(f"data.digits is {section.digits}: set it to 1 to 9.")
    first = 0 if section.digits == 1 else 10 ** (section.digits - 1)
    span = 10**section.digits - first
    pairs = _distinct_pairs(span, section)
    for number, pair in enumerate(pairs, start=1):
        a, b = first + int(pair) // span, first + int(pair) % span
        yield _record(section, number, {"prompt": f"{a}+{b}=", "answer": f"{a + b}", "response": f"{a + b}"})


def countdown(section: DataSection) -> Iterator[Record]:
    """Return countdown tasks: make `target` from distinct `numbers`, each used once; the answer is one way to do it.

    The numbers of a held-out task never occur together in training, in any order and for any target.
    """
    if not 2 <= section.operands <= 6:
        raise ConfigError(f"data.operands is {section.operands}: set it to 2 to 6.")
    _check_size(section)
    draw = random.Random(f"countdown/{section.split}/{section.seed}")
    seen: set[tuple[int, ...]] = set()
    misses = 0
    while len(seen) < section.size:
        numbers = draw.sample(COUNTDOWN_NUMBERS, section.operands)
        if (digest(repr(sorted(numbers))) % TEST_SHARE == 0) != (section.split == "test"):
            continue
        target, expression = _random_expression(numbers, draw)
        task = (*sorted(numbers), target)
        if target not in COUNTDOWN_TARGETS or task in seen:
            misses += 1
            if misses > PATIENCE:
                raise _too_many(section, f"{section.operands} numbers", len(seen), "data.operands")
            continue
        misses = 0
        seen.add(task)
        prompt = f"Use {', '.join(map(str, numbers))} to make {target}:"
        values = {"prompt": prompt, "answer": expression, "response": expression}
        yield _record(section, len(seen), {**values, "numbers": numbers, "target": target})


def _distinct_pairs(span: int, section: DataSection) -> np.ndarray:
    """Return `size` distinct pairs of the split, each as first * span + second, in an order that the seed decides."""
    _check_size(section)
    draw = np.random.default_rng([section.seed, section.digits])
    if span * span <= _ENUMERABLE:
        pairs = _of_split(draw.permutation(span * span), span, section.split)
        if len(pairs) < section.size:
            raise _too_many(section, f"{section.digits} digits", len(pairs), "data.digits")
        return pairs[: section.size]
    most = span * span // (4 * TEST_SHARE)  # a quarter of the test split, so that few draws repeat
    if section.size > most:
        raise _too_many(section, f"{section.digits} digits", most, "data.digits")
    drawn = np.empty(0, dtype=np.int64)
    while True:
        drawn = np.concatenate([drawn, draw.integers(span * span, size=TEST_SHARE * section.size + 1000)])
        pairs = _of_split(drawn, span, section.split)
        _, first = np.unique(pairs, return_index=True)
        if len(first) >= section.size:
            return pairs[np.sort(first)][: section.size]


def _of_split(pairs: np.ndarray, span: int, split: str) -> np.ndarray:
    a, b = np.divmod(pairs, span)
    keys = np.minimum(a, b).astype(np.uint64) * np.uint64(span) + np.maximum(a, b).astype(np.uint64)
    return pairs[held_out(keys) == (split == "test")]


def held_out(key: np.ndarray) -> np.ndarray:
    """Say for each 64-bit key whether it belongs to the test split, evenly and without regard to its arithmetic.

    Source: the finaliser of splitmix64 (Steele, Lea and Flood, 2014).
    """
    with np.errstate(over="ignore"):
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        key = key ^ (key >> np.uint64(31))
    return key % np.uint64(TEST_SHARE) == 0


def digest(key: str) -> int:
    """Return a number that depends on a text alone, whatever the process, and takes no notice of its meaning."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


def _random_expression(numbers: list[int], draw: random.Random) -> tuple[int, str]:
    """Combine the numbers two by two, in random order, into a value and the expression that makes it."""
    parts = [(number, str(number)) for number in numbers]
    draw.shuffle(parts)
    while True:
        (a, left), (b, right) = parts.pop(), parts.pop()
        symbol = draw.choice("+-*/" if b and a % b == 0 else "+-*")
        value = {"+": a + b, "-": a - b, "*": a * b, "/": a // (b or 1)}[symbol]
        if not parts:
            return value, f"{left}{symbol}{right}"
        parts.insert(draw.randrange(len(parts) + 1), (value, f"({left}{symbol}{right})"))


def _record(section: DataSection, number: int, values: dict[str, object]) -> Record:
    name = f"{section.source}-{section.split}:{number}"
    return Record(name, f"{section.source} row {number}", values)


def _check_size(section: DataSection) -> None:
    if section.size < 1:
        raise ConfigError(f"data.size is {section.size}: set it to 1 or more.")


def _too_many(section: DataSection, what: str, most: int, key: str) -> ConfigError:
    return ConfigError(
        f"data.size is {section.size}, but {section.source} with {what} gives at most {most} "
        f"{section.split} rows: set "
        f"data.size={most} or raise {key}."
    )
