"""YAML as people expect it: 1e-5 is a number, `on`, `12:30` and dates are text, and every key is text."""

import re
from typing import Any, ClassVar

import yaml

TAG = "tag:yaml.org,2002:"
FLOAT = re.compile(r"[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
RESOLVERS = (
    ("bool", re.compile(r"true$|True$|TRUE$|false$|False$|FALSE$"), "tTfF"),
    ("null", re.compile(r"null$|Null$|NULL$|~$|$"), ["n", "N", "~", ""]),
    ("merge", re.compile(r"<<$"), "<"),
    ("int", re.compile(r"[-+]?(0|[1-9][\d_]*|0x[\da-fA-F_]+)$"), "-+0123456789"),
    ("float", FLOAT, "-+.0123456789"),
)

PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
"""One sign as JSON escapes it, in two halves, which YAML takes for two signs."""


class Loader(yaml.SafeLoader):
    """Reads plain values only; the core types of YAML 1.2."""

    yaml_implicit_resolvers: ClassVar[dict[str, list]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Keys are text, whatever they look like."""
        self.flatten_mapping(node)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = f"{TAG}str"
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode) -> Any:
        """Text in which both halves of a sign are one."""
        text = super().construct_scalar(node)
        return PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)


class Dumper(yaml.SafeDumper):
    """Quotes text that this or a YAML 1.1 reader would take for something else."""


def _represent_text(dumper: Dumper, text: str) -> yaml.ScalarNode:
    # Only double quotes escape these line breaks; in the other styles a reader takes them for the end of a line.
    return dumper.represent_scalar(f"{TAG}str", text, '"' if re.search("[\x85\u2028\u2029]", text) else None)


Dumper.add_representer(str, _represent_text)
for name, pattern, first in RESOLVERS:
    Loader.add_implicit_resolver(f"{TAG}{name}", pattern, list(first))
Dumper.add_implicit_resolver(f"{TAG}float", FLOAT, list("-+.0123456789"))
