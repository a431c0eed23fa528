"""Where a parser is in an answer's tokens; and units, which only looking ahead can tell from variables."""

from rewards.maths.tokens import Token
from rewards.maths.tree import UnreadableError
from rewards.maths.units import KNOWN, SINGLE, STOP

CURRENCY = frozenset("$€£¥₹")
RELATIONS = {
    "=": "=", "<": "<", ">": ">", r"\le": "<=", r"\ge": ">=", r"\ne": "!=", r"\in": "in", r"\notin": "notin",
    r"\approx": "~", r"\to": "->",
}  # fmt: skip
"""Signs of relations, and what the tree calls them."""
END = Token("end", "")
_POWERS = ("squared", "cubed")
_ENDS = (",", ";", "and", "or", ")", "]", "}", r"\}", "|")


class Cursor:
    """A place in the tokens, and what surrounds it."""

    def __init__(self, found: list[Token], tight: bool):
        """Args:
        tight: whether 1/2x is 1/(2x).
        """
        self.tokens = [*found, END]
        self.at = 0
        self.tight = tight
        self.depth = 0
        self.bars = 0
        self.square = False
        self.braces = False

    @property
    def now(self) -> Token:
        """The token to read next."""
        return self.tokens[self.at]

    def next(self) -> Token:
        """Read a token."""
        token = self.tokens[self.at]
        if token is END:
            raise UnreadableError("ends too early")
        self.at += 1
        return token

    def take(self, *texts: str) -> Token | None:
        """Read a token if it is one of these signs or macros."""
        return self.next() if self.now.kind in ("sign", "macro") and self.now.text in texts else None

    def need(self, *texts: str) -> Token:
        """Read a token that must be one of these."""
        token = self.take(*texts)
        if token is None:
            raise UnreadableError(f"wanted {texts[0]!a} before {self.now.text!a}")
        return token

    def word(self, *words: str) -> bool:
        """Read a word if it is one of these."""
        if self.now.kind == "word" and self.now.text.lower() in words:
            self.at += 1
            return True
        return False

    def unit(self) -> str:
        """The name of a unit, if one comes next and nothing comes after it."""
        start, words = self.at, list[str]()
        while self._names_unit():
            words.append(self.next().text)
            if self.take("^"):
                words.append("^" + self._unit_power())
            if self.now.text in ("/", r"\cdot", "*") and self.tokens[self.at + 1].kind in ("word", "name"):
                words.append(self.next().text)
        done = self.now is END or self.now.text in (*_ENDS, *RELATIONS)
        names = sum(word.isalpha() for word in words)
        if (
            not done
            or names > 4
            or any(word.lower() in STOP for word in words)
            or (words and words[0].lower() in _POWERS)
        ):
            self.at = start
            return ""
        return " ".join(words)

    def _names_unit(self) -> bool:
        token = self.now
        return token.kind in ("word", "scale", "name") or token.text in (*CURRENCY, "¢", r"\deg")

    def _unit_power(self) -> str:
        braced = self.take("{")
        sign = "-" if self.take("-") else ""
        token = self.next()
        if token.kind != "number" or (braced and not self.take("}")):
            raise UnreadableError("the power of a unit")
        return sign + token.text

    def starts_unit(self) -> bool:
        """Whether the rest of the item is a unit rather than more factors."""
        token = self.now
        if token.kind == "word":
            return True
        if not (token.kind == "name" and token.spaced and token.text in SINGLE):
            return False
        start = self.at
        found = self.unit()
        self.at = start
        names = [word for word in found.split() if word.isalpha()]
        return bool(found) and all(name in SINGLE or name in KNOWN for name in names)
