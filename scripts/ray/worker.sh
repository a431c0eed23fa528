#!/usr/bin/env bash
# Adds this node to a Ray cluster and stays until Ctrl-C or SIGTERM, or until the head is gone.
#
#   RAY_AUTH_TOKEN=... scripts/ray/worker.sh HEAD:6379      # the token is what `ray get-auth-token` prints on the head
#
# More arguments go to `ray start`. The node needs the same Python, Ray and unigrpo as the head, and must see the
# folders of runs and models at the same paths. It must be another machine than the head's: on one, both would unpack
# jobs into the same folder, and one deletes what the other still needs.
set -euo pipefail
HEAD="${1:-}"
case "$HEAD" in
  *:*) shift ;;
  *) echo "worker.sh: name the head as HOST:PORT, as head.sh printed it." >&2; exit 2 ;;
esac
ray=$(command -v ray) || { echo "worker.sh: there is no ray here: activate the environment of unigrpo." >&2; exit 2; }
PATH="$(cd "$(dirname "$ray")" && pwd):$PATH"
export PATH

# Ray itself would try again for minutes without a word.
if ! timeout "${WAIT_SECONDS:-30}" bash -c \
  'until exec 3<> "/dev/tcp/$0/$1"; do sleep 1; done' "${HEAD%:*}" "${HEAD##*:}" 2> /dev/null; then
  echo "worker.sh: $HEAD does not answer: is head.sh running there, and is the port open to this node?" >&2
  exit 2
fi
# As in head.sh: with `--entrypoint-cpus` a job may run on this node.
export RAY_JOB_STOP_WAIT_TIME_S="${STOP_SECONDS:-120}"
export RAY_AUTH_MODE="${RAY_AUTH_MODE:-token}"
if [ "$RAY_AUTH_MODE" = token ] && ! ray get-auth-token > /dev/null 2>&1; then
  echo "worker.sh: there is no token: set RAY_AUTH_TOKEN to what \`ray get-auth-token\` prints on the head." >&2
  exit 2
fi
echo "worker.sh: warning: Ray's ports on this node are open to the network; only the token guards them." >&2

set -- --address "$HEAD" --disable-usage-stats "$@"
[ -z "${NODE_IP:-}" ] || set -- --node-ip-address "$NODE_IP" "$@"
[ -z "${NUM_CPUS:-}" ] || set -- --num-cpus "$NUM_CPUS" "$@"
[ -z "${NUM_GPUS:-}" ] || set -- --num-gpus "$NUM_GPUS" "$@"
exec ray start --block "$@"
