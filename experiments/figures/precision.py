"""Beyond the paper: the bits that are left where weights are stored in fewer bits, or trained in bfloat16.

python launch/sweep.py --config=experiments/figures/precision.py[:quick|:evening]

Quick: about 12 minutes on 2 cores, evening: about 12 hours. In Python: `rnn_capacity.measure_precision("rnn")`.
"""

import math
from operator import attrgetter

import pandas as pd

from experiments import common
from rnn_capacity.cells import MODERN_CELLS
from rnn_capacity.display import charts
from rnn_capacity.information import confidence_interval
from rnn_capacity.measure.capacity import CapacityResult
from rnn_capacity.measure.precision import left, per_bit, trained_in
from rnn_capacity.model.formats import BITS
from rnn_capacity.report import claims
from rnn_capacity.report.figure import Chart, Claim, Figure, once, readable, rows

QUICK = {"num_params": (250,), "num_trials": 8, "num_repeats": 4, "train_steps": 3_000}
EVENING = common.EVENING | {"num_params": (500,)}
FULL = common.FULL | {"num_params": (1_000,), "depths": (1,)}
CELLS = (*common.SIX_CELLS, *MODERN_CELLS)
LEAST = 0.95  # of the bits, in int8: our reading of "hardly any are lost"


def get_config(arg: str = ""):
    fields = {"quick": QUICK, "evening": EVENING, "full": FULL, "cell": CELLS, "rounded": True}
    fields |= {"per_cell": common.deeper((1, 2))}
    return common.several(
        arg,
        precision=common.get_config(arg, **fields),
        precision_bfloat16=common.get_config(arg, **fields, precision="bfloat16"),
    )


def select(results):
    """Capacity whose networks were scored with rounded weights."""
    found = [r for r in results if isinstance(r, CapacityResult) and r.num_trials and r.rounded]
    return once(found, lambda r: (r.cell, r.depth, r.num_params, trained_in(r)))


def points(results):
    kept = {f"left in {name}": lambda r, name=name: left(r, name) for name in BITS if name != "float32"}
    found = rows(
        results,
        trained_in=trained_in,
        bits_per_parameter=attrgetter("bits_per_param"),
        **{name.replace(" ", "_"): value for name, value in kept.items()},
        most_per_bit_of_memory=lambda r: max(per_bit(r, name) for name in BITS),
    )
    return found.sort_values(["trained in", "cell", "depth"], kind="stable")


def formats(results):
    """A row for each format of each result."""
    found = []
    for name, bits in BITS.items():
        made = rows(
            results,
            bits_a_weight=lambda r, bits=bits: bits,
            bits_per_parameter=lambda r, name=name: r.bits_per_param * left(r, name),
            bits_per_bit_of_memory=lambda r, name=name: per_bit(r, name),
        )
        found.append(made.assign(format=name))
    return pd.concat(found, ignore_index=True)


def drawn_charts(results):
    drawn = []
    for trained in sorted({trained_in(r) for r in results}, reverse=True):
        found = formats([r for r in results if trained_in(r) == trained])
        axis = charts.axis("bits a weight", log=True, base=2) | {"axis": {"values": sorted(set(BITS.values()))}}
        for name in ("bits per parameter", "bits per bit of memory"):
            chart = charts.lines(found, axis, charts.axis(name, domainMin=0))
            drawn.append(Chart(f"Trained in {trained}: {name}, by the bits of a stored weight", chart))
    return drawn


def found_claims(results):
    text = "In int8 hardly any bits are lost: the RNN keeps 95 %"
    paper = "not the paper's; of knowledge in language models 2 bits a parameter are left in int8, 0.7 in int4"
    found = [r for r in results if r.cell == "rnn" and trained_in(r) == "float32" and r.rounded]
    if not found:
        return [claims.missing(text, paper)]
    kept = [fraction for r in found for fraction in r.rounded["int8"]]
    interval = confidence_interval(kept)
    ours = f"int8 {100 * sum(kept) / len(kept):.0f} % ({claims.shown(interval)}); " + ", ".join(
        f"{name} {100 * left(found[0], name):.0f} %" for name in ("int6", "int4")
    )
    return [Claim(text, paper, ours, claims.of_best(interval, (LEAST, math.inf)), claims.spent(found))]


FIGURE = Figure(
    name="precision",
    title="Beyond the paper: bits that are left in fewer bits a weight",
    finding="What a network still says of random labels after its weights are rounded: to bfloat16 or float16, or each "
    "array to whole numbers of 8, 6 or 4 bits times a scale of its own. GPT-style transformers store 3.6 bits a "
    "parameter in bfloat16 and in float32 alike.",
    select=select,
    claims=found_claims,
    table=lambda results: readable(points(results)),
    charts=drawn_charts,
)
