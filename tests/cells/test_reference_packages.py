"""The cells beside those of other packages, where these are installed: none is needed, and no extra brings them.

Only the recurrence is compared: what goes into it is projected here, in NumPy.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_modern_cells as modern
from helpers import random_cell

from rnn_capacity.cells import CELLS

UNITS, INPUTS, STEPS = 4, 3, 6
INPUTS_TI = np.random.default_rng(1).normal(size=(STEPS, INPUTS)).astype(np.float32)


@functools.cache
def make_params(name):
    return random_cell(CELLS[name], INPUTS, UNITS)


def ours(name, params):
    """The package's outputs for the inputs, one step after the other."""
    step = jax.jit(lambda carry, x: CELLS[name].apply(params, carry, x, jnp.tanh))
    carry, outputs = CELLS[name].initial_carry(params), []
    for x_i in INPUTS_TI:
        carry, y_h = step(carry, x_i)
        outputs.append(np.asarray(y_h))
    return np.stack(outputs)


def projected(w, name):
    return INPUTS_TI @ np.asarray(w[f"W_{name}"]).T + np.asarray(w[f"b_{name}"])


def weights(name):
    return {key: np.asarray(value) for key, value in make_params(name).items()}


def test_the_mgu_differs_from_flaxs_in_what_it_resets_and_in_nothing_else():
    """Theirs keeps where ours writes, and resets by what it keeps: without a matrix to reset they are the same."""
    w = weights("mgu") | {"W_ch": np.zeros((UNITS, UNITS), np.float32)}
    (W_f, W_c), (b_f, b_c) = np.split(w["W_x"], 2), np.split(w["b"], 2)
    theirs = {"if": {"kernel": -W_f.T, "bias": -b_f}, "hf": {"kernel": -w["W_fh"].T}}
    theirs |= {"in": {"kernel": W_c.T, "bias": b_c}, "hn": {"kernel": w["W_ch"].T}}
    h, expected = jnp.asarray(w["h_0"]), []
    for x_i in INPUTS_TI:
        h, y_h = nn.MGUCell(UNITS, reset_gate=False).apply({"params": theirs}, h, x_i)
        expected.append(y_h)
    np.testing.assert_allclose(ours("mgu", w), expected, rtol=1e-5, atol=1e-5)


# --- torchrecurrent: it has two biases for each of ours ---------------------------------------------------------------


def _torch_cell(kind, w, state, **more):
    torch, package = pytest.importorskip("torch"), pytest.importorskip("torchrecurrent")
    cell = getattr(package, kind)(INPUTS, UNITS, **more.pop("options", {}))
    for parameter in cell.parameters():
        torch.nn.init.zeros_(parameter)
    tensor = lambda a: torch.as_tensor(np.array(a), dtype=torch.float32)
    for name, value in more.items():
        getattr(cell, name).data = tensor(value).reshape(getattr(cell, name).shape)
    state = tuple(tensor(s)[None] for s in state) if isinstance(state, tuple) else tensor(state)[None]
    outputs = []
    with torch.no_grad():
        for x_i in INPUTS_TI:
            state = cell(tensor(x_i)[None], state)
            outputs.append((state[0] if isinstance(state, tuple) else state)[0].numpy())
    return np.stack(outputs)


def mgu(w):
    W_h = np.concatenate([w["W_fh"], w["W_ch"]])
    return _torch_cell("MGUCell", w, w["h_0"], weight_ih=w["W_x"], weight_hh=W_h, bias_ih=w["b"])


def janet(w):
    both = w["h_0"], w["h_0"]
    return _torch_cell("JANETCell", w, both, weight_ih=w["W_x"], weight_hh=w["W_h"], bias_ih=w["b"], beta=1.0)


def fastgrnn(w):
    torch = pytest.importorskip("torch")  # the package's default gate is tanh, which is not the paper's
    given = {"weight_ih": w["W_x"], "weight_hh": w["W_h"], "bias_ih": w["b"], "zeta": w["zeta"], "nu": w["nu"]}
    return _torch_cell("FastGRNNCell", w, w["h_0"], options={"nonlinearity": torch.sigmoid}, **given)


def nbrc(w):
    return _torch_cell("NBRCell", w, w["h_0"], weight_ih=w["W_x"], weight_hh=w["W_h"], bias_hh=w["b"])


def peephole_lstm(w):
    given = {"weight_ih": w["W_x"], "weight_hh": w["W_h"], "bias_ih": w["b"], "weight_ph": w["p"]}
    return _torch_cell("PeepholeLSTMCell", w, (w["h_0"], w["c_0"]), **given)


# --- Those of the modern cells ----------------------------------------------------------------------------------------


def mingru(w):
    torch, package = pytest.importorskip("torch"), pytest.importorskip("minGRU_pytorch")
    z, c = np.split(INPUTS_TI @ w["W"].T + w["b"], 2, axis=1)
    cell = package.minGRU(UNITS)
    cell.to_hidden_and_gate = torch.nn.Identity()  # it has no biases, so what it is given is projected
    x_bti = torch.tensor(np.concatenate([c, z], axis=1))[None]
    start = torch.tensor(modern.g(w["h_0"]))[None, None]
    with torch.no_grad():
        return cell(x_bti, prev_hidden=start)[0].numpy()  # all steps at once, in log space


def s6(w):
    torch, package = pytest.importorskip("torch"), pytest.importorskip("mambapy.mamba")
    rank, states = w["W_d"].shape[1], len(w["b_s"]) // 2
    block = package.MambaBlock(package.MambaConfig(d_model=UNITS, n_layers=1, dt_rank=rank, d_state=states))
    block.config.d_inner = UNITS
    tensor = lambda a: torch.nn.Parameter(torch.tensor(np.array(a)))
    block.x_proj = torch.nn.Linear(UNITS, rank + 2 * states)
    block.x_proj.weight = tensor(w["W_s"])
    block.x_proj.bias = tensor(np.concatenate([np.zeros(rank, np.float32), w["b_s"]]))
    block.dt_proj = torch.nn.Linear(rank, UNITS)
    block.dt_proj.weight, block.dt_proj.bias = tensor(w["W_d"]), tensor(w["b_d"])
    block.A_log, block.D = tensor(w["log_a"].reshape(states, UNITS).T), tensor(w["skip"])
    S, outputs = torch.zeros(1, UNITS, states), []
    with torch.no_grad():
        for u_h in projected(w, "u"):
            y_bh, S = block.ssm_step(torch.tensor(u_h)[None], S)
            outputs.append(y_bh[0].numpy())
    return np.stack(outputs)


def mamba_2(w):
    package = pytest.importorskip("mamba2_jax.modeling")
    C, B = np.split(projected(w, "qk")[None, :, None], 2, axis=-1)
    x, dt = projected(w, "v")[None, :, None], (INPUTS_TI @ w["W_d"].T)[None]
    A = -np.exp(w["log_a"])
    y, _ = package.ssd_forward(x, dt, A, B, C, 16, w["skip"], w["b_d"], 0.0, np.inf)
    return np.asarray(y)[0, :, 0]


def slstm(w):
    torch, package = pytest.importorskip("torch"), pytest.importorskip("xlstm.blocks.slstm.src.vanilla.slstm")
    tensor = lambda a: torch.tensor(np.array(a))
    start = np.stack([w["h_0"], w["c_0"], np.ones(UNITS), np.zeros(UNITS)]).astype(np.float32)
    states, outputs = tensor(start)[:, None], []
    for x_i in INPUTS_TI:
        Wx, Ry = tensor(w["W"] @ x_i)[None], states[0] @ tensor(w["R"]).T
        states, _ = package.slstm_forward_pointwise(Wx, Ry, tensor(w["b"])[None], states, {})
        outputs.append(states[0, 0].numpy())
    return np.stack(outputs)


def mlstm(w):
    torch, package = pytest.importorskip("torch"), pytest.importorskip("xlstm.blocks.mlstm.backends")
    q, k = np.split(projected(w, "qk"), 2, axis=1)
    v, gates = projected(w, "v"), 15 * np.tanh(projected(w, "if") / 15)
    o = modern.sigma(projected(w, "o"))
    states = torch.zeros(1, 1, UNITS, UNITS), torch.zeros(1, 1, UNITS, 1), torch.zeros(1, 1, 1, 1)
    outputs = []
    for t in range(STEPS):
        rows = [torch.tensor(a[t], dtype=torch.float32).reshape(1, 1, 1, -1) for a in (q, k, v)]
        i, f = (torch.tensor(gate, dtype=torch.float32).reshape(1, 1, 1, 1) for gate in gates[t])
        h, states = package.recurrent_step_stabilized_simple(*states, *rows, i, f, eps=0.0)
        outputs.append(o[t] * h.numpy().reshape(-1))
    return np.stack(outputs)


def rg_lru(w):
    package = pytest.importorskip("recurrentgemma.jax.layers")
    W_r, W_i = np.split(w["W"], 2)
    b_r, b_i = np.split(w["b"], 2)
    gate = lambda W, b: {"w": W.T[None], "b": b[None]}
    params = {"a_param": w["lambda"], "a_gate": gate(W_r, b_r), "input_gate": gate(W_i, b_i)}
    positions = np.arange(1, STEPS + 1, dtype=np.int32)[None]  # at position 0 it would erase the carry
    cell = package.RGLRU(width=UNITS, num_heads=1, scan_type=package.common.ScanType.LINEAR_NATIVE)
    u, positions, h_0 = map(jnp.asarray, (projected(w, "u")[None], positions, w["h_0"][None]))
    y, _ = cell.apply({"params": params}, u, positions, cache=h_0)
    return np.asarray(y)[0]


def _fla(name):
    return pytest.importorskip("torch"), pytest.importorskip(f"fla.ops.{name}.naive")


def _qkv(torch, q, k, v):
    """As [batch, time, heads, width]."""
    return [torch.tensor(a, dtype=torch.float32)[None, :, None] for a in (q, k, v)]


def _delta_qkv(w):
    q, k = np.split(modern.silu(projected(w, "qk")), 2, axis=1)
    unit = functools.partial(np.apply_along_axis, modern.unit, 1)
    return 2 * unit(q), unit(k), modern.silu(projected(w, "v"))  # q times the root of K, by which they divide


def deltanet(w):
    torch, package = _fla("delta_rule")
    q, k, v = (a.transpose(1, 2) for a in _qkv(torch, *_delta_qkv(w)))
    beta = torch.tensor(modern.sigma(projected(w, "beta")), dtype=torch.float32).T[None]
    return package.delta_rule_recurrence(q, k, v, beta)[0][0, 0].numpy()


def gated_deltanet(w):
    torch, package = _fla("gated_delta_rule")
    beta, g = modern.sigma(projected(w, "beta")), -np.exp(w["log_a"]) * modern.softplus(projected(w, "d"))
    beta, g = (torch.tensor(a, dtype=torch.float32)[None] for a in (beta, g))
    return package.naive_recurrent_gated_delta_rule(*_qkv(torch, *_delta_qkv(w)), beta, g)[0][0, :, 0].numpy()


def gla(w):
    torch, package = _fla("gla")
    q, k = np.split(projected(w, "qk"), 2, axis=1)
    gk = torch.tensor(np.log(modern.sigma(projected(w, "alpha"))), dtype=torch.float32)[None, :, None]
    return package.naive_recurrent_gla(*_qkv(torch, q, k, projected(w, "v")), gk)[0][0, :, 0].numpy()


def linear_attention(w):
    torch, package = _fla("linear_attn")
    q, k = (1 + torch.nn.functional.elu(torch.tensor(a)).numpy() for a in np.split(projected(w, "qk"), 2, axis=1))
    return package.naive_recurrent_linear_attn(*_qkv(torch, q, k, projected(w, "v")))[0][0, :, 0].numpy()


def retnet(w):
    torch, package = _fla("retention")
    q, k = ([modern.turned(z, t) for t, z in enumerate(a)] for a in np.split(projected(w, "qk"), 2, axis=1))
    q, k, v = (a.transpose(1, 2) for a in _qkv(torch, np.stack(q), np.stack(k), projected(w, "v")))
    return package.naive_retention(q, k, v)[0, 0].numpy()


THEIRS = {
    "mgu": mgu,
    "janet": janet,
    "fastgrnn": fastgrnn,
    "nbrc": nbrc,
    "peephole lstm": peephole_lstm,
    "mingru": mingru,
    "rg-lru": rg_lru,
    "s6": s6,
    "mamba-2": mamba_2,
    "slstm": slstm,
    "mlstm": mlstm,
    "deltanet": deltanet,
    "gated deltanet": gated_deltanet,
    "gla": gla,
    "linear attention": linear_attention,
    "retnet": retnet,
}


@pytest.mark.parametrize("name", THEIRS)
def test_a_cell_equals_that_of_another_package(name):
    np.testing.assert_allclose(ours(name, weights(name)), THEIRS[name](weights(name)), rtol=1e-4, atol=2e-5)
