"""What scoring a step's answers costs: the scorer against calling one function after the other.

    python scripts/bench/scoring.py --out /tmp/scoring [--answers 256] [--rounds 5]

`math` is judged on numbers, sentences, LaTeX and wrong answers, as a policy gives them; plain is math-verify as its
README shows. `judge` asks a server on this machine that takes 50 ms for each answer; plain asks for one after the
other. All verdicts are new in every round: each has other numbers.
"""

import argparse
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep

import httpx
import numpy as np
import paired
from maths import WAYS, readme

from rewards.scorer import Scorer
from unigrpo.config import RewardEntry
from unigrpo.types import Prompt, Rollout, Sampling

DICE = random.Random(0)
SECONDS = 0.05
RUBRIC = "Is {response} polite?"
CHOICES = {"yes": 1.0, "no": 0.0}


class Slow(BaseHTTPRequestHandler):
    """A server of chat completions that says yes to everything, after a while."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        sleep(SECONDS)
        said = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}]}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128


@contextmanager
def server() -> Iterator[str]:
    """Its address."""
    made = Server(("127.0.0.1", 0), Slow)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_address[1]}/v1"
    finally:
        made.shutdown()


def answers(count: int) -> list[Rollout]:
    """Responses to as many prompts, most of them right, written in many ways."""
    found = []
    for number in range(count):
        gold = DICE.randrange(10**6)
        given = gold if DICE.random() < 0.7 else gold + 1
        way = DICE.choice(list(WAYS.values()))
        found.append(_rollout(number, str(gold), f"<think>Let me see.</think>{way.format(n=given)}"))
    return found


def _rollout(number: int, gold: str, output: str) -> Rollout:
    prompt = Prompt(id=f"p:{number}", task="text", text="How many?", tokens=np.array([0]), answer=gold)
    return Rollout(
        id=f"0/{prompt.id}/0",
        prompt=prompt,
        tokens=np.array([1]),
        commit_step=np.zeros(1, dtype=np.int32),
        output=output,
        sampling=Sampling(temperature=1.0, guidance=0.0, gen_length=4, block_length=4),
        truncated=False,
    )


def plain_maths(count: int) -> None:
    for rollout in answers(count):
        readme(rollout.output.rpartition("</think>")[2], rollout.prompt.answer or "")


def plain_judge(count: int, url: str) -> None:
    with httpx.Client() as client:
        for rollout in answers(count):
            asked = [{"role": "user", "content": RUBRIC.format(response=rollout.output)}]
            client.post(f"{url}/chat/completions", json={"model": "judge", "messages": asked}).raise_for_status()


def scored(scorer: Scorer, count: int) -> None:
    scorer.begin(answers(count))()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--answers", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    found, bars, rows = {}, {}, []
    with server() as url:
        judge = {"base_url": url, "model": "judge", "rubric": RUBRIC, "choices": CHOICES}
        kinds: dict[str, tuple[Callable[[], None], RewardEntry]] = {
            "math": (partial(plain_maths, args.answers), RewardEntry()),
            "judge": (partial(plain_judge, args.answers, url), RewardEntry(args=judge)),
        }
        for name, (plain, entry) in kinds.items():
            runs = {f"{name}, plain": plain, name: partial(scored, Scorer({name: entry}), args.answers)}
            times = paired.rounds(runs, args.rounds)
            rows += paired.compared(times, f"{name}, plain")
            bars[name] = paired.ratio(*times.values())[0]
            found |= times
    print(f"{args.answers} answers\n\n{paired.table(rows)}")
    paired.write(args.out, "scoring", {"seconds": found}, bars, "Scoring, times faster than one answer after the other")


if __name__ == "__main__":
    main()
