r"""Reading an answer's tokens into a tree; what begins with a name or backslash is read by `macros.py`.

The loosest first: list (`,` `;` and or), item (currency, unit), relation, sets, sums, products, powers, atoms.
"""

from fractions import Fraction

from rewards.maths import macros
from rewards.maths.cursor import CURRENCY, END, RELATIONS, Cursor
from rewards.maths.tokens import SCALES, tokens
from rewards.maths.tree import Node, UnreadableError, number

DEPTH = 40
"""Nesting of an answer; deeper is no answer."""

_CLOSING = {"(": ")]", "[": "])[", "{": "}", r"\{": (r"\}",), r"\langle": (r"\rangle",), "]": "[]"}
_SETS = {r"\cup": "union", r"\cap": "inter", r"\setminus": "minus"}


def parse(text: str, *, grouped: bool = False, tight: bool = False) -> Node:
    """Read a text.

    Args:
        grouped: whether the comma of 70,110 is one of thousands.
        tight: whether 1/2x is 1/(2x).

    Raises:
        UnreadableError: it is not an answer of a known shape.
    """
    parser = Parser(tokens(text, grouped), tight)
    found = parser.listing()
    if parser.now is not END:
        raise UnreadableError(f"cannot read from {parser.now.text!a}")
    return found


class Parser(Cursor):
    """A recursive-descent parser; each method reads one level of the grammar."""

    def listing(self) -> Node:
        """Items between commas or words; a single one is itself."""
        self.depth += 1
        if self.depth > DEPTH:
            raise UnreadableError("nested too deep")
        items, joiner = [self.item()], ""
        while (token := self.take(",", ";", "and", "or")) is not None:
            joiner = token.text if token.text in ("and", "or") else joiner or ","
            if token.text in (",", ";") and (word := self.take("and", "or")):
                joiner = word.text
            items.append(self.item())
        self.depth -= 1
        return items[0] if len(items) == 1 else Node("list", (joiner, *items))

    def item(self) -> Node:
        """A relation with its currency or unit."""
        if self.take(r"\ldots"):
            return Node("dots")
        sign = self.now.text == "-" and self.tokens[self.at + 1].text in CURRENCY and self.take("-")
        currency = self.next().text if self.now.text in CURRENCY else ""
        value = self.relation()
        if self.take(r"\bmod"):
            value = Node("mod", (value, self.additive()))
        name = self.unit() or currency
        if name:
            value = Node("unit", (value, name))
        return Node("neg", (value,)) if sign else value

    def relation(self) -> Node:
        """Sides between `=`, `<` and the like."""
        sides, operators = [self.sets()], list[str]()
        while self.now.text in RELATIONS and self.now.kind in ("sign", "macro"):
            operators.append(RELATIONS[self.next().text])
            self.take("=")
            sides.append(self._side())
        return Node("rel", (tuple(operators), *sides)) if operators else sides[0]

    def _side(self) -> Node:
        currency = self.next().text if self.now.text in CURRENCY else ""
        side = self.sets()
        return Node("unit", (side, currency)) if currency else side

    def sets(self) -> Node:
        """Unions, intersections and differences of sets, and ratios."""
        left = self.additive()
        while (token := self.take(*_SETS, *(() if self.braces else (":",)))) is not None or self.word("to"):
            if token is None or token.text == ":":
                right = self.additive()
                left = Node("ratio", (*left.args, right) if left.op == "ratio" else (left, right))
            else:
                left = Node(_SETS[token.text], (left, self.additive()))
        return left

    def additive(self) -> Node:
        """Terms between plus and minus."""
        terms = [self.signed()]
        while (token := self.take("+", "-", r"\pm", r"\mp")) is not None:
            term = self.term()
            kinds = {"+": lambda x: x, "-": lambda x: Node("neg", (x,)), r"\pm": lambda x: Node("pm", (x,))}
            terms.append(kinds.get(token.text, lambda x: Node("mp", (x,)))(term))
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def signed(self) -> Node:
        """A term after its sign."""
        token = self.take("+", "-", r"\pm", r"\mp")
        if token is None:
            return self.term()
        self.depth += 1
        if self.depth > DEPTH:
            raise UnreadableError("too many signs")
        inner = self.signed()
        self.depth -= 1
        if token.text == "+":
            return inner
        return Node({"-": "neg", r"\pm": "pm", r"\mp": "mp"}[token.text], (inner,))

    def term(self) -> Node:
        """Factors between signs of multiplication and division."""
        left = self.run()
        while (token := self.take("*", r"\cdot", r"\times", "/", "÷")) is not None:
            if token.text in ("/", "÷"):
                right = self.run() if self.tight else self.factor()
                left = Node("div" if token.text == "/" else "quot", (left, right))
                if self.starts_factor():
                    left = product(left, self.run())
            else:
                left = product(left, self.signed_factor())
        return left

    def signed_factor(self) -> Node:
        """What comes after a sign of multiplication: it may have a sign itself."""
        return Node("neg", (self.run(),)) if self.take("-") else self.run()

    def run(self) -> Node:
        """Factors beside each other."""
        left = self.factor()
        while self.starts_factor():
            before = self.tokens[self.at - 1]
            if self.now.kind == "number" and (before.kind == "number" or left.op == "num"):
                raise UnreadableError("two numbers beside each other")
            right = self.factor()
            left = mixed(left, right) if before.kind == "number" else product(left, right)
        return left

    def starts_factor(self) -> bool:
        """Whether another factor follows without a sign."""
        token = self.now
        if token.kind in ("number", "mixed", "scale", "name", "function", "word"):
            return not self.starts_unit()
        if token.text == "[":
            return not self.square
        if token.text in ("(", "{", r"\{", r"\langle", r"\lfloor", r"\lceil"):
            return True
        if token.text in ("|", r"\|"):
            return not self.bars
        if token.kind == "environment":
            return token.text.startswith(r"\begin")
        return token.kind == "macro" and token.text in macros.STARTS

    def factor(self) -> Node:
        """An atom with its powers, factorials, primes, percent and degree signs."""
        found = self.atom()
        while True:
            if self.take("^"):
                found = macros.power(found, self.exponent())
            elif self.take("!"):
                found = Node("fact", (found,))
            elif self.take("%") or self.word("percent", "percentage", "pct"):
                found = Node("pct", (found,))
            elif self.now.text == r"\deg":
                found = macros.degrees(self, found)
            elif self.take("_"):
                found = macros.subscript(found, self.raw())
            elif found.op in ("sym", "call") and self.take("'"):
                found = Node("sym", (found.args[0] + "'",))
            elif self.now.kind == "scale" and found.op == "num":
                found = Node("mul", (found, Node("pow", (number(10), number(SCALES[self.next().text])))))
            else:
                return found

    def exponent(self) -> Node:
        """What is raised: a group, a sign and atom, or a whole number."""
        if self.take("-"):
            return Node("neg", (self.exponent(),))
        self.take("+")
        if self.take("*", r"\prime"):
            raise UnreadableError("a star as an exponent")
        if self.now.kind == "function":
            raise UnreadableError("a function as an exponent")
        inner = self.atom()
        if self.take("!"):
            return Node("fact", (inner,))
        if inner.op in ("set", "list", "tuple"):
            raise UnreadableError("a list as an exponent")
        return macros.power(inner, self.exponent()) if self.take("^") else inner

    def raw(self) -> str:
        """A subscript as it is written."""
        if not self.take("{"):
            return self.next().text
        pieces = list[str]()
        while not self.take("}"):
            if len(pieces) > 12:
                raise UnreadableError("long subscript")
            pieces.append(self.next().text)
        return "".join(pieces)

    def argument(self) -> Node:
        r"""What a macro applies to: a group, or a single character as in \frac12."""
        if self.now.text == "(":
            return self.group()
        if self.now.kind == "number" and len(self.now.text) > 1 and self.now.text.isdigit():
            token = self.now
            self.tokens[self.at] = token._replace(
                text=token.text[1:], value=Fraction(int(token.text[1:])), spaced=False
            )
            return number(int(token.text[0]))
        return self.atom()

    def atom(self) -> Node:
        """A number, name, function, group or macro."""
        token = self.now
        if token.kind == "number":
            self.at += 1
            return Node("num", (token.value, token.digits))
        if token.kind == "mixed":
            self.at += 1
            whole, over, under = (number(int(part)) for part in token.text.split())
            return Node("mixed", (whole, Node("div", (over, under))))
        if token.kind == "name":
            self.at += 1
            return macros.name(self, token.text)
        if token.kind == "function":
            return macros.call(self)
        if token.text in _CLOSING:
            return self.group()
        if token.kind == "environment" or token.kind == "macro" or token.text in ("|", r"\|"):
            return macros.macro(self)
        raise UnreadableError(f"cannot read {token.text!a}")

    def group(self) -> Node:
        """Brackets and what they hold: one thing in round brackets or braces is itself."""
        opening = self.next().text
        outside = self.bars, self.square, self.braces
        self.bars, self.square, self.braces = int(opening == r"\{"), opening in "[]", opening == r"\{"
        if opening in (r"\{", "{") and self.take("}", r"\}"):
            self.bars, self.square, self.braces = outside
            return Node("empty")
        inner = self.listing()
        if opening == r"\{" and self.take("|", r"\|", ":"):
            inner = Node("builder", (inner, self.listing()))
        closing = self.need(*_CLOSING[opening]).text
        self.bars, self.square, self.braces = outside
        items = inner.args[1:] if inner.op == "list" else (inner,)
        if inner.op == "builder":
            return inner
        if opening == r"\{" or (opening == "{" and len(items) > 1):
            return Node("set", items)
        if len(items) == 1 and opening != r"\langle":
            return inner
        return Node("tuple", (opening[-1] + closing[-1] if opening != r"\langle" else "<>", *items))


def product(left: Node, right: Node) -> Node:
    """Return a product, flat."""
    parts = [*(left.args if left.op == "mul" else (left,)), *(right.args if right.op == "mul" else (right,))]
    return Node("mul", tuple(parts))


def mixed(left: Node, right: Node) -> Node:
    """Return 2 1/2 for a number beside a proper fraction of numbers, and a product for all else."""
    if right.op in ("pct", "deg"):
        inner = mixed(left, right.args[0])
        return Node(right.op, (inner,)) if inner.op == "mixed" else product(left, right)
    fraction = right.op == "div" and all(part.op == "num" and part.args[1] is None for part in right.nodes)
    if fraction and left.op == "num" and left.args[1] is None and right.args[0].args[0] < right.args[1].args[0]:
        return Node("mixed", (left, right))
    return product(left, right)
