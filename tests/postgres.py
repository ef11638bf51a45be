"""A PostgreSQL server of the tests' own, where one is installed."""

import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile


def find_binaries():
    """The folder of initdb and pg_ctl; Debian keeps them off the PATH."""
    folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        folders.append(pathlib.Path(found).parent)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


class Server:
    """A fresh cluster in a folder of its own, on a free port of this machine; it can be stopped and started again."""

    def __init__(self):
        self._binaries = find_binaries()
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="postgres-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._as_user = []
        if os.getuid() == 0:  # the server refuses to be root
            user = next(name for name in ("postgres", "nobody") if _exists(name))
            shutil.chown(self._folder, user)
            self._as_user = ["setpriv", f"--reuid={user}", "--clear-groups"]
        self._call("initdb", "--auth=trust", "--username=tester", "--no-sync")
        self.url = f"postgresql://tester:secret@127.0.0.1:{self._port}/postgres"

    def start(self):
        options = (
            f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} -c fsync=off"
        )
        self._call("pg_ctl", "start", "--wait", "-l", str(self._folder / "log"), "-o", options)

    def stop(self):
        self._call("pg_ctl", "stop", "--mode=fast", "--wait")

    def remove(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._folder)

    def _call(self, program, *args):
        command = [*self._as_user, str(self._binaries / program), "-D", str(self._folder / "data"), *args]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder)


def _exists(user):
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False
