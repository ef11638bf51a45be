"""Results side by side: one table, one plot."""

import dataclasses
from collections.abc import Sequence

from rnn_capacity.checks import InputError
from rnn_capacity.measure.result import Result
from rnn_capacity.measure.shown import Shown
from rnn_capacity.measure.trainability import TrainabilityResult


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Comparison(Shown):
    """Results that answer one question, in the order given."""

    results: tuple[Shown, ...]

    @property
    def parts(self) -> tuple[Result, ...]:
        return tuple(part for result in self.results for part in result.parts)

    @property
    def title(self) -> str:
        cells = dict.fromkeys(part.cell for part in self.parts)
        return f"{self.parts[0].measure}: {', '.join(cells)}"


def compare(results: Sequence[Shown]) -> Comparison:
    """Puts results side by side, as one table and one plot.

    Args:
        results: of `measure_capacity`, of `measure_recall`, of `measure_association`, or of `measure_trainability` on
            one task.

    Raises:
        InputError: there are none, or they answer different questions.
    """
    if not isinstance(results, Sequence) or not all(isinstance(result, Shown) for result in results):
        raise InputError(f"results: {type(results).__name__} given; it must be a list of results")
    if not results:
        raise InputError("results: none given; it must be a list of results")
    found = Comparison(tuple(results))
    _check_alike("results", [part.measure for part in found.parts])
    trained = [part for part in found.parts if isinstance(part, TrainabilityResult)]
    _check_alike("task", [part.task for part in trained])
    for name in trained[0].task_fields.keys() - {"unroll"} if trained else ():  # the table has a column for it
        _check_alike(name, [part.task_fields[name] for part in trained])
    return found


def _check_alike(name: str, values: Sequence) -> None:
    different = [value for place, value in enumerate(values) if value not in values[:place]]
    if len(different) > 1:
        raise InputError(f"{name}: {' and '.join(map(str, different))} given; it must be the same in all results")
