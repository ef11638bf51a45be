"""Splits a cell by what depends on the carry, so that only the recurrent part runs once a step.

A cell is written as one function, `apply(params, carry, x)`, reading like its equations. Most of that work, the input's
matrix product above all, does not need the carry and can be done for all steps at once, or once for every step without
input. Rather than ask each author to split the cell by hand, this reads the traced program (its jaxpr) and deals each
operation to the earliest of three stages that has its operands:

    prepare(params) -> weights           what depends on the parameters alone
    project(weights, x) -> drive         what the input adds
    step(weights, drive, carry) -> (carry, y)

Together they equal the cell, operation for operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

PARAMS, INPUT, CARRY = range(3)


class Stages(NamedTuple):
    prepare: Callable[[Any], tuple]
    project: Callable[[tuple, Any], tuple]
    step: Callable[[tuple, tuple, Any], Any]


def hoist(apply: Callable, params: Any, carry: Any, x: Any) -> Stages:
    """The three stages of `apply(params, carry, x)`, traced at the shapes of these arguments."""
    closed, out_shape = jax.make_jaxpr(apply, return_shape=True)(params, carry, x)
    jaxpr, out_tree = closed.jaxpr, jax.tree.structure(out_shape)

    arguments = iter(jaxpr.invars)
    params_vars, carry_vars, x_vars = ([next(arguments) for _ in jax.tree.leaves(a)] for a in (params, carry, x))
    stage = dict.fromkeys([*jaxpr.constvars, *params_vars], PARAMS)
    stage |= dict.fromkeys(x_vars, INPUT) | dict.fromkeys(carry_vars, CARRY)

    equations = [[], [], []]
    for eqn in jaxpr.eqns:
        at = max((stage[v] for v in _variables(eqn.invars)), default=PARAMS)
        equations[at].append(eqn)
        stage |= dict.fromkeys(eqn.outvars, at)

    def handed_on(made_at):
        later = [v for at in range(made_at + 1, 3) for eqn in equations[at] for v in _variables(eqn.invars)]
        return list(dict.fromkeys(v for v in [*later, *_variables(jaxpr.outvars)] if stage[v] == made_at))

    def function(at, invars, outvars):
        debug_info = jaxpr.debug_info.with_unknown_names()
        part = jaxpr.replace(constvars=(), invars=invars, outvars=outvars, eqns=equations[at], debug_info=debug_info)
        flat = jaxpr_as_fun(ClosedJaxpr(part, ()))
        return lambda *arguments: tuple(flat(*jax.tree.leaves(arguments)))

    weights, drive = handed_on(PARAMS), handed_on(INPUT)
    prepare = function(PARAMS, [*jaxpr.constvars, *params_vars], weights)
    project = function(INPUT, [*weights, *x_vars], drive)
    step = function(CARRY, [*weights, *drive, *carry_vars], jaxpr.outvars)
    return Stages(
        prepare=lambda params: prepare(closed.consts, params),
        project=project,
        step=lambda weights, drive, carry: jax.tree.unflatten(out_tree, step(weights, drive, carry)),
    )


def _variables(atoms):
    return [a for a in atoms if not isinstance(a, Literal)]
