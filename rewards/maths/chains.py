r"""What an equation says: `x = 5` a value and its label, `2+2 = 4` a value, `x^2+y^2 = 1` itself, `3 = 4` nothing."""

from itertools import pairwise

from rewards.maths import undone
from rewards.maths.options import Options
from rewards.maths.scalars import bases, decimal_digits, infinite, near, ratio_of, same, same_function
from rewards.maths.tree import Node, UnreadableError, rebuild, symbols, walk

_STRICT = Options()
_SHAPES = frozenset(
    ("list", "set", "tuple", "matrix", "union", "inter", "minus", "numbers", "builder", "empty", "rel", "ratio")
)


def reduced(node: Node, approximate: bool = False) -> Node:
    r"""Return the tree with each chain of equalities as one value, with its label if it has one.

    Args:
        approximate: whether `\sqrt2 \approx 1.414` says 1.414 rather than the root.

    Raises:
        UnreadableError: a chain contradicts itself.
    """
    if node.op == "rel":
        if set(node.args[0]) <= {"=", "~"}:
            return _chain(node, approximate)
        if node.args[0] == ("in",):
            return Node("rel", (("=",), node.args[1], reduced(node.args[2])))
        return node
    if node.op in ("list", "set", "tuple", "unit", "mod"):
        return rebuild(node, lambda part: reduced(part, approximate))
    return node


def _chain(node: Node, approximate: bool) -> Node:
    operators, sides = node.args[0], list(node.args[1:])
    if len(sides) == 2 and not is_name(sides[0]) and is_name(sides[1], strict=True) and _constant(sides[0]):
        sides.reverse()
    label = sides[0] if is_name(sides[0]) else None
    rest = sides[1:] if label else sides
    constants = [side for side in rest if _constant(side)]
    _consistent(constants, "~" in operators)
    if label and not (len(rest) == 1 or constants or _identical(rest)):
        raise UnreadableError("a chain of different sides")
    if not label and constants != rest and not _identical(rest):
        if len(sides) > 2 or "~" in operators:
            raise UnreadableError("a chain of different sides")
        return Node("rel", (("=",), *sides))
    value = _best(constants or rest, approximate and "~" in operators)
    return Node("rel", (("=",), label, value)) if label else value


def _constant(node: Node) -> bool:
    return not symbols(node) and not any(part.op in ("call", "numbers") and _opaque(part) for part in walk(node))


def _opaque(node: Node) -> bool:
    return (
        node.op == "call"
        and node.args[0][0] in "fghFGHPE"
        and node.args[0].split("_")[0].rstrip("'^-1") in tuple("fghFGHPE")
    )


def _consistent(constants: list[Node], approximately: bool) -> None:
    for left, right in pairwise(constants):
        if not _scalar(left) or not _scalar(right):
            agree = left == right
        else:
            agree = same(left, right, _STRICT) or (approximately and near(left, right))
        if not agree:
            raise UnreadableError("an equation that is false")


def _scalar(node: Node) -> bool:
    return node.op not in _SHAPES and node.op != "unit" and not infinite(node)


def _identical(sides: list[Node]) -> bool:
    if not all(map(_scalar, sides)):
        return False
    names = set[str]().union(*map(symbols, sides))
    return all(
        any(same_function(left, right, names, log) for log in bases(left, right)) for left, right in pairwise(sides)
    )


def _best(sides: list[Node], approximate: bool) -> Node:
    if approximate:
        return sides[-1]
    exact_sides = [side for side in sides if not decimal_digits(side)] or sides
    done = [side for side in exact_sides if not undone.arithmetic(side) and not undone.operations(side)]
    return (done or exact_sides)[-1]


def is_name(node: Node, strict: bool = False) -> bool:
    r"""Whether the left side of an equation names what the right is worth: x, f(2), AB, |z|, (x, y), \cos\theta, a+b.

    Args:
        strict: not what may as well be an equation to be solved, such as a+b.
    """
    if node.op in ("sym", "based") or _opaque(node):
        return True
    if node.op == "mul" and all(part.op == "sym" and part.args[0].isupper() for part in node.args):
        return True
    if node.op == "div" and all(side.op in ("mul", "sym") and "d" in _spelled(side)[:1] for side in node.args):
        return True
    if node.op == "tuple":
        return all(is_name(part, strict) for part in node.nodes)
    names = symbols(node)
    if node.op == "call":
        return bool(names) and not _numbers(node)
    if strict or not names or node.op in _SHAPES:
        return False
    if node.op == "abs":
        return not _numbers(node)
    return len(names) > 1 and not _numbers(node)


def _numbers(node: Node) -> bool:
    """Whether a number stands anywhere but in an exponent."""
    if node.op == "num":
        return True
    return any(map(_numbers, node.nodes[:1] if node.op in ("pow", "root") else node.nodes))


def label_of(node: Node) -> tuple[Node, Node] | None:
    """Return the label and the value of an equation that has one."""
    if node.op == "rel" and node.args[0] == ("=",) and is_name(node.args[1]):
        return node.args[1], node.args[2]
    return None


def same_label(left: Node, right: Node) -> bool:
    """Whether two labels may name one thing: the same, in another case, or y and f(x)."""
    if left == right:
        return True
    if is_name(left, strict=True) and is_name(right, strict=True) and _spelled(left) == _spelled(right):
        return True
    outputs = [node.op == "call" or node == Node("sym", ("y",)) for node in (left, right)]
    return all(outputs) and any(node.op == "call" for node in (left, right))


def _spelled(node: Node) -> str:
    return "".join(str(part.args[0]).lower() for part in walk(node) if part.op in ("sym", "const", "call"))


def equations_agree(answer: Node, gold: Node) -> bool | None:
    """Whether two equations or inequalities are each other's multiples; None when other tools have to say."""
    names = symbols(answer) | symbols(gold)
    if symbols(answer) != symbols(gold) or not names or len(names) > 8:
        return False
    ratio = ratio_of(_difference(answer), _difference(gold), names)
    if not ratio:
        return None if answer.args[0] == ("=",) else False
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    operator = answer.args[0][0] if ratio > 0 else turned.get(answer.args[0][0], answer.args[0][0])
    return operator == gold.args[0][0]


def _difference(node: Node) -> Node:
    return Node("add", (node.args[1], Node("neg", (node.args[2],))))
