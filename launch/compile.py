"""Compiles a config for an accelerator that is not here: python launch/compile.py
--config=experiments/gru.py[:quick|:evening] --topology=v5e:2x4 [--config.field=value ...].

Prints what the vendor's compiler says of every program: memory, trials that fit, kernels, bytes, operations, code; and
what the config costs at least. What does not fit is refused.
"""

import pathlib
import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends what is imported at once, without a traceback
sys.path.append(str(pathlib.Path(__file__).parents[1]))  # the clone's rnn_capacity, where none is installed

from absl import flags
from ml_collections import config_flags

from rnn_capacity import command_line, compile_ahead
from rnn_capacity.checks import InputError

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the clone's experiments/, whatever else has that name

_CONFIG = config_flags.DEFINE_config_file("config", None, "what to compile: a file of experiments/, as for a sweep")
_TOPOLOGY = flags.DEFINE_string("topology", None, "for what: h100, a100, or a TPU with its shape such as v5e:2x4")


def main(_):
    if _TOPOLOGY.value is None:
        raise InputError("--topology must be given: h100, a100, or a TPU with its shape such as v5e:2x4")
    compile_ahead.run(_CONFIG.value.to_dict(), _TOPOLOGY.value)


if __name__ == "__main__":
    command_line.run(main, lambda argv: command_line.parse_config(argv, ROOT))
