"""A judge's server as others run them: /v1/chat/completions over real HTTP, strict about what it is sent, with faults.

The judge in it is simple, so that what it says is known: of a response that is a number p up to 1 it says the first
label with probability p; of any other, p is the share of digits in it; of one that begins with `say ` it says what
follows; of an image p is the mean of its pixels.

    python server.py PORT DELAY        # one in a process of its own, to be killed
"""

import base64
import io
import json
import math
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

FENCE = re.compile(r"\[BEGIN (\w{16})\]\n(.*)\n\[END \1\]", re.DOTALL)
LABELLED = 0.9
"""The probability that is left to labels; the rest goes to another word."""
MOST = 20

FIELDS: dict[str, Any] = {
    "model": lambda v: isinstance(v, str),
    "messages": lambda v: isinstance(v, list) and v and all(map(is_message, v)),
    "temperature": lambda v: isinstance(v, int | float) and 0 <= v <= 2,
    "max_tokens": lambda v: isinstance(v, int) and v > 0,
    "seed": lambda v: isinstance(v, int),
    "logprobs": lambda v: isinstance(v, bool),
    "top_logprobs": lambda v: isinstance(v, int) and 0 <= v <= MOST,
}
VLLM: dict[str, Any] = {
    "structured_outputs": lambda v: isinstance(v, dict) and set(v) in ({"choice"}, {"regex"}),
    "chat_template_kwargs": lambda v: isinstance(v, dict),
}


def is_message(message: Any) -> bool:
    if not isinstance(message, dict) or set(message) != {"role", "content"} or message["role"] != "user":
        return False
    content = message["content"]
    return isinstance(content, str) or (isinstance(content, list) and bool(content) and all(map(is_part, content)))


def is_part(part: Any) -> bool:
    if part.get("type") == "text":
        return set(part) == {"type", "text"} and isinstance(part["text"], str)
    url = part.get("image_url", {}).get("url", "")
    return set(part) == {"type", "image_url"} and url.startswith("data:image/png;base64,")


class ChatServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int = 0, delay: float = 0.0, key: str = "", vllm: bool = True, context: int = 100_000):
        super().__init__(("127.0.0.1", port), Handler)
        self.delay, self.key, self.vllm, self.context = delay, key, vllm, context
        self.poison = b""
        """What no request may hold that is to succeed."""
        self.faults: deque[Any] = deque()
        """What goes wrong with the next requests: a status with headers, `hang`, `cut`, or a body."""
        self.always: Any = None
        """What goes wrong with every request."""
        self.requests: list[dict[str, Any]] = []
        self.meet = 0
        """How many requests wait for each other before any is answered."""
        self.busy = self.busiest = 0
        self.lock = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request, client_address):
        """Clients that leave are no news."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self.lock:
            self.busy += 1
            self.busiest = max(self.busy, self.busiest)
            self.lock.notify_all()
            self.lock.wait_for(lambda: self.busiest >= self.meet, 60)
        try:
            yield
        finally:
            with self.lock:
                self.busy -= 1

    def fault(self) -> Any:
        with self.lock:
            return self.faults.popleft() if self.faults else self.always


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatServer

    def log_message(self, format, *args):
        """Silence."""

    def do_POST(self) -> None:
        with self.server.counted():
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(self.server.delay)
            fault = self.server.fault()
            if fault == "hang":
                time.sleep(300)
            elif fault == "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"id": ')
                self.close_connection = True
            elif isinstance(fault, tuple):
                self.refuse(fault[0], "told to fail", fault[1])
            elif isinstance(fault, bytes):
                self.answer(200, fault)
            else:
                self.serve(sent)

    def serve(self, sent: bytes) -> None:
        if self.path != "/v1/chat/completions":
            return self.refuse(404, "Not Found")
        if self.server.key and self.headers["Authorization"] != f"Bearer {self.server.key}":
            return self.refuse(401, f"Incorrect API key provided: {self.headers['Authorization']}")
        body = json.loads(sent)
        known = FIELDS | VLLM if self.server.vllm else FIELDS
        wrong = next((name for name, value in body.items() if name not in known or not known[name](value)), None)
        if wrong or not {"model", "messages"} <= set(body) or ("top_logprobs" in body) > body.get("logprobs", False):
            return self.refuse(400, f"Unrecognized request argument supplied: {wrong}")
        if body["model"] != "judge":
            return self.refuse(404, f"The model `{body['model']}` does not exist.")
        if len(sent) > self.server.context:
            return self.refuse(400, "This model's maximum context length is exceeded.")
        if self.server.poison and self.server.poison in sent:
            return self.refuse(500, "I stumble over this")
        with self.server.lock:
            self.server.requests.append(body)
        return self.answer(200, json.dumps(completion(body)).encode())

    def refuse(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        self.answer(status, json.dumps({"error": {"message": message, "code": status}}).encode(), headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def completion(body: dict[str, Any]) -> dict[str, Any]:
    chances = judgement(body)
    said = max((text for text in chances if text != "The"), key=lambda text: chances[text])
    shown = said[: 4 * body.get("max_tokens", 1000)]
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": shown},
        "finish_reason": "stop" if shown == said else "length",
    }
    if body.get("logprobs"):
        top = [{"token": t, "logprob": math.log(c) if c else -9999.0, "bytes": None} for t, c in chances.items()]
        drawn = next(token for token in top if token["token"] == said)
        choice["logprobs"] = {"content": [{**drawn, "token": shown, "top_logprobs": top}]}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}


def judgement(body: dict[str, Any]) -> dict[str, float]:
    """What the judge may say, with probabilities."""
    content = body["messages"][0]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    images = [pixels(part) for part in parts if part["type"] == "image_url"]
    fenced = FENCE.search("".join(part.get("text", "") for part in parts))
    response = fenced[2] if fenced else ""
    if response.startswith("say "):
        return {response.removeprefix("say "): 1.0}
    p = float(images[0].mean() / 255) if images else _share(response)
    first, second = (body.get("structured_outputs", {}).get("choice") or ["A", "B"])[:2]
    return {first: LABELLED * p, second: LABELLED * (1 - p), "The": 1 - LABELLED}


def pixels(part: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2]))))


def _share(response: str) -> float:
    try:
        p = float(response or 0)
    except ValueError:
        p = math.nan
    return p if 0 <= p <= 1 else sum(map(str.isdigit, response)) / len(response)


if __name__ == "__main__":
    ChatServer(int(sys.argv[1]), float(sys.argv[2])).serve_forever()
