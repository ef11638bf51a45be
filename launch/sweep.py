"""Runs a config: python launch/sweep.py --config=experiments/gru.py[:quick] [--config.field=value ...] [--workdir=DIR].

Stop it any way; the same command goes on where it was. On several hosts start it on each: it finds the others where the
cluster tells of them (Cloud TPU, Slurm, Open MPI), or by --coordinator_address, --num_processes and --process_id.
"""

import logging as python_logging
import pathlib
import re
import sys

from absl import app, flags, logging
from ml_collections import config_flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))  # where experiments/ is

from rnn_capacity import hosts, sweep
from rnn_capacity.database import StorageLostError
from rnn_capacity.search.ranges import PAPER
from rnn_capacity.trainer import OutOfMemoryError

TOLD_IN_A_LINE = (ValueError, OSError, ImportError, StorageLostError, OutOfMemoryError, hosts.JobError)

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "what to run: a file of experiments/, with :quick for minutes"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "where results are kept, in place of config.workdir")
_COORDINATOR = flags.DEFINE_string("coordinator_address", None, "of a job on several hosts: host:port of process 0")
_PROCESSES = flags.DEFINE_integer("num_processes", None, "of such a job: how many, a process a host")
_PROCESS = flags.DEFINE_integer("process_id", None, "of such a job: which of them this is")
flags.mark_flag_as_required("config")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.WARNING)
    python_logging.root.removeHandler(logging.get_absl_handler())  # it writes where bars are redrawn, and is lost
    config = _CONFIG.value.to_dict()
    if _WORKDIR.value is not None:
        config["workdir"] = _WORKDIR.value
    try:
        hosts.start(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
        sweep.run(config)
    except TOLD_IN_A_LINE as error:
        sys.exit(f"error: {error}")


def parse(argv):
    """As absl does, but what is wrong with a config or a flag is told in a line."""
    try:
        rest = flags.FLAGS(argv)
        if _CONFIG.value is not None:
            _CONFIG.value.to_dict()  # the file is read only now
        return rest
    except (flags.Error, OSError, AttributeError, KeyError, ValueError) as error:
        for name in (arg.removeprefix("--config.").split("=")[0] for arg in argv if arg.startswith("--config.")):
            of_one = re.fullmatch(r"sweeps\.([^.]*)\.(.*)", name)  # in a config of several
            field, _, hparam = (of_one[2] if of_one else name).partition(".")
            if field not in sweep.FIELDS:
                sys.exit(f"error: config.{field}: no such field; there are {', '.join(sweep.FIELDS)}")
            if field == "task_fields" and any(word in str(error) for word in (field, hparam)):
                sys.exit(f"error: config.task_fields.{hparam}: no such field of the task; rnn_capacity/tasks has them")
            if field == "hparams" and hparam not in PAPER:
                sys.exit(f"error: config.hparams.{hparam}: no such hparam; there are {', '.join(PAPER)}")
            if isinstance(error, AttributeError | KeyError) and of_one and of_one[1] in str(error):
                sys.exit(f"error: config.sweeps.{of_one[1]}: the config has no such sweep")
            if isinstance(error, AttributeError | KeyError) and not of_one and field in str(error):
                sys.exit(f"error: config.{field}: not of this config; of several sweeps it is sweeps.NAME.{field}")
        sys.exit(f"error: {str(error).strip().splitlines()[-1]}")


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
