"""The bandit against TPE and random search on what it is for: `python benchmarks/tuning.py`.

The best bits per parameter of memorization after 256 trials, in the paper's search space, of networks of 250 parameters
trained for 3,000 steps: the GRU and the RNN, by the bandit, by Optuna's TPE, by random search, and by the bandit with
successive halving, several seeds each. All ask for 16 trials at a time and train as many steps, but for halving. Each
study has one core, and as many run side by side as there are cores.
"""

import argparse
import concurrent.futures
import itertools
import json
import multiprocessing
import os
import pathlib
import time

import numpy as np
import optuna
from optuna.trial import TrialState

CELLS = ("rnn", "gru")
METHODS = {  # name: (sampler, halving)
    "bandit": ("gp", None),
    "TPE": ("TPE", None),
    "random": ("random", None),
    "bandit, halving": ("gp", 3),
}


def run(task):
    """One study: (cell, method, seed) and its sizes -> what is printed of it."""
    cell, method, seed, num_trials, num_params, train_steps, storage = task
    import jax

    jax.config.update("jax_num_cpu_devices", 1)
    from rnn_capacity.measure.capacity import CapacityConfig
    from rnn_capacity.search import SAMPLERS
    from rnn_capacity.studies import store, study
    from rnn_capacity.studies.progress import Silent
    from rnn_capacity.training import sharding

    sampler, halving = METHODS[method]
    plan = CapacityConfig(
        cell=cell,
        num_params=num_params,
        train_steps=train_steps,
        space="paper",
        sampler="random" if sampler == "TPE" else sampler,
        halving=halving,
        seed=seed,
    ).plan()
    tpe = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    chosen = tpe if sampler == "TPE" else SAMPLERS[sampler](plan.space, seed)
    opened = store.open_study(store.open_storage(storage), f"{method} {plan.name} seed={seed}", plan.describe(), chosen)
    begun = time.perf_counter()
    with sharding.keep_compiled():
        trials = study.run(
            opened,
            plan,
            num_trials=num_trials,
            devices=sharding.choose_devices(1),
            trials_per_device=1,
            reporter=Silent(),
        )
    ended = np.array([t.value if t.state == TrialState.COMPLETE else -np.inf for t in trials])
    outcomes = [t.user_attrs[store.OUTCOME] for t in trials]
    return {
        "cell": cell,
        "method": method,
        "seed": seed,
        "best": np.maximum.accumulate(ended)[15::16].tolist(),
        "steps": sum(o["steps"] for o in outcomes),
        "infeasible": sum(not o["feasible"] for o in outcomes),
        "seconds": time.perf_counter() - begun,
    }


def table(records):
    """A row a cell and method: the best of each seed, their mean after parts of the trials, and what it took."""
    lines = [
        "| cell | method | best, by seed | mean after a quarter, a half, all | steps | infeasible | core seconds |"
    ]
    lines.append("| --- " * 7 + "|")
    for cell, method in itertools.product(CELLS, METHODS):
        found = [r for r in records if (r["cell"], r["method"]) == (cell, method)]
        if not found:
            continue
        best = np.array([r["best"] for r in sorted(found, key=lambda r: r["seed"])])
        blocks = best.shape[1]
        parts = best[:, [(blocks - 1) // 4, (blocks - 1) // 2, -1]].mean(axis=0)
        mean = lambda name, found=found: np.mean([r[name] for r in found])
        lines.append(
            f"| {cell} | {method} | {', '.join(f'{b:.2f}' for b in best[:, -1])} | "
            f"{parts[0]:.2f}, {parts[1]:.2f}, **{parts[2]:.2f}** | {mean('steps'):.0f} | {mean('infeasible'):.0f} | "
            f"{mean('seconds'):.0f} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=CELLS, choices=CELLS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--num_trials", type=int, default=256)
    parser.add_argument("--num_params", type=int, default=250)
    parser.add_argument("--train_steps", type=int, default=3_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--workdir", type=pathlib.Path, default=pathlib.Path("results/tuning"))
    args = parser.parse_args()
    sizes = (args.num_trials, args.num_params, args.train_steps, str(args.workdir))
    tasks = [(*task, *sizes) for task in itertools.product(args.cells, args.methods, range(args.seeds))]
    tasks.sort(key=lambda task: task[2])
    args.workdir.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    records = []
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(args.processes, mp_context=context) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run, task) for task in tasks]):
            records.append(done.result())
            last = records[-1]
            print(
                f"{len(records)} of {len(tasks)}: {last['cell']}, {last['method']}, seed {last['seed']}: "
                f"{last['best'][-1]:.2f} bits per parameter, {last['seconds']:.0f} s",
                flush=True,
            )
            (args.workdir / "tuning.json").write_text(json.dumps(records, indent=1))
    print(table(records))


if __name__ == "__main__":
    main()
