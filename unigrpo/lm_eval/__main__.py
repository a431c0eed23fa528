"""`python -m unigrpo.lm_eval --model unigrpo --model_args pretrained=FOLDER,... --tasks ...`."""

import sys

from lm_eval.__main__ import cli_evaluate

from unigrpo.errors import UniGRPOError

if __name__ == "__main__":
    try:
        cli_evaluate()
    except UniGRPOError as error:
        print(f"unigrpo: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
