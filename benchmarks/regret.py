"""The bandit against other samplers on problems whose optimum is known: `python benchmarks/regret.py`.

Simple regret (the optimum less the best found) after 320 evaluations in batches of 32, the median over seeds and in
brackets the quartiles. Optuna's GPSampler needs PyTorch (`pip install torch`); without it its column is left out.
Samplers of Optuna take no heed of trials that failed.
"""

import argparse
import concurrent.futures
import importlib.util
import itertools
import json
import multiprocessing
import os
import pathlib
import warnings

import numpy as np
import optuna

from rnn_capacity.search import SAMPLERS
from rnn_capacity.search.ranges import Choice, Range
from rnn_capacity.search.space import distributions

BATCH, EVALUATIONS = 32, 320


def branin(p):
    x, y = p["x"], p["y"]
    b, c = 5.1 / (4 * np.pi**2), 5 / np.pi
    return -((y - b * x**2 + c * x - 6) ** 2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10)


HARTMANN_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
HARTMANN_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann6(p):
    x = np.array([p[f"x{i}"] for i in range(6)])
    return np.array([1, 1.2, 3, 3.2]) @ np.exp(-np.sum(HARTMANN_A * (x - HARTMANN_P) ** 2, axis=1))


MIXED_TARGET = {"a": 0.2, "b": 0.5, "c": 0.8}


def mixed(p):
    """As a training run is: rates on a logarithmic scale, kinds that move the optimum of other dimensions, divergence.

    Highest at 0: kind c, init b, gate a, order b, x_i at 0.8, both rates at 1e-2, u and v at 0.3.
    """
    rates = np.log10([p["rate"], p["decay"]]) + 2
    if rates[0] > 0.3 + 0.5 * (p["kind"] == "c") or p["u"] + p["v"] > 1.4:
        return None
    x = np.array([p[f"x{i}"] for i in range(4)])
    value = -np.sum((x - MIXED_TARGET[p["kind"]]) ** 2) - 0.5 * np.sum(rates**2) - (p["u"] - 0.3) ** 2
    value -= (p["v"] - 0.3) ** 2 * (2 if p["gate"] == "b" else 1)
    return (
        value
        - 0.4 * (p["kind"] != "c")
        - 0.3 * (p["init"] != "b")
        - 0.2 * (p["gate"] != "a")
        - 0.1 * (p["order"] != "b")
    )


UNIT = Range(0.0, 1.0)
NAMES = Choice(("a", "b", "c"))
PROBLEMS = {  # name: (objective, space, its highest value)
    "Branin": (branin, {"x": Range(-5.0, 10.0), "y": Range(0.0, 15.0)}, -0.39788735772973816),
    "Hartmann-6": (hartmann6, {f"x{i}": UNIT for i in range(6)}, 3.322368011391339),
    "mixed, 12 dimensions": (
        mixed,
        {f"x{i}": UNIT for i in range(4)}
        | {"rate": Range(1e-4, 1.0, log=True), "decay": Range(1e-4, 1.0, log=True), "u": UNIT, "v": UNIT}
        | {"kind": NAMES, "init": NAMES, "gate": NAMES, "order": NAMES},
        0.0,
    ),
}
OPTUNA = {
    "TPE": lambda space, seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "GPSampler": lambda space, seed: optuna.samplers.GPSampler(seed=seed),
}


def regret(problem, sampler, seed):
    """After each batch, the optimum less the best so far."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    objective, space, highest = PROBLEMS[problem]
    make = SAMPLERS.get(sampler) or OPTUNA[sampler]
    study = optuna.create_study(direction="maximize", sampler=make(space, seed))
    best, found = -np.inf, []
    for _ in range(EVALUATIONS // BATCH):
        for trial in [study.ask(distributions(space)) for _ in range(BATCH)]:
            value = objective(trial.params)
            if value is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, value)
                best = max(best, value)
        found.append(highest - best)
    return found


def run(task):
    """One study, in a process of its own: (problem, sampler, seed) -> the same with its regrets."""
    return [*task, regret(*task)]


def table(records):
    """A row a problem, a column a sampler."""
    names = list(dict.fromkeys(sampler for _, sampler, *_ in records))
    lines = ["| | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for problem in dict.fromkeys(problem for problem, *_ in records):
        cells = []
        for name in names:
            final = [found[-1] for p, sampler, _, found in records if (p, sampler) == (problem, name)]
            low, median, high = np.quantile(final, [0.25, 0.5, 0.75]) if final else [np.nan] * 3
            cells.append(f"**{median:.2g}** ({low:.2g} to {high:.2g}; {len(final)} seeds)")
        lines.append(f"| {problem} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    samplers = [*SAMPLERS, *OPTUNA]
    if importlib.util.find_spec("torch") is None:
        samplers.remove("GPSampler")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--samplers", nargs="+", default=samplers, choices=samplers)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=pathlib.Path, help="JSON lines, a study each; what is there is not run again")
    args = parser.parse_args()

    kept = args.out.read_text().splitlines() if args.out and args.out.exists() else []
    records = [json.loads(line) for line in kept]
    known = {tuple(task) for *task, _ in records}
    tasks = itertools.product(args.problems, args.samplers, range(args.seeds))
    tasks = sorted((task for task in tasks if task not in known), key=lambda task: task[2])
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process a core; GPSampler asks for it too
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(args.processes, mp_context=context) as pool:
        for done, record in enumerate(pool.map(run, tasks), 1):
            records.append(record)
            if args.out:
                with args.out.open("a") as file:
                    file.write(json.dumps(record) + "\n")
            print(
                f"{done} of {len(tasks)}: {record[0]}, {record[1]}, seed {record[2]}: {record[3][-1]:.3g}", flush=True
            )
    print(table(sorted(records, key=lambda r: (list(PROBLEMS).index(r[0]), samplers.index(r[1])))))


if __name__ == "__main__":
    main()
