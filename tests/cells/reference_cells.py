"""The paper's six cells in plain NumPy, float64, one matrix a gate: written from the equations, not from the package.

`Wgh` and `Wgx` are gate g's matrices, `bg` its bias. The forget bias b_fg is apart from the biases, as in the paper;
the package adds it to them when it initialises.
"""

import numpy as np
import reference_modern_cells as modern


def sigma(z):
    return 1 / (1 + np.exp(-z))


def relu(z):
    return np.maximum(z, 0)


NONLINEARITIES = {"tanh": np.tanh, "relu": relu}


def rnn(w, carry, x, s, b_fg):
    (h,) = carry
    h = s(w["Wh"] @ h + w["Wx"] @ x + w["b"])
    return (h,), h


def irnn(w, carry, x, s, b_fg):
    return rnn(w, carry, x, relu, b_fg)


def ugrnn(w, carry, x, s, b_fg):
    (h,) = carry
    c = s(w["Wch"] @ h + w["Wcx"] @ x + w["bc"])
    g = sigma(w["Wgh"] @ h + w["Wgx"] @ x + w["bg"] + b_fg)
    h = g * h + (1 - g) * c
    return (h,), h


def gru(w, carry, x, s, b_fg):
    (h,) = carry
    r = sigma(w["Wrh"] @ h + w["Wrx"] @ x + w["br"])
    u = sigma(w["Wuh"] @ h + w["Wux"] @ x + w["bu"] + b_fg)
    c = s(w["Wch"] @ (r * h) + w["Wcx"] @ x + w["bc"])
    h = u * h + (1 - u) * c
    return (h,), h


def lstm(w, carry, x, s, b_fg):
    c, h = carry
    i = sigma(w["Wih"] @ h + w["Wix"] @ x + w["bi"])
    f = sigma(w["Wfh"] @ h + w["Wfx"] @ x + w["bf"] + b_fg)
    c = f * c + i * s(w["Wch"] @ h + w["Wcx"] @ x + w["bc"])
    o = sigma(w["Woh"] @ h + w["Wox"] @ x + w["bo"])
    h = o * np.tanh(c)
    return (c, h), h


def plus_rnn(w, carry, x, s, b_fg):
    (h,) = carry
    if "Win" in w:
        x = w["Win"] @ x + w["bin"]
    b_fgy, b_fgh = b_fg if isinstance(b_fg, tuple) else (b_fg, b_fg)
    yin = relu(w["Wyh"] @ h + w["Wyx"] @ x + w["by"])
    hin = np.tanh(w["Whh"] @ h + w["Whx"] @ x + w["bh"])
    gy = sigma(w["Wgyh"] @ h + w["Wgyx"] @ x + w["bgy"] + b_fgy)
    gh = sigma(w["Wghh"] @ h + w["Wghx"] @ x + w["bgh"] + b_fgh)
    y = gy * x + (1 - gy) * yin
    h = gh * h + (1 - gh) * hin
    return (h,), y


STEPS = {"rnn": rnn, "irnn": irnn, "ugrnn": ugrnn, "gru": gru, "lstm": lstm, "+rnn": plus_rnn}
GATES = {  # in the order in which the package stacks them
    "rnn": ("",),
    "irnn": ("",),
    "ugrnn": ("c", "g"),
    "gru": ("r", "u", "c"),
    "lstm": ("i", "f", "c", "o"),
    "+rnn": ("y", "h", "gy", "gh"),
}


def unpack(name, params):
    """The package's stacked parameters as one matrix a gate, float64: `Wch`, `Wcx`, `bc`, and `h_0` (and `c_0`).

    Of other cells than the paper's as they are.
    """
    params = {key: np.asarray(value, np.float64) for key, value in params.items()}
    if name not in STEPS:
        return params
    stacked_h = params.pop("W_h")
    if "W_ch" in params:  # the GRU's third recurrent matrix is stored apart
        stacked_h = np.concatenate([stacked_h, params.pop("W_ch")])
    gates = GATES[name]
    n = stacked_h.shape[1]
    stacked_x, stacked_b = params.pop("W_x"), params.pop("b")
    w = {}
    for k, gate in enumerate(gates):
        rows = slice(k * n, (k + 1) * n)
        w[f"W{gate}h"], w[f"W{gate}x"], w[f"b{gate}"] = stacked_h[rows], stacked_x[rows], stacked_b[rows]
    for stacked in (stacked_h, stacked_x, stacked_b):
        assert len(stacked) == n * len(gates)
    renamed = {"W_in": "Win", "b_in": "bin", "h_0": "h_0", "c_0": "c_0"}
    w |= {renamed[key]: params[key] for key in params}
    return w


def initial_carry(name, w):
    if name not in STEPS:
        return modern.initial_carry(name, w)
    return (w["c_0"], w["h_0"]) if name == "lstm" else (w["h_0"],)


def run(name, w, inputs, nonlinearity, b_fg=0.0):
    """The outputs of one layer for one example: inputs a list of vectors, one a step."""
    carry, outputs, s = initial_carry(name, w), [], NONLINEARITIES[nonlinearity]
    for x in inputs:
        carry, y = STEPS[name](w, carry, x, s, b_fg) if name in STEPS else modern.STEPS[name](w, carry, x, s)
        outputs.append(y)
    return outputs


def network(name, params, inputs, nonlinearity):
    """What the readout says after the last step, for one example: layers stacked, each fed with the outputs below."""
    for layer in params["layers"]:
        inputs = run(name, unpack(name, layer), inputs, nonlinearity)
    return np.asarray(params["readout"]["W"], float) @ inputs[-1] + np.asarray(params["readout"]["b"], float)
