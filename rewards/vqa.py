"""Short answers about pictures, compared as VQA compares them.

Source: VQA (arXiv:1505.00468), section 3.4: an answer is as right as a third of the people who gave it, at most wholly,
averaged over all ways to leave one person out; before, case, punctuation, articles and words of numbers are evened out.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from rewards.extract import answer_part
from rewards.registry import reward

AGREE = 3
"""People who must have said it for an answer to be wholly right."""
ARTICLES = {"a", "an", "the"}
NUMBERS = {"none": "0"} | {
    word: str(number)
    for number, word in enumerate("zero one two three four five six seven eight nine ten".split())  # noqa: SIM905
}
CONTRACTED = """
    ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's i'm
    i've isn't it'd it'll let's might've mightn't must've mustn't needn't shan't she's should've shouldn't somebody's
    someone's something's that's there's they'd they'll they're they've wasn't we've weren't what'll what's what've
    when's where'd where's who'd who'll who's why's won't would've wouldn't y'all you'd you'll you're you've
"""
APOSTROPHES = {word.replace("'", ""): word for word in CONTRACTED.split()}
"""Words without their apostrophe; those that are words of their own, such as `well`, are left out."""
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[,](?=\d)")
_LONE_STOP = re.compile(r"\.(?!\d)")
_OTHER = re.compile(r"""[;/\[\]"{}()=+\\_\-><@`?!,:]""")


@reward("vqa", tasks=("text", "understand"))
def vqa(response: str, answer: str, consensus: Sequence[str] | None = None) -> float:
    """Return how right a short answer is, from 0 to 1.

    Args:
        answer: the right one, where there is one.
        consensus: a column: what several people answered.
    """
    part = answer_part(response)
    if part is None:
        return 0.0
    said = evened(part)
    if consensus is None:
        return float(said == evened(answer))
    return agreement(said, [evened(one) for one in consensus])


def agreement(said: str, people: Sequence[str]) -> float:
    """Return the mean, over all ways to leave one person out, of a third of those who agree, at most 1."""
    agree = sum(one == said for one in people)
    without = [min(1.0, (agree - (one == said)) / AGREE) for one in people]
    return sum(without) / len(without)


@lru_cache(maxsize=1 << 14)
def evened(text: str) -> str:
    """Return a short answer in lower case, without punctuation and articles, numbers up to ten as digits.

    One of articles alone, such as the letter on a sign, stays: it would be what every empty answer is.
    """
    text = " ".join(text.lower().split())
    words = _OTHER.sub(" ", _LONE_STOP.sub("", _BETWEEN_DIGITS.sub("", text))).split()
    told = [word for word in words if word not in ARTICLES] or words
    return " ".join(NUMBERS.get(word, APOSTROPHES.get(word, word)) for word in told)
