r"""The tree that an answer is read into. No arithmetic is done in it, so that what was written can still be seen.

Numbers and expressions
    num value digits    an exact Fraction; digits are the significant ones of a decimal, None for an integer
    sym name, const name (pi, e, i, oo), neg x, add x.., mul x.., div x y, quot x y (written with a division sign)
    pow x y, root x n, call name x.., fact x, binom n k, abs x, pct x, deg x, mixed n fraction, pm x, mp x (also in add)
    sum / prod body variable low high, and int, lim, deriv, det: operations that were left undone
Shapes
    list joiner x.., set x.., tuple brackets x.., matrix row.., row x.., ratio x.., based digits base, dots, empty,
    numbers name (R, Z, ..), union / inter / minus x y, rel operators x.., mod x n, builder x condition, unit x name
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple


class Node(NamedTuple):
    """One operation and what it applies to."""

    op: str
    args: tuple[Any, ...] = ()

    @property
    def nodes(self) -> tuple["Node", ...]:
        """The arguments that are trees themselves."""
        return tuple(arg for arg in self.args if isinstance(arg, Node))


class UnreadableError(ValueError):
    """The text is not an answer of a known shape, or one that is too large to look at."""


class ForeignError(UnreadableError):
    """The text is beyond this reader, and may not be beyond another."""


def number(value: int | Fraction, digits: int | None = None) -> Node:
    """Return the leaf of an exact number."""
    return Node("num", (Fraction(value), digits))


def walk(node: Node) -> Iterator[Node]:
    """Yield a tree's nodes, the root first."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.nodes))


def symbols(node: Node) -> set[str]:
    """Return the names of the variables of a tree, without those bound by a sum or product."""
    names = {leaf.args[0] for leaf in walk(node) if leaf.op == "sym"}
    return names - {bound.args[1] for bound in walk(node) if bound.op in ("sum", "prod")}


def rebuild(node: Node, change: Any) -> Node:
    """Return the node with `change` applied to each argument that is a tree."""
    return Node(node.op, tuple(change(arg) if isinstance(arg, Node) else arg for arg in node.args))
