"""The commands of `launch/` by name, for those who installed the package and have no clone: `rnn-capacity-sweep`.

Configs are named as in a clone: `--config=experiments/gru.py:quick`. setup.py puts `launch/` and `experiments/` into
the folder `shipped` of an installed package.
"""

import functools
import runpy

from rnn_capacity.studies.store import PACKAGE, SHIPPED


def _run(name: str) -> None:
    shipped = PACKAGE / SHIPPED
    root = shipped if shipped.is_dir() else PACKAGE.parent  # of a clone that is installed as editable
    runpy.run_path(str(root / "launch" / f"{name}.py"), run_name="__main__")


sweep, report, table, compile, leaderboard = (
    functools.partial(_run, name) for name in ("sweep", "report", "table", "compile", "leaderboard")
)
