"""The bandit against other samplers on problems whose optimum is known: `python benchmarks/regret.py`.

Simple regret (the optimum less the best found) in batches of 32, the median over seeds and in brackets the quartiles:
after 320 evaluations where the samplers are given the space, and after 192 of the problems that are define-by-run, as
any Optuna study may be (plain `trial.suggest_float`; nothing is given to a sampler but its seed). Optuna's GPSampler
needs PyTorch (`pip install torch`); without it its column is left out. Samplers of Optuna ignore trials that failed.
TPE has `constant_liar` and `multivariate` by default since Optuna 5; "TPE, single" is without the latter.
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

from rnn_capacity.dimension import Choice, Range
from rnn_capacity.search import SAMPLERS
from rnn_capacity.search.space import distributions

BATCH, EVALUATIONS, DEFINED_BY_RUN = 32, 320, 192


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


def rosenbrock(trial):
    """Highest at 1 everywhere."""
    x = np.array([trial.suggest_float(f"x{i}", -5.0, 10.0) for i in range(10)])
    return -np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


ACKLEY_SHIFT = 32.768 * np.array([0.02, 0.54, -0.43, 0.54, -0.23, -0.09, 0.39, -0.11, 0.06, -0.57])


def ackley(trial):
    """Highest away from the middle of the box, which a sampler may well try first."""
    x = np.array([trial.suggest_float(f"x{i}", -32.768, 32.768) for i in range(10)]) - ACKLEY_SHIFT
    return 20 * np.exp(-0.2 * np.sqrt(np.mean(x**2))) + np.exp(np.mean(np.cos(2 * np.pi * x))) - 20 - np.e


def network(trial):
    """As the search for a network is: parameters that other parameters bring with them, of all kinds."""
    layers = trial.suggest_int("layers", 1, 4)
    loss = 0.3 * abs(layers - 3)
    for i in range(layers):
        loss += 0.2 * np.log2(trial.suggest_int(f"units{i}", 8, 512, log=True) * 2**i / 128) ** 2
        loss += 0.1 * (trial.suggest_categorical(f"activation{i}", ["relu", "tanh", None]) != "relu")
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd", "rmsprop"])
    rate = trial.suggest_float("rate", 1e-5, 1.0, log=True)
    loss += 0.5 * (np.log10(rate) - {"adam": -3.0, "sgd": -1.0, "rmsprop": -2.5}[optimizer]) ** 2
    if optimizer == "sgd":
        loss += 4 * (trial.suggest_float("momentum", 0.0, 0.99) - 0.9) ** 2
    else:
        loss += 0.2
    loss += 4 * (trial.suggest_float("dropout", 0.0, 0.6, step=0.1) - 0.2) ** 2
    return -loss - abs(trial.suggest_int("batch", 16, 256, step=16) - 96) / 100


UNIT = Range(0.0, 1.0)
NAMES = Choice(("a", "b", "c"))
PROBLEMS = {  # name: (objective, space, its highest value); without a space the objective takes a trial, not its values
    "Branin": (branin, {"x": Range(-5.0, 10.0), "y": Range(0.0, 15.0)}, -0.39788735772973816),
    "Hartmann-6": (hartmann6, {f"x{i}": UNIT for i in range(6)}, 3.322368011391339),
    "mixed, 12 dimensions": (
        mixed,
        {f"x{i}": UNIT for i in range(4)}
        | {"rate": Range(1e-4, 1.0, log=True), "decay": Range(1e-4, 1.0, log=True), "u": UNIT, "v": UNIT}
        | {"kind": NAMES, "init": NAMES, "gate": NAMES, "order": NAMES},
        0.0,
    ),
    "Rosenbrock-10": (rosenbrock, None, 0.0),
    "Ackley-10, shifted": (ackley, None, 0.0),
    "network, conditional": (network, None, 0.0),
}
OPTUNA = {
    "TPE": lambda space, seed: optuna.samplers.TPESampler(seed=seed),
    "TPE, single": lambda space, seed: optuna.samplers.TPESampler(seed=seed, multivariate=False),
    "GPSampler": lambda space, seed: optuna.samplers.GPSampler(seed=seed),
    "RandomSampler": lambda space, seed: optuna.samplers.RandomSampler(seed=seed),
}


def regret(problem, sampler, seed):
    """After each batch, the optimum less the best so far."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    objective, space, highest = PROBLEMS[problem]
    make = SAMPLERS.get(sampler) or OPTUNA[sampler]
    study = optuna.create_study(direction="maximize", sampler=make(space, seed))
    best, found = -np.inf, []
    for _ in range((EVALUATIONS if space else DEFINED_BY_RUN) // BATCH):
        batch = []
        for _ in range(BATCH):
            trial = study.ask(distributions(space or {}))
            batch.append((trial, objective(trial.params if space else trial)))
        for trial, value in batch:
            if value is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, value)
                best = max(best, value)
        found.append(float(highest - best))
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
            if final:
                low, median, high = np.quantile(final, [0.25, 0.5, 0.75])
                cells.append(f"**{median:.2g}** ({low:.2g} to {high:.2g}; {len(final)} seeds)")
            else:
                cells.append("")
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
    given = set(SAMPLERS) - {"gp"}  # these have to be given a space
    tasks = [task for task in tasks if task not in known and (PROBLEMS[task[0]][1] or task[1] not in given)]
    tasks.sort(key=lambda task: task[2])
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
