# ruff: noqa: RUF001
r"""Unicode signs as the LaTeX or ASCII that means the same, and the characters that no answer holds."""

import re
import unicodedata

_GREEK_NAMES = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho varsigma sigma tau upsilon phi
chi psi omega
"""
_GREEK = _GREEK_NAMES.split()
_SIGNS = {
    **dict.fromkeys("−–—‐‑‒﹣－", "-"),
    **dict.fromkeys("×✕✖⨯", r"\times "),
    **dict.fromkeys("·⋅∙•∗", r"\cdot "),
    **dict.fromkeys("‘’′`´", "'"),
    **dict.fromkeys("“”″", '"'),
    **dict.fromkeys("∅⌀", r"\emptyset "),
    **dict.fromkeys("≤⩽≦", r"\le "),
    **dict.fromkeys("≥⩾≧", r"\ge "),
    **dict.fromkeys("∞", r"\infty "),
    **{"÷": r"\div ", "⁄": "/", "∕": "/", "±": r"\pm ", "∓": r"\mp ", "≠": r"\ne ", "≈": r"\approx ", "∈": r"\in "},
    **{
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∖": r"\setminus ",
        "°": r"\deg ",
        "º": r"\deg ",
        "…": r"\ldots ",
        "⋯": r"\ldots ",
    },
    **{"ℝ": r"\reals ", "ℤ": r"\integers ", "ℕ": r"\naturals ", "ℚ": r"\rationals ", "ℂ": r"\complexes "},
    **{"⟨": r"\langle ", "⟩": r"\rangle ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil "},
    **{"∠": r"\angle ", "△": r"\triangle ", "∑": r"\sum ", "∏": r"\prod ", "∫": r"\int ", "⇒": r"\Rightarrow "},
    **{"→": r"\to ", "ϕ": r"\phi ", "ϵ": r"\epsilon ", "∣": "|", "，": ",", "。": ".", "、": ",", "；": ";"},
    **{chr(945 + index): rf"\{name} " for index, name in enumerate(_GREEK)},
}
_VULGAR = {
    character: rf"\frac{{{match[1]}}}{{{match[2]}}}"
    for character in map(chr, (*range(0xBC, 0xBF), *range(0x2150, 0x215F)))
    if (match := re.fullmatch(r"(\d+)⁄(\d+)", unicodedata.normalize("NFKC", character)))
}
_TABLE = str.maketrans(_SIGNS | _VULGAR)
_HIGH = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿˣ", "0123456789+-()nx", strict=True))
_LOW = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙ", "0123456789+-()n", strict=True))
_ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, half characters, and marks that turn the direction of writing."""


def plain_characters(text: str) -> str:
    """Return the text with each sign in one spelling, raised and lowered digits as powers and indices."""
    for character, macro in _ROOTS.items():
        text = re.sub(rf"{character}\s*(\d+(?:\.\d+)?)", lambda m, macro=macro: f"{macro}{{{m[1]}}}", text)
        text = text.replace(character, macro + " ")
    text = re.sub(f"[{''.join(_HIGH)}]+", lambda m: "^{" + "".join(map(_HIGH.__getitem__, m[0])) + "}", text)
    text = re.sub(f"[{''.join(_LOW)}]+", lambda m: "_{" + "".join(map(_LOW.__getitem__, m[0])) + "}", text)
    text = unicodedata.normalize("NFKC", text.translate(_TABLE)).translate(_TABLE)
    return _HIDDEN.sub("", text)
