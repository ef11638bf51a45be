"""Many examples at once, examples last: beside `jax.vmap`, and no array of a cell has them elsewhere."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import equations, random_cell

from rnn_capacity.cells import NAMED_CELLS
from rnn_capacity.model import network
from rnn_capacity.model.examples_last import over_examples

N = 6  # examples; no other axis is as long


def shared_and_many():
    keys = iter(jax.random.split(jax.random.key(0), 5))
    normal = lambda *shape: jax.random.normal(next(keys), shape)
    return {"w": normal(4, 4), "v": normal(4), "c": normal(4, 4, 4)}, normal(4, N), normal(4, 4, 4, N)


OPERATIONS = {
    "matrix times vector": lambda s, a, c: s["w"].T @ a,
    "vector times matrix": lambda s, a, c: a @ s["w"],
    "array times shared": lambda s, a, c: c @ s["c"],
    "products of both": lambda s, a, c: (a @ a, c @ a, jnp.outer(a, a), jnp.einsum("ijk,j->ki", c, a)),
    "product by batches": lambda s, a, c: jnp.einsum("bki,bij->bkj", c, c),
    "product by batches, shared": lambda s, a, c: jnp.einsum("bij,bj->bi", s["c"], c[0]),
    "by element, shared": lambda s, a, c: (a + s["v"], s["v"] * c, c / (2 + s["c"] ** 2), jnp.maximum(a, s["v"])),
    "by element, one number": lambda s, a, c: (a[0] * c, a.sum() * s["w"], jnp.clip(c, a[0], a[0] + 1)),
    "where": lambda s, a, c: (jnp.where(a[0] > 0, c, s["c"]), jnp.where(a > 0, a, s["v"])),
    "sums": lambda s, a, c: (c.sum(), c.sum(1), c.mean((0, 2)), jnp.linalg.norm(c, axis=1), jax.nn.softmax(c, 1)),
    "largest, sorted": lambda s, a, c: (c.max(1), jnp.sort(a), jax.lax.top_k(a, 2)[0], jnp.cumsum(c, 1)),
    "joined": lambda s, a, c: (
        jnp.concatenate([a, s["v"]]),
        jnp.stack([a, s["v"]]),
        jnp.tile(a, 2),
        jnp.repeat(c, 2, 1),
    ),
    "taken apart": lambda s, a, c: (
        c[:, 1],
        a[::-1],
        jnp.split(c, 2, 1)[1],
        a[jnp.array([2, 0, 2])],
        c.T,
        c.reshape(-1),
    ),
    "split": lambda s, a, c: (*jnp.split(c, (1, 3), 1), jnp.split(a, 2)[1]),
    "put in": lambda s, a, c: (a.at[1].add(3.0), jnp.pad(a, 1), jnp.roll(a, 1)),
    "nonlinear": lambda s, a, c: (jax.nn.softplus(a), jax.nn.silu(c), jax.nn.relu(a), jax.nn.gelu(c)),
    "a loop": lambda s, a, c: jax.lax.scan(lambda z, row: (z * jnp.tanh(row @ a), z), a, c)[0],
    "nothing of the example": lambda s, a, c: (s["v"], s["w"] @ s["v"]),
}


@functools.cache
def values_and_slopes(of):
    """By operation its values and gradients, as one program of all: to compile each by itself takes long."""
    mapped = {
        "vmap": functools.partial(jax.vmap, in_axes=(None, -1, -1), out_axes=-1),
        "ours": over_examples,
        "ours in a loop": functools.partial(over_examples, looped=True),
    }[of]

    def both(fn, *given):
        def total(*given):  # a sum in which every result has a weight of its own
            values = fn(*given)
            return sum(jnp.vdot(jnp.cos(jnp.arange(a.size)), a) for a in jax.tree.leaves(values)), values

        slopes, values = jax.grad(total, (0, 1, 2), has_aux=True)(*given)
        return values, slopes

    run = lambda *given: {name: both(mapped(fn), *given) for name, fn in OPERATIONS.items()}
    return jax.jit(run)(*shared_and_many())


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("ours", ["ours", "ours in a loop"])
def test_values_and_gradients_are_those_of_vmap(name, ours):
    (got, slopes), (want, wanted_slopes) = values_and_slopes(ours)[name], values_and_slopes("vmap")[name]
    assert jax.tree.map(jnp.shape, got) == jax.tree.map(jnp.shape, want)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), got, want)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), slopes, wanted_slopes)


def test_an_argument_mapped_by_vmap_again_is_as_if_it_were_not():
    fn, (shared, a, c) = OPERATIONS["products of both"], shared_and_many()
    trials = jax.vmap(over_examples(fn), in_axes=(None, 0, None))(shared, jnp.stack([a, 2 * a]), c)
    for n, scale in enumerate((1, 2)):
        want = over_examples(fn)(shared, scale * a, c)
        jax.tree.map(lambda a, b, n=n: np.testing.assert_allclose(a[n], b, rtol=1e-5, atol=1e-5), trials, want)


@pytest.mark.parametrize("name", NAMED_CELLS)
def test_every_array_of_a_cell_has_the_examples_last(name):
    cell, size = NAMED_CELLS[name], 509  # a prime, that no other axis is as long as
    params = random_cell(cell, 5, 4)
    traced = jax.make_jaxpr(lambda *given: network.unroll(cell, *given, 2, jnp.tanh))(params, jnp.ones((1, 5, size)))
    shapes = {variable.aval.shape for eqn in equations(traced) for variable in eqn.outvars}
    assert {shape for shape in shapes if size in shape[:-1]} == set()
