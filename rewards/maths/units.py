"""Units: their names, and how much each is of the first of its kind."""

import re
from fractions import Fraction

_F = Fraction
_KINDS: dict[str, list[tuple[str, Fraction]]] = {
    "length": [
        ("m meter meters metre metres", _F(1)),
        ("cm centimeter centimeters centimetre centimetres", _F(1, 100)),
        ("mm millimeter millimeters millimetre millimetres", _F(1, 1000)),
        ("km kilometer kilometers kilometre kilometres kms", _F(1000)),
        ("in inch inches", _F(254, 10000)),
        ("ft foot feet", _F(3048, 10000)),
        ("yd yard yards yds", _F(9144, 10000)),
        ("mi mile miles", _F(1609344, 1000)),
        ("nm nanometer nanometers", _F(1, 10**9)),
    ],
    "mass": [
        ("kg kilogram kilograms kgs kilo kilos", _F(1)),
        ("g gram grams gm gms", _F(1, 1000)),
        ("mg milligram milligrams", _F(1, 10**6)),
        ("lb lbs pound pounds", _F(45359237, 10**8)),
        ("oz ounce ounces", _F(45359237, 16 * 10**8)),
        ("ton tons tonne tonnes", _F(1000)),
    ],
    "time": [
        ("s sec secs second seconds", _F(1)),
        ("ms millisecond milliseconds", _F(1, 1000)),
        ("min mins minute minutes", _F(60)),
        ("h hr hrs hour hours", _F(3600)),
        ("day days", _F(86400)),
        ("week weeks", _F(7 * 86400)),
        ("month months", _F(0)),
        ("year years yr yrs", _F(0)),
    ],
    "volume": [
        ("L l liter liters litre litres", _F(1)),
        ("mL ml milliliter milliliters millilitre millilitres", _F(1, 1000)),
        ("gal gallon gallons", _F(0)),
        ("cup cups", _F(0)),
        ("quart quarts qt", _F(0)),
        ("pint pints", _F(0)),
    ],
    "money": [("$ dollar dollars usd bucks", _F(100)), ("cent cents ¢", _F(1))],
    "euro": [("€ euro euros eur", _F(1))],
    "sterling": [("£ gbp", _F(1))],
    "rupee": [("₹ rs rupee rupees inr", _F(1))],
    "yen": [("¥ yen", _F(1))],
    "angle": [("° degree degrees deg degs", _F(1)), ("rad radian radians rads", _F(0))],
    "celsius": [("celsius °c", _F(1))],
    "fahrenheit": [("fahrenheit °f", _F(1))],
    "force": [("N newton newtons", _F(1))],
    "energy": [("J joule joules", _F(1)), ("kJ kilojoule kilojoules", _F(1000)), ("cal calories calorie", _F(0))],
    "power": [("W watt watts", _F(1)), ("kW kilowatt kilowatts", _F(1000))],
    "electric": [("V volt volts", _F(1))],
    "current": [("A amp amps ampere amperes", _F(1))],
    "frequency": [("Hz hertz", _F(1))],
    "pressure": [("Pa pascal pascals", _F(1)), ("kPa kilopascals", _F(1000)), ("atm", _F(0))],
    "unit": [("unit units", _F(1))],
    "mph": [("mph", _F(1))],
    "kmh": [("kmh kph kmph", _F(1))],
    "mole": [("mol mole moles", _F(1))],
}
_TABLE = {
    name: (kind, names.split()[0], factor)
    for kind, entries in _KINDS.items()
    for names, factor in entries
    for name in names.split()
}
SINGLE = frozenset("msghLlNJWV")
"""Letters that are a unit after a number and a space, and a variable elsewhere."""
KNOWN = frozenset(name for name in _TABLE if len(name) > 1) - {"in", "A"}
"""Names that are a unit wherever they stand."""
_STOP_WORDS = """
a an the is are was not no none or and either neither maybe perhaps possibly probably about approximately sure certain
confident wrong incorrect right correct if so then but he she it they we i you that this there answer guess think
likely yes true false because since hence thus therefore with for by when where which as than else be must can cannot
could should would do does don't isn't between solution solutions what how find solve let given final equals equal
infinite unknown impossible undefined exist nor dozen dozens half halves third thirds fourth fourths fifth
fifths tenth tenths hundredth hundredths thousandth thousandths factorial minus plus times negative root over divided
multiplied mod modulo base power more less fewer
"""
STOP = frozenset(_STOP_WORDS.split())
"""Words that make a phrase more than the name of a unit."""
_POWERS = {"square": 2, "squared": 2, "sq": 2, "cubic": 3, "cubed": 3, "cu": 3}
_SAME = {"mph": "mi/h", "kmh": "km/h"}
Unit = tuple[tuple[str, int], ...]


def unit(text: str) -> Unit:
    """Return a unit's base names with their powers, sorted; unknown names lose their plural."""
    text = _SAME.get(text.strip().lower(), text)
    words = re.findall(
        r"[A-Za-z°$€£¥₹¢']+|\^\s*\{?\s*-?\d+\s*\}?|[/*·]", re.sub(r"\\cdot|\\times|\\deg", _spelled, text)
    )
    powers: dict[str, int] = {}
    sign, power, last = 1, 1, ""
    for word in words:
        lower = word.lower()
        if lower in ("/", "per"):
            sign = -1
        elif lower in ("*", "·", "of"):
            continue
        elif lower in _POWERS and (lower not in ("squared", "cubed") or not last):
            power = _POWERS[lower]
        elif lower in _POWERS or word[0] == "^":
            exponent = _POWERS.get(lower) or int(re.sub(r"[^\d-]", "", word)[:3])
            powers[last] = powers.get(last, 0) * exponent
        else:
            last = _name(word)
            powers[last] = powers.get(last, 0) + sign * power
            power = 1
    return tuple(sorted((name, exponent) for name, exponent in powers.items() if name and exponent))


def factor(of: Unit) -> tuple[Fraction, tuple[tuple[str, int], ...]] | None:
    """Return a unit as a multiple of its dimensions, or None when a part cannot be converted."""
    total, kinds = Fraction(1), dict[str, int]()
    for name, power in of:
        kind, _, multiple = _TABLE.get(name, (name, name, Fraction(1)))
        if not multiple or abs(power) > 9:
            return None
        if kind == "volume":
            kind, multiple, power = "length", multiple / 1000, power * 3
            total *= multiple ** (power // 3)
        else:
            total *= multiple**power
        kinds[kind] = kinds.get(kind, 0) + power
    return total, tuple(sorted((kind, power) for kind, power in kinds.items() if power))


def _name(word: str) -> str:
    for spelling in (word, word.lower()):
        if spelling in _TABLE:
            return _TABLE[spelling][1]
    lower = word.lower().strip("'")
    if lower in ("st", "nd", "rd", "th"):
        return ""
    return lower[:-1] if len(lower) > 3 and lower.endswith("s") else lower


def _spelled(match: re.Match[str]) -> str:
    return "°" if match[0] == r"\deg" else "*"
