"""Recurrent cells of Flax, Linen or NNX, as a `Cell`: their classes can be measured as they are.

    rnn_capacity.measure_capacity(nnx.GRUCell)
    rnn_capacity.measure_recall(functools.partial(nn.LSTMCell, activation_fn=nn.relu))

Flax draws the weights; the search tunes what is done with them, under the name of each layer (`input_scale_ir`):

- a matrix whose size depends on the number of inputs is multiplied by its `input_scale`,
- another of its `recurrent_scale`: 1, which is in both ranges, is Flax's own,
- a vector gets its bias added, of `bias_scale` and `bias_init`: a scale of 0 is Flax's own.

The initial carry, which begins as Flax has it, is learned and counted, as in the package's cells. Matrices are kept
with the axis that is summed over last, as a `Cell` has them. The nonlinearities are the module's own, and not searched.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell
from rnn_capacity.checks import InputError
from rnn_capacity.dimension import Range, Space
from rnn_capacity.types import Array, Carry

LINEN, NNX = "linen", "nnx"
# A gate that forgets has no hparam of its own here, so a constant is tuned of each layer's biases: without it Flax's
# LSTM recalled 16 numbers of 16 with a squared error of 0.28, with it of 0.12 (ours: 0.02).
RANGES: dict[str, Space] = {
    "quick": {
        "recurrent_scale": Range(0.4, 1.1),
        "input_scale": Range(0.15, 1.1, log=True),
        "bias_init": "constant",
        "bias_scale": Range(-1.0, 3.0),
        "bias_scale_readout": 0.0,
    }
}
PROBED = (3, 2)  # inputs and units of a module that is made to see what it is


@functools.partial(jax.tree_util.register_dataclass, data_fields=["arrays", "start"], meta_fields=["sizes"])
@dataclasses.dataclass(frozen=True)
class Weights:
    """What is trained of a module, and the sizes that it is made again with."""

    arrays: Any  #: by the module's names
    start: Carry  #: the initial carry
    sizes: tuple[int, int]  #: inputs and units


# Of sizes and a key: (arrays by name, initial carry).
Make = Callable[[tuple[int, int], Array], tuple[Any, Carry]]
# Of sizes, arrays by name, carry and input: (carry, output).
Step = Callable[[tuple[int, int], Any, Carry, Array], tuple[Carry, Array]]


def from_flax(given: Any) -> Cell | None:
    """The Cell of a class of Flax, or of a `functools.partial` of one; None of what is not Flax's.

    Raises:
        InputError: it is no recurrent cell, or not the class of one; or as of `from_linen`.
    """
    kind = _unwrapped(given)
    of_class = isinstance(kind, type)
    packages = {base.__module__.rpartition(".")[0] for base in (kind if of_class else type(kind)).__mro__}
    api = next((a for a in (LINEN, NNX) if any(f"{p}.".startswith(f"flax.{a}.") for p in packages)), None)
    if api is None:
        return None
    if not of_class:
        raise InputError(
            f"cell: an instance of {type(kind).__name__} given; it must be the class, or a functools.partial of it, "
            "as its width is varied"
        )
    return (from_linen if api == LINEN else from_nnx)(given)


@functools.cache  # a cell is one value, however often it is asked for, and so traced once
def from_linen(module: Callable[..., Any], name: str | None = None) -> Cell:
    """The Cell of a recurrent cell of Linen.

    Args:
        module: a class, or a function that makes a module, of `features`.
        name: in tables and studies; None: of the class.

    Raises:
        InputError: it is no recurrent cell; it has variables beside its parameters, or draws random numbers.
    """
    import flax.linen as nn
    from flax.errors import InvalidRngError

    made = lambda sizes: _checked(module(features=sizes[1]), nn.RNNCellBase)

    def make(sizes, key):
        keys, cell = jax.random.split(key), made(sizes)
        start = cell.initialize_carry(keys[0], sizes[:1])
        variables = cell.init(keys[1], start, jnp.zeros(sizes[:1]))
        if others := variables.keys() - {"params"}:
            raise InputError(_refused(cell, f"the collections {', '.join(sorted(others))}", "parameters alone"))
        return nn.unbox(variables.get("params", {})), start

    def step(sizes, arrays, carry, x):
        cell = made(sizes)
        try:
            return cell.apply({"params": arrays}, carry, x)
        except InvalidRngError:
            must = "none, as with deterministic=True in its dropout"
            raise InputError(_refused(cell, "random numbers in a step", must)) from None

    return _cell(module, nn.RNNCellBase, name, LINEN, make, step)


@functools.cache
def from_nnx(module: Callable[..., Any], name: str | None = None) -> Cell:
    """The Cell of a recurrent cell of NNX.

    Args:
        module: a class, or a function that makes a module, of (in_features, hidden_features, rngs=).
        name: in tables and studies; None: of the class.

    Raises:
        InputError: it is no recurrent cell; it has variables that are no `nnx.Param`, as of dropout.
    """
    from flax import nnx

    def split(sizes, key):
        cell = _checked(module(*sizes, rngs=nnx.Rngs(key)), nnx.RNNCellBase)
        graph, params, others = nnx.split(cell, nnx.Param, ...)
        if found := {type(v).__name__ for _, v in nnx.to_flat_state(others)}:
            raise InputError(_refused(cell, f"variables of {', '.join(sorted(found))}", "nnx.Param alone"))
        return graph, params, cell.initialize_carry(sizes[:1], rngs=nnx.Rngs(jax.random.fold_in(key, 1)))

    def make(sizes, key):
        _, params, start = split(sizes, key)
        return nnx.to_pure_dict(params), start

    @functools.cache
    def skeleton(sizes):
        """The module without its arrays."""
        kept = []
        params = jax.eval_shape(lambda key: (kept.append(parts := split(sizes, key)), parts[1])[1], _key())
        return kept[0][0], params

    def step(sizes, arrays, carry, x):
        graph, params = skeleton(sizes)
        params = jax.tree.map(lambda a: a, params)  # a copy, as it is replaced in place
        nnx.replace_by_pure_dict(params, arrays)
        return nnx.merge(graph, params)(carry, x)

    return _cell(module, nnx.RNNCellBase, name, NNX, make, step)


def _cell(module: Callable, base: type, name: str | None, api: str, make: Make, step: Step) -> Cell:
    kind = _unwrapped(module)
    if isinstance(kind, type) and not issubclass(kind, base):
        raise InputError(_no_cell(kind, base))

    def init(key, num_inputs, num_units, hparams):
        key_arrays, key_biases = jax.random.split(key)
        arrays, start = make((num_inputs, num_units), key_arrays)
        others, _ = jax.eval_shape(functools.partial(make, (2 * num_inputs, num_units)), key_arrays)
        paths, tree = jax.tree_util.tree_flatten_with_path(arrays)
        drawn = [
            _drawn(_layer(path), a, a.shape != other.shape, jax.random.fold_in(key_biases, place), hparams)
            for place, ((path, a), other) in enumerate(zip(paths, jax.tree.leaves(others), strict=True))
        ]
        return Weights(jax.tree.unflatten(tree, drawn), start, (num_inputs, num_units))

    def apply(params, carry, x, nonlinearity):
        arrays = jax.tree.map(lambda a: jnp.moveaxis(a, -1, 0) if a.ndim > 1 else a, params.arrays)
        return step(params.sizes, arrays, carry, x)

    try:
        arrays, start = jax.eval_shape(functools.partial(make, PROBED), _key())
        jax.eval_shape(functools.partial(step, PROBED), arrays, start, jax.ShapeDtypeStruct(PROBED[:1], float))
    except InputError:
        raise
    except Exception:  # a size that it does not take, which is reported of all cells alike
        pass
    name = f"{api}.{getattr(kind, '__name__', type(kind).__name__)}" if name is None else name
    return Cell(
        name=name,
        init=init,
        initial_carry=lambda params: params.start,
        apply=apply,
        nonlinearities=("tanh",),
        ranges=RANGES,
    )


def _drawn(layer: str, a: Array, of_input: bool, key: Array, hparams) -> Array:
    """An array as Flax draws it, with what is tuned."""
    if a.ndim > 1:
        return hparams[f"{'input' if of_input else 'recurrent'}_scale{layer}"] * jnp.moveaxis(a, 0, -1)
    gate = (layer.removeprefix("_"),)
    return a + initializers.bias(key, a.size, hparams, gate).reshape(a.shape).astype(a.dtype)


def _layer(path: tuple) -> str:
    """What the module calls the layer of an array, as the end of an hparam's name."""
    names = [str(getattr(entry, "key", getattr(entry, "idx", entry))) for entry in path]
    return "".join(f"_{name}" for name in names if name not in ("kernel", "bias"))


def _key() -> jax.ShapeDtypeStruct:
    return jax.eval_shape(jax.random.key, 0)


def _unwrapped(given: Any) -> Any:
    while isinstance(given, functools.partial):
        given = given.func
    return given


def _checked(cell: Any, base: type) -> Any:
    if not isinstance(cell, base):
        raise InputError(_no_cell(type(cell), base))
    return cell


def _no_cell(kind: type, base: type) -> str:
    return f"cell: {kind.__name__} of Flax given; it must be a recurrent cell, which {base.__name__} is the base of"


def _refused(cell: Any, has: str, must: str) -> str:
    return f"cell: {type(cell).__name__} of Flax given, which has {has}; it must have {must}"
