"""From intervals to verdicts: whether what was measured agrees with what the paper found.

The best of N trials is a lower bound of what a larger search would find. So it confirms a claim about a maximum, or
passes it, and never falls short of it for good; and the difference of two such bounds refutes nothing unless both were
searched alike, and whose bests did not come last.
"""

import dataclasses
import math
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

import numpy as np

from rnn_capacity.cells import MODERN_CELLS
from rnn_capacity.cells.block import BLOCKS
from rnn_capacity.information import confidence_interval
from rnn_capacity.measure.result import R, Result
from rnn_capacity.measure.trainability import TrainabilityResult
from rnn_capacity.paper import published
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, NOT_REACHED, UNDECIDED, Claim
from rnn_capacity.tasks import TASKS

RULES = {
    AGREES: "The 95 % interval of ours lies within what the paper found, or within our reading of its words, which "
    "stands beside it.",
    DISAGREES: "It lies outside. Of the best of a search this counts only where ours passes the paper's: the best of N "
    "trials is a lower bound, and a larger search may raise it. Of a difference or an order it counts only where both "
    "sides had equally many trials, at least 8, of equally many steps, and the best of neither came in their last "
    "quarter: such a search may rise on.",
    NOT_REACHED: "Ours is the best of a search, and falls short of the paper's. What was spent stands beside it, with "
    "the command that spends more.",
    UNDECIDED: "The interval allows either, or the comparison was not fair enough to refute anything.",
    MISSING: "A study or a cell of it is missing, or not finished.",
}
OF_TODAY = {*MODERN_CELLS, *BLOCKS}
LEAST_TRIALS = 8  # of a search that has a last quarter to speak of


def verdict(interval: tuple[float, float], allowed: tuple[float, float]) -> str:
    """Ours against the paper's: an interval within what it allows agrees, one outside of it disagrees.

    Where it allows all on one side of a number, the number itself is not allowed: "less" is no tie.
    """
    (low, high), (least, most) = interval, allowed
    if math.isnan(low) or math.isnan(high):
        return UNDECIDED
    one_sided = math.isinf(least) or math.isinf(most)
    if least < low and high < most if one_sided else least <= low and high <= most:
        return AGREES
    return DISAGREES if high < least or low > most else UNDECIDED


def of_best(interval: tuple[float, float], allowed: tuple[float, float], *, more_is_better: bool = True) -> str:
    """The verdict on the best that a search found: where it falls short of the paper's, that is not reached yet."""
    found, (low, high), (least, most) = verdict(interval, allowed), interval, allowed
    falls_short = high < least if more_is_better else low > most
    return NOT_REACHED if found == DISAGREES and falls_short else found


def of_difference(
    interval: tuple[float, float], allowed: tuple[float, float], sides: Iterable[Result]
) -> tuple[str, str]:
    """The verdict on a difference between the best that several searches found, and why it is not "disagrees".

    Args:
        sides: the results that are compared; fairly if budgets are equal, and no best came in the last quarter.
    """
    found = verdict(interval, allowed)
    why = unfair(list(sides)) if found == DISAGREES else ""
    return (UNDECIDED if why else found), why


def unfair(results: Sequence[Result]) -> str:
    """What keeps a comparison of searches from refuting anything; empty where it is fair."""
    if len(set(map(budget, results))) > 1:
        return f"searched unlike, {spending(results)}"
    if any(r.num_trials < LEAST_TRIALS for r in results):
        return f"fewer than {LEAST_TRIALS} trials cannot show that a search has stopped rising"
    late = _late(results)
    return f"best in the last quarter of the trials: {', '.join(late)}" if late else ""


def _late(results: Sequence[Result]) -> list[str]:
    """The cells whose best came in the last quarter of the trials, be it by chance.

    `still_improving` asks for more, and so misses searches that do rise; here that would be the harmful error.
    """
    late = [r for r in results if r.record.best_number is not None and 4 * r.record.best_number >= 3 * r.num_trials]
    return list(dict.fromkeys(r.cell for r in late))


def budget(result: Result) -> tuple[int, int]:
    """Of a search, which those that are compared must share: trials, and steps of each."""
    return result.num_trials, result.train_steps


def spending(results: Sequence[Result]) -> str:
    """How much the searches had, as it is read."""
    return f"{_span([r.num_trials for r in results])} trials of {_span([r.train_steps for r in results])} steps"


def spent(results: Sequence[Result], paper: str = published.SPENT) -> str:
    """What the searches of a claim cost, which had their best in the last quarter, and what the paper's cost."""
    late = _late(results)
    state = f"best in the last quarter: {', '.join(late)}" if late else "no best in the last quarter"
    return f"{spending(results)} a point, {state}; the paper: {paper}"


def _span(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def worst(verdicts: Sequence[str]) -> str:
    """Verdict on a claim all of whose parts must hold."""
    if not verdicts:
        return MISSING
    return next(v for v in (DISAGREES, MISSING, NOT_REACHED, UNDECIDED, AGREES) if v in verdicts)


def of_all(claim: Claim, cells: Iterable[str], measured: Iterable[str]) -> Claim:
    """A claim of several cells, judged by those measured: without the others it agrees with nothing."""
    lacking = [cell for cell in cells if cell not in {*measured}]
    if not lacking or claim.verdict == MISSING:
        return claim
    ours = f"{claim.ours}; not measured: {', '.join(lacking)}"
    return claim._replace(ours=ours, verdict=worst([claim.verdict, MISSING]))


def missing(text: str, paper: str) -> Claim:
    return Claim(text, paper, "-", MISSING)


def shown(interval: tuple[float, float], spec: str = ".2f") -> str:
    """An interval as it is read."""
    low, high = interval
    return "no interval" if math.isnan(low) else f"{low:{spec}} to {high:{spec}}"


def paired(
    results: Sequence[R],
    cell: str,
    other: str,
    value: Callable[[R], float],
    point: Callable[[R], Hashable],
) -> list[float]:
    """Differences of a value, the cell's less the other's, at each point of the grid that both were measured at.

    Args:
        point: what makes a point, such as the depth.
    """
    found = [value(mine) - value(theirs) for mine, theirs in beside(results, cell, other, point)]
    return [difference for difference in found if math.isfinite(difference)]


def beside(results: Sequence[R], cell: str, other: str, point: Callable[[R], Hashable]) -> list[tuple[R, R]]:
    """The results of two cells at each point of the grid that both were measured at."""
    mine, theirs = ({point(r): r for r in results if r.cell == name} for name in (cell, other))
    return [(mine[at], theirs[at]) for at in mine if at in theirs]


def mean(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """With its 95 % interval."""
    return (sum(values) / len(values) if values else math.nan), confidence_interval(values)


def ranked(
    text: str,
    paper: str,
    results: Sequence[R],
    pairs: Sequence[tuple[str, str]],
    value: Callable[[R], float],
    point: Callable[[R], Hashable],
    spec: str = "+.2f",
) -> Claim:
    """That of each pair of cells the first has the lower value, by the 95 % interval of their paired differences."""
    said, verdicts, compared = [], [], []
    for cell, other in pairs:
        differences = paired(results, cell, other, value, point)
        if differences:
            average, interval = mean(differences)
            sides = [r for both in beside(results, cell, other, point) for r in both]
            found, why = of_difference(interval, (-math.inf, 0.0), sides)
            said.append(f"{cell} - {other} {average:{spec}} ({', '.join(filter(None, [shown(interval, spec), why]))})")
            verdicts.append(found)
            compared += sides
    if not said:
        return missing(text, paper)
    claim = Claim(text, paper, "; ".join(said), worst(verdicts), spent(compared))
    return of_all(claim, dict.fromkeys(cell for pair in pairs for cell in pair), {r.cell for r in results})


def held_to_relu(result: Result) -> bool:
    """Whether a cell that has the choice was given ReLU alone."""
    return result.cell != "irnn" and result.record.space.get("nonlinearity") == "relu"


def log(value: float) -> float:
    """The logarithm of what is above 0; NaN of the rest, which `paired` leaves out."""
    return math.log(value) if value > 0 else math.nan


def geometric(logs: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The geometric mean of ratios with its 95 % interval, from their logarithms."""
    average, (low, high) = mean(logs)
    return math.exp(average), (math.exp(low), math.exp(high))


def welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The difference of two means, a's less b's, with Welch's 95 % interval: NaN for fewer than two of either."""
    from scipy import stats

    difference = (sum(a) / len(a) if a else math.nan) - (sum(b) / len(b) if b else math.nan)
    if min(len(a), len(b)) < 2:
        return difference, (math.nan, math.nan)
    if np.ptp(a) == np.ptp(b) == 0:
        return difference, (difference, difference)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a sample that does not vary
        low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    return difference, (float(low), float(high))


def searched(result: Result, name: str) -> tuple[float, float]:
    """The range that a numeric hparam was searched in; NaN where it is not known."""
    known = result.record.space.get(name)
    if isinstance(known, Mapping) and {"low", "high"} <= known.keys():
        return float(known["low"]), float(known["high"])
    return (float(known),) * 2 if isinstance(known, int | float) else (math.nan, math.nan)


def in_float32(results: Sequence[Result], kind: type[R]) -> list[R]:
    """Results of a question that have trials; searches for what is left in fewer bits have a figure of their own."""
    known = [r for r in results if isinstance(r, kind) and r.num_trials and not getattr(r, "rounded", None)]
    return [r for r in known if r.record.plan.get("precision") != "bfloat16"]


def measured(results: Sequence[Result], kind: type[R]) -> list[R]:
    """The same, but of the cells of today, which have a figure of their own."""
    return [r for r in in_float32(results, kind) if r.cell not in OF_TODAY]


def counted(count: int, what: str, one: str | None = None) -> str:
    """How many of something, as it is read."""
    return f"{count} {(one or what.removesuffix('s')) if count == 1 else what}"


def of_its_cells(results: Sequence[R]) -> list[R]:
    """Those of the paper's cells: what a user's own cell does neither agrees with the paper nor disagrees."""
    return [r for r in results if r.cell in published.CAPACITY_ORDER]


def proportion(count: int, number: int) -> tuple[float, float]:
    """The exact 95 % interval of a share, `count` of `number` (Clopper and Pearson 1934)."""
    from scipy import stats

    if not number:
        return (math.nan, math.nan)
    found = stats.binomtest(count, number).proportion_ci(0.95, method="exact")
    return (float(found.low), float(found.high))


def setting(result: TrainabilityResult, sized: bool = True) -> str:
    """What a cell was asked, but for its depth: the task, where it is not the paper's, T, and the budget if sized."""
    kind = TASKS.get(kind_of(result))
    usual = {field.name: field.default for field in dataclasses.fields(kind)} if kind else {}
    usual |= {name: result.task_fields.get(name) for name in ("unroll", "text", "data_dir")}  # told already
    unusual = {name: value for name, value in result.task_fields.items() if usual.get(name, ...) != value}
    fields = [f"{name.replace('_', ' ')} {value}" for name, value in unusual.items() if name != "num_held_out"]
    size = [f"{result.max_params:,} parameters"] if sized and result.max_params else []
    return ", ".join([result.task, *fields, f"T = {result.unroll}", *size])


def kind_of(result: TrainabilityResult) -> str:
    """The name of its task, without the source of a text."""
    return result.task.partition(":")[0]


def trained(results: Sequence[Result], *tasks: str) -> list[TrainabilityResult]:
    """Of the results those on these tasks."""
    return [r for r in measured(results, TrainabilityResult) if kind_of(r) in tasks]


def largest(results: Sequence[TrainabilityResult]) -> list[TrainabilityResult]:
    """Of the paper's cells those of one setting: of the most cells and depths, then the longest T, most parameters."""
    known = of_its_cells(results)
    points = Counter(map(setting, known))
    size = lambda r: (points[setting(r)], r.unroll, r.max_params or 0, setting(r))
    most = max(map(size, known), default=None)
    return [r for r in known if size(r) == most]


def in_order(results: Sequence[R]) -> list[R]:
    """By cell, as the paper's legends have them; a user's own come last."""
    cells = list(published.CAPACITY)
    return sorted(results, key=lambda r: cells.index(r.cell) if r.cell in cells else len(cells))


def number(value: float, spec: str) -> str:
    """A number as it is read; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:{spec}}"
