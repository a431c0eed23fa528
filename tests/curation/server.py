"""A teacher's server as others run them: /v1/chat/completions over real HTTP, strict about what it is sent.

The teacher in it can add, and is right by a formula: what it does with `a+b=` and a seed is `DOES[(a + b + seed) % 8]`.
How it shows its thought is its style: in `tags` of the text; in a `field` of its own, as a reasoning parser does; with
the first tag in the `template`, and so not in the text; or `plain`, in tags only if the prompt asks for them. A picture
that it is shown is added, as its mean.

    python server.py PORT STYLE DELAY LOG      # one in a process of its own; LOG gets a line for each request
"""

import base64
import io
import json
import re
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

DOES = ("right", "wrong", "right", "unclosed", "right", "cut", "silent", "right")
RIGHT = DOES.count("right") / len(DOES)
SUM = re.compile(r"(\d+)\+(\d+)=\Z")
TAGS = "`<think> </think>`"
FIELDS: dict[str, Any] = {
    "model": lambda v: v == "adder",
    "messages": lambda v: isinstance(v, list) and len(v) == 1 and set(v[0]) == {"role", "content"},
    "temperature": lambda v: isinstance(v, int | float) and 0 <= v <= 2,
    "top_p": lambda v: isinstance(v, int | float) and 0 < v <= 1,
    "max_tokens": lambda v: isinstance(v, int) and v > 0,
    "seed": lambda v: isinstance(v, int),
    "top_k": lambda v: isinstance(v, int),
}


class TeacherServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int = 0, style: str = "tags", delay: float = 0.0, log: str = "", key: str = ""):
        super().__init__(("127.0.0.1", port), Handler)
        self.style, self.delay, self.log, self.key = style, delay, log, key
        self.requests: list[dict[str, Any]] = []
        self.refuses = b""
        """What it refuses a request for."""
        self.fails = False
        """Whether it answers 500 from now on."""
        self.meet = 0
        """How many requests wait for each other, after the first, before any is answered."""
        self.busy = self.busiest = 0
        self.lock = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request, client_address):
        """Clients that leave are no news."""

    def note(self, body: dict[str, Any]) -> None:
        with self.lock:
            self.requests.append(body)
            if self.log:
                with open(self.log, "a") as file:
                    file.write(json.dumps([text_of(body), body.get("seed")]) + "\n")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TeacherServer

    def log_message(self, format, *args):
        """Silence."""

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.busy += 1
            self.server.busiest = max(self.server.busy, self.server.busiest)
            self.server.lock.notify_all()
            if self.server.requests:
                self.server.lock.wait_for(lambda: self.server.busiest >= self.server.meet, 60)
        time.sleep(self.server.delay)
        self.serve(sent)
        with self.server.lock:
            self.server.busy -= 1

    def serve(self, sent: bytes) -> None:
        body = json.loads(sent)
        if self.path != "/v1/chat/completions":
            return self.answer(404, {"error": {"message": "Not Found"}})
        if self.server.key and self.headers["Authorization"] != f"Bearer {self.server.key}":
            return self.answer(401, {"error": {"message": "Incorrect API key provided"}})
        if self.server.fails:
            return self.answer(500, {"error": {"message": "out of order"}})
        wrong = next((name for name, value in body.items() if name not in FIELDS or not FIELDS[name](value)), None)
        if wrong or (self.server.refuses and self.server.refuses in sent):
            return self.answer(400, {"error": {"message": f"Bad value or unknown: {wrong}"}})
        self.server.note(body)
        return self.answer(200, completion(body, self.server.style))

    def answer(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def text_of(body: dict[str, Any]) -> str:
    content = body["messages"][0]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def shade(body: dict[str, Any]) -> int:
    """The mean of the pictures in a request; 0 without."""
    content = body["messages"][0]["content"]
    urls = [] if isinstance(content, str) else [part["image_url"]["url"] for part in content if "image_url" in part]
    files = [io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))) for url in urls]
    return sum(round(float(np.asarray(Image.open(file)).mean())) for file in files)


def does(a: int, b: int, seed: int) -> str:
    return DOES[(a + b + seed) % len(DOES)]


def completion(body: dict[str, Any], style: str) -> dict[str, Any]:
    text, seed = text_of(body), body.get("seed", 0)
    found = SUM.search(text)
    a, b = (int(found[1]), int(found[2])) if found else (0, 0)
    kind, total = does(a, b, seed), a + b + shade(body)
    thought = f"Attempt {seed} at {a} and {b}: I add the tens, then the ones, and get {total}."
    answer = str(total + (kind == "wrong")) if kind != "silent" else ""
    message = said(thought, answer, kind == "unclosed", style, TAGS in text)
    usage = {"prompt_tokens": len(text.split()), "completion_tokens": len(thought.split())}
    choice = {"index": 0, "message": message, "finish_reason": "length" if kind == "cut" else "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "choices": [choice], "usage": usage}


def said(thought: str, answer: str, unclosed: bool, style: str, asked: bool) -> dict[str, Any]:
    if style == "field":
        own = {"content": None} if unclosed else {"content": answer}
        return {"role": "assistant", "reasoning_content": "\n" + thought, **own}
    if style == "plain" and not asked:
        return {"role": "assistant", "content": f"{thought} {answer}"}
    opened = "" if style == "template" else "<think>"
    return {"role": "assistant", "content": f"{opened}\n{thought}\n" + ("" if unclosed else f"</think>\n\n{answer}")}


def expected(rows: list[dict[str, str]], samples: int, seed: int = 0) -> Counter[str]:
    """How often the teacher does what, with rows that ask for sums."""
    sums = [tuple(map(int, SUM.search(row["prompt"]).groups())) for row in rows]  # type: ignore[union-attr]
    return Counter(does(a, b, seed + sample) for a, b in sums for sample in range(samples))


if __name__ == "__main__":
    TeacherServer(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4]).serve_forever()
