"""Training speed of this project against every other way of doing the same work, side by side in one run.

    python benchmarks/speed.py                        about 1000 parameters, T = 5, depth 1: rnn, gru, lstm; minutes
    python benchmarks/speed.py --all --out=speed.csv  all sizes; killed and started again it goes on with the rest
    python benchmarks/speed.py --every                every cell and block: compiling, and a step beside the LSTM's

The problem is in `problem.py`: memorization of 512 labels, full batch, RMSProp. The ways, of `ways/`:

    plain                one trial at a time, a jitted train step in JAX as one would plainly write it
    flax                 the same with Flax's `nn.RNN` and its cells
    torch_eager          the same with PyTorch's own `nn.RNN`, `nn.GRU`, `nn.LSTM`, as many threads as PyTorch likes
    torch_batched        K trials at once, products batched over trials in a loop over time
    torch_compiled       that through `torch.compile`, at T x depth of at most 5 (`--compiled-steps`); not counting
                         the compilation, of 120 s at most
    ..._cores            each of these with a process a core, all at once, each with a thread, and its share of the K
    project              K trials at once over all cores, by their `TrialProgram`

The ones of PyTorch are left out where it is not installed, those a core on an accelerator, where the project is
measured at several K (`--widths`). From the same data and weights each must first have the losses of plain JAX with the
same equations, for 10 steps (2 and more where a step is long). Then all are timed in turn, round by round, with the
machine's own float32 matrix product beside them. The tables have medians, of ratios by round with their least and
greatest: trials x steps per second; the project over each way; the fraction of the matrix product's rate that its
products come to; memory of the training program a trial (arguments, outputs, activations; on a CPU K trials share the
activations of one a core); compile time of a spec, all its programs, fresh. There are 20 inputs, but for networks too
small for that.
"""

import argparse
import datetime
import functools
import itertools
import os
import pathlib
import re
import statistics
import sys
import time
from importlib import metadata

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a GPU's memory is PyTorch's as well

import contest
import jax
import table
from problem import GATES, Problem
from ways.project import Project

from rnn_capacity.cells import CELLS
from rnn_capacity.cells.block import BLOCKS
from rnn_capacity.training import sharding

HEADLINE = {"params": [1000], "unrolls": [5], "depths": [1]}
ALL = {"params": [100, 1000, 10_000, 100_000], "unrolls": [5, 50], "depths": [1, 4]}
WIDTHS = [64, 128, 256, 512, 1024, 2048, 4096]
DEPTHS = {"+rnn": 2}  # elsewhere 1
EVERY_UNROLL = (5, 50)
MEASURED_BY = ("ways", "rounds", "seconds", "trials", "widths", "compiled_steps")  # flags that one table shares


def parse(ways_here):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names, numbers = (functools.partial(_list, kind=kind) for kind in (str, int))
    parser.add_argument("--cells", type=names, default=list(GATES), help=", ".join(GATES))
    parser.add_argument("--params", type=numbers, help="parameters, at most")
    parser.add_argument("--unrolls", type=numbers, help="T")
    parser.add_argument("--depths", type=numbers)
    parser.add_argument("--all", action="store_true", help=f"where not given: {ALL}")
    parser.add_argument("--ways", type=names, default=list(ways_here), help=", ".join(contest.WAYS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="that a measurement takes, about")
    parser.add_argument("--trials", type=int, help="K; default: 64, on an accelerator 512, fewer where steps are long")
    parser.add_argument("--widths", type=numbers, help="more Ks, of the project alone")
    parser.add_argument(
        "--compiled-steps",
        type=int,
        default=5,
        help="torch_compiled only where T x depth is at most this: it unrolls both, and compiling takes minutes",
    )
    parser.add_argument("--out", type=pathlib.Path, help="a CSV file, to go on with")
    parser.add_argument("--every", action="store_true", help="every cell and block beside the LSTM, at T = 5 and 50")
    args = parser.parse_args()
    for name, default in (ALL if args.all else HEADLINE).items():
        if getattr(args, name) is None:
            setattr(args, name, default)
    if args.widths is None:
        args.widths = [] if jax.default_backend() == "cpu" else WIDTHS
    for name, allowed in (("cells", GATES), ("ways", ways_here)):
        if bad := [value for value in getattr(args, name) if value not in allowed]:
            parser.error(f"--{name}: {', '.join(bad)} given; here it must be of {', '.join(allowed)}")
    cores = len(jax.devices())
    if bad := [k for k in [*args.widths, *([args.trials] if args.trials is not None else [])] if k < 1 or k % cores]:
        parser.error(f"--trials, --widths: {bad[0]} given; it must be a multiple of the {cores} devices")
    if args.rounds < 1 or args.seconds <= 0:
        parser.error(f"--rounds, --seconds: {args.rounds}, {args.seconds} given; both must be above 0")
    return args


def _list(text, kind):
    return [kind(part) for part in text.split(",")]


def machine():
    """What measurements of two machines, or of two installations, differ in."""
    try:
        model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text()).group(1)
    except (OSError, AttributeError):
        model = "unknown CPU"
    versions = {}
    for package in ("jaxlib", "flax", "optax", "torch"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {"cpu": model, "devices": sharding.describe(jax.devices()), **versions}


def compare(problems, results, args):
    """Measures the rows that are missing, and says how far it is."""
    missing = [problem for problem in problems if key(problem) not in results.rows]
    pools, start = contest.torch_pools(args.ways), time.perf_counter()
    try:
        for done, problem in enumerate(missing):
            took = time.perf_counter() - start
            left = f", about {clock(took / done * (len(missing) - done))} left" if done else ""
            name = f"{problem.cell} of {problem.budget} parameters, T = {problem.unroll}, depth {problem.depth}"
            print(f"{done + 1} of {len(missing)}: {name} ({clock(took)} so far{left})", file=sys.stderr, flush=True)
            num_trials = args.trials or problem.num_trials(jax.devices())
            timing = {"rounds": args.rounds, "seconds": args.seconds}
            timing |= {"num_trials": num_trials, "widths": args.widths, "compiled_steps": args.compiled_steps}
            lines = contest.measure(problem, args.ways, pools, **timing)
            results.add(key(problem), lines)
    finally:
        for pool in set(pools.values()):
            pool.stop()


def key(problem):
    return tuple(getattr(problem, name) for name in table.KEY)


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def every_cell(num_params, rounds, seconds):
    """A row for every cell and block: what a spec takes to compile, and a step beside the LSTM's, in turn."""
    num_trials = len(jax.devices()) * sharding.trials_per_device(None, jax.devices())
    beside, lines = {}, []
    for cell in (CELLS["lstm"], *(cell for name, cell in (CELLS | BLOCKS).items() if name != "lstm")):
        line = {"cell": cell.name}
        for unroll in EVERY_UNROLL:
            plan = Problem(cell.name, num_params, unroll, DEPTHS.get(cell.name, 1)).plan
            timed = Project(plan, num_trials)
            beside.setdefault(unroll, timed)
            steps = max(1, int(seconds / _took(timed, 1)))
            ratios = [_took(timed, steps) / _took(beside[unroll], steps) for _ in range(rounds)]
            line |= {"params": plan.num_params, "units": plan.num_units}
            line |= {f"compile, T = {unroll}, s": f"{timed.compile_seconds:.1f}"}
            line |= {f"step over the LSTM's, T = {unroll}": f"{statistics.median(ratios):.2f}"}
        lines.append(line)
        print(", ".join(f"{name} {value}" for name, value in line.items()), file=sys.stderr, flush=True)
    return table.markdown(lines)


def _took(timed, steps):
    begun = time.perf_counter()
    timed.train(steps)
    return time.perf_counter() - begun


def main():
    jax.config.update("jax_enable_compilation_cache", False)
    jax.config.update("jax_default_matmul_precision", "highest")  # plain JAX's and Flax's; the project's spec says it
    sharding.use_all_cores()
    here = contest.ways_here()
    args = parse(here)
    if args.every:
        rows = every_cell(args.params[0], args.rounds, args.seconds)
        print(f"{machine()}, {datetime.date.today()}\n\nA spec, all its programs fresh; 512 mappings\n\n{rows}")
        return
    if left_out := [way for way in contest.WAYS if way not in here]:
        print(f"not here: {', '.join(left_out)}", file=sys.stderr)
    setting = machine() | {name: getattr(args, name) for name in MEASURED_BY}
    try:
        results = table.Results(args.out, setting)
    except ValueError as error:
        sys.exit(str(error))
    problems = [
        Problem(cell=cell, depth=depth, unroll=unroll, budget=budget)
        for cell, depth, unroll, budget in itertools.product(args.cells, args.depths, args.unrolls, args.params)
    ]
    compare(problems, results, args)
    rows = [results.rows[key(problem)] for problem in problems]
    print(f"{setting}, {datetime.date.today()}\n\nTrials x steps per second\n\n{table.rates_table(rows, args.ways)}")
    print(f"\nThis project over each\n\n{table.project_table(rows, args.ways)}")


if __name__ == "__main__":
    main()
