"""Splits a cell by what depends on the input and what on the carry, so that no work is done more often than needed.

A cell is written as one function, `apply(params, carry, x)`, reading like its equations. Most of that work, the input's
matrix product above all, does not need the carry and can be done for all steps at once, or once for every step without
input; and what needs the carry alone is done once for all examples where they have one carry, as before the first step.
Rather than ask each author to split the cell by hand, this reads the traced program (its jaxpr) and deals each
operation to one of four stages, by what it depends on:

    prepare(params) -> weights                       on the parameters alone
    project(weights, x) -> drive                     on the input
    recall(weights, carry) -> memory                 on the carry
    combine(weights, drive, memory) -> (carry, y)    on both

Together they equal the cell, operation for operation.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun

PARAMS, INPUT, CARRY, BOTH = range(4)  # what a value depends on: of two values, the bitwise or


class Stages(NamedTuple):
    prepare: Callable[[Any], tuple]
    project: Callable[[tuple, Any], tuple]
    recall: Callable[[tuple, Any], tuple]
    combine: Callable[[tuple, tuple, tuple], Any]

    def step(self, weights: tuple, drive: tuple, carry: Any) -> Any:
        """What is left to do at each step: (carry, y)."""
        return self.combine(weights, drive, self.recall(weights, carry))


def hoist(apply: Callable, params: Any, carry: Any, x: Any) -> Stages:
    """The stages of `apply(params, carry, x)`, traced at the shapes of these arguments."""
    closed, out_shape = jax.make_jaxpr(apply, return_shape=True)(params, carry, x)
    jaxpr, out_tree = closed.jaxpr, jax.tree.structure(out_shape)

    arguments = iter(jaxpr.invars)
    params_vars, carry_vars, x_vars = ([next(arguments) for _ in jax.tree.leaves(a)] for a in (params, carry, x))
    stage = dict.fromkeys([*jaxpr.constvars, *params_vars], PARAMS)
    stage |= dict.fromkeys(x_vars, INPUT) | dict.fromkeys(carry_vars, CARRY)

    equations: list[list[JaxprEqn]] = [[], [], [], []]
    for eqn in jaxpr.eqns:
        at = functools.reduce(operator.or_, (stage[v] for v in _variables(eqn.invars)), PARAMS)
        equations[at].append(eqn)
        stage |= dict.fromkeys(eqn.outvars, at)

    def handed_on(made_at):
        elsewhere = [v for at in range(4) if at != made_at for eqn in equations[at] for v in _variables(eqn.invars)]
        return list(dict.fromkeys(v for v in [*elsewhere, *_variables(jaxpr.outvars)] if stage[v] == made_at))

    def function(at, invars, outvars):
        flat = part(jaxpr, equations[at], invars, outvars)
        return lambda *arguments: tuple(flat(*jax.tree.leaves(arguments)))

    weights, drive, memory = (handed_on(at) for at in (PARAMS, INPUT, CARRY))
    prepare = function(PARAMS, [*jaxpr.constvars, *params_vars], weights)
    combine = function(BOTH, [*weights, *drive, *memory], jaxpr.outvars)
    return Stages(
        prepare=lambda params: prepare(closed.consts, params),
        project=function(INPUT, [*weights, *x_vars], drive),
        recall=function(CARRY, [*weights, *carry_vars], memory),
        combine=lambda *arguments: jax.tree.unflatten(out_tree, combine(*arguments)),
    )


def part(jaxpr: Jaxpr, equations: list[JaxprEqn], invars: list, outvars: list) -> Callable:
    """Some operations of a traced function, as a function of the variables that they read."""
    debug_info = jaxpr.debug_info.with_unknown_names()
    piece = jaxpr.replace(constvars=(), invars=invars, outvars=outvars, eqns=equations, debug_info=debug_info)
    return jaxpr_as_fun(ClosedJaxpr(piece, ()))


def _variables(atoms):
    return [a for a in atoms if not isinstance(a, Literal)]
