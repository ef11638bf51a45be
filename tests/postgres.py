"""A PostgreSQL server of the tests' own, where one is installed, and a PgBouncer in front of it."""

import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time


def find_binaries():
    """The folder of initdb and pg_ctl; Debian keeps them off the PATH."""
    folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        folders.append(pathlib.Path(found).parent)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


def find_pooler():
    """PgBouncer; a user's PATH may lack the folder of it."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


class Server:
    """A fresh cluster in a folder of its own, on a free port of this machine; it can be stopped and started again."""

    def __init__(self):
        self._binaries = find_binaries()
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="postgres-"))
        self._port = _free_port()
        self._as_user = _not_as_root(self._folder)
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


class Pooler:
    """A PgBouncer in transaction mode: each transaction of a client gets whichever connection to the server is free."""

    def __init__(self, url, num_connections=2):
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        port = _free_port()
        here, _, there = url.rpartition("@")
        server, _, database = there.partition("/")
        self.url = f"{here}@127.0.0.1:{port}/{database}"
        (self._folder / "users").write_text('"tester" "secret"\n')
        (self._folder / "ini").write_text(
            f"""[databases]
{database} = host={server.split(":")[0]} port={server.split(":")[1]}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {self._folder / "users"}
pool_mode = transaction
default_pool_size = {num_connections}
query_wait_timeout = 30
"""
        )
        command = [*_not_as_root(self._folder), find_pooler(), "--quiet", str(self._folder / "ini")]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.05)
        raise RuntimeError("PgBouncer does not answer")

    def remove(self):
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder)


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _not_as_root(folder):
    """What a command begins with to run as another user, who owns the folder: both servers refuse to be root."""
    if os.getuid() != 0:
        return []
    user = next(name for name in ("postgres", "nobody") if _exists(name))
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, user)
    return ["setpriv", f"--reuid={user}", "--clear-groups"]


def _exists(user):
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False
