"""The commands of `launch/` by name, for those who installed the package and have no clone: `rnn-capacity-sweep`.

setup.py puts `launch/` and `experiments/` into the folder `shipped` of an installed package.
"""

import runpy

from rnn_capacity.studies.store import PACKAGE, SHIPPED


def sweep() -> None:
    """Runs `launch/sweep.py`; configs are named as in a clone: `--config=experiments/gru.py:quick`."""
    _run("sweep")


def report() -> None:
    """Runs `launch/report.py`."""
    _run("report")


def table() -> None:
    """Runs `launch/table.py`."""
    _run("table")


def compile() -> None:
    """Runs `launch/compile.py`."""
    _run("compile")


def leaderboard() -> None:
    """Runs `launch/leaderboard.py`."""
    _run("leaderboard")


def _run(name: str) -> None:
    shipped = PACKAGE / SHIPPED
    root = shipped if shipped.is_dir() else PACKAGE.parent  # of a clone that is installed as editable
    runpy.run_path(str(root / "launch" / f"{name}.py"), run_name="__main__")
