r"""What the parser does at a name, a function or a LaTeX macro such as \frac, \sqrt, \begin{pmatrix} or \sum."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from rewards.maths.tree import ForeignError, Node, UnreadableError, number

if TYPE_CHECKING:
    from rewards.maths.grammar import Parser

_CONSTANTS = {"e": "e", "i": "i"}
_NUMBERS = {r"\reals": "R", r"\integers": "Z", r"\naturals": "N", r"\rationals": "Q", r"\complexes": "C"}
_MATRICES = ("matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "psmallmatrix", "bsmallmatrix", "array")
_INVERSES = {name: "arc" + name for name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")}
_ALIASES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "arsinh": "arcsinh", "arcosh": "arccosh", "artanh": "arctanh",
    "sign": "sgn", "ceiling": "ceil", "Gamma": "gamma",
}  # fmt: skip
_LISTS = ("gcd", "lcm", "max", "min")
Macro = Callable[["Parser"], Node]


def name(parser: Parser, text: str) -> Node:
    """A variable, a constant, or a function such as f(x) or P(A)."""
    if text in _CONSTANTS:
        return Node("const", (text,))
    if text in "PE" and parser.now.text == "(":
        return Node("call", (text, Node("sym", (_until_closed(parser),))))
    if text in "fghFGH":
        text = _marks(parser, text)
        if parser.now.text == "(" and (len(text) > 1 or not parser.now.spaced):
            inner = parser.group()
            return Node("call", (text, *(inner.args[1:] if inner.op == "tuple" else (inner,))))
    return Node("sym", (text,))


def _until_closed(parser: Parser) -> str:
    """An event such as the (A | B) of P(A | B), as it is written."""
    pieces, depth = list[str](), 0
    while True:
        token = parser.next().text
        depth += (token == "(") - (token == ")")
        pieces.append(token)
        if not depth:
            return "".join(pieces)


def _marks(parser: Parser, text: str) -> str:
    """The name of a function with its primes, or of its inverse."""
    while parser.take("'"):
        text += "'"
    written = [token.text for token in parser.tokens[parser.at : parser.at + 5]]
    if written[:1] == ["^"] and written[1:] == ["{", "-", "1", "}"]:
        parser.at += 5
        text += "^-1"
    return text


def call(parser: Parser) -> Node:
    """A named function with its power, base and argument."""
    function = _ALIASES.get(parser.now.text, parser.next().text)
    raised = base = None
    while parser.now.text in ("^", "_"):
        if parser.next().text == "^":
            raised = parser.exponent()
        elif function == "log":
            base = parser.argument()
        else:
            raise UnreadableError("a subscript of a function")
    if raised == Node("neg", (number(1),)) and function in _INVERSES:
        function, raised = _INVERSES[function], None
    inner = _applied_to(parser)
    if function in _LISTS:
        arguments = inner.nodes if inner.op in ("tuple", "set") else (inner,)
        found = Node("call", (function, *arguments))
    else:
        found = _one_argument(function, inner, base)
    return power(found, raised) if raised else found


def _one_argument(function: str, inner: Node, base: Node | None) -> Node:
    if function == "cbrt":
        return Node("root", (inner, number(3)))
    if function == "abs":
        return Node("abs", (inner,))
    if function in ("det", "tr"):
        return Node("det", (inner,))
    if function == "exp":
        return Node("pow", (Node("const", ("e",)), inner))
    if function == "lg":
        base = number(10)
    if function == "log" and base == Node("const", ("e",)):
        return Node("call", ("ln", inner))
    return Node("call", ("log" if base else function, inner, *([base] if base else [])))


def _applied_to(parser: Parser) -> Node:
    if parser.now.text in ("(", "[", "{", r"\{"):
        return parser.group()
    sign = parser.take("-")
    found = parser.factor()
    while parser.starts_factor() and parser.now.kind != "function" and parser.now.text not in ("(", "["):
        found = Node("mul", (*(found.args if found.op == "mul" else (found,)), parser.factor()))
    return Node("neg", (found,)) if sign else found


def power(base: Node, raised: Node) -> Node:
    """A power; of a matrix, its transpose."""
    if base.op == "matrix" and raised.op == "sym" and raised.args[0] in ("T", "t"):
        width = {len(row.args) for row in base.args}
        if len(width) == 1:
            return Node(
                "matrix", tuple(Node("row", column) for column in zip(*(row.args for row in base.args), strict=True))
            )
    if base.op == "tuple" and raised.op == "sym" and raised.args[0] in ("T", "t"):
        return Node("tuple", ("<>", *base.args[1:]))
    return Node("pow", (base, raised))


def subscript(base: Node, text: str) -> Node:
    """A variable with an index, or a number in another base."""
    if base.op == "num" and base.args[1] is None:
        digits, written = (
            base.args[0],
            {"two": "2", "three": "3", "eight": "8", "ten": "10", "sixteen": "16"}.get(text, text),
        )
        if written.isdigit() and len(written) < 3:
            return base if written == "10" else Node("based", (str(digits), int(written)))
    if base.op in ("sym", "const"):
        return Node("sym", (f"{base.args[0]}_{text}",))
    if base.op == "call":
        return Node("call", (f"{base.args[0]}_{text}", *base.args[1:]))
    raise UnreadableError("a subscript")


def degrees(parser: Parser, found: Node) -> Node:
    """A degree sign: of an angle, or of a temperature when its letter follows."""
    parser.next()
    if parser.now.text in ("C", "F") and parser.now.kind == "name":
        return Node("unit", (found, "°" + parser.next().text))
    return Node("deg", (found,))


def macro(parser: Parser) -> Node:
    """Whatever begins with a backslash or a bar."""
    token = parser.next()
    if token.kind == "environment":
        return _environment(parser, token.text)
    if token.text in _NUMBERS:
        return _numbers(parser, _NUMBERS[token.text])
    read = _MACROS.get(token.text)
    if read is None:
        raise ForeignError(f"unknown macro {token.text!a}")
    return read(parser)


def _numbers(parser: Parser, kind: str) -> Node:
    if parser.take("^"):
        sign = parser.raw()
        interval = {"+": (number(0), Node("const", ("oo",))), "-": (Node("neg", (Node("const", ("oo",)),)), number(0))}
        return (
            Node("tuple", ("()", *interval[sign]))
            if kind == "R" and sign in interval
            else Node("numbers", (kind + sign,))
        )
    return Node("numbers", (kind,))


def _fraction(parser: Parser) -> Node:
    over = parser.argument()
    return Node("div", (over, parser.argument()))


def _root(parser: Parser) -> Node:
    degree = number(2)
    if parser.take("["):
        degree = parser.additive()
        parser.need("]")
    return Node("root", (parser.argument(), degree))


def _binomial(parser: Parser) -> Node:
    above = parser.argument()
    return Node("binom", (above, parser.argument()))


def _bars(closing: tuple[str, ...], wrap: Callable[[Node], Node]) -> Macro:
    def read(parser: Parser) -> Node:
        bars, parser.bars = parser.bars, 1
        inner = parser.listing()
        parser.need(*closing)
        parser.bars = bars
        return wrap(inner)

    return read


def _bounds(parser: Parser) -> tuple[Node | None, Node | None]:
    low = high = None
    for _ in range(2):
        if parser.take("_"):
            low = parser.group() if parser.now.text == "{" else parser.argument()
        elif parser.take("^"):
            high = parser.exponent()
    return low, high


def _summation(kind: str) -> Macro:
    def read(parser: Parser) -> Node:
        low, high = _bounds(parser)
        body = parser.term()
        if low is None or high is None or low.op != "rel" or low.args[0] != ("=",):
            return Node(kind + "*", tuple(part for part in (body, low, high) if part))
        index, start = low.args[1:]
        variable = index.args[0] if index.op in ("sym", "const") else None
        if variable is None:
            raise UnreadableError("a sum without an index")
        return Node(kind, (_bind(body, variable), variable, start, high))

    return read


def _bind(body: Node, variable: str) -> Node:
    """The index i of a sum is not the imaginary unit."""
    if body == Node("const", (variable,)):
        return Node("sym", (variable,))
    return Node(body.op, tuple(_bind(arg, variable) if isinstance(arg, Node) else arg for arg in body.args))


def _undone(kind: str) -> Macro:
    def read(parser: Parser) -> Node:
        low, high = _bounds(parser)
        return Node(
            kind, tuple(part for part in (parser.additive() if kind == "int" else parser.term(), low, high) if part)
        )

    return read


def _environment(parser: Parser, text: str) -> Node:
    kind = re.sub(r"\\begin|[{}*]", "", text)
    if not text.startswith("\\begin") or kind not in (
        *_MATRICES,
        "vmatrix",
        "Vmatrix",
        "cases",
        "aligned",
        "align",
        "gathered",
    ):
        raise ForeignError(f"environment {kind!a}")
    rows, row = list[Node](), list[Node]()
    bars, parser.bars = parser.bars, 0
    while not (parser.now.kind == "environment" and parser.now.text.startswith("\\end")):
        if parser.now.text == "\\\\":
            parser.next()
            rows.append(Node("row", tuple(row)))
            row = []
        elif not (parser.now.text == "&" and parser.next()):
            row.append(parser.listing())
        if len(rows) > 12 or len(row) > 12:
            raise UnreadableError("a large matrix")
    parser.next()
    parser.bars = bars
    rows.extend([Node("row", tuple(row))] if row else [])
    return _of_rows(kind, rows)


def _of_rows(kind: str, rows: list[Node]) -> Node:
    if not rows or not all(row.args for row in rows):
        raise UnreadableError("an empty matrix")
    if kind in ("vmatrix", "Vmatrix"):
        return Node("det", (Node("matrix", tuple(rows)),))
    if kind in _MATRICES:
        return Node("matrix", tuple(rows))
    if any(len(row.args) > 1 for row in rows):
        raise UnreadableError("cases")
    items = [row.args[0] for row in rows]
    return Node("list", ("and", *items)) if len(items) > 1 else items[0]


def _marked(mark: str) -> Macro:
    """An angle, triangle, vector or line with its points; a line is as well named without its mark."""

    def read(parser: Parser) -> Node:
        found = parser.argument() if parser.now.text == "{" else parser.run()
        letters = _spell(found)
        if len(letters) > 1 and mark in _LINES:
            return found
        return Node("sym", (mark * (mark in _DISTINCT) + "".join(letters),))

    return read


def _spell(found: Node) -> list[str]:
    if found.op == "sym":
        return [found.args[0]]
    if found.op == "mul" and all(part.op in ("sym", "const") for part in found.args):
        return [part.args[0] for part in found.args]
    raise UnreadableError("a mark on an expression")


_LINES = (r"\overline", r"\overrightarrow", r"\bar")
_DISTINCT = (r"\triangle", r"\overline", r"\bar")
_UNDONE = {r"\int": "int", r"\lim": "lim"}
_MACROS: dict[str, Macro] = {
    r"\frac": _fraction,
    r"\sqrt": _root,
    r"\binom": _binomial,
    r"\pi": lambda parser: Node("const", ("pi",)),
    r"\infty": lambda parser: Node("const", ("oo",)),
    r"\imath": lambda parser: Node("const", ("i",)),
    r"\emptyset": lambda parser: Node("empty"),
    r"\ldots": lambda parser: Node("dots"),
    r"\sum": _summation("sum"),
    r"\prod": _summation("prod"),
    r"\lfloor": _bars((r"\rfloor",), lambda inner: Node("call", ("floor", inner))),
    r"\lceil": _bars((r"\rceil",), lambda inner: Node("call", ("ceil", inner))),
    "|": _bars(("|",), lambda inner: Node("abs", (inner,))),
    r"\|": _bars((r"\|",), lambda inner: Node("abs", (inner,))),
    **{mark: _marked(mark) for mark in (*_LINES, *_DISTINCT, r"\angle", r"\vec", r"\hat")},
    **{mark: _undone(kind) for mark, kind in _UNDONE.items()},
}
STARTS = frozenset({*_MACROS, *_NUMBERS} - {"|", r"\|"})
"""Macros that may begin a factor."""
