import pytest
import yaml

from rewards.registry import SHIPPED
from unigrpo.cli.main import main
from unigrpo.cli.rewards_about import About
from unigrpo.cli.rewards_show import example
from unigrpo.config import RewardEntry, TrainConfig
from unigrpo.config.load import load_config

OWN = """
import asyncio
from rewards import reward

def brief(response: str, limit: int = 200) -> float:
    \"\"\"Says whether it is brief. And more.\"\"\"
    return max(0.0, 1 - len(response) / limit)

@reward("slow", tasks=("text",), timeout=2.5, on_error="zero")
def slow(responses, level):
    return [0.0] * len(responses)

@reward("ranked", group=True)
def ranked(responses):
    return [0.0] * len(responses)

class Asks:
    \"\"\"Asks someone.\"\"\"

    def __init__(self, url: str, tries: int = 3, names: list[str] | None = None):
        self.url = url

    async def __call__(self, response, level):
        return 0.0
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A file of rewards; one for all tests, for the names of two would clash."""
    path = tmp_path_factory.mktemp("own") / "own_rewards.py"
    path.write_text(OWN)
    return str(path)


def table(capsys, *words):
    """The table of `list`, by the name of the reward."""
    assert main(["rewards", "list", *words, "--markdown"]) == 0
    rows = [line[2:-2].split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def test_every_shipped_reward_is_listed_with_its_first_sentence(capsys):
    found = table(capsys)
    assert set(SHIPPED) <= set(found)
    assert {found[name]["from"] for name in SHIPPED} == {"shipped"}
    assert all(found[name]["what"].endswith(".") or found[name]["what"].startswith("1 when") for name in SHIPPED)
    assert found["countdown"]["tasks"] == "text"
    assert found["math"]["called"] == "for all"


def test_rewards_of_a_config_are_listed_with_the_way_they_are_called(capsys, own):
    names = {"brief": "brief", "slow": "slow", "ranked": "ranked", "asks": "Asks"}
    words = [f"rewards.{name}.path={own}:{function}" for name, function in names.items()]
    found = table(capsys, *words)
    assert {name: found[name]["called"] for name in names} == {
        "brief": "one by one",
        "slow": "for all, own process",
        "ranked": "for a group",
        "asks": "one by one, async",
    }
    assert found["brief"]["what"] == "Says whether it is brief."
    assert found["brief"]["from"] == f"{own}:brief"


def test_a_reward_whose_package_is_missing_does_not_break_the_list(capsys, monkeypatch, tmp_path):
    (tmp_path / "ghostly.py").write_text("import no_such_package_anywhere")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SHIPPED, "ghost", "ghostly")
    found = table(capsys)
    assert "No module named 'no_such_package_anywhere'" in found["ghost"]["what"]
    assert found["exact_match"]["tasks"] == "text, understand"


def test_a_reward_of_an_installed_package_names_the_package(capsys, monkeypatch, tmp_path):
    (tmp_path / "pleasant.py").write_text("def kind(response):\n    'Is it kind?'\n    return 1.0\n")
    info = tmp_path / "pleasant-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pleasant\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[unigrpo.rewards]\nkindness = pleasant:kind\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert table(capsys)["kindness"] == {
        "reward": "kindness", "tasks": "all", "called": "one by one", "what": "Is it kind?", "from": "pleasant 1.2",
    }  # fmt: skip


def shown(capsys, *words):
    assert main(["rewards", "show", *words, "--markdown"]) == 0
    return capsys.readouterr().out


def test_show_tells_where_each_argument_comes_from(capsys, own):
    out = shown(capsys, "asks", f"path={own}:Asks")
    arguments = [line[2:-2].split(" | ") for line in out.splitlines() if line.startswith("| ")][2:]
    assert arguments == [
        ["url", "setting", "str", ""],
        ["tries", "setting", "int", "3"],
        ["names", "setting", "list[str] \\| None", "None"],
        ["response", "rollout", "", ""],
        ["level", "column", "", ""],
    ]
    assert f"{own}:{OWN.splitlines().index('class Asks:') + 1}" in out
    assert "Initialize self" not in out
    assert "# The data need the column level." in out
    out = shown(capsys, "slow", f"path={own}:slow")
    assert "time limit  2.5 s" in out
    assert "on_error    zero" in out


def test_show_takes_an_entry_of_a_config(capsys, own):
    out = shown(
        capsys, "mine", f"rewards.mine.path={own}:brief", "rewards.mine.args.limit=50", "rewards.mine.timeout=9"
    )
    assert "time limit  9 s" in out
    found = yaml.safe_load(out[out.index("rewards:") :])
    assert found == {"rewards": {"mine": {"weight": 1.0, "path": f"{own}:brief", "args": {"limit": 50}}}}


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shown_can_be_pasted(name, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(example(About.of(name, RewardEntry())))
    entry = load_config(TrainConfig, [str(path)]).rewards[name]
    known = {argument.name: argument for argument in About.of(name).arguments()}
    assert all(known[key].required or known[key].default == value for key, value in entry.args.items())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "rewards needs one of list, show, check, score;"),
        (["shwo"], "rewards shwo is not known. Did you mean: show?"),
        (["show"], "rewards show needs the NAME of a reward;"),
        (["show", "maths"], "rewards.maths is not a reward. Did you mean `math`?"),
        (
            ["show", "maths", "rewards.math.weight=1", "data.source=arithmetic"],
            "maths is no reward of this config. Did you",
        ),
        (["check", "--limit"], "--limit has no value: write --limit=VALUE."),
        (["check", "--limit=-3"], "--limit is '-3': set it to a whole number above 0."),
        (["check", "--markdown=maybe"], "--markdown=maybe: write true or false"),
        (["check", "nope.yaml"], "nope.yaml: no such file."),
    ],
)
def test_a_mistake_is_one_line(capsys, words, said):
    assert main(["rewards", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"unigrpo: error: {said}")
    assert captured.err.count("\n") == 1


def test_help_explains_all_four(capsys):
    assert main(["rewards", "check", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"unigrpo rewards {verb} " in out for verb in ("list", "show", "check", "score"))
