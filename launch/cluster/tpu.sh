#!/bin/bash
# A sweep on a Cloud TPU slice of one host or many: the same command runs on every host, and JAX joins them.
#
#   launch/cluster/tpu.sh create           waits for a slice, and installs this commit on its hosts
#   launch/cluster/tpu.sh run --config=experiments/gru.py --workdir=results/gru
#   launch/cluster/tpu.sh stop             checkpoints what is in training; run with the same flags goes on
#   launch/cluster/tpu.sh fetch results/gru
#   launch/cluster/tpu.sh delete
#
# Set: NAME, ZONE, TYPE and its RUNTIME (v5litepod-16 has v2-alpha-tpuv5-lite), and gcloud's own project and login.
# SPOT=1 asks for a slice that may be taken away, with its disks: then SHARE=10.0.0.2:/results, an NFS server such as
# Filestore, is mounted as results/ on every host. Once a slice was taken: delete, create, run with the same flags.
set -euo pipefail
NAME=${NAME:-rnn-capacity} ZONE=${ZONE:-us-east5-b} TYPE=${TYPE:-v6e-16} RUNTIME=${RUNTIME:-v2-alpha-tpuv6e}

on() { # worker, command
  gcloud compute tpus tpu-vm ssh "$NAME" --zone="$ZONE" --worker="$1" --command="$2"
}

state() {
  gcloud compute tpus queued-resources describe "$NAME" --zone="$ZONE" --format="value(state.state)" 2>/dev/null || true
}

create() {
  [ -n "$(state)" ] || gcloud compute tpus queued-resources create "$NAME" --node-id="$NAME" --zone="$ZONE" \
    --accelerator-type="$TYPE" --runtime-version="$RUNTIME" ${SPOT:+--spot}
  while now=$(state) && [ "$now" != ACTIVE ]; do
    case $now in FAILED | SUSPEND*) echo "$NAME: $now; delete it and create it again" >&2 && exit 1 ;; esac
    sleep "${WAIT:-30}"
  done
  code=$(mktemp -d)
  git archive --format=tar.gz --output="$code/rnn_capacity.tar.gz" HEAD
  gcloud compute tpus tpu-vm scp "$code/rnn_capacity.tar.gz" "$NAME:" --zone="$ZONE" --worker=all
  [ -z "${SHARE:-}" ] || on all "mkdir -p rnn_capacity/results && cd rnn_capacity && mountpoint -q results || {
    sudo apt-get install -qy -o DPkg::Lock::Timeout=600 nfs-common &&
      sudo mount -t nfs $SHARE results && sudo chmod a+rwx results; }"
  on all "mkdir -p rnn_capacity && cd rnn_capacity && tar xzf ../rnn_capacity.tar.gz && python3 -m pip install -q uv &&
    python3 -m uv venv --allow-existing --python=3.12 .venv && python3 -m uv pip install -q '.[tpu,postgres]'"
}

run() { # in the background, so that it outlives this connection; Ctrl-C ends only the reading of the log
  on all "cd rnn_capacity && {
    nohup .venv/bin/python launch/sweep.py $(printf '%q ' "$@")> sweep.log 2>&1 < /dev/null &
    echo \$! > sweep.pid; }"
  on 0 "tail --pid=\$(cat rnn_capacity/sweep.pid) --lines=+1 --follow rnn_capacity/sweep.log"
}

case ${1:-} in
  create) create ;;
  run) run "${@:2}" ;;
  stop) on all "kill -TERM \$(cat rnn_capacity/sweep.pid)" ;;
  fetch)
    mkdir -p "$(dirname "$2")"
    gcloud compute tpus tpu-vm scp --recurse "$NAME:rnn_capacity/$2" "$(dirname "$2")" --zone="$ZONE" --worker=0
    ;;
  delete) gcloud compute tpus queued-resources delete "$NAME" --zone="$ZONE" --force --quiet ;;
  *) sed -n '2,13s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
