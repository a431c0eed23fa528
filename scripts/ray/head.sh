#!/usr/bin/env bash
# Starts the head of a Ray cluster on this machine and stays, so that Ctrl-C or SIGTERM ends it, and only it.
# (`ray stop` ends every Ray of the machine, other people's too.)
#
#   scripts/ray/head.sh                          # this machine alone: jobs are taken from 127.0.0.1 only
#   HEAD_IP=10.0.0.5 scripts/ray/head.sh         # the address at which other nodes reach this one
#
# More arguments go to `ray start`. Two heads on one machine need each their own ports, outside 10002-19999, which
# Ray's workers use, and which two heads must not both give out (0: any that are free):
#   HEAD_PORT=26379 DASHBOARD_PORT=28265 scripts/ray/head.sh --dashboard-agent-listen-port 28266 \
#     --ray-client-server-port 28267 --min-worker-port 0 --max-worker-port 0
set -euo pipefail
HEAD_IP="${HEAD_IP:-}"                          # by default Ray finds the machine's own
HEAD_PORT="${HEAD_PORT:-6379}"                  # where nodes join
DASHBOARD_HOST="${DASHBOARD_HOST:-127.0.0.1}"   # who may submit jobs: by default this machine
DASHBOARD_PORT="${DASHBOARD_PORT:-8265}"        # where jobs are submitted
STOP_SECONDS="${STOP_SECONDS:-120}"

# A job runs `python` and finds unigrpo only if the environment of this `ray` comes first.
ray=$(command -v ray) || { echo "head.sh: there is no ray here: activate the environment of unigrpo." >&2; exit 2; }
PATH="$(cd "$(dirname "$ray")" && pwd):$PATH"
export PATH
# Seconds between SIGTERM and SIGKILL when a job is stopped. Ray's 3 are too few to save a model. Each job that
# `unigrpo submit` starts brings its own number; this one is for plain `ray job submit`.
export RAY_JOB_STOP_WAIT_TIME_S="$STOP_SECONDS"
# Whatever address it is given, Ray opens ports of its own on all interfaces, and runs any code for whoever reaches
# them. So every call needs a token: that of ~/.ray/auth_token, made here if there is none, or $RAY_AUTH_TOKEN.
export RAY_AUTH_MODE="${RAY_AUTH_MODE:-token}"
if [ "$RAY_AUTH_MODE" = token ]; then
  ray get-auth-token --generate > /dev/null
else
  echo "head.sh: warning: without a token, whoever reaches port $HEAD_PORT of this machine can run any code on it." >&2
fi

here=$(cd "$(dirname "$0")" && pwd)
join="${HEAD_IP:-$(hostname)}:$HEAD_PORT"
echo "Submit a run:      unigrpo submit my.yaml --address http://127.0.0.1:$DASHBOARD_PORT"
echo "From elsewhere:    ssh -N -L $DASHBOARD_PORT:127.0.0.1:$DASHBOARD_PORT $(hostname), then the same"
echo "Join from a node:  RAY_AUTH_TOKEN=... $here/worker.sh $join    (the token: ray get-auth-token)"
case "$DASHBOARD_HOST" in
  127.* | localhost | ::1) ;;
  *) echo "head.sh: warning: port $DASHBOARD_PORT, which takes jobs, is open on $DASHBOARD_HOST." >&2 ;;
esac

set -- --port "$HEAD_PORT" --dashboard-host "$DASHBOARD_HOST" --dashboard-port "$DASHBOARD_PORT" \
  --disable-usage-stats "$@"
[ -z "$HEAD_IP" ] || set -- --node-ip-address "$HEAD_IP" "$@"
# Cores and GPUs are counted by Ray; inside a container or an allocation, say them.
[ -z "${NUM_CPUS:-}" ] || set -- --num-cpus "$NUM_CPUS" "$@"
[ -z "${NUM_GPUS:-}" ] || set -- --num-gpus "$NUM_GPUS" "$@"
# `exec`, so that the process that was started is the one to end.
exec ray start --head --block "$@"
