"""Runs a config: python launch/sweep.py --config=experiments/gru.py[:quick|:evening] [--workdir=DIR]
[--config.field=value ...].

Stop it any way; the same command goes on where it was. On several hosts start it on each: it finds the others where the
cluster tells of them (Cloud TPU, Slurm, Open MPI), or by --coordinator_address, --num_processes and --process_id.
"""

import pathlib
import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends what is imported at once, without a traceback
sys.path.append(str(pathlib.Path(__file__).parents[1]))  # the clone's rnn_capacity, where none is installed

from absl import flags
from ml_collections import config_flags

from rnn_capacity import command_line, dry_run, sweep
from rnn_capacity.training import hosts

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the clone's experiments/, whatever else has that name

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "what to run: a file of experiments/, with :quick for minutes, :evening for a night"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "where results are kept, in place of config.workdir")
_COORDINATOR = flags.DEFINE_string("coordinator_address", None, "of a job on several hosts: host:port of process 0")
_PROCESSES = flags.DEFINE_integer("num_processes", None, "of such a job: how many, a process a host; 1: no job")
_PROCESS = flags.DEFINE_integer("process_id", None, "of such a job: which of them this is")
_TIMEOUT = flags.DEFINE_integer(
    "initialization_timeout", hosts.INITIALIZATION_TIMEOUT, "of such a job: seconds that the others are waited for"
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "only say what it would cost here, and about how long it would take")


def main(_):
    config = _CONFIG.value.to_dict()
    if _WORKDIR.value is not None:
        config["workdir"] = _WORKDIR.value
    if _DRY_RUN.value:
        dry_run.run(config)
        return
    hosts.start(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value, _TIMEOUT.value)
    sweep.run(config)


if __name__ == "__main__":
    command_line.run(main, lambda argv: command_line.parse_config(argv, ROOT))
