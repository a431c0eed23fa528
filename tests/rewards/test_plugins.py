"""What a user may write: functions and classes, awaited or not, here or in a process of their own, or in a package."""

import math
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from rewards import Scorer, resolve
from rewards.registry import names
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError, RewardError, UniGRPOError


@pytest.fixture
def scorer_of(user_file):
    """Make a scorer of one reward, `mine`, of a file that is given."""

    def make(source: str, **entry) -> Scorer:
        path = user_file(source, f"r{abs(hash(source))}.py")
        return Scorer({"mine": RewardEntry(path=f"{path}:mine", **entry)})

    return make


def scores(scorer, *items):
    return [found.reward for found in scorer.score(list(items))]


SLOW = """
import asyncio, time
async def mine(response):
    await asyncio.sleep(0.3)
    return len(response)
"""


def test_awaited_rewards_wait_beside_each_other(rollout, scorer_of):
    scorer = scorer_of(SLOW)
    started = time.monotonic()
    assert scores(scorer, *[rollout("x" * n) for n in range(40)]) == list(range(40))
    assert time.monotonic() - started < 40 * 0.3 / 2


def test_an_awaited_reward_goes_on_while_its_caller_does_something_else(rollout, scorer_of, tmp_path):
    done = tmp_path / "done"
    finish = scorer_of(SLOW.replace("return", f"open({str(done)!r}, 'w').close()\n    return")).begin([rollout("abc")])
    deadline = time.monotonic() + 30
    while not done.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert done.exists()
    assert finish()[0].scores["mine"].value == 3


CLIENT = """
import asyncio
class mine:
    def __init__(self, scale: float):
        self.scale, self.loops = scale, set()
    async def __call__(self, responses):
        self.loops.add(id(asyncio.get_running_loop()))
        return [self.scale * len(r) / len(self.loops) for r in responses]
"""


def test_an_awaited_class_keeps_its_event_loop_from_step_to_step_and_thread_to_thread(rollout, scorer_of):
    scorer, found = scorer_of(CLIENT, args={"scale": 2}), []
    for _ in range(2):
        found.append(scores(scorer, rollout("ab"), rollout("c")))
    thread = threading.Thread(target=lambda: found.append(scores(scorer, rollout("ab"))))
    thread.start()
    thread.join()
    assert found == [[4, 2], [4, 2], [4]]


def test_an_awaited_reward_that_gives_no_answer_in_time_is_not_known(rollout, scorer_of):
    source = "import asyncio\nasync def mine(response):\n    await asyncio.sleep(len(response))\n    return 1\n"
    found = scorer_of(source, timeout=1).score([rollout(""), rollout("x" * 30)])
    assert [item.known for item in found] == [True, False]
    assert "rewards.mine gave no answer within 1 s, on rollout" in found[1].notes["mine"]


VERIFIER = """
import os, time
import numpy as np
def mine(response, answer, tokens, level=0, image=None, scale=1):
    if response == "loop":
        while True: pass
    if response == "sleep":
        time.sleep(60)
    if response == "memory":
        return len(bytearray(1 << 36))
    if response == "raise":
        raise ValueError("so")
    if response == "exit":
        os._exit(3)
    if response == "pid":
        return os.getpid()
    return scale * (float(response == answer) + level + int(np.sum(tokens)) - 16)
"""


def test_a_function_with_a_limit_runs_in_another_process(rollout, scorer_of):
    scorer = scorer_of(VERIFIER, timeout=20, args={"scale": 2})
    [pid, right, wrong] = scores(scorer, rollout("pid"), rollout("42", metadata={"level": 3}), rollout("41"))
    assert pid != os.getpid()
    assert (right, wrong) == (2 * (1 + 3), 0)


def test_what_a_response_does_to_its_verifier_is_worth_0_and_counted_and_its_neighbours_are_judged(rollout, scorer_of):
    items = [rollout(text) for text in ("42", "loop", "42", "memory", "exit", "42", "sleep", "41")]
    found = scorer_of(VERIFIER, timeout=1.0).score(items)
    assert [item.reward for item in found] == [1, 0, 1, 0, 0, 1, 0, 0]
    faults = [item.faults.get("mine") for item in found]
    assert faults == [None, "timeout", None, "memory", "crash", None, "timeout", None]


def test_what_a_verifier_raises_is_not_known(rollout, scorer_of):
    found = scorer_of(VERIFIER, timeout=20).score([rollout("raise"), rollout("42")])
    assert math.isnan(found[0].reward)
    assert "rewards.mine raised ValueError: so (" in found[0].notes["mine"]
    assert "on rollout 3/p:1/0." in found[0].notes["mine"]
    assert found[1].reward == 1


def test_a_class_with_a_limit_is_built_in_the_other_process(rollout, scorer_of):
    source = (
        "import os\nfrom rewards import Score\n"
        "class mine:\n"
        "    def __init__(self, scale: int = 1):\n        self.pid, self.scale = os.getpid(), scale\n"
        "    def __call__(self, responses, images):\n"
        "        assert self.pid == os.getpid()\n"
        "        return [Score(self.scale * len(r), note=f'{i.sum()}') for r, i in zip(responses, images)]\n"
    )
    image = np.full((2, 3, 3), 2, dtype=np.uint8)
    items = [rollout(text, task="understand", images=(image,)) for text in ("a", "bb")]
    found = scorer_of(source, timeout=20, args={"scale": 3}).score(items)
    assert [(item.reward, item.notes["mine"]) for item in found] == [(3, "36"), (6, "36")]
    with pytest.raises(ConfigError, match=r"rewards\.mine\.args\.scal: `mine` takes no `scal`. Did you mean `scale`"):
        scorer_of(source, timeout=20, args={"scal": 3})


def test_a_limit_may_be_declared_beside_the_reward(rollout, scorer_of):
    source = (
        "from rewards import reward\n"
        "@reward('bounded', tasks=('text',), timeout=1, on_error='zero')\n"
        "def mine(response):\n    return 1 / (response != 'x') if response else [0 for _ in iter(int, 1)]\n"
    )
    found = scorer_of(source).score([rollout(""), rollout("x"), rollout("y")])
    assert [(item.reward, item.faults.get("mine")) for item in found] == [(0, "timeout"), (0, "error"), (1, None)]


def test_what_cannot_be_sent_is_found_before_training(scorer_of):
    with pytest.raises(RewardError, match=r"rewards\.mine takes `rollout`, but runs in a process of its own"):
        scorer_of("def mine(rollout): return 1.0", timeout=1)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An interpreter of another environment, in which nothing of ours is installed."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    package = next(folder.glob("lib/python*/site-packages")) / "only_there"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import sys\n"
        "def judge(response, answer, scale=1):\n    return scale * float(response == answer)\n"
        "class Where:\n"
        "    def __init__(self, sign: int):\n        self.sign = sign\n"
        "    def __call__(self, responses):\n"
        "        return [self.sign * ('unigrpo' in sys.modules) for _ in responses]\n"
    )
    return str(folder / "bin/python")


def test_a_reward_may_live_in_another_environment(rollout, python):
    entry = RewardEntry(path="only_there:judge", python=python, args={"scale": 4})
    assert scores(Scorer({"mine": entry}), rollout("42"), rollout("41")) == [4, 0]
    entry = RewardEntry(path="only_there:Where", python=python, args={"sign": 1})
    assert scores(Scorer({"mine": entry}), rollout("42"), rollout("41")) == [0, 0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"path": "only_there:judge", "args": {"scal": 1}}, "takes no `scal`. Did you mean `scale`?"),
        ({"path": "nowhere:judge"}, "No module named 'nowhere'"),
        ({"path": "only_there:gudge"}, "has no function or class `gudge`"),
        ({}, "rewards.mine.python is set, but not rewards.mine.path: say what it runs."),
    ],
)
def test_what_is_wrong_with_a_reward_elsewhere_is_said_before_training(python, entry, message):
    with pytest.raises(UniGRPOError) as error:
        resolve("mine", RewardEntry(python=python, **entry))
    assert message in str(error.value)


def test_an_interpreter_that_is_not_there_is_named():
    with pytest.raises(RewardError, match="there is no Python at '/nowhere/python'"):
        resolve("mine", RewardEntry(path="only_there:judge", python="/nowhere/python"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with rewards as entry points."""
    (tmp_path / "prose_rewards.py").write_text(
        "from rewards import reward\n"
        "@reward('brief', tasks=('text',))\n"
        "def brief(response, limit=10):\n    return max(0.0, 1 - len(response) / limit)\n"
        "class Shout:\n    def __call__(self, response):\n        return float(response.isupper())\n"
    )
    info = tmp_path / "prose_rewards-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: prose-rewards\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[unigrpo.rewards]\nbrief = prose_rewards:brief\nshout = prose_rewards:Shout\nbroken = prose_rewards:Sh0ut\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("package")
def test_rewards_of_an_installed_package_are_found_by_name(rollout):
    scorer = Scorer({"brief": RewardEntry(args={"limit": 5}), "shout": RewardEntry(weight=10)})
    assert scores(scorer, rollout("AB"), rollout("abcde")) == [10.6, 0]
    assert {"brief", "shout", "math"} <= set(names())
    with pytest.raises(RewardError, match=r"rewards\.brif is not a reward\. Did you mean `brief`\?"):
        resolve("brif", RewardEntry())
    with pytest.raises(RewardError, match="entry point broken of prose-rewards: prose_rewards has no function `Sh0"):
        resolve("broken", RewardEntry())


def test_a_limit_of_memory_needs_a_process_of_its_own(scorer_of):
    with pytest.raises(ConfigError, match=r"rewards\.mine\.memory_gb is 1, but only .*set rewards\.mine\.timeout as"):
        scorer_of("def mine(response): return 1.0", memory_gb=1)


@pytest.mark.parametrize("where", ["", "async "])
@pytest.mark.parametrize(
    "what", ["SystemExit(3)", "asyncio.CancelledError()", "Unprintable()", "ValueError('x' * 10**6)"]
)
def test_whatever_a_reward_raises_is_a_short_note_and_stops_nothing(rollout, scorer_of, where, what):
    if not where and "Cancelled" in what:
        pytest.skip("nobody cancels a plain function")
    source = (
        "import asyncio\nclass Unprintable(Exception):\n    def __str__(self):\n        raise RuntimeError\n"
        f"{where}def mine(response):\n    if response:\n        return 1.0\n    raise {what}\n"
    )
    scorer = scorer_of(source)
    for _ in range(2):
        found = scorer.score([rollout("x"), rollout("")])
        assert [item.known for item in found] == [True, False]
        assert len(found[1].notes["mine"]) < 800


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("Score(1.0, parts=[1])", "`parts` of a Score is a dictionary of numbers"),
        ("Score(1.0, note=ValueError())", "`note` a text"),
        ("Score(1.0, fault='odd')", "`fault` one of timeout, memory, crash, error, or empty"),
        ("Score(1.0, parts={'timeout': 1})", "has a part `timeout`, which is the name of a count: rename it"),
        ("10 ** 400", "returned inf for rollout"),
        ("[[1], [1, 2]]", "returned 2 values (list)"),
    ],
)
def test_what_cannot_be_a_score_is_said_in_one_line(rollout, scorer_of, body, message):
    with pytest.raises(RewardError) as error:
        scorer_of(f"from rewards import Score\ndef mine(response):\n    return {body}\n").score([rollout("x")])
    assert message in str(error.value)


def test_a_number_may_come_from_any_library(rollout, scorer_of):
    source = (
        "import numpy as np, torch\ndef mine(response):\n    return torch.tensor(0.5) if response else np.array(2)\n"
    )
    assert scores(scorer_of(source), rollout("x"), rollout("")) == [0.5, 2]


def test_a_response_that_stops_a_reward_of_many_leaves_its_neighbours_their_own(rollout, scorer_of):
    source = "def mine(responses):\n    while 'hang' in responses: pass\n    return [float(r) for r in responses]\n"
    found = scorer_of(source, timeout=1).score([rollout(text) for text in ("1", "hang", "2", "3")])
    assert [item.reward for item in found] == [1, 0, 2, 3]
    assert [item.faults.get("mine") for item in found] == [None, "timeout", None, None]


@pytest.mark.parametrize(("name", "own"), [("math", "seconds"), ("code", "seconds")])
def test_a_reward_with_limits_of_its_own_says_where_they_are(name, own):
    for limit in ({"timeout": 1.0}, {"memory_gb": 1.0}):
        with pytest.raises(
            ConfigError, match=rf"rewards\.{name} has limits of its own, .*set rewards\.{name}\.args\.{own}"
        ):
            resolve(name, RewardEntry(**limit))


def test_a_key_reaches_a_reward_in_another_environment(rollout, python, monkeypatch, tmp_path):
    monkeypatch.setenv("A_KEY", "secret")
    (tmp_path / "keyed.py").write_text("def keyed(response, api_key): return float(api_key == 'secret')\n")
    entry = RewardEntry(path=f"{tmp_path / 'keyed.py'}:keyed", python=python, args={"api_key_env": "A_KEY"})
    assert scores(Scorer({"mine": entry}), rollout("42")) == [1]


@pytest.mark.parametrize("name", ["accuracy", "failed", "mean", "pass@1", "a/b"])
def test_a_name_that_a_metric_has_already_is_refused(user_file, name):
    with pytest.raises(ConfigError, match="would be logged under a name that is taken: call it something else"):
        Scorer({name: RewardEntry(path=f"{user_file('def mine(response): return 1')}:mine")})


def test_a_shipped_name_cannot_be_taken_by_ones_own(user_file):
    path = user_file("from rewards import reward\n@reward('sudoku')\ndef mine(response): return 1.0\n")
    with pytest.raises(
        RewardError, match=r"reward `sudoku` is already defined at rewards\.sudoku: choose another name"
    ):
        resolve("mine", RewardEntry(path=f"{path}:mine"))


@pytest.mark.parametrize("timeout", [None, 20])
def test_a_file_finds_what_lies_beside_it(rollout, user_file, timeout):
    user_file("LIMIT = 4\n", "beside_it.py")
    path = user_file("from beside_it import LIMIT\ndef mine(response): return len(response) / LIMIT\n")
    assert scores(Scorer({"mine": RewardEntry(path=f"{path}:mine", timeout=timeout)}), rollout("ab")) == [0.5]
