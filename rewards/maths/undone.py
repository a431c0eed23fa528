r"""What an answer left undone: sums, limits and the like, and arithmetic among plain numbers."""

from rewards.maths.exact import exact
from rewards.maths.tree import Node, UnreadableError, symbols, walk

_ALWAYS = frozenset(("sum", "prod", "sum*", "prod*", "int", "lim", "det"))
_OF_CONSTANTS = frozenset(("gcd", "lcm", "max", "min", "floor", "ceil", "sgn", "Re", "Im", "arg", "tr"))
_EASY = 1_000_000
"""A product of powers below this is expected to be worked out."""
_SMALL = 100
"""A power up to this counts as a plain number."""


def operations(node: Node) -> set[str]:
    """Return the operations that stand for a calculation: sums and limits, and of constants |x|, gcd, max, floor."""
    found = set[str]()
    for part in walk(node):
        kind = part.args[0] if part.op == "call" else part.op
        if part.op in _ALWAYS or ((kind in _OF_CONSTANTS or kind == "abs") and not symbols(part)):
            found.add(kind.rstrip("*"))
    return found


def arithmetic(node: Node) -> bool:
    """Whether plain numbers are left to be added, multiplied or divided anywhere in the tree."""
    return any(_left(part) for part in walk(node))


def _left(node: Node) -> bool:
    if node.op == "add":
        return sum(_plain(term) for term in node.args) > 1
    if node.op == "mul":
        return _factors_left(node.args)
    if node.op == "quot":
        return all(map(_plain, node.args))
    if node.op == "div":
        return any(part.op in ("div", "mixed") and _plain(part) for part in node.args) and all(map(_plain, node.args))
    return node.op == "neg" and node.args[0].op == "neg" and _plain(node)


def _factors_left(factors: tuple[Node, ...]) -> bool:
    plain = [factor for factor in factors if _plain(factor) and not _power_of_ten(factor)]
    if len(plain) > 1:
        return True
    powers = [factor for factor in factors if factor.op == "pow" and not _power_of_ten(factor) and _rational(factor)]
    if len(powers) + len([factor for factor in plain if factor not in powers]) < 2:
        return False
    value = exact(Node("mul", (*powers, *plain)))
    return value is not None and value.denominator == 1 and abs(value) < _EASY


def _plain(node: Node) -> bool:
    if node.op == "num":
        return True
    if node.op in ("neg", "pm", "mp", "pct", "deg", "mixed", "div", "quot", "add", "mul"):
        return all(map(_plain, node.nodes))
    if node.op in ("pow", "root"):
        value = _rational(node)
        return value is not None and abs(value) <= _SMALL
    return False


def _rational(node: Node):
    try:
        return exact(node)
    except UnreadableError:
        return None


def _power_of_ten(node: Node) -> bool:
    if node.op != "pow" or node.args[0].op != "num" or node.args[0].args[0] != 10:
        return False
    raised = node.args[1].args[0] if node.args[1].op == "neg" else node.args[1]
    return raised.op == "num"
