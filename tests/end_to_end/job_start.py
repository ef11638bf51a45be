"""What the processes of a job are started with."""

import socket
import sys

from helpers import ROOT

SWEEP = [sys.executable, str(ROOT / "launch" / "sweep.py"), f"--config={ROOT / 'experiments' / 'irnn.py'}:quick"]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
