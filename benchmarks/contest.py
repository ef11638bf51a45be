"""One row of the table of `speed.py`: every way trains the same problem, checked, then timed in turn round by round."""

import importlib.util
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from problem import CLIP, DECAY, LEARNING_RATE, TRAIN_STEPS
from ways import flax_rnn
from ways.plain_jax import PlainJax
from ways.project import Project
from ways.torch_processes import NotMeasuredError, Processes, TorchWay

from rnn_capacity.training.memory import NotEnoughMemoryError

TORCH = ("torch_eager", "torch_batched", "torch_compiled")
A_CORE = "_cores"  # behind the name of a way: a process a core
WAYS = ("plain", "flax", *(name + suffix for name in TORCH for suffix in ("", A_CORE)), "project")
OPTIMIZER = {"learning_rate": LEARNING_RATE, "decay": DECAY, "clip": CLIP, "train_steps": TRAIN_STEPS}
CHECK_STEPS = range(2, 11)  # beyond, rounding alone drives large networks apart
TOLERANCE = 1e-3  # relative
CHECK_OPERATIONS = 3e10  # a check has fewer steps where they take long
PRODUCTS = 5
GROWTH = 30  # of the number of steps, at most, from one measurement to the next


def ways_here():
    """Those that can be measured on this machine."""
    on_cpu = jax.default_backend() == "cpu"
    torch = importlib.util.find_spec("torch") is not None
    return tuple(w for w in WAYS if (torch or not w.startswith("torch")) and (on_cpu or not w.endswith(A_CORE)))


def torch_pools(ways):
    """Processes for each way in PyTorch. One that compiles may be stopped, so it shares none with those that do not."""
    pools, of_way = {}, {}
    for way in ways:
        if way.startswith("torch"):
            a_core = way.endswith(A_CORE)
            new = Processes(len(jax.devices()), threads=1) if a_core else Processes(1)
            of_way[way] = pools.setdefault((a_core, "compiled" in way), new)
    return of_way


class InProcess:
    """A way that trains in this process, in measurements that its last one tells the length of.

    Args:
        losses: before each of so many steps, of the first trial.
        train: for so many steps; comes back when they are done.
        num_trials: that a step trains.
    """

    def __init__(self, losses, train, num_trials=1):
        self.losses, self.train, self.num_trials, self.num_steps = losses, train, num_trials, 1

    def settle(self, seconds):
        """Measures until the number of steps is right."""
        num_steps = 0
        while self.num_steps > GROWTH * num_steps // 2:
            num_steps = self.num_steps
            self.rate(seconds)

    def rate(self, seconds):
        """Trials x steps per second, measured over about so many seconds."""
        start, num_steps = time.perf_counter(), self.num_steps
        self.train(num_steps)
        took = time.perf_counter() - start
        self.num_steps = max(1, min(round(num_steps * seconds / took), GROWTH * num_steps))
        return self.num_trials * num_steps / took


def begin(way, problem, project, trials, pools):
    """A way, ready to train; and plain JAX with the same equations."""
    plain = PlainJax(problem, trials[0])
    if way == "plain":
        return InProcess(plain.losses, plain.losses), plain
    if way == "flax":
        flax = flax_rnn.FlaxRNN(problem, trials[0])
        return InProcess(flax.losses, flax.losses), flax_rnn.reference(problem, trials[0])
    if way == "project":
        return InProcess(lambda n: project.losses(n)[0], project.train, project.num_trials), plain
    name = way.removesuffix(A_CORE)
    torch = TorchWay(name, pools[way], problem.sizes, trials, OPTIMIZER)
    after = name == "torch_eager" and problem.cell == "gru"
    return torch, PlainJax(problem, trials[0], "gru_after") if after else plain


def check(name, way, reference, num_steps):
    """The greatest relative difference of the first losses.

    Raises:
        SystemExit: it is too great.
    """
    expected, losses = np.array(reference.losses(num_steps)), np.array(way.losses(num_steps))
    difference = np.abs(losses / expected - 1)
    if not np.all(difference <= TOLERANCE):  # nor is nan
        sys.exit(
            f"{name} does not compute what plain JAX does: relative difference of the losses before each of the first "
            f"{num_steps} steps:\n{np.array2string(difference, precision=1)}"
        )
    return float(difference.max())


def measure(problem, ways, pools, *, num_trials, widths=(), rounds, seconds, compiled_steps):
    """What each way did with a problem: dicts of plain values, one a way, and one for each width of the project.

    Args:
        pools: of `torch_pools`.
        num_trials: K, that the ways which batch trials train at once.
        widths: more Ks, of the project alone.
        compiled_steps: the most layers x steps in time that PyTorch compiles.
        rounds, seconds: measurements of each way, and about how long each takes.

    Raises:
        SystemExit: a way does not compute what it should.
    """
    for pool in set(pools.values()):
        pool.forget()
    jax.clear_caches()  # compiled programs of all rows are more than a process may hold
    num_steps = max(CHECK_STEPS[0], min(CHECK_STEPS[-1], int(CHECK_OPERATIONS / problem.operations)))
    project = Project(problem.plan, num_trials)
    trials = project.trials(num_trials)
    batched = lambda way: way == "project" or way.startswith(("torch_batched", "torch_compiled"))
    entries = [(way, num_trials if batched(way) else 1) for way in ways]
    entries += [("project", width) for width in widths if width != num_trials]
    lines, running = [], []
    for way, count in entries:
        line = row_of(problem) | {"way": way, "trials": count, "check_steps": num_steps}
        lines.append(line)
        if "compiled" in way and problem.unroll * problem.depth > compiled_steps:
            line["note"] = f"not compiled: T x depth above {compiled_steps} (--compiled-steps)"
            continue
        try:
            one = project if way != "project" or count == num_trials else Project(problem.plan, count)
            trainer, reference = begin(way, problem, one, trials, pools)
            line["off"] = check(f"{way}, {line}", trainer, reference, num_steps)
            if isinstance(trainer, InProcess):
                trainer.settle(seconds)
        except (NotMeasuredError, NotEnoughMemoryError) as error:
            line["note"] = str(error)
            continue
        if way == "project":
            line |= {"bytes": round(one.bytes_per_trial), "compile_seconds": one.compile_seconds}
        line |= {"rates": [], "sgemm": []}
        running.append((trainer, line))
    for _ in range(rounds):
        sgemm = sgemm_rate()
        for trainer, line in running:
            line["rates"].append(trainer.rate(seconds))
            line["sgemm"].append(sgemm)
    return lines


def row_of(problem):
    """What names a row of the table, and its sizes."""
    plan = problem.plan
    row = {"cell": problem.cell, "budget": problem.budget, "unroll": problem.unroll, "depth": problem.depth}
    sizes = {"params": plan.num_params, "units": plan.num_units, "inputs": plan.task.num_inputs}
    return row | sizes | {"operations": problem.operations}


def sgemm_rate():
    """Operations per second of a large matrix product on all devices; XLA spreads it over a CPU's cores by itself."""
    on_cpu = jax.default_backend() == "cpu"
    size = 1024 if on_cpu else 8192
    a = jnp.ones((size, size))
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    times = []
    for _ in range(PRODUCTS):
        start = time.perf_counter()
        product(a).block_until_ready()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(times) * (1 if on_cpu else len(jax.devices()))
