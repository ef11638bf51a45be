"""Benchmarks run: every way of speed computes the same losses, the tables have their rows, costs follow from a rate."""

import csv
import importlib.util
import os
import subprocess
import sys

import pytest
from helpers import ROOT

SPEED = ROOT / "benchmarks" / "speed.py"
WAYS = ["plain", "flax", "torch_eager", "torch_batched", "project"]


def run(*flags):
    command = [sys.executable, str(SPEED), "--rounds=2", "--seconds=0.02", "--trials=4", *flags]
    xla_flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": xla_flags, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def ways():
    return [w for w in WAYS if not w.startswith("torch") or importlib.util.find_spec("torch")]


@pytest.fixture(scope="module")
def measured(tmp_path_factory, ways):
    out = tmp_path_factory.mktemp("speed") / "speed.csv"
    flags = ["--cells=gru", "--params=150", "--unrolls=2", "--depths=2", f"--ways={','.join(ways)}", f"--out={out}"]
    return out, flags, run(*flags)


def test_every_way_computes_the_same_losses(measured, ways):
    out, _, done = measured
    assert done.returncode == 0, done.stderr
    with out.open() as file:
        file.readline()
        lines = list(csv.DictReader(file))
    assert [(line["cell"], line["way"]) for line in lines] == [("gru", way) for way in ways]
    for line in lines:
        assert not line["note"]
        assert float(line["off"]) < 1e-3
        assert int(line["check_steps"]) == 10
        assert len(line["rates"].split()) == 2


def test_the_tables_have_their_rows(measured, ways):
    _, _, done = measured
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    rates, ratios = rows[:3], rows[3:]
    assert len(ratios) == 3
    assert [row[0] for row in rates] == [row[0] for row in ratios] == ["| cell", "| ---", "| gru"]
    assert rates[0][-len(ways) :] == [*ways[:-1], "project |"]
    assert all(float(rate.strip(" |")) > 0 for row in rates[2:] for rate in row[-len(ways) :])


def test_what_is_measured_is_not_measured_again_and_other_settings_are_refused(measured):
    out, flags, done = measured
    before = out.read_bytes()
    again = run(*flags)
    assert again.returncode == 0
    assert again.stdout == done.stdout
    assert "1 of" not in again.stderr
    refused = run(*flags, "--rounds=3")
    assert refused.returncode != 0
    assert "out:" in refused.stderr
    assert "rounds 2 (here 3)" in refused.stderr
    assert out.read_bytes() == before


def test_rows_that_were_measured_now_are_those_that_are_read_from_the_file(tmp_path, monkeypatch):
    """Of which the last digits are not kept; by these a table might round otherwise."""
    monkeypatch.syspath_prepend(SPEED.parent)
    results = importlib.import_module("table").Results
    key = ("gru", 150, 2, 2)
    line = dict(zip(("cell", "budget", "unroll", "depth"), key, strict=True)) | {"params": 137, "note": ""}
    line |= dict.fromkeys(("units", "inputs", "operations", "trials", "check_steps", "bytes"), 4)
    line |= {"way": "project", "off": 1e-7 / 3, "compile_seconds": 2 / 3}
    line |= {"rates": [2130.496, 2130.5049], "sgemm": [1e9 / 3, 1e9 / 7]}
    now = results(tmp_path / "speed.csv", {})
    now.add(key, [line])
    assert results(tmp_path / "speed.csv", {}).rows == now.rows


COST = """
import jax
from absl import app
import cost
cost.sgemm_rate = lambda: {"highest": 2e10}.get(jax.config.jax_default_matmul_precision, 2e12)
app.run(cost.main)
"""


def test_costs_are_counted_at_the_rate_of_full_float32_which_is_told():
    """A Hopper's product is one of TF32 by default, some ten times as fast."""
    config = SPEED.parents[1] / "experiments" / "gru.py"
    flags = [f"--config={config}", "--config.cell=gru", "--config.depths=1", "--config.num_params=1000", "--share=0.5"]
    done = subprocess.run(
        [sys.executable, "-c", COST, *flags],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(SPEED.parent), str(SPEED.parents[1])])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "50% of the rate of a large matrix product in full float32" in done.stdout
    assert "this machine 1e+10 of 2e+10, one H100 3.35e+13 of 6.7e+13" in done.stdout
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if "|" in line]
    (row,) = (row for row in rows if row[0] == "1000")
    days = float(row[1]) / 1e10 / 86400
    assert row[2].endswith(" days")
    assert float(row[2].split()[0]) == pytest.approx(days, rel=0.05)
