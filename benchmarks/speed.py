"""Training speed against plain JAX, and compile time: python benchmarks/speed.py [--rounds=7] [--cells=rnn,lstm].

Trials x steps per second, side by side in one run, of the same training problem (memorization of 512 random labels,
full batch, n_in = 20 shown at the first of T = 5 steps, about 1000 parameters, RMSProp):

    baseline   one trial at a time, a jitted train step called from a Python loop, in JAX as one would plainly write it
    project    all trials at once over all cores, through the programs that `train.train_trials` runs

Both are timed in every round, one after the other; the table has medians over the rounds, the ratio with its least and
greatest, and the fraction of the machine's own float32 matrix product rate that the project's products come to. Before
that both train the same networks for some steps, and the run fails where their losses differ. A second table has what
it takes to compile a spec of each cell. The aim is a ratio of 3 for each core, and 3 seconds a spec.
"""

import argparse
import dataclasses
import datetime
import functools
import pathlib
import re
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from rnn_capacity import sharding, train
from rnn_capacity.plan import plan_capacity
from rnn_capacity.search import space as spaces

NUM_PARAMS, UNROLL, NUM_EXAMPLES = 1000, 5, 512
LEARNING_RATE, DECAY, CLIP, TRAIN_STEPS = 0.01, 0.97, 1.0, 10_000
GATES = {"rnn": 1, "lstm": 4}
DEPTHS = {"rnn": 1, "irnn": 1, "ugrnn": 1, "gru": 1, "lstm": 1, "+rnn": 2}
COMPILE_MAPPINGS = 4.4  # a parameter, as in a search: data sets of several blocks
CHECK_STEPS, TOLERANCE = 20, 1e-3  # relative
BASELINE_TRIALS = 8  # what the baseline's rate is taken on, in turn
MATRIX, PRODUCTS = 1024, 10


# The baseline. Weights as (in, out), h as (batch, units), the input dense in time.


def rnn_step(params, h, x):
    h = jnp.tanh(h @ params["W_h"] + x @ params["W_x"] + params["b"])
    return h, h


def lstm_step(params, carry, x):
    c, h = carry
    i, f, g, o = jnp.split(h @ params["W_h"] + x @ params["W_x"] + params["b"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (c, h), h


def initial_carry(cell, params, batch):
    start = lambda name: jnp.tile(params[name], (batch, 1))
    return start("h_0") if cell == "rnn" else (start("c_0"), start("h_0"))


def baseline_loss(cell, params, x_tbi, labels_b):
    step = functools.partial({"rnn": rnn_step, "lstm": lstm_step}[cell], params["cell"])
    _, y_tbh = jax.lax.scan(step, initial_carry(cell, params["cell"], x_tbi.shape[1]), x_tbi)
    logits_b = (y_tbh[-1] @ params["readout"]["W"] + params["readout"]["b"])[:, 0]
    return optax.sigmoid_binary_cross_entropy(logits_b, labels_b).mean()


def baseline_optimizer():
    rate = optax.cosine_decay_schedule(LEARNING_RATE, TRAIN_STEPS)
    return optax.chain(optax.clip_by_global_norm(CLIP), optax.rmsprop(rate, decay=DECAY, bias_correction=True))


@functools.partial(jax.jit, static_argnames="cell")
def baseline_train_step(cell, params, optimizer_state, x_tbi, labels_b):
    loss, gradient = jax.value_and_grad(functools.partial(baseline_loss, cell))(params, x_tbi, labels_b)
    updates, optimizer_state = baseline_optimizer().update(gradient, optimizer_state)
    return optax.apply_updates(params, updates), optimizer_state, loss


def train_baseline(cell, params, x_tbi, labels_b, num_steps):
    """The losses before each step."""
    optimizer_state, losses = baseline_optimizer().init(params), []
    for _ in range(num_steps):
        params, optimizer_state, loss = baseline_train_step(cell, params, optimizer_state, x_tbi, labels_b)
        losses.append(loss)
    return jax.block_until_ready(losses)


# The project, and its data and weights as the baseline takes them.


def make_plan(cell, depth=1, mappings_per_param=1.0):
    """A capacity study as `measure_capacity` would run it."""
    hparams = {"learning_rate": LEARNING_RATE, "squared_gradient_decay": DECAY, "gradient_clip": CLIP}
    return plan_capacity(
        cell,
        num_params=NUM_PARAMS,
        depth=depth,
        unroll=UNROLL,
        num_inputs=None,
        train_steps=TRAIN_STEPS,
        batch_size=None,
        space="quick",
        hparams=hparams | {"mappings_per_param": mappings_per_param},
        sampler="random",
        halving=None,
        seed=0,
        precision="highest",
    )


def make_trials(plan, num_trials):
    """What `train_trials` makes of trials in the middle of the plan's search space: spec, hparams [K], keys [K]."""
    middle = spaces.from_unit(plan.space, np.full(len(spaces.distributions(plan.space)), 0.5))
    trials = [plan.trial(number, spaces.complete(plan.space, middle)) for number in range(num_trials)]
    spec = dataclasses.replace(trials[0].spec, block_size=sharding.default_block_size(jax.devices()))
    hparams = {name: np.array([t.hparams[name] for t in trials], np.float32) for name in trials[0].hparams}
    return spec, hparams, jax.tree.map(lambda *k: jnp.stack(k), *(t.keys for t in trials))


def to_baseline(data, params, trial):
    """One trial's weights, inputs (T, batch, n_in) and labels."""
    data, params = jax.tree.map(lambda a: jnp.asarray(np.asarray(a[trial])), (data, params))
    (layer,) = params["layers"]
    params = jax.tree.map(jnp.transpose, {"cell": layer, "readout": params["readout"]})
    x_tbi = jnp.swapaxes(data.x_tib, 1, 2)
    assert data.weights_b.all(), "the baseline knows no padding"
    return params, jnp.zeros((UNROLL, *x_tbi.shape[1:])).at[: len(x_tbi)].set(x_tbi), data.targets


class Contest:
    """One cell's problem, ready to be trained both ways from the same beginning."""

    def __init__(self, cell, num_trials):
        self.cell, self.num_trials = cell, num_trials
        self.plan = make_plan(cell, mappings_per_param=NUM_EXAMPLES / make_plan(cell).num_params)
        self.spec, self.hparams, keys = make_trials(self.plan, num_trials)
        self.programs = train._programs(self.spec, tuple(jax.devices()))
        self.data, self.state = self.programs.begin(0, self.hparams, keys)
        self.baseline = [to_baseline(self.data, self.state.params, k) for k in range(min(BASELINE_TRIALS, num_trials))]

    def run_baseline(self, num_steps):
        return [train_baseline(self.cell, *trial, num_steps) for trial in self.baseline]

    def run_project(self, num_steps):
        return jax.block_until_ready(
            self.programs.chunk(((), np.int32(num_steps)), self.hparams, self.data, self.state)
        )

    def check(self):
        """Compiles both and compares their losses; returns the greatest relative difference.

        Raises:
            SystemExit: it is too great.
        """
        expected_ks = np.array(self.run_baseline(CHECK_STEPS + 1))
        states = [self.run_project(step) for step in range(CHECK_STEPS + 1)]
        losses_sk = [
            self.programs.evaluate(((), np.int32(0)), self.hparams, self.data, state.params)[0] for state in states
        ]
        loss_ks = np.transpose(losses_sk)[: len(expected_ks)]
        difference_ks = np.abs(loss_ks / expected_ks - 1)
        if not np.all(difference_ks <= TOLERANCE):  # nor is nan
            sys.exit(
                f"{self.cell}: baseline and project do not compute the same thing: relative difference of their losses "
                f"after 0 to {CHECK_STEPS} steps, a row a trial:\n{np.array2string(difference_ks, precision=1)}"
            )
        return float(np.max(difference_ks))

    def rates(self, num_steps):
        """Trials x steps per second, of the baseline and of the project."""
        baseline = len(self.baseline) * num_steps / seconds(self.run_baseline, num_steps)
        return baseline, self.num_trials * num_steps / seconds(self.run_project, num_steps)

    @property
    def operations(self):
        """Of a trial's step in matrix products: forward, the weights' gradient, and back in time."""
        batch, gates, units = NUM_EXAMPLES, GATES[self.cell], self.plan.num_units
        return 2 * batch * gates * units * (units * (3 * UNROLL - 1) + 2 * self.spec.task.num_inputs)


def seconds(fn, *args):
    start = time.perf_counter()
    fn(*args)
    return time.perf_counter() - start


def sgemm_rate():
    """Operations per second of a large matrix product, which XLA spreads over all cores by itself."""
    a = jnp.ones((MATRIX, MATRIX))
    product = jax.jit(jnp.matmul)
    product(a, a).block_until_ready()
    times = [seconds(lambda: product(a, a).block_until_ready()) for _ in range(PRODUCTS)]
    return 2 * MATRIX**3 / statistics.median(times)


def compile_seconds(cell):
    """Tracing, lowering and compiling all programs of a spec that this process has not seen; and the study's plan."""
    num_trials = len(jax.devices()) * sharding.default_trials_per_device(jax.devices())
    plan = make_plan(cell, DEPTHS[cell], COMPILE_MAPPINGS)
    spec, hparams, keys = make_trials(plan, num_trials)

    def compile_programs():
        programs = train._programs(spec, tuple(jax.devices()))
        begin = programs.begin.lower(0, hparams, keys)
        data, state = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), begin.out_info)
        chunk = programs.chunk.lower(((), np.int32(0)), hparams, data, state)
        evaluate = programs.evaluate.lower(((), np.int32(0)), hparams, data, state.params)
        for lowered in (begin, chunk, evaluate):
            lowered.compile()

    return seconds(compile_programs), plan


def print_table(rows):
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    for name, *values in lines:
        print(name.ljust(widths[0]), *(v.rjust(w) for v, w in zip(values, widths[1:], strict=True)), sep="  ")
    print(flush=True)


def machine():
    try:
        model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text()).group(1)
    except (OSError, AttributeError):
        model = jax.devices()[0].device_kind
    devices = sharding.describe(jax.devices())
    return f"{model}, {len(jax.devices())} cores ({devices}), {datetime.date.today()}"


def compare(cells, num_rounds, num_trials, num_steps):
    contests = [Contest(cell, num_trials) for cell in cells]
    differences = [contest.check() for contest in contests]
    rounds = [(sgemm_rate(), [contest.rates(num_steps) for contest in contests]) for _ in range(num_rounds)]
    sgemm = statistics.median(rate for rate, _ in rounds)
    rows = []
    for n, (contest, difference) in enumerate(zip(contests, differences, strict=True)):
        baselines, projects = zip(*(rates[n] for _, rates in rounds), strict=True)
        ratios = [project / baseline for baseline, project in zip(baselines, projects, strict=True)]
        ratio, project = statistics.median(ratios), statistics.median(projects)
        row = {
            "cell": contest.cell,
            "params": f"{contest.plan.num_params}",
            "units": f"{contest.plan.num_units}",
            "baseline": f"{statistics.median(baselines):.0f}",
            "project": f"{project:.0f}",
            "ratio": f"{ratio:.2f}",
            "(range)": f"{min(ratios):.2f} to {max(ratios):.2f}",
            "a core": f"{ratio / len(jax.devices()):.2f}",
            "of sgemm": f"{100 * contest.operations * project / sgemm:.0f} %",
            "loss off by": f"{difference:.0e}",
        }
        rows.append(row)
    print(f"Trials x steps per second: {num_trials} trials, {num_steps} steps a round, medians of {num_rounds} rounds")
    print_table(rows)
    print(f"sgemm of {MATRIX}^3: {sgemm / 1e9:.0f} G operations/s on all cores\n")


def compile_all(cells):
    rows = []
    for cell in cells:
        took, plan = compile_seconds(cell)
        sizes = {"params": plan.num_params, "units": plan.num_units, "mappings": plan.task.max_mappings}
        row = {"cell": cell, "depth": DEPTHS[cell], **sizes, "seconds": f"{took:.2f}"}
        rows.append({name: str(value) for name, value in row.items()})
    print("Compile time of a spec: all its programs, fresh")
    print_table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="rnn,lstm", help="those that are trained: rnn, lstm or both")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--trials", type=int, default=64, help="trained side by side; a multiple of the cores")
    parser.add_argument("--steps", type=int, default=200, help="steps of each trial in a round")
    args = parser.parse_args()
    cells = args.cells.split(",")
    if not set(cells) <= set(GATES):
        parser.error(f"--cells: {args.cells} given; it must be of {', '.join(GATES)}")

    jax.config.update("jax_enable_compilation_cache", False)
    jax.config.update("jax_default_matmul_precision", "highest")  # the baseline's; the project's spec says the same
    sharding.use_all_cores()
    print(machine(), "\n", flush=True)
    compare(cells, args.rounds, args.trials, args.steps)
    compile_all(DEPTHS)


if __name__ == "__main__":
    main()
