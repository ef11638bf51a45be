"""Runs a function of one example for many, with the examples in the last axis of every array from beginning to end.

`jax.vmap` may move the mapped axis to the front (in a reshape, a broadcast, or where a mapped array meets a shared
one), and every step in time then transposes its activations. Here each operation of the traced function keeps the
examples last, where a CPU's vector unit works on neighbours; one without a rule of its own is left to `jax.vmap`.

Sums, and the gradients of broadcasts, which are sums, are loops on a CPU: XLA would fuse a product into them and then
work number by number, at a tenth of the rate. So it would in the gradient of a split, which puts parts together, where
these are made in a loop over time: there each is written in its place (docs/measurements.md).
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

from rnn_capacity.model.hoist import part
from rnn_capacity.types import Array

Value = tuple[Any, bool]  # an array, and whether its last axis is that of the examples


def over_examples(fn: Callable, *, looped: bool = False) -> Callable:
    """`fn(shared, *one)` as a function of `(shared, *many)`, trees of arrays: the leaves of many end in the examples.

    So do all results. What is computed from `shared` alone is computed once, and spread.

    Args:
        looped: it is for the inside of a loop.
    """
    rules = RULES | LOOPED if looped else RULES

    def call(shared, *many):
        size = jax.tree.leaves(many)[0].shape[-1]
        one = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[:-1], a.dtype), many)
        closed, shape = jax.make_jaxpr(fn, return_shape=True)(shared, *one)
        values = [(a, False) for a in jax.tree.leaves(shared)] + [(a, True) for a in jax.tree.leaves(many)]
        results = [_spread(a, size) for a in _run(closed, values, size, rules)]
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return call


def to_all(a: Array, size: int) -> Array:
    """The same for every example."""
    return jnp.broadcast_to(a[..., None], (*jnp.shape(a), size))


def _spread(value: Value, size: int) -> Array:
    array, last = value
    return array if last else to_all(array, size)


def _run(closed: ClosedJaxpr, arguments: list[Value], size: int, rules: Mapping[str, Callable]) -> list[Value]:
    jaxpr = closed.jaxpr
    known = {variable: (value, False) for variable, value in zip(jaxpr.constvars, closed.consts, strict=True)}
    known |= zip(jaxpr.invars, arguments, strict=True)
    read = lambda atom: (atom.val, False) if isinstance(atom, Literal) else known[atom]
    for eqn in jaxpr.eqns:
        values = [read(atom) for atom in eqn.invars]
        mapped = any(last for _, last in values)
        if eqn.primitive.name == "jit":
            results = _run(eqn.params["jaxpr"], values, size, rules)
        elif mapped and eqn.primitive.name in rules:
            made = rules[eqn.primitive.name](eqn, values, size)
            results = [(a, True) for a in (made if eqn.primitive.multiple_results else [made])]
        else:
            variables = list(dict.fromkeys(atom for atom in eqn.invars if not isinstance(atom, Literal)))
            values = [known[variable] for variable in variables]
            operation = part(jaxpr, [eqn], variables, eqn.outvars)
            if mapped:
                operation = jax.vmap(operation, in_axes=[-1 if last else None for _, last in values], out_axes=-1)
            results = [(a, mapped) for a in operation(*(a for a, _ in values))]
        known |= zip(eqn.outvars, results, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _broadcast(a: Array, own: tuple[int, ...], shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """An array of the shape `own`, broadcast, its axes among those of `shape`."""
    return jax.lax.broadcast_in_dim(a, shape, axes)


def _broadcast_back(own, shape, axes, _, gradient):
    of = dict(zip(axes, own, strict=True))
    return (_total(gradient, shape, tuple(n for n, size in enumerate(shape) if of.get(n) != size)).reshape(own),)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _total(a: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """The sum of an array of this shape over axes that are not the last."""
    return jax.lax.platform_dependent(a, cpu=lambda a: _by_row(a, axes), default=lambda a: a.sum(axes))


def _total_back(shape, axes, _, gradient):
    kept = tuple(n for n in range(len(shape)) if n not in axes)
    return (_broadcast(gradient, gradient.shape, shape, kept),)


_broadcast.defvjp(lambda *arguments: (_broadcast(*arguments), None), _broadcast_back)
_total.defvjp(lambda *arguments: (_total(*arguments), None), _total_back)


def _by_row(a, axes):
    for axis in sorted(axes, reverse=True):
        row = functools.partial(jax.lax.dynamic_index_in_dim, a, axis=axis, keepdims=False)
        a = jax.lax.fori_loop(1, a.shape[axis], lambda n, total, row=row: total + row(n), row(0))
    return a


def _by_element(eqn, values, size):
    """All operands as large as the result, but for numbers that are the same for all."""
    shape = (*eqn.outvars[0].aval.shape, size)

    def large(value):
        array, last = value
        if not last and not jnp.ndim(array):
            return array
        array = _spread(value, size)
        axes = tuple(range(len(shape)))[-array.ndim :]  # of a number of each example the last alone
        return array if array.shape == shape else _broadcast(array, array.shape, shape, axes)

    return eqn.primitive.bind(*map(large, values), **eqn.params)


def _reshape(eqn, values, size):
    return values[0][0].reshape(*eqn.outvars[0].aval.shape, size)


def _broadcast_in_dim(eqn, values, size):
    shape, axes = eqn.outvars[0].aval.shape, map(int, eqn.params["broadcast_dimensions"])
    return _broadcast(values[0][0], values[0][0].shape, (*shape, size), (*axes, len(shape)))


def _transpose(eqn, values, size):
    axes = eqn.params["permutation"]
    return values[0][0].transpose(*axes, len(axes))


def _concatenate(eqn, values, size):
    return jax.lax.concatenate([_spread(value, size) for value in values], eqn.params["dimension"])


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _parts(a: Array, shape: tuple[int, ...], sizes: tuple[int, ...], axis: int) -> Sequence[Array]:
    """An array of this shape, split along an axis."""
    return jax.lax.split(a, sizes, axis)


def _parts_back(shape, sizes, axis, _, gradients):
    def in_place(*parts):
        whole, start = jnp.zeros(shape, parts[0].dtype), 0
        for piece, size in zip(parts, sizes, strict=True):
            whole = jax.lax.dynamic_update_slice_in_dim(whole, piece, start, axis)
            start += size
        return whole

    join = lambda *parts: jax.lax.concatenate(parts, axis)
    return (jax.lax.platform_dependent(*gradients, cpu=in_place, default=join),)


_parts.defvjp(lambda *arguments: (_parts(*arguments), None), _parts_back)


def _split(eqn, values, size):
    return _parts(values[0][0], values[0][0].shape, tuple(eqn.params["sizes"]), eqn.params["axis"])


def _product(eqn, values, size):
    contracted, batched = eqn.params["dimension_numbers"]
    (left, left_last), (right, right_last) = values
    multiply = functools.partial(
        jax.lax.dot_general,
        precision=eqn.params["precision"],
        preferred_element_type=eqn.params["preferred_element_type"],
    )
    if not left_last and not batched[0]:  # the examples are one more free axis of the right side, its last
        return multiply(left, right, eqn.params["dimension_numbers"])
    if not right_last and not batched[0]:
        y = multiply(right, left, (contracted[::-1], ((), ())))
        free = right.ndim - len(contracted[1])
        return jnp.moveaxis(y, range(free), range(-free - 1, -1))

    def by_element(*sides):  # as both are of each example
        left, right = (
            a.transpose(*b, *(n for n in range(a.ndim) if n not in (*b, *c)), *c).reshape(
                math.prod(a.shape[n] for n in b), -1, math.prod(a.shape[n] for n in c)
            )
            for a, b, c in zip(sides, batched, contracted, strict=True)
        )
        return (left[:, :, None] * right[:, None]).sum(-1).reshape(eqn.outvars[0].aval.shape)

    ((result, _),) = _run(jax.make_jaxpr(by_element)(*(atom.aval for atom in eqn.invars)), values, size, RULES)
    return result


def _sum(eqn, values, size):
    return _total(values[0][0], values[0][0].shape, tuple(map(int, eqn.params["axes"])))


OF_ONE = """abs acos acosh asin asinh atan atanh cbrt ceil convert_element_type cos cosh erf erf_inv erfc exp exp2 expm1
floor integer_pow is_finite lgamma log log1p logistic neg not round rsqrt sign sin sinh sqrt square tan tanh"""
OF_SEVERAL = "add and atan2 clamp div eq ge gt le lt max min mul ne nextafter or pow rem select_n sub xor"
RULES: dict[str, Callable] = {
    **dict.fromkeys(f"{OF_ONE} {OF_SEVERAL}".split(), _by_element),
    "reshape": _reshape,
    "squeeze": _reshape,
    "broadcast_in_dim": _broadcast_in_dim,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "dot_general": _product,
    "reduce_sum": _sum,
}
LOOPED: dict[str, Callable] = {"split": _split}
