"""Processes of Python that find the package imported: forked from one that did so, each has 3 seconds less to do.

Each has an identity, signals, an exit code and an interpreter's end of its own, as one of `subprocess` has; one that
`multiprocessing` forks ends without what was registered for the end, such as leaving a job. What is read as Python or a
package is imported is that of the tests, and the hashes of strings are alike in all: what could depend on them wants a
process of its own. JAX's settings are made again, and NumPy's random numbers.
"""

import functools
import importlib
import json
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types

IMPORTED = ("rnn_capacity.sweep", "rnn_capacity.dry_run", "rnn_capacity.command_line", "rnn_capacity.search.gp_bandit")
IMPORTED += ("experiments.common", "ml_collections.config_flags", "scipy.stats.qmc", "alembic.command")
IMPORTED += ("sqlalchemy.dialects.sqlite", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg")
IMPORTED += ("pytest",)  # by what the tests run in such processes


class Process:
    """What a command of Python does, from its begin.

    Args:
        command: sys.executable, then a script or -c and code, then arguments.
        out: files that the output and the errors are added to; by default new ones, which `communicate` reads.
    """

    def __init__(self, command, env=None, cwd=None, out=None):
        assert command[0] == sys.executable
        self.args, self.returncode = command, None
        self._files = [tempfile.NamedTemporaryFile("r") for _ in range(0 if out else 2)]  # noqa: SIM115 as long as it
        out = out or [file.name for file in self._files]
        self.pid = _ask([list(map(str, command[1:])), dict(env or os.environ), str(cwd or os.getcwd()), *map(str, out)])

    def poll(self):
        if self.returncode is None:
            self.returncode = _ask(self.pid)
        return self.returncode

    def wait(self, timeout=None):
        end = time.monotonic() + (timeout or 600)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, kind):
        if self.poll() is None:
            os.kill(self.pid, kind)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def said(self):
        """Its output and its errors, as far as they are."""
        return [pathlib.Path(file.name).read_text() for file in self._files]

    def communicate(self, timeout=None):
        """Its output and its errors, at its end."""
        try:
            self.wait(timeout)
        finally:
            self.kill()
        return self.said()


def run(command, env=None, cwd=None, timeout=300):
    """As `subprocess.run` with text that is captured."""
    process = Process(command, env, cwd)
    out, errors = process.communicate(timeout)
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


# --- The process that all are forked from -----------------------------------------------------------------------------


@functools.cache
def _server():
    """The socket to it, as a file."""
    here, there = socket.socketpair()
    command = [sys.executable, __file__, str(there.fileno())]
    subprocess.Popen(command, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL)
    there.close()
    return here.makefile("rw", buffering=1)


def _ask(what):
    _server().write(json.dumps(what) + "\n")
    return json.loads(_server().readline())


def _serve(connection):
    """Answers until nobody asks any more: with the identity of a new process, or with the exit code of one.

    Returns in each new process, with what it is to be.
    """
    for asked in connection:
        if isinstance(asked := json.loads(asked), list):
            answer = os.fork()
            if answer == 0:
                return asked
        else:
            ended, status = os.waitpid(asked, os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        connection.write(json.dumps(answer) + "\n")
    return None


def _become(command, environment, cwd, *out):
    import jax
    import numpy as np

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    for number, path in enumerate(out, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    np.random.seed()
    os.environ.clear()
    os.environ.update(environment)
    for name, value in environment.items():
        if name.startswith("JAX_") and hasattr(jax.config, setting := name.lower()):
            known = getattr(jax.config, setting)
            if isinstance(known, bool):
                value = value.lower() in ("1", "true", "yes", "on")
            jax.config.update(setting, value if known is None else type(known)(value))
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = ["-c", *command[2:]] if command[0] == "-c" else command
    if command[0] == "-c":
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(command[1], "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        sys.path.insert(0, os.path.dirname(command[0]))
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end what they began
    sys.path[0] = os.path.dirname(sys.path[0])  # the clone, in place of its tests
    for _name in IMPORTED:
        importlib.import_module(_name)
    with socket.socket(fileno=int(sys.argv[1])) as _socket, _socket.makefile("rw", buffering=1) as _connection:
        _asked = _serve(_connection)
    if _asked:
        _become(*_asked)
