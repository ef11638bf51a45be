"""Results of any questions together: a table each, and the files that a sweep leaves."""

import functools
import os
import pathlib
from collections.abc import Sequence

from rnn_capacity import files
from rnn_capacity.display import tables
from rnn_capacity.measure.question import Question
from rnn_capacity.measure.questions import QUESTIONS
from rnn_capacity.measure.result import Result
from rnn_capacity.measure.trainability import TrainabilityResult, pairs


def by_question(results: Sequence[Result]) -> list[tuple[Question, list[Result]]]:
    """Results apart by the question that they answer, in the order of `QUESTIONS`."""
    groups = [(question, [r for r in results if r.measure == question.name]) for question in QUESTIONS.values()]
    return [(question, group) for question, group in groups if group]


def text(results: Sequence[Result]) -> str:
    """A table a question, for a terminal."""
    return "\n\n".join(tables.text(question.columns, group) for question, group in by_question(results))


def captions(results: Sequence[Result]) -> str:
    """How to read these tables."""
    return "\n\n".join(question.caption for question, _ in by_question(results))


def write_tables(results: Sequence[Result], folder: str | os.PathLike) -> list[pathlib.Path]:
    """The files of `tables.write`; where two results of trainability can be compared, Welch's t between them too."""
    compared = pairs([result for result in results if isinstance(result, TrainabilityResult)])
    path = pathlib.Path(folder) / "welch.csv"
    written = [files.write(path, compared.to_csv(index=False))] if len(compared) else []
    return written + tables.write([r.to_dict() for r in results], [r.trials for r in results], folder)


def write_figures(results: Sequence[Result], folder: str | os.PathLike) -> list[pathlib.Path]:
    """The figures of each question that is answered, as PNG and SVG."""
    from rnn_capacity.display import plots  # 0.5 s to import

    groups = by_question(results)
    drawings = {name: functools.partial(draw, of) for q, of in groups for name, draw in q.figures(of).items()}
    return plots.write(drawings, folder)
