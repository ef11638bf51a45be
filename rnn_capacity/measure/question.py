"""A question about a cell: what is asked, as a config, and the call that answers it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, get_type_hints

from rnn_capacity.display.tables import Columns
from rnn_capacity.measure.result import R
from rnn_capacity.measure.shown import Shown
from rnn_capacity.studies import session
from rnn_capacity.studies.config import Budget, Runtime, StudyConfig, texts
from rnn_capacity.studies.plan import Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Answer = TypeVar("Answer", bound=Shown)
Draw = Callable[[Sequence[Any], "Axes | None"], "Axes"]  # results of one question, on these axes or on new ones


class Question(NamedTuple, Generic[R]):
    """What can be asked of a cell, how it is answered, and what the answers look like."""

    name: str  #: in tables and figures
    config: type[StudyConfig]  #: what defines a study of it
    budget: Budget  #: by default
    plan: type[Plan]  #: how its studies turn proposals into trials
    result: type[R]  #: what a study of it gave
    call: Callable[..., Shown]  #: its public face, of the fields of config, `Budget` and `Runtime`
    columns: Columns  #: of the table of results
    caption: str  #: how to read it
    draw: Draw  #: what `plot` draws
    figures: Callable[[Sequence[R]], dict[str, Draw]]  #: what a sweep draws of its results at its end, by file name

    def asked(self, fields: Mapping[str, Any]) -> tuple[StudyConfig, Budget, Runtime]:
        """The options of a call, checked.

        Raises:
            InputError: bad input, by name.
        """
        return _split(self.config, self.budget, fields)

    def defaults(self) -> dict[str, Any]:
        """By name of the option; a required one is left out."""
        return {p.name: p.default for p in _parameters(self.config, self.budget) if p.default is not p.empty}

    def texts(self) -> dict[str, str]:
        """What each option is."""
        return _texts(self.config)


def asks(
    config: type[StudyConfig], budget: Budget, *positional: str
) -> Callable[[Callable[[Any, Budget, Runtime], Answer]], Callable[..., Answer]]:
    """Makes a function of (config, budget, runtime) a call that takes their fields as keyword arguments.

    Args:
        budget: the default.
        positional: fields that may be given without their name, in this order.
    """
    parameters = _parameters(config, budget)
    by_name = {p.name: p for p in parameters}
    first = [by_name[name].replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in positional]
    signature = inspect.Signature(first + [p for p in parameters if p.name not in positional])
    hints = {name: hint for kind in (config, Budget, Runtime) for name, hint in get_type_hints(kind).items()}

    def decorate(answer: Callable[[Any, Budget, Runtime], Answer]) -> Callable[..., Answer]:
        @functools.wraps(answer)
        def call(*args: Any, **fields: Any) -> Answer:
            try:
                given = signature.bind(*args, **fields).arguments
            except TypeError as error:
                raise TypeError(f"{answer.__name__}: {error}") from None
            with session.measuring():
                return answer(*_split(config, budget, given))

        returned = inspect.signature(answer).return_annotation
        call.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]
        call.__annotations__ = {name: hints[name] for name in signature.parameters} | {"return": returned}
        call.__doc__ = _documented(answer.__doc__ or "", config, signature.parameters)
        return call

    return decorate


def _parameters(config: type[StudyConfig], budget: Budget) -> list[inspect.Parameter]:
    found = []
    of_all = {field.name for field in dataclasses.fields(StudyConfig)}
    for kind, defaults in ((config, None), (Budget, budget), (Runtime, None)):
        for field in sorted(dataclasses.fields(kind), key=lambda field: kind is config and field.name in of_all):
            default = field.default if defaults is None else getattr(defaults, field.name)
            default = inspect.Parameter.empty if default is dataclasses.MISSING else default
            found.append(
                inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=field.type)
            )
    return found


def _split(config: type[StudyConfig], budget: Budget, fields: Mapping[str, Any]) -> tuple[StudyConfig, Budget, Runtime]:
    of = lambda kind: {f.name: fields[f.name] for f in dataclasses.fields(kind) if f.name in fields}
    return config(**of(config)), dataclasses.replace(budget, **of(Budget)), Runtime(**of(Runtime))


def _texts(config: type[StudyConfig]) -> dict[str, str]:
    return {name: text for kind in (config, Budget, Runtime) for name, text in texts(kind).items()}


def _documented(text: str, config: type[StudyConfig], names: Iterable[str]) -> str:
    """A docstring with the arguments, which are described where they are defined."""
    said = _texts(config)
    lines = [
        textwrap.fill(f"{name}: {said[name]}.", 116, initial_indent=" " * 4, subsequent_indent=" " * 8)
        for name in names
    ]
    before, raises, after = inspect.cleandoc(text).partition("\nRaises:")
    return "\n".join([before, "Args:", *lines, ""]) + raises + after
