"""A tree's one form: plus-or-minus as two values, a set of one as its element, factors moved into vectors."""

from collections.abc import Callable

from rewards.maths.tree import Node, rebuild, walk

_INVERTED = {"][": "()", "]]": "(]", "[[": "[)"}
_WHOLE = ("list", "set", "tuple", "rel", "unit", "union", "inter", "minus")


def plain(node: Node) -> Node:
    """Return the same in the form that is compared."""
    if node.op == "tuple" and node.args[0] in _INVERTED:
        node = Node("tuple", (_INVERTED[node.args[0]], *node.args[1:]))
    if node.op == "deg":
        return Node("unit", (node.args[0], "°"))
    if node.op == "neg" and node.args[0].op in ("deg", "unit", "pct"):
        inner = plain(node.args[0])
        return Node(inner.op, (Node("neg", (inner.args[0],)), *inner.args[1:]))
    if node.op == "set" and len(node.args) == 1 and node.args[0].op != "empty":
        return plain(node.args[0])
    if node.op == "rel" and node.args[-1].op == "unit" and node.args[0] == ("=",):
        value = node.args[-1]
        return Node("unit", (Node("rel", (*node.args[:-1], value.args[0])), value.args[1]))
    if node.op == "rel" and len(node.args) == 3:
        node = _without_bars(node)
    if node.op in ("list", "set"):
        return _flat(node)
    if node.op not in _WHOLE and any(part.op in ("pm", "mp") for part in walk(node)):
        return Node("list", ("or", chosen(node, 1), chosen(node, -1)))
    if node.op == "rel" and any(part.op in ("pm", "mp") for part in walk(node)) and node.args[0] == ("=",):
        return Node("list", ("or", chosen(node, 1), chosen(node, -1)))
    if (
        node.op == "add"
        and len(node.args) == 2
        and node.args[1].op == "neg"
        and node.args[1].args[0].op in ("set", "tuple")
    ):
        return Node("minus", (node.args[0], node.args[1].args[0])) if node.args[0].op == "numbers" else node
    return _scaled(node)


def _without_bars(node: Node) -> Node:
    """Return |x| < a as -a < x < a, and |x| > a as x < -a or x > a."""
    operators, size, end = node.args
    if size.op != "abs" or size.args[0].op != "sym" or operators[0] not in ("<", "<=", ">", ">="):
        return node
    variable, operator, negative = size.args[0], operators[0], Node("neg", (end,))
    if operator[0] == "<":
        return Node("rel", ((operator, operator), negative, variable, end))
    turned = "<" + operator[1:]
    return Node("list", ("or", Node("rel", ((turned,), variable, negative)), Node("rel", (operators, variable, end))))


def chosen(node: Node, sign: int) -> Node:
    """Return the tree with the upper (1) or the lower (-1) of its double signs."""
    if node.op in ("pm", "mp"):
        inner = chosen(node.args[0], sign)
        return inner if (node.op == "pm") == (sign > 0) else Node("neg", (inner,))
    return rebuild(node, lambda part: chosen(part, sign))


def _flat(node: Node) -> Node:
    items = list[Node]()
    for item in _without_conditions(node.nodes):
        item = plain(item)
        double = item.op == "list" and item.args[0] == "or"
        items.extend(item.nodes if double else (item,))
    if len(items) == 1 and items[0].op != "empty":
        return items[0]
    return Node("set", tuple(items)) if node.op == "set" else Node("list", (node.args[0], *items))


def _without_conditions(items: tuple[Node, ...]) -> tuple[Node, ...]:
    """Leave out `k is whole` beside what it is said of."""
    kept = tuple(item for item in items if not _says_whole(item))
    return kept or items


def _says_whole(item: Node) -> bool:
    return item.op == "rel" and len(item.args) == 3 and item.args[1].op == "sym" and item.args[2].op == "numbers"


def _scaled(node: Node) -> Node:
    """Move a factor, divisor or sign into a matrix or vector."""
    if node.op == "neg" and node.args[0].op in ("matrix", "tuple"):
        return _each(node.args[0], lambda entry: Node("neg", (entry,)))
    if node.op == "div" and node.args[0].op == "matrix":
        return _each(node.args[0], lambda entry: Node("div", (entry, node.args[1])))
    if node.op == "mul":
        arrays = [part for part in node.args if part.op in ("matrix", "tuple")]
        if len(arrays) == 1:
            scalars = tuple(part for part in node.args if part is not arrays[0])
            return _each(arrays[0], lambda entry: Node("mul", (*scalars, entry)))
    return node


def _each(array: Node, change: Callable[[Node], Node]) -> Node:
    if array.op == "matrix":
        return Node("matrix", tuple(rebuild(row, change) for row in array.args))
    return Node("tuple", (array.args[0], *map(change, array.nodes)))


def vector(node: Node) -> Node | None:
    """Return a column, row or tuple as a vector, a tuple of tuples as a matrix, and None for all else."""
    if node.op == "tuple":
        rows = node.nodes
        if rows and all(row.op == "tuple" for row in rows):
            return Node("matrix", tuple(Node("tuple", ("<>", *row.nodes)) for row in rows))
        return Node("tuple", ("<>", *rows))
    if node.op != "matrix":
        return None
    if all(len(row.args) == 1 for row in node.args):
        return Node("tuple", ("<>", *(row.args[0] for row in node.args)))
    if len(node.args) == 1:
        return Node("tuple", ("<>", *node.args[0].args))
    return Node("matrix", tuple(Node("tuple", ("<>", *row.args)) for row in node.args))
