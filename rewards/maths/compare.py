"""Whether two trees say the same: rules for equations, units, regions, lists, tuples and matrices, then scalars."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from rewards.maths.chains import equations_agree, is_name, label_of, same_label
from rewards.maths.options import Options
from rewards.maths.plain import plain, vector
from rewards.maths.regions import as_interval, bound, is_region, same_region
from rewards.maths.scalars import same
from rewards.maths.tree import Node, UnreadableError, number, symbols
from rewards.maths.units import Unit, factor, unit

_LISTS = ("list", "set")


class UnsureError(Exception):
    """Two equations are not each other's multiples; whether they have the same solutions is for a solver to say."""


def equal(answer: Node, gold: Node, options: Options) -> bool:
    """Whether an answer says what the reference says.

    Raises:
        UnreadableError: a part has no value that could be compared.
        UnsureError: a solver has to say.
    """
    if answer == gold:
        return True
    answer, gold = plain(answer), plain(gold)
    if answer == gold:
        return True
    for rule in _RULES:
        verdict = rule(answer, gold, options)
        if verdict is not None:
            return verdict
    return same(answer, gold, options)


def _percent(answer: Node, gold: Node, options: Options) -> bool | None:
    if gold.op != "pct" and answer.op != "pct":
        return None
    if gold.op != "pct":
        if gold.op == "unit":
            return False
        return equal(_hundredth(answer), gold, options) or (
            options.percent == "either" and equal(answer.args[0], gold, options)
        )
    value = gold.args[0]
    if answer.op == "pct":
        return equal(answer.args[0], value, options)
    if options.units == "require":
        return False
    return answer.op != "unit" and (equal(answer, value, options) or equal(answer, _hundredth(gold), options))


def _hundredth(percent: Node) -> Node:
    value = percent.args[0]
    if value.op == "num":
        return Node("num", (value.args[0] / 100, value.args[1]))
    return Node("div", (value, number(100)))


def _units(answer: Node, gold: Node, options: Options) -> bool | None:
    if answer.op != "unit" and gold.op != "unit":
        return None
    (a, of_a), (g, of_g) = _split(answer), _split(gold)
    if "pct" in (a.op, g.op) and options.units != "ignore":
        return False
    if options.units == "ignore" or of_a == of_g or (options.units != "require" and not (of_a and of_g)):
        return equal(a, g, options)
    if options.units == "convert" and of_a and of_g:
        return _converted(a, of_a, g, of_g, options)
    return options.units != "require" and _narrower(of_a, of_g) and equal(a, g, options)


def _split(node: Node) -> tuple[Node, Unit]:
    return (node.args[0], unit(node.args[1])) if node.op == "unit" else (node, ())


def _narrower(left: Unit, right: Unit) -> bool:
    """Whether one unit only says more, in words that measure nothing: red apples and apples."""
    more = set(left) ^ set(right)
    nested = set(left) <= set(right) or set(right) <= set(left)
    return nested and all(power == 1 and factor(((name, 1),)) == (1, ((name, 1),)) for name, power in more)


def _converted(a: Node, of_a: Unit, g: Node, of_g: Unit, options: Options) -> bool:
    factors = factor(of_a), factor(of_g)
    if factors[0] is None or factors[1] is None or factors[0][1] != factors[1][1]:
        return False
    return equal(Node("mul", (a, number(factors[0][0] / factors[1][0]))), g, options)


def _equations(answer: Node, gold: Node, options: Options) -> bool | None:
    wanted, given = label_of(gold), label_of(answer)
    answered = answer.op == "rel" and answer.args[0] == ("=",)
    if gold.op == "rel" and gold.args[0] == ("=",):
        return _against_equation(answer, gold, options, wanted, given, answered)
    if answered:
        return bool(given) and equal(given[1], gold, options)
    return None


def _against_equation(answer: Node, gold: Node, options: Options, wanted, given, answered: bool) -> bool | None:
    solved = wanted is not None and is_name(wanted[0], strict=True)
    if not answered:
        if wanted and solved and (answer.op != "rel" or is_region(answer)):
            return equal(answer, wanted[1], options)
        return False
    if given and wanted and same_label(given[0], wanted[0]) and equal(given[1], wanted[1], options):
        return True
    if wanted and solved and not symbols(wanted[1]):
        return False
    if any(side.op in (*_LISTS, "tuple", "matrix") for side in (*answer.nodes, *gold.nodes)):
        return False
    agree = equations_agree(answer, gold)
    if agree is None:
        raise UnsureError("equations")
    return agree


def _regions(answer: Node, gold: Node, options: Options) -> bool | None:
    if answer.op == gold.op == "tuple" or not (is_region(answer) or is_region(gold)):
        return None
    if answer.op == "rel" and gold.op == "rel" and bound(answer) != bound(gold):
        return False
    intervals = as_interval(answer), as_interval(gold)
    if all(part.op == "tuple" for part in intervals) and _itemwise(*intervals, options):
        return True
    if answer.op == gold.op == "union" and _in_order(answer.nodes, gold.nodes, options):
        return True
    if answer.op not in ("tuple", "union", "inter", "minus", "builder", "numbers", "rel", "list", "set", "empty"):
        return False
    try:
        return same_region(answer, gold)
    except UnreadableError:
        if answer.op == gold.op == "rel" and len(answer.args) == len(gold.args) == 3 and len(symbols(gold)) > 1:
            return bool(equations_agree(answer, gold))
        raise


def _lists(answer: Node, gold: Node, options: Options) -> bool | None:
    if gold.op not in _LISTS:
        return _against_other(answer, gold, options) if answer.op in _LISTS else None
    wanted = list(gold.nodes)
    if answer.op == "tuple":
        given = list(answer.nodes)
        loose = not options.ordered
        if not loose and (
            gold.op != "list"
            or gold.args[0] == "or"
            or _one_name(_labels(wanted) or [])
            or (answer.args[0] not in ("()", "<>") and len(given) < 3)
        ):
            return False
        return _matched(given, wanted, options) if loose else _in_order(given, _unlabelled(wanted) or wanted, options)
    if answer.op not in _LISTS:
        return False
    return _listed(list(answer.nodes), wanted, options, "set" in (answer.op, gold.op))


def _listed(given: list[Node], wanted: list[Node], options: Options, distinct: bool) -> bool:
    labels = _labels(given), _labels(wanted)
    if labels[0] and labels[1] and not _one_name(labels[0]) and not _one_name(labels[1]):
        return _matched(given, wanted, options)
    if labels[0] and labels[1] and _names(labels[0]) != _names(labels[1]):
        return False
    if any(some and not _one_name(some) for some in labels):
        return not distinct and _in_order(_values(given), _values(wanted), options)
    given, wanted = _values(given), _values(wanted)
    if any(item.op == "dots" for item in (*given, *wanted)):
        return _in_order(given, wanted, options)
    if distinct:
        given, wanted = _distinct(given, options), _distinct(wanted, options)
    return _matched(given, wanted, options)


def _against_other(answer: Node, gold: Node, options: Options) -> bool:
    """A list for what is none: a pair may be given as x = 1, y = 2, or without brackets where order is free."""
    if gold.op != "tuple":
        return False
    if not options.ordered:
        return _matched(list(answer.nodes), list(gold.nodes), options)
    given = _unlabelled(list(answer.nodes)) if answer.op == "list" else None
    return bool(given) and _in_order(given, list(gold.nodes), options)


def _labels(items: Sequence[Node]) -> list[Node] | None:
    found = [label_of(item) for item in items]
    return [pair[0] for pair in found if pair] if found and found[0] else None


def _one_name(labels: list[Node]) -> bool:
    """Whether the labels are one variable's: x and x, or x_1 and x_2."""
    return len(_names(labels)) == 1


def _names(labels: list[Node]) -> set[str]:
    return {str(label.args[0]).split("_")[0].lower() if label.op == "sym" else str(label) for label in labels}


def _values(items: Sequence[Node]) -> list[Node]:
    return [pair[1] if (pair := label_of(item)) else item for item in items]


def _unlabelled(items: list[Node]) -> list[Node] | None:
    """The values of x = 1, y = 2 when each has a label of its own, in the order of the alphabet."""
    pairs = [label_of(item) for item in items]
    found = [pair for pair in pairs if pair]
    names = [str(label.args[0]) for label, _ in found]
    if len(found) != len(items) or not all(a < b for a, b in pairwise(names)):
        return None
    return [value for _, value in found]


def _distinct(items: list[Node], options: Options) -> list[Node]:
    kept = list[Node]()
    for item in items:
        if not any(_surely(item, other, options) for other in kept):
            kept.append(item)
    return kept


def _surely(left: Node, right: Node, options: Options) -> bool:
    try:
        return equal(left, right, options)
    except (UnreadableError, UnsureError):
        return left == right


def _matched(given: list[Node], wanted: list[Node], options: Options) -> bool:
    if len(given) != len(wanted) or len(wanted) > 100:
        return False
    rest = list(given)
    for want in wanted:
        place = next((index for index, item in enumerate(rest) if _surely(item, want, options)), None)
        if place is None:
            return False
        rest.pop(place)
    return True


def _in_order(given: Sequence[Node], wanted: Sequence[Node], options: Options) -> bool:
    return len(given) == len(wanted) and all(_surely(a, g, options) for a, g in zip(given, wanted, strict=True))


def _tuples(answer: Node, gold: Node, options: Options) -> bool | None:
    if answer.op == gold.op == "matrix":
        return len(answer.args) == len(gold.args) and all(map(_rows(options), answer.args, gold.args))
    if gold.op == "matrix" or answer.op == "matrix":
        given, wanted = vector(answer), vector(gold)
        return given is not None and wanted is not None and _rows(options)(given, wanted)
    if gold.op == "tuple" and answer.op == "tuple":
        if not options.ordered:
            return _matched(list(answer.nodes), list(gold.nodes), options)
        return _itemwise(answer, gold, options)
    return False if gold.op == "tuple" or answer.op == "tuple" else None


def _rows(options: Options) -> Callable[[Node, Node], bool]:
    return lambda answer, gold: _in_order(answer.nodes, gold.nodes, options)


def _itemwise(answer: Node, gold: Node, options: Options) -> bool:
    brackets = {answer.args[0], gold.args[0]}
    if len(gold.nodes) == 2 and len(brackets) > 1 and "<>" not in brackets:
        return False
    return _in_order(answer.nodes, gold.nodes, options)


def _others(answer: Node, gold: Node, options: Options) -> bool | None:
    if answer.op == gold.op == "ratio":
        pairs = zip(pairwise(answer.args), pairwise(gold.args), strict=False)
        return len(answer.args) == len(gold.args) and all(
            equal(Node("div", a), Node("div", g), options) for a, g in pairs
        )
    for ratio, other, turned in ((answer, gold, True), (gold, answer, False)):
        if ratio.op == "ratio":
            value = Node("div", ratio.args)
            return len(ratio.args) == 2 and (equal(value, other, options) if turned else equal(other, value, options))
    if answer.op == gold.op and gold.op in ("rel", "mod"):
        return _in_order(answer.nodes, gold.nodes, options) and (gold.op == "mod" or answer.args[0] == gold.args[0])
    shapes = ("based", "dots", "empty", "numbers", "rel", "union", "inter", "minus", "builder", "unit", "mod")
    return False if answer.op in shapes or gold.op in shapes else None


_RULES = (_equations, _units, _percent, _regions, _lists, _tuples, _others)
