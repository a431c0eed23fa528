"""vLLM's offline engine, asked over a pipe. Started with any Python that has vLLM; imports nothing of ours.

The first line that is read is `{"model": ..., "engine": {...}}`, to which the answer is `{"ready": VERSION}`. Every
other one is a list of requests `{"messages": [...], "sampling": {...}, "chat": {...}}`, which are answered together,
each on a line of its own, in order. `{"fatal": MESSAGE}` comes when none can be answered.
"""

import json
import os
import sys

OF_THE_MODEL = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
"""What a model's generation_config.json may set."""


def main():
    """Answer until there are no more lines."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # vLLM prints to the standard output, which would break our lines

    def say(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    try:
        settings = json.loads(sys.stdin.readline())
        import vllm  # pyright: ignore[reportMissingImports]

        engine = vllm.LLM(model=settings["model"], **settings["engine"])
        say({"ready": vllm.__version__})
        for line in sys.stdin:
            for answer in answered(vllm, engine, json.loads(line)):
                say(answer)
    except Exception as error:
        say({"fatal": f"{type(error).__name__}: {error}"})
        raise


def answered(vllm, engine, requests):
    """Return what the engine says to each request; one that it refuses is not the fault of the others."""
    sampling = [sampling_of(vllm, engine, **request["sampling"]) for request in requests]
    try:
        found = engine.chat([one["messages"] for one in requests], sampling, use_tqdm=False, **requests[0]["chat"])
    except ValueError as error:  # too long a prompt, for example
        if len(requests) > 1:
            return [answer for request in requests for answer in answered(vllm, engine, [request])]
        return [{"refused": str(error)}]
    return [said(output) for output in found]


def sampling_of(vllm, engine, structured_outputs=None, **sampling):
    """Return the engine's settings for one request, given as its server takes them, and filled up as it does."""
    defaults = engine.get_default_sampling_params()
    sampling = {"max_tokens": None, **{name: getattr(defaults, name) for name in OF_THE_MODEL}, **sampling}
    if structured_outputs is not None:
        constrained = vllm.sampling_params.StructuredOutputsParams(**structured_outputs)
        sampling["structured_outputs"] = constrained
    return vllm.SamplingParams(**sampling)


def said(output):
    """Return one answer as JSON can hold it."""
    first = output.outputs[0]
    return {
        "content": first.text,
        "finish": first.finish_reason or "",
        "tokens_in": len(output.prompt_token_ids or ()),
        "tokens_out": len(first.token_ids),
    }


if __name__ == "__main__":
    main()
