"""A stand-in for the package `vllm`, as far as its offline engine is used: behind it is the teacher of `server.py`.

Like the real one it prints to the standard output, refuses what it does not know, and takes lists.
"""

import os
import time
from types import SimpleNamespace as Space

from server import completion, text_of  # beside this file, in the folder that the test makes

__version__ = "0"
TOO_LONG = 400
OF_THE_MODEL = 0.9
"""The `top_p` that its generation_config.json sets."""


class SamplingParams:
    def __init__(
        self,
        *,
        temperature=1.0,
        top_p=1.0,
        max_tokens=16,
        seed=None,
        top_k=0,
        min_p=0.0,
        repetition_penalty=1.0,
        structured_outputs=None,
    ):
        self.temperature, self.top_p, self.top_k = temperature, top_p, top_k
        self.min_p, self.repetition_penalty, self.max_tokens = min_p, repetition_penalty, max_tokens
        self.seed, self.structured_outputs = seed, structured_outputs


class sampling_params:  # noqa: N801
    class StructuredOutputsParams:
        def __init__(self, *, regex):
            self.regex = regex


class LLM:
    def __init__(self, model, max_model_len=100, tensor_parallel_size=1, crash=0):
        print("INFO loading", model)
        if model != "adder":
            raise OSError(f"{model} is not a local folder")
        self.left = crash

    def get_default_sampling_params(self):
        return SamplingParams(top_p=OF_THE_MODEL)

    def chat(self, messages, sampling_params, use_tqdm=True, chat_template_kwargs=None):
        print("INFO answering", len(messages))
        if any(len(text_of({"messages": one})) > TOO_LONG for one in messages):
            raise ValueError("The prompt is longer than the maximum model length")
        if self.left and len(messages) > 1:
            os.kill(os.getpid(), 9)
        time.sleep(0.01)
        return [
            output(one, sampling, chat_template_kwargs) for one, sampling in zip(messages, sampling_params, strict=True)
        ]


def output(messages, sampling, template):
    assert sampling.top_p in (OF_THE_MODEL, 0.5)  # the model's own, or that of a test
    assert sampling.max_tokens in (None, 8192)
    if sampling.structured_outputs is not None:
        assert isinstance(sampling.structured_outputs, sampling_params.StructuredOutputsParams)
    body = {"messages": messages, "seed": sampling.seed or 0}
    found = completion(body, "plain" if template == {"enable_thinking": False} else "tags")
    choice, usage = found["choices"][0], found["usage"]
    said = Space(
        text=choice["message"]["content"],
        finish_reason=choice["finish_reason"],
        token_ids=list(range(usage["completion_tokens"])),
    )
    return Space(prompt_token_ids=list(range(usage["prompt_tokens"])), outputs=[said])
