"""Data: rows of a source become prompts with their answers, or examples with their responses. Needs no torch."""

from unigrpo.data.load import Example, load_examples, load_prompts, texts
from unigrpo.data.prompts import encode_prompt
from unigrpo.data.stream import PromptStream

__all__ = ["Example", "PromptStream", "encode_prompt", "load_examples", "load_prompts", "texts"]
