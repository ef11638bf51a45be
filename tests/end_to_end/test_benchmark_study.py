"""The benchmark of a whole study runs and adds up; the others of its kind need a machine to themselves."""

import subprocess
import sys

import pytest
from helpers import ROOT

BENCHMARKS = ROOT / "benchmarks"


def test_every_trial_is_asked_told_and_stored_and_some_are_trained():
    given = ["--num_trials=24", "--trained=2", "--train_steps=20", "--num_params=60"]
    run = subprocess.run([sys.executable, BENCHMARKS / "overhead.py", *given], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "24 trials asked, told and stored" in run.stdout
    rows = [line.strip("| ").split(" | ") for line in run.stdout.splitlines() if line.startswith("| ")]
    names, quarters, everything = rows[0], rows[2:6], rows[6]
    assert [quarter[0] for quarter in quarters] == [f"{n} of 4" for n in range(1, 5)]
    seconds = {name: float(value) for name, value in zip(names[1:-1], everything[1:-1], strict=True)}
    assert min(seconds["storing"], seconds["compiling"], seconds["training"]) > 0
    for column, name in enumerate(names[1:-1], 1):
        assert sum(float(quarter[column]) for quarter in quarters) == pytest.approx(seconds[name], abs=0.25)
    lost = sum(seconds[name] for name in ("asking", "storing", "beginning", "the rest"))
    assert float(everything[-1].rstrip(" %")) == pytest.approx(100 * lost / (lost + seconds["training"]), abs=3)
