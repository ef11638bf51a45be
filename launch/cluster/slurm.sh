#!/bin/bash
# A sweep on a Slurm cluster: one process a node, each with all the devices of its node.
#
#   sbatch --nodes=4 launch/cluster/slurm.sh --config=experiments/gru.py --workdir=results/gru
#
# Submit it in the repository's folder, on a file system that all nodes share, with the package in .venv (or in PYTHON).
# Set: --partition, --account, --time as your site has them; on GPU nodes --gpus-per-node, all that a node has.
# At the end of --time, and when preempted, the job checkpoints its batch and goes back to the queue by itself.
# Stop: scancel JOB. Go on: submit the same again.
# Workers that come and go, one a node, on one study: --array=1-8 --nodes=1 and --config.storage=postgresql://...
#SBATCH --job-name=rnn_capacity
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

# JAX joins by Slurm's own variables. It then takes one GPU a task, unless told which: all of the node.
if [ "${SLURM_GPUS_ON_NODE:-0}" -gt 0 ]; then
  JAX_LOCAL_DEVICE_IDS=$(seq -s, 0 $((SLURM_GPUS_ON_NODE - 1)))
  export JAX_LOCAL_DEVICE_IDS
fi

# Were one end to TERM the others (kill-on-bad-exit), an error would look like a stop; JAX ends them, with another code.
code=0
srun --kill-on-bad-exit=0 --cpu-bind=none "${PYTHON:-.venv/bin/python}" launch/sweep.py "$@" || code=$?
if [ "$code" = 143 ]; then # asked to stop, with more to do; scancel has ended this script already
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
