"""What a sentence gives as its answer: `The answer is 73.`, `so x = 5`, `He sold 4 apples.`"""

import re
from collections.abc import Iterator

_ANCHOR = re.compile(
    r"\b(answer|result|solution|value)s?\b(?:\s+(?:to|of|for)\b[^.\n:=]{0,60}?)?\s*"
    r"(?:\bis\b|\bare\b|\bwould be\b|\bequals\b|:|=)"
    r"\s*:?\s*",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:(?:so|thus|therefore|hence|then|finally|and|now|clearly|we|get|have|find|obtain|that|which|gives|it|follows|is|are|be|"
    r"must|there|this|means|conclude|as|final|our|my|the|option|choice|answer|result|value|equals|simply|just|exactly|equal|to)"
    r"\b[\s,:]*)+",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"(?<=[^\s.\d])(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)\.\s+(?=[A-Z\\$*])|(?<=\d)\.\s+(?=[A-Z\\$*])|\n+|[!?]\s+"
)
_UNSURE = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|sure|unsure|certain|confident|guess|either|or|might|could|wrong|incorrect|chance)\b"
    r"|^\s*not\b|\bis not\b|\bisn't\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|sure|unsure|certain|confident|guess|either|or|not|never|might|could|unlikely|likely|"
    r"don't|isn't|wrong|incorrect|chance|think|between|if|unless|except|cannot|can't|wasn't|aren't|nor|no)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?<![\w.,/^\\{])[-+]?\s?[$€£]?\s?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?\s*%?"
    r"(?![\w^{]|/\s*\d|[.,]\d)(?:\s+(?:hundred|thousand|million|billion|trillion|percent)\b)?"
    r"(?!\s+(?:dozen|half|halves|thirds?|fourths?|fifths?|tenths?|hundredths?|thousandths?|squared|cubed|factorial)\b"
    r"|\s+(?:times|over|out\s+of)\s+\d)"
)
_MATHS = re.compile(
    r"(?<![\\$])\$(?! )([^$\n]{1,300}?)(?<![\\ ])\$(?![$\d])|\$\$([^$]{1,300})\$\$"
    r"|\\\((.{1,300}?)\\\)|\\\[(.{1,300}?)\\\]",
    re.DOTALL,
)
_GIVES = re.compile(r"(?:\b(?:is|are|equals|get|have|obtain|find|gives|be|to)|=|:)[\s*]*$", re.IGNORECASE)
_REASON = re.compile(r"\s+\(|[,;]?\s+\b(?:because|since|as|so|where|which|when|given|after|if|from|by|for)\b")
_LABEL = re.compile(r"[A-Za-z][A-Za-z' ]{1,40}\s*[=:]\s*(.+)", re.DOTALL)


def statements(text: str) -> Iterator[str]:
    """Yield what the last sentence may give as its answer, the surest first: only the first that can be read counts."""
    if text.rstrip(" *_$").endswith("?"):
        return
    sentences = [sentence for sentence in _SENTENCE.split(text) if sentence and sentence.strip(" .*_")]
    if not sentences:
        return
    last = sentences[-1].strip()
    anchors = [
        match
        for match in _ANCHOR.finditer(text)
        if match[1].lower() == "answer" or match.start() > text.rfind(last) - 1
    ]
    if anchors:
        rest = _SENTENCE.split(text[anchors[-1].end() :].strip())
        if rest and rest[0].strip(" .*_"):
            yield rest[0]
            said = _REASON.split(rest[0])[0]
            if said != rest[0]:
                yield said
            yield from _inside(said)
            return
    if _OPENING.match(last):
        yield _OPENING.sub("", last)
    label = _LABEL.fullmatch(last)
    if label:
        yield label[1]
    yield from _inside(last)


def _inside(sentence: str) -> Iterator[str]:
    """The one formula or number of a sentence that does not hedge, or what comes after its last sign of equality."""
    equals, after = "=" in sentence, sentence.rpartition("=")[2]
    if _UNSURE.search(after) or (not equals and _HEDGE.search(sentence)):
        return
    maths = list(_MATHS.finditer(sentence))
    if maths and (len(maths) == 1 or _GIVES.search(sentence[: maths[-1].start()])):
        yield next(group for group in maths[-1].groups() if group)
    if maths:
        return
    first = _NUMBER.match(after.lstrip()) if equals else None
    found = [match[0] for match in _NUMBER.finditer(after)]
    if first or len(found) == 1:
        yield first[0] if first else found[0]
