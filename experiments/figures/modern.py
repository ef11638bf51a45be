"""The recurrent cells of today beside the GRU and the LSTM: bits against size and state, recall, association, training.

python launch/sweep.py --config=experiments/figures/modern.py[:quick|:evening]

Quick: about 45 minutes on 2 cores, evening: about 20 hours. Bare cells and the blocks that their authors use are two
tracks, each in sweeps of its own. Associations are counted of cells that carry as many numbers from step to step: 64.
"""

import math
from collections import Counter
from operator import attrgetter

import pandas as pd

from experiments import common, recall, trainability
from rnn_capacity.cells import MODERN_CELLS, NAMED_CELLS
from rnn_capacity.cells.block import BLOCKS
from rnn_capacity.display import charts
from rnn_capacity.measure.association import AssociationPoint
from rnn_capacity.measure.capacity import CapacityResult
from rnn_capacity.measure.recall import RecallPoint
from rnn_capacity.measure.trainability import TrainabilityResult
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import INTERVAL, Chart, Figure, once, readable, rows

# How many units carry 64 numbers, or as many below as there can be.
UNITS = {"gru": 64, "lstm": 32, "mingru": 64, "rg-lru": 64, "lru": 32, "s6": 16, "slstm": 16, "mlstm": 7}
UNITS |= dict.fromkeys(("mamba-2", "deltanet", "gated deltanet", "gla", "linear attention", "retnet"), 8)
CELLS = ("gru", "lstm", *MODERN_CELLS)
NAMES = {*CELLS, *BLOCKS}
SIZES = (500, 1_000)

CAPACITY = {
    "quick": {"num_params": (250, 500), "num_trials": 8, "num_repeats": 3, "train_steps": 3_000},
    "evening": common.EVENING | {"num_params": SIZES},
    "full": common.FULL | {"num_params": (*SIZES, 10_000), "depths": (1,)},
}
DEEPER = {"quick": {"num_params": (500,)}, "evening": {}, "full": {}}
BLOCK = {"quick": {"num_params": (500,)}, "evening": {"depths": (1, 2)}, "full": {"depths": (1, 2)}}
RECALL = {
    "quick": recall.QUICK | {"num_units": (32,), "num_trials": 4, "train_steps": 1_500},
    "evening": recall.EVENING | {"num_units": (16, 64)},
    "full": recall.FULL | {"depths": (1, 2)},
}
ASSOCIATION = {
    "quick": {"num_pairs": (4, 8), "num_trials": 4, "train_steps": 1_500},
    "evening": {"num_pairs": (4, 8, 16), "num_trials": 12, "num_repeats": 4},
    "full": {"num_pairs": (2, 4, 8, 16, 32), "space": "paper", "num_trials": 1024, "train_steps": 50_000},
}
TRAINABILITY = {
    "quick": trainability.QUICK | {"num_params": (500,), "depths": (1,), "num_trials": 24, "train_steps": 200},
    "evening": trainability.EVENING | {"num_params": (500,), "depths": (1, 2)},
    "full": trainability.FULL | {"depths": (1,)},
}


def get_config(arg: str = ""):
    def of(scales, more=None, **fields):
        quick, evening, full = ({**scales[name], **(more or {}).get(name, {})} for name in ("quick", "evening", "full"))
        return common.get_config(arg, quick=quick, evening=evening, full=full, **fields)

    of_units = {cell: {"num_units": units} for cell, units in UNITS.items()}
    return common.several(
        arg,
        modern=of(CAPACITY, cell=CELLS),
        modern_deep=of(CAPACITY, DEEPER, cell=CELLS, depths=(2,)),
        modern_blocks=of(CAPACITY, BLOCK, cell=tuple(BLOCKS)),
        modern_recall=of(RECALL, task="recall", cell=CELLS),
        modern_association=of(ASSOCIATION, task="association", cell=CELLS, per_cell=of_units),
        modern_trainability=of(TRAINABILITY, task="parentheses", cell=CELLS, space="paper", sampler="random"),
    )


TRACKS = {"bare": "bare cells", "block": "blocks as their authors use them"}
OF_CAPACITY = {  # a panel each: its axis, and how it is read
    "bits per parameter": lambda r: r.bits_per_param,
    "bits per number of the state": lambda r: r.bits_per_state,
    "operations per bit": lambda r: r.operations_per_bit,
}


def select(results):
    """Capacity at the paper's T, recall, association and random draws, of the cells of today and those beside them."""
    of_capacity = [r for r in of_today(results, CapacityResult) if r.unroll == published.CAPACITY_UNROLL]
    random = [r for r in of_today(results, TrainabilityResult) if claims.kind_of(r) == "parentheses" and is_random(r)]
    recalled = once(of_today(results, RecallPoint), attrgetter("cell", "depth", "num_units", "num_inputs", "unroll"))
    held = once(of_today(results, AssociationPoint), attrgetter("cell", "depth", "num_units", "num_pairs", "unroll"))
    return [
        *once(searched_alike(of_capacity), attrgetter("cell", "depth", "num_params")),
        *asked_of_many(recalled, attrgetter("depth", "num_units", "num_inputs", "unroll")),
        *asked_of_many(held, attrgetter("depth", "num_pairs", "unroll")),
        *asked_of_many(
            once(random, lambda r: (r.cell, r.depth, claims.setting(r))), lambda r: (r.depth, claims.setting(r))
        ),
    ]


def asked_of_many(results, problem):
    """Of a cell those problems that half of the cells have, or else its own: what few have compares with none."""
    cells = Counter(asked for asked, _ in {(problem(r), r.cell) for r in results})
    of_many = {asked for asked in cells if 2 * cells[asked] >= len({r.cell for r in results})}
    compared = {r.cell for r in results if problem(r) in of_many}
    return [r for r in results if problem(r) in of_many or r.cell not in compared]


def searched_alike(results):
    """Of each track and depth the searches of the budget that most cells had: a larger one would favour its cell."""
    found = []
    for kind in dict.fromkeys((track(r), r.depth) for r in results):
        group = [r for r in results if (track(r), r.depth) == kind]
        cells = Counter(budget for budget, _ in {(claims.budget(r), r.cell) for r in group})
        most = max(cells, key=lambda budget: (cells[budget], budget))
        found += [r for r in group if claims.budget(r) == most]
    return found


def of_today(results, kind):
    return [r for r in claims.in_float32(results, kind) if r.cell in NAMES]


def is_random(result):
    """Whether its hparams were drawn at random from the paper's space."""
    return result.record.plan.get("sampler") == "random" and isinstance(result.record.space.get("optimizer"), list)


def of(results, kind):
    return [r for r in results if isinstance(r, kind)]


def track(result):
    return NAMED_CELLS[result.cell].track if result.cell in NAMED_CELLS else "bare"


def points(results):
    """A row for each capacity that was measured."""
    found = rows(
        of(results, CapacityResult),
        track=track,
        budget=lambda r: r.max_params or r.num_params,
        state=lambda r: r.state_floats,
        bits=lambda r: r.bits,
        **{name.replace(" ", "_"): value for name, value in OF_CAPACITY.items()},
        **INTERVAL,
        rising=lambda r: "yes" if r.still_improving else "no",
    )
    return found.sort_values(["track", "depth", "parameters"], kind="stable")


def table(results):
    """Both tracks, with what else is known of a cell beside its smallest capacity."""
    found, state = readable(points(results)).drop(columns="budget"), {}
    for result in of(results, RecallPoint):
        state.setdefault(result.cell, {})[f"recall, {result.num_units} units"] = f"{result.error:.2f}"
    for result in of(results, AssociationPoint):
        said = f"{100 * result.accuracy:.0f} % in {result.state_floats}"
        state.setdefault(result.cell, {})[f"{result.num_pairs} pairs, of state"] = said
    for result in of(results, TrainabilityResult):
        state.setdefault(result.cell, {})["random draws: median loss"] = f"{result.median_loss:.2f}"
        state[result.cell]["diverged"] = f"{100 * result.num_infeasible / result.num_trials:.0f} %"
    first = ~found.duplicated("cell")
    more = pd.DataFrame([state.get(cell, {}) if n else {} for cell, n in zip(found["cell"], first, strict=True)])
    return pd.concat([found.reset_index(drop=True), more.fillna("")], axis="columns")


def drawn_charts(results):
    """Cells by name, since no eye tells so many colours apart; of capacities the most bits a parameter above."""
    held = rows(
        of(results, AssociationPoint),
        pairs=lambda r: r.num_pairs,
        state=lambda r: r.state_floats,
        accuracy=lambda r: r.accuracy,
        bits_per_number_of_the_state=lambda r: r.bits_per_state,
    )
    recalled = rows(
        of(results, RecallPoint), state=lambda r: r.state_floats, squared_error=lambda r: r.error, **INTERVAL
    )
    trained = rows(
        of(results, TrainabilityResult),
        median_loss=lambda r: r.median_loss,
        note=lambda r: f", {100 * r.num_infeasible / r.num_trials:.0f} % diverged" if r.num_infeasible else "",
    )
    drawn, stored = [], points(results)
    for (of_track, depth), group in stored.groupby(["track", "depth"], sort=True):
        group = group.sort_values("bits per parameter", ascending=False)
        for name in OF_CAPACITY:
            interval = ("low", "high") if name == "bits per parameter" else None
            scale = {"zero": True} if interval else {"padding": 8}
            axis = charts.axis(name, log=interval is None, nice=False, **scale)
            spec = listed(group, axis, "budget", "{:,} parameters at most", stored, interval=interval)
            drawn.append(Chart(f"{TRACKS[of_track].capitalize()}, depth {depth}: {name}", spec))
    if not held.empty:
        spec = listed(held.sort_values("accuracy", ascending=False), charts.axis("accuracy"), "pairs", "{:,} pairs")
        drawn.append(Chart("Associations: accuracy, by pairs", spec))
    if not recalled.empty:
        error = charts.axis("squared error", domainMin=0)
        spec = listed(recalled.sort_values("squared error"), error, "units", "{:,} units", interval=("low", "high"))
        drawn.append(
            Chart("Recall of one vector that is shown once, by units: a state that is a matrix is no help", spec)
        )
    if not trained.empty:
        spec = listed(trained.sort_values("median loss"), charts.axis("median loss"), "T", "T = {}")
        drawn.append(Chart("Random hparams on parentheses: the median loss, and how many diverge", spec))
    return drawn


def listed(found, x, size, word, of_all=None, **more):
    """A line a cell in the order of its first row, and on it a point a size; charts of all sizes have one legend."""
    deep = [f", depth {depth}" if found["depth"].nunique() > 1 else "" for depth in found["depth"]]
    named = found.assign(_what=found["cell"] + deep + found.get("note", ""), size=found[size].map(word.format))
    sizes = sorted(set((found if of_all is None else of_all)[size]))
    return charts.listed(named, x, "_what", "size", [*map(word.format, sizes)], **more)


def found_claims(results):
    """What the literature expects of a state that is a matrix, on this protocol."""
    held = of(results, AssociationPoint)
    known = [r for r in held if math.isfinite(r.accuracy)]
    at = attrgetter("depth", "num_pairs", "unroll")
    text = "Of as many numbers of state, a corrected memory recalls more pairs than a gated vector"
    paper = "DeltaNet and Gated DeltaNet above the GRU (Zoology, Based: state decides)"
    pairs = [("gru", "deltanet"), ("gru", "gated deltanet")]
    return [claims.ranked(text, paper, known, pairs, attrgetter("accuracy"), at)]


FIGURE = Figure(
    name="modern",
    title="Beyond the paper: the recurrent cells of today",
    finding="Bare cells alone and blocks alone are compared: convolution, norm and MLP move these models more than the "
    "cell does. Where the input is silent after the first step a matrix memory answers by its biases only, which are "
    "ours; a linear cell of one layer adds no computation with T, and stores little by construction, not for want of "
    "tuning; and one vector shown once is one write, so that recall cannot show a matrix: associations do. Published, "
    "of other tasks: "
    + ", ".join(f"{what} {bits:g} bits a parameter" for what, bits in published.ELSEWHERE.items())
    + "; Mamba-2, GLA and Gated DeltaNet about 1.4 times a transformer's knowledge (Allen-Zhu 2025, 2512.17351).",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
    columns=3,
)
