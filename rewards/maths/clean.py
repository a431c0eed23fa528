r"""Spelling of an answer made uniform: spaces, fonts, delimiters and other LaTeX without meaning. Linear time."""

import re

from rewards.maths.characters import CONTROL, plain_characters

LIMIT = 1000
"""Characters of an answer that are looked at: the last ones."""

_FONT = re.compile(
    r"\\(?:text(?:bf|it|rm|normal|sf|tt|sc|up)?|math(?:rm|bf|it|sf|tt|cal|frak|normal|bb|ord|bin|rel)|operatorname\*?|mbox|hbox"
    r"|emph|bold|boldsymbol|bm|boxed|fbox|underline|displaylines|ensuremath|textcolor\{\w+\}|color\{\w+\})\s*\{([^{}]*)\}"
)
_RULES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"(?<=\d)(?:\{,\}|,\\!|,\\,|\\,|\\;|\\:|\\ |~|[\u00a0\u2009\u202f'])\s*(?=\d{3}(?!\d))", ""),
        (
            r"\\frac\s*\{\s*\\(?:text|mathrm)\s*\{([^{}]*)\}\s*\}\s*\{\s*\\(?:text|mathrm)\s*\{([^{}]*)\}\s*\}",
            r" \1/\2 ",
        ),
        (r"\\(?:mathbb|Bbb|mathbf)\s*\{?\s*R\s*\}?(?![A-Za-z])", r"\\reals "),
        (r"\\(?:mathbb|Bbb|mathbf)\s*\{?\s*Z\s*\}?(?![A-Za-z])", r"\\integers "),
        (r"\\(?:mathbb|Bbb|mathbf)\s*\{?\s*N\s*\}?(?![A-Za-z])", r"\\naturals "),
        (r"\\(?:mathbb|Bbb)\s*\{?\s*Q\s*\}?(?![A-Za-z])", r"\\rationals "),
        (r"\\(?:mathbb|Bbb)\s*\{?\s*C\s*\}?(?![A-Za-z])", r"\\complexes "),
        (r"\\(?:[dtc]|nice)frac(?![A-Za-z])", r"\\frac"),
        (r"\\[dt]binom(?![A-Za-z])", r"\\binom"),
        (r"\\(?:left|right|middle)\s*\.", ""),
        (r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])", ""),
        (
            r"\\(?:display|text|script|scriptscript)style(?![A-Za-z])|\\(?:no)?limits(?![A-Za-z])|\\mathstrut(?![A-Za-z])"
            r"|\\(?:rm|bf|it|sf|tt|large|Large|normalsize|centering|hfill|noindent|strut)(?![A-Za-z])|(?<!\\)\\!"
            r"|\\(?:hspace|vspace|phantom|tag|label)\*?\{[^{}]*\}",
            "",
        ),
        (r"\{\s*([,:])\s*\}", r"\1"),
        (
            r"\\(?:quad|qquad|enspace|thinspace|space|par|newline)(?![A-Za-z])"
            r"|(?<!\\)\\[,;: \n]|~|[\u00a0\u2000-\u200a\u202f]",
            " ",
        ),
        (r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})|\\degree(?![A-Za-z])|\\textdegree(?![A-Za-z])", r"\\deg "),
        (r"\^\s*\{\s*\\deg\s*\}|\^\s*\\deg(?![A-Za-z])", r"\\deg "),
        (r"\\(?:c|d|l)?dots[cbmio]?(?![A-Za-z])|\.\.\.+", r"\\ldots "),
        (r"\\(?:leqslant|leqq|leq)(?![A-Za-z])", r"\\le "),
        (r"\\(?:geqslant|geqq|geq)(?![A-Za-z])", r"\\ge "),
        (r"\\(?:neq|not\s*=)", r"\\ne "),
        (r"\\(?:varnothing|O)(?![A-Za-z])|\\empty(?!set)", r"\\emptyset "),
        (r"\{([^{}]*)\\choose(?![A-Za-z])([^{}]*)\}", r"\\binom{\1}{\2}"),
        (r"\\pmod\s*\{([^{}]*)\}|\\pmod\s*(\w)|\(\s*\\?b?mod\s+(\w+)\s*\)", r" \\bmod \1\2\3"),
        (r"\{([^{}]*)\\over(?![A-Za-z])([^{}]*)\}", r"\\frac{\1}{\2}"),
        (r"\\lbrace(?![A-Za-z])", r"\\{"),
        (r"\\rbrace(?![A-Za-z])", r"\\}"),
        (r"\\lbrack(?![A-Za-z])", "["),
        (r"\\rbrack(?![A-Za-z])", "]"),
        (r"\\(?:[lr]?vert|mid)(?![A-Za-z])", "|"),
        (r"(?<=[\dA-Za-z)}])\s*\\?%", "%"),
        (r"(?i)(?<=\d)\s*-?\s*(?:percent|per cent|percentage|pct)(?![A-Za-z])", "%"),
        (r"(?i)\b(?:negative|minus)\s+(?=[\d.])", "-"),
        (r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", r"\\times "),
    ]
]
_BEFORE_FONTS = 7
"""Rules that look at fonts, before those are taken away."""
_ESCAPED = re.compile(
    r"\\\\(?=(?:frac|dfrac|tfrac|sqrt|text|pi|infty|left|right|cdot|times|boxed|cup|circ|pm)(?![A-Za-z]))"
)
_DELIMITER = re.compile(r"(?<!\\)(?:\\[()]|\\\[|\\\])|\$\$")
_BOLD = re.compile(r"(?<![\w)}])(\*\*|__)(?=\S)([^*_]+?)\1(?![\w({])")
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)(?![A-Za-z])")
_ENDS = " \t\r\n,;:"
_GROUPS = re.compile(r"([+-]?\s*\d{1,3})((?:[ ]\d{3})+)(?![\d ]*/)(\.\d+)?")
_PREFIX = re.compile(r"^\s*(?:=|\\(?:therefore|because|implies|Rightarrow|approx|sim)(?![A-Za-z]))\s*")


def clean(text: str) -> str | None:
    """Return the text in uniform spelling, or None when it holds characters that no answer has."""
    text = text.strip()[-LIMIT:]
    if not text.isascii():
        text = plain_characters(text)
    if CONTROL.search(text):
        return None
    text = _BOLD.sub(r"\2", text.replace("\\\\\\\\", "\\\\") if "\\begin" in text else text)
    if "**" in text:
        text = text.strip("*").replace("**", "^")
    text = _ORDINAL.sub("", text)
    text = re.sub(r"\.\.\.+", r"\\ldots ", text)
    if len(text) > 2 and text[0] == text[-1] == "*":
        text = text[1:-1]
    if (
        "\\" in text
        or "~" in text
        or "{" in text
        or "%" in text
        or "\u00a0" in text
        or "erc" in text
        or "inus" in text
        or "egative" in text
        or "mod" in text
        or "10" in text
    ):
        text = _plain_latex(text)
    text = _currency(_DELIMITER.sub(" ", text).replace("`", ""))
    text = _PREFIX.sub("", _GROUPS.sub(_join_groups, text).strip(_ENDS))
    return _without_full_stop(text)


def _plain_latex(text: str) -> str:
    if "\\begin" not in text:
        text = _ESCAPED.sub(r"\\", text)
    for pattern, replacement in _RULES[:_BEFORE_FONTS]:
        text = pattern.sub(replacement, text)
    for _ in range(4):
        text, changed = _FONT.subn(r" \1 ", text)
        if not changed:
            break
    for pattern, replacement in _RULES[_BEFORE_FONTS:]:
        text = pattern.sub(replacement, text)
    return text


def _currency(text: str) -> str:
    r"""Tell a dollar from a delimiter: `\$`, or one `$` alone before a digit."""
    text = text.replace("\\$", "\x01")
    if text.count("$") == 1:
        text = re.sub(r"\$(?=\s*-?[\d.])", "\x01", text)
    return text.replace("$", " ").replace("\x01", "$")


def _join_groups(match: re.Match[str]) -> str:
    return match[1] + match[2].replace(" ", "") + (match[3] or "")


def _without_full_stop(text: str) -> str:
    while text and text[-1] in "., ;":
        text = text[:-1].rstrip(_ENDS)
    return text
