#!/usr/bin/env bash
# An example: a run with a reward of one's own, submitted from a working folder. Start head.sh first.
#
#   scripts/ray/submit.sh [FOLDER] [key=value ...] [OPTION ...]
#
# More arguments come last and win, such as steps=20, resume=true or --no-wait.
set -euo pipefail
folder="${1:-example-job}"
[ $# -eq 0 ] || shift
mkdir -p "$folder"
cd "$folder"

# The folder is what travels: the settings, and the reward beside them.
[ -e brevity.py ] || cat > brevity.py <<'PY'
def brevity(response: str, limit: int = 8) -> float:
    """1 for an empty response, 0 at the limit."""
    return max(0.0, 1 - len(response) / limit)
PY
[ -e run.yaml ] || cat > run.yaml <<'YAML'
# unigrpo submit run.yaml
# A model from scratch, so that nothing must be downloaded; it learns to be brief, and nothing else.
model: {preset: tiny, vocab_size: 268}
data: {source: arithmetic, template: plain}
rollout: {prompts_per_step: 8, group_size: 4, gen_length: 8, block_length: 4}
optim: {lr: 1.0e-3}
steps: 20
rewards:
  brevity: {path: "brevity.py:brevity"}
YAML

# `output` is made absolute before it is sent: what is written into the job's own copy of the folder is deleted.
exec unigrpo submit run.yaml output=runs/brevity --address "${ADDRESS:-http://127.0.0.1:8265}" "$@"
