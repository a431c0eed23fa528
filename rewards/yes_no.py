"""Questions that are answered by yes or no."""

import re

from rewards.extract import answer_part
from rewards.registry import reward
from rewards.score import Score
from unigrpo.errors import DataError

_WORD = re.compile(r"\b(yes|no|not)\b", re.I)


@reward("yes_no", tasks=("text", "understand"))
def yes_no(response: str, answer: str) -> Score:
    """Return 1 when the answer part says what the answer says, by its first `yes`, `no` or `not`, else 0.

    An answer part with none of them is wrong. The part `yes` is 1 where it says yes.
    """
    wanted = answer.strip().lower()
    if wanted not in ("yes", "no"):
        raise DataError(f"yes_no: the answer is {answer!r:.60}, but must be yes or no: correct the data.")
    found = _WORD.search(answer_part(response) or "")
    said = None if found is None else found[1].lower() == "yes"
    return Score(float(said is not None and said == (wanted == "yes")), {"yes": float(bool(said))})
