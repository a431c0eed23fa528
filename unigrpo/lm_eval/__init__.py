"""Masked-diffusion models in lm-evaluation-harness, as `--model unigrpo`.

The harness looks models up in a list of its own, which no package can add to from outside. Importing this adds ours,
and `python -m unigrpo.lm_eval` is the harness's own command line after that.
"""

from unigrpo.errors import MissingExtraError

try:
    import lm_eval.models  # noqa: F401  its own models come first, or they would be missing
    from lm_eval.api.registry import model_registry
except ImportError:
    raise MissingExtraError("lm-evaluation-harness is not installed: pip install 'unigrpo[lm-eval]'.") from None

NAME = "unigrpo"
model_registry.register(NAME, target="unigrpo.lm_eval.model:UniGRPOModel")
