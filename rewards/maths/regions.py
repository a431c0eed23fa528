r"""Sets of real numbers, however they are written: (2, \infty), x > 2, unions, x \ne 3, R without {3}.

Two are the same when they agree at every end of either, and between each two ends.
"""

from itertools import pairwise
from typing import Any

from mpmath import mp

from rewards.maths.exact import exact
from rewards.maths.scalars import infinite
from rewards.maths.tree import Node, UnreadableError, walk
from rewards.maths.values import Scope, numeric

_INFINITY = Node("const", ("oo",))
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!="}
_ORDERS = frozenset(_TURNED)
_INTERVALS = frozenset(("()", "[)", "(]", "[]"))


def is_region(node: Node) -> bool:
    """Whether a tree can only be read as a set of real numbers."""
    if node.op in ("union", "inter", "minus", "builder"):
        return True
    if node.op == "numbers":
        return node.args[0] == "R"
    if node.op == "tuple":
        if any(end.op in ("tuple", "set", "list") for end in node.nodes):
            return False
        return (
            len(node.args) == 3
            and node.args[0] in _INTERVALS
            and (node.args[0] != "()" or any(map(infinite, node.nodes)))
        )
    if node.op == "rel":
        return set(node.args[0]) <= _ORDERS | {"in"} and node.args[0] != ()
    return node.op == "list" and all(is_region(part) for part in node.nodes)


def same_region(answer: Node, gold: Node) -> bool:
    """Whether two sets are the same.

    Raises:
        UnreadableError: one of them is no set of real numbers with constant ends.
    """
    if max(len(bound(answer)), len(bound(gold))) > 1:
        raise UnreadableError("conditions on several variables")
    answer, gold = _joined(answer), _joined(gold)
    ends = sorted({*map(_key, _ends(answer)), *map(_key, _ends(gold))})
    with mp.workdps(40):
        return all(_holds(answer, x) == _holds(gold, x) for x in _samples(ends))


def _joined(node: Node) -> Node:
    """A list without `or` means what all its parts have in common, unless that is nothing: then their union."""
    if node.op != "list" or node.args[0] == "or":
        return node
    both = Node("list", ("and", *node.args[1:]))
    with mp.workdps(40):
        empty = not any(_holds(both, x) for x in _samples(sorted(set(map(_key, _ends(both))))))
    return Node("list", ("or", *node.args[1:])) if empty else both


def _samples(ends: list[Any]) -> list[Any]:
    if not ends:
        return [mp.mpf(0)]
    between = [(left + right) / 2 for left, right in pairwise(ends)]
    return [ends[0] - 1, *ends, *between, ends[-1] + 1]


def _key(node: Node) -> Any:
    """An end as a number that is the same however it is written: rounded to 30 digits unless it is rational."""
    value = exact(node)
    with mp.workdps(50):
        if value is not None:
            return mp.mpf(mp.nstr(mp.mpf(value.numerator) / value.denominator, 30))
        found = numeric(node, Scope())
        if isinstance(found, mp.mpc) and found.imag:
            raise UnreadableError("an end that is not real")
        return mp.mpf(mp.nstr(mp.re(found), 30))


def _ends(node: Node) -> list[Node]:
    if node.op in ("union", "inter", "minus", "list"):
        return [end for part in node.nodes for end in _ends(part)]
    if node.op == "tuple" and len(node.args) == 3 and node.args[0] in _INTERVALS:
        return [end for end in node.nodes if not infinite(end)]
    if node.op == "set":
        return list(node.nodes)
    if node.op == "rel":
        return [
            side for side in node.nodes if not _is_variable(side) and not infinite(side) and not is_region(side)
        ] + [end for side in node.nodes if is_region(side) for end in _ends(side)]
    if node.op == "builder":
        return [end for part in node.nodes if not _is_variable(part) for end in _ends(part)]
    if node.op in ("numbers", "empty"):
        return []
    raise UnreadableError("no set of numbers")


def _is_variable(node: Node) -> bool:
    return node.op == "sym"


def _holds(node: Node, x: Any) -> bool:
    if node.op == "tuple":
        low, high = node.nodes
        return _order(low, x, node.args[0][0] == "[") and _order(high, x, node.args[0][1] == "]", above=True)
    if node.op == "set":
        return any(_key(part) == x for part in node.nodes)
    if node.op in ("numbers", "empty"):
        if node.op == "numbers" and node.args[0] != "R":
            raise UnreadableError("numbers that are not all real ones")
        return node.op == "numbers"
    if node.op == "rel":
        return _relation_holds(node, x)
    if node.op == "builder":
        return all(_holds(part, x) for part in node.nodes if not _is_variable(part))
    if node.op not in ("union", "inter", "minus", "list"):
        raise UnreadableError("no set of numbers")
    held = [_holds(part, x) for part in node.nodes]
    if node.op == "minus":
        return held[0] and not held[1]
    return any(held) if node.op == "union" or (node.op == "list" and node.args[0] == "or") else all(held)


def _order(end: Node, x: Any, closed: bool, above: bool = False) -> bool:
    side = infinite(end)
    if side:
        return (side > 0) == above
    value = _key(end)
    return (closed and x == value) or (x < value if above else x > value)


def _relation_holds(node: Node, x: Any) -> bool:
    for operator, left, right in zip(node.args[0], node.args[1:], node.args[2:], strict=False):
        if operator == "in" or (operator == "=" and (right.op == "set" or is_region(right))):
            if not _is_variable(left) or not _holds(right, x):
                return False
            continue
        if operator not in _TURNED and operator != "=":
            raise UnreadableError("no inequality")
        if _is_variable(left) == _is_variable(right):
            raise UnreadableError("an inequality of more than a variable and a constant")
        operator, end = (operator, right) if _is_variable(left) else (_TURNED.get(operator, "="), left)
        if not _compare(operator, x, end):
            return False
    return True


def _compare(operator: str, x: Any, end: Node) -> bool:
    if operator in ("!=", "="):
        return (x == _key(end)) == (operator == "=")
    return _order(end, x, operator.endswith("="), above=operator[0] == "<")


def as_interval(node: Node) -> Node:
    """Return x > a as (a, oo) and a < x < b as (a, b), also with ends that are no constants; all else as it is."""
    if node.op != "rel" or not set(node.args[0]) <= _ORDERS - {"!="}:
        return node
    sides, operators = list(node.args[1:]), list(node.args[0])
    if operators[0][0] == ">":
        sides, operators = sides[::-1], [_TURNED[operator] for operator in operators[::-1]]
    if any(operator[0] != "<" for operator in operators):
        return node
    if len(sides) == 2 and _is_variable(sides[0]):
        return Node("tuple", ("(" + (")]"[operators[0] == "<="]), Node("neg", (_INFINITY,)), sides[1]))
    if len(sides) == 2 and _is_variable(sides[1]):
        return Node("tuple", ("(["[operators[0] == "<="] + ")", sides[0], _INFINITY))
    if len(sides) == 3 and _is_variable(sides[1]):
        return Node("tuple", ("(["[operators[0] == "<="] + ")]"[operators[1] == "<="], sides[0], sides[2]))
    return node


def bound(node: Node) -> set[str]:
    """The variables on their own side of an order, which a region is about."""
    return {part.args[0] for rel in walk(node) if rel.op == "rel" for part in rel.nodes if _is_variable(part)}
