"""Figure 3: the loss on text8 and on random continuous functions (RCF), against parameters and against units.

python launch/sweep.py --config=experiments/figures/fig3.py[:quick|:evening]

Quick: about 8 minutes on 2 cores, evening: about 3 hours; its text is synthetic and needs no file, its functions have
2,000 points.
"""

import itertools
import math

import numpy as np
from scipy import stats

from experiments import common, random_functions, text8
from rnn_capacity.display import charts
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import Chart, Claim, Figure, once, readable, rows
from rnn_capacity.tasks import corpus

CELLS = common.SIX_CELLS[:-1]
TEXT = {"space": "quick", "num_params": (500, 2_000, 8_000), "num_trials": 4, "num_repeats": 3, "train_steps": 600}
FUNCTIONS = random_functions.QUICK | {
    "num_params": (500, 1_000, 2_000),
    "num_trials": 4,
    "num_repeats": 3,
    "train_steps": 2_000,
}
LONGER = {"num_trials": 12, "num_repeats": 4, "train_steps": 4_000}


def get_config(arg: str = ""):
    text = "text8" if arg == "" else "text8:synthetic"
    return common.several(
        arg,
        text8=common.get_config(arg, quick=TEXT, evening=TEXT | LONGER, full=text8.FULL, task=text, cell=CELLS),
        random_functions=common.get_config(
            arg,
            quick=FUNCTIONS,
            evening=FUNCTIONS | LONGER | {"train_steps": 12_000},
            full=random_functions.FULL,
            task="random_functions",
            cell=CELLS,
        ),
    )


TASKS = ("text8", "random_functions")
SYNTHETIC = "text8:synthetic"
UNITS = {"bits_per_char": "bits a character", "squared_error": "squared error"}
PUBLISHED = "the paper's best; its unit is not said: bits, or above them nats as bits"
BITS = 1 / math.log(2)  # a nat
PUBLISHED_ENDS = (published.BEST_TEXT8["loss"], published.BEST_TEXT8["loss"] * BITS)
PER_NAT = {"bits_per_char": BITS}  # losses are in nats; what people look at is not


def select(results):
    """A result a text or set of functions, cell, depth and size."""
    known = claims.trained(results, *TASKS)
    known = once(known, lambda r: (what(r), r.cell, r.depth, r.num_params))
    return claims.in_order(sorted(known, key=lambda r: r.num_params))


def what(result):
    """The text or the set of functions; its size has an axis of its own."""
    return claims.setting(result, sized=False)


def points(results):
    unit = lambda r: PER_NAT.get(r.score_name, 1.0)
    return rows(
        results,
        setting=what,
        task=lambda r: r.task,
        loss=lambda r: r.score,
        of=lambda r: UNITS.get(r.score_name, r.score_name),
        low=lambda r: r.interval[0] * unit(r),
        high=lambda r: r.interval[1] * unit(r),
        untrained=lambda r: r.chance,
    ).sort_values(["setting", "depth"], ascending=[False, True], kind="stable")


def drawn_charts(results):
    found = points(results)
    found = found[found["loss"] > 0]
    drawn = []
    for setting, group in found.groupby("setting", sort=False):
        group = group.assign(low=group["low"].clip(lower=group["loss"].min() / 2))  # no log of what is below 0
        loss = charts.axis("loss", next(iter(group["of"])), log=True, nice=False, padding=8)
        for size in ("parameters", "units"):
            x = charts.axis(size, log=True, nice=False, padding=8)
            known, gray = beside(group, size)
            behind = charts.reference(known, x, loss) if known else []
            spec = charts.lines(group.drop(columns=["task", "of"]), x, loss, interval=("low", "high"), behind=behind)
            caption = f"Loss against {size}: {setting}; bars: the best hparams again, 95 % of the mean"
            drawn.append(Chart("; ".join([caption, *gray]), spec))
    return drawn


def beside(group, size):
    """What stands in gray beside our losses: the ends of a line, and what it says."""
    floor, ends = floor_of(group), (float(group[size].min()), float(group[size].max()))
    if floor is not None:
        return [(end, floor) for end in ends], ["gray: the text's entropy, nothing is below"]
    if set(group["task"]) == {"text8"} and size == "parameters":
        known = [(published.BEST_TEXT8["num_params"], end) for end in PUBLISHED_ENDS]
        return known, [f"gray: {PUBLISHED}"]
    return [], []


def floor_of(group):
    """What no loss on a text of known entropy is below, bits a character; None for other texts."""
    return corpus.entropy_rate() if set(group["task"]) == {SYNTHETIC} else None


def table(results):
    found = readable(points(results)).drop(columns="task")
    if any(r.task == "text8" for r in results):
        best = published.BEST_TEXT8
        theirs = {"cell": best["cell"], "depth": best["depth"], "parameters": best["num_params"], "setting": "text8"}
        found = found.astype(object)
        found.loc[len(found)] = (
            dict.fromkeys(found.columns, "-") | theirs | {"loss": best["loss"], "of": "its own unit: the paper's best"}
        )
    return found.drop(columns=["low", "high"])


def found_claims(results):
    """Of each text and set of functions; the paper has one of each."""
    made = []
    for task, name in zip(TASKS, ("text8", "Random functions"), strict=True):
        of_task = [r for r in results if r.task.split(":")[0] == task]
        settings = dict.fromkeys(what(r) for r in of_task) or [name]
        for setting in settings:
            alike = [r for r in of_task if what(r) == setting]
            made.append(claims.of_all(same_by_parameters(setting, alike), CELLS, {r.cell for r in alike}))
    return [*made, best_text(results)]


def same_by_parameters(name, results):
    """By how far apart pairs of cells lie in loss, at the same parameters and at the same units.

    The rule: it agrees where the first distance is the smaller one, by its ratio to the second with the 95 % interval
    of the jackknife over cells.
    """
    text = f"{name}: cells are closer in loss at the same number of parameters than at the same number of units"
    paper = "one curve by parameters, several by units"
    pairs = distances(results)
    if not pairs:
        ours = "no two cells overlap in both parameters and units" if results else "-"
        return claims.missing(text, paper)._replace(ours=ours)
    ratio, interval = ratio_of(pairs)
    by_params, by_units = (f"{100 * math.expm1(rms(pairs, by)):.1f} %" for by in (0, 1))
    ours = (
        f"cells differ by {by_params} at the same parameters, by {by_units} at the same units; ratio "
        f"{claims.number(ratio, '.2f')} ({claims.shown(interval)}), {len(pairs)} pairs of cells; agrees below 1"
    )
    if results[0].task == SYNTHETIC:
        ours += f"; nothing is below this text's entropy, {corpus.entropy_rate():.2f} bits"
    found, why = claims.of_difference(interval, (-math.inf, 1.0), results)
    return Claim(text, paper, "; ".join(filter(None, [ours, why])), found, claims.spent(results))


def distances(results):
    """Of pairs of cells at one depth that overlap in both sizes: (cell, other) and mean squares of log loss apart."""
    found = []
    for depth in sorted({r.depth for r in results}):
        at_depth = [r for r in results if r.depth == depth and r.score > 0]
        cells = list(dict.fromkeys(r.cell for r in at_depth))
        for pair in itertools.combinations(cells, 2):
            both = [apart(*(curve(at_depth, cell, size) for cell in pair)) for size in ("num_params", "num_units")]
            if None not in both:
                found.append((pair, both))
    return found


def curve(results, cell, size):
    """(log size, log loss) of a cell, sizes rising."""
    known = {getattr(r, size): r.score for r in results if r.cell == cell}
    return np.log(np.array(sorted(known.items())))


def apart(one, other):
    """The mean squared distance of two curves over the sizes that both have; None where these are none."""
    low, high = max(one[0, 0], other[0, 0]), min(one[-1, 0], other[-1, 0])
    if low > high:
        return None
    at = np.linspace(low, high, 16)
    return float(np.mean((np.interp(at, *one.T) - np.interp(at, *other.T)) ** 2))


def rms(pairs, by):
    return math.sqrt(np.mean([both[by] for _, both in pairs]))


def ratio_of(pairs):
    """Of the distance by parameters to that by units, with the jackknife's 95 % interval over cells."""
    cells = sorted({cell for pair, _ in pairs for cell in pair})
    log_ratio = lambda some: (
        math.log(rms(some, 0) / rms(some, 1)) if some and rms(some, 0) and rms(some, 1) else math.nan
    )
    whole = log_ratio(pairs)
    without = [log_ratio([p for p in pairs if cell not in p[0]]) for cell in cells]
    number = len(cells)
    error = math.sqrt((number - 1) ** 2 / number * np.var(without, ddof=1)) if number > 2 else math.nan
    half = stats.t.ppf(0.975, number - 1) * error
    return math.exp(whole), (math.exp(whole - half), math.exp(whole + half))


def best_text(results):
    """On the real text8 only; the paper's is of one size, so a verdict needs an LSTM of about that."""
    best = published.BEST_TEXT8
    low, high = PUBLISHED_ENDS
    text = f"text8: the best {best['cell'].upper()} of {best['num_params']:,} parameters, depth {best['depth']}"
    paper = f"{low:.3f} in its own unit: bits a character, or {high:.3f} of them if nats"
    alike = lambda r: r.cell == best["cell"] and 0.8 < r.num_params / best["num_params"] < 1.25
    known = [r for r in results if r.task == "text8" and math.isfinite(r.score)]
    ours = min((r.score for r in known if alike(r)), default=None)
    if ours is not None:
        found = claims.of_best((ours, ours), (0.95 * low, 1.05 * high), more_is_better=False)
        return Claim(text, paper, f"{ours:.3f} bits", found, claims.spent([r for r in known if alike(r)]))
    if not known:
        return claims.missing(text, paper)
    least = min(known, key=lambda r: r.score)
    said = f"none of that size; the least is {least.score:.3f} bits, {least.cell}, {least.num_params:,}"
    return claims.missing(text, paper)._replace(ours=f"{said} parameters")


FIGURE = Figure(
    name="fig3",
    title="Figure 3: loss on text8 and on random continuous functions, against parameters and against units",
    finding="On both tasks all cells reach the same loss for the same number of parameters; compared by units, cells "
    "with more gates look better than they are.",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
)
