"""How long a batch of proposals takes: `python benchmarks/ask.py`.

64 proposals in a space of 16 mixed dimensions (10 linear, 3 logarithmic, 3 choices) after 200 and after 1000 finished
trials, a tenth of them infeasible: by the bandit, compiled before, and by Optuna's own GPSampler, which makes as many
single proposals as it takes to know its pace (`pip install torch`; or its column is left out). The aims: 4 and 12
seconds on 2 cores, and ten times as fast.
"""

import argparse
import importlib.util
import os
import time
import warnings

import numpy as np
import optuna

from rnn_capacity.dimension import Choice, Range
from rnn_capacity.search import SAMPLERS
from rnn_capacity.search.space import distributions, from_unit

SPACE = (
    {f"x{i}": Range(0.0, 1.0) for i in range(10)}
    | {f"rate{i}": Range(1e-4, 1e-1, log=True) for i in range(3)}
    | {f"kind{i}": Choice(("a", "b", "c")) for i in range(3)}
)
BATCH, INFEASIBLE = 64, 0.1


def objective(p):
    x = np.array([p[f"x{i}"] for i in range(10)])
    return (
        -np.sum((x - 0.3) ** 2 * np.linspace(0.2, 2, 10)) - np.log10(p["rate0"] / 1e-2) ** 2 + 0.2 * (p["kind0"] == "b")
    )


def study_of(num_trials, sampler):
    """A study with so many finished trials, drawn at random."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    rng = np.random.default_rng(0)
    for _ in range(num_trials):
        params = from_unit(SPACE, rng.random(len(SPACE)))
        feasible = rng.random() >= INFEASIBLE
        state = optuna.trial.TrialState.COMPLETE if feasible else optuna.trial.TrialState.FAIL
        value = objective(params) + 0.05 * rng.normal() if feasible else None
        trial = optuna.trial.create_trial(params=params, distributions=distributions(SPACE), value=value, state=state)
        study.add_trial(trial)
    return study


def seconds_of(study, count):
    begun = time.perf_counter()
    for _ in range(count):
        study.ask(distributions(SPACE))
    return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--singles", type=int, default=4, help="proposals that GPSampler's pace is taken on")
    args = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    print(f"| finished trials | bandit, {BATCH} proposals | GPSampler, {BATCH} at its pace | ratio |")
    print("| --- | --- | --- | --- |")
    for num_trials in (200, 1000):
        seconds_of(study_of(num_trials, SAMPLERS["gp"](SPACE, 0)), BATCH)  # compiles
        bandit, other = [], []
        for seed in range(args.rounds):
            bandit.append(seconds_of(study_of(num_trials, SAMPLERS["gp"](SPACE, seed)), BATCH))
            if importlib.util.find_spec("torch"):
                singles = seconds_of(study_of(num_trials, optuna.samplers.GPSampler(seed=seed)), args.singles)
                other.append(singles * BATCH / args.singles)
        pace = f"{np.median(other):.0f} s | {np.median(other) / np.median(bandit):.0f}" if other else "not installed | "
        print(
            f"| {num_trials} | **{np.median(bandit):.2f} s** ({min(bandit):.2f} to {max(bandit):.2f}) | {pace} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
