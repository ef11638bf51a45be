"""Draws the paper's figures from whatever was measured: python launch/report.py --workdir=DIR [--storage=URL ...].

Into DIR, or --out=DIR: report.html, which needs no network to be read, and figures/ with a PNG and an SVG of each.
"""

import json
import pathlib
import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends what is imported at once, without a traceback
sys.path.append(str(pathlib.Path(__file__).parents[1]))  # the clone's rnn_capacity, where none is installed

from absl import flags
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnn_capacity import command_line, sweep
from rnn_capacity.checks import InputError
from rnn_capacity.report import page
from rnn_capacity.report.collection import collect
from rnn_capacity.report.section import Shown, Wanted
from rnn_capacity.studies.plan import title_of
from rnn_capacity.training import numerics

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))  # the clone's experiments/, whatever else has that name

from experiments import common
from experiments.figures import FIGURES

_WORKDIR = flags.DEFINE_string("workdir", None, "what is drawn: every study.db in this folder and below it")
_STORAGE = flags.DEFINE_multi_string("storage", [], "and the studies of a database, by its URL; may be given again")
_OUT = flags.DEFINE_string("out", None, "the folder for what is written; by default the workdir")


def main(_):
    if _WORKDIR.value is None:
        raise InputError("--workdir must be given")
    console = Console()
    say = lambda line: console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)
    collection = collect(_WORKDIR.value, _STORAGE.value)
    shown = _shown(collection)
    written = page.write(collection, shown, _OUT.value or _WORKDIR.value, progress=say)
    console.print(_summary(written.claims))
    for note in collection.notes:
        say(f"note: {note}")
    say(f"Written: {', '.join(map(str, written.paths))}")


def _shown(collection):
    """Each figure at the smallest scale that was begun; at the quick one where none was."""
    begun = {(r.record.plan["task"], r.train_steps) for r in collection.results}
    of = lambda config: {(one["task"].partition(":")[0], one["train_steps"]) for one in config["sweeps"].values()}
    titles = {title_of(r.study) for r in collection.results}
    shown, planned = [], {}  # figures share sweeps
    for name, module in FIGURES.items():
        configs = {scale: module.get_config(scale).to_dict() for scale in common.SCALES}
        place = next((i for i, config in enumerate(configs.values()) if begun & of(config)), 0)
        scale, larger = (*common.SCALES, None)[place : place + 2]
        wanted = []
        for sweep_name, one in configs[scale]["sweeps"].items():
            if (scale, sweep_name) not in planned:
                planned[scale, sweep_name] = _wanted(one, titles)
            wanted += planned[scale, sweep_name]
        beyond = _command(name, scale if larger is None else larger)
        if larger is None:
            beyond += "".join(
                f" --config.sweeps.{n}.num_trials={2 * one['num_trials']}"
                for n, one in configs[scale]["sweeps"].items()
            )
        shown.append(Shown(module.FIGURE, _command(name, scale), beyond, wanted))
    return shown


def _command(name, scale):
    return f"python launch/sweep.py --config=experiments/figures/{name}.py" + (f":{scale}" if scale else "")


def _wanted(config, titles):
    """The studies of a sweep; only those whose titles were begun are planned, since that takes long."""
    as_kept = lambda plan: json.loads(json.dumps(plan.settings()))
    with numerics.fixed():
        return [Wanted(s.title, as_kept(s.plan()) if s.title in titles else None) for s in sweep.configs(config)]


def _summary(claims):
    """The paper's findings beside ours; what a study is named is text, whatever is in it."""
    table = Table("verdict", "what the paper found", "paper", "ours", "see", show_edge=False, pad_edge=False)
    for figure, claim in claims:
        table.add_row(*map(Text, (claim.verdict, claim.text, claim.paper, claim.ours, figure.name)))
    return table


if __name__ == "__main__":
    command_line.run(main, command_line.parse_flags)
