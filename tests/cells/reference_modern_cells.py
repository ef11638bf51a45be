"""The cells beyond the paper's six in plain NumPy, float64: written from the equations of their papers, one head.

Each takes the package's parameters by name, cuts stacked matrices itself, and says its equations with S as (values,
keys) where the package has (keys, values). The forget bias is in the biases already.
"""

import numpy as np


def sigma(z):
    return 1 / (1 + np.exp(-z))


def softplus(z):
    return np.log1p(np.exp(z))


def silu(z):
    return z * sigma(z)


def unit(z):
    return z / np.sqrt(np.sum(z**2) + 1e-6)


def cut(w, name, x, parts):
    """W x + b of each gate, from matrices stacked with as many rows each."""
    return np.split(w[f"W{name}"] @ x + w[f"b{name}"], parts)


# --- Vectors ----------------------------------------------------------------------------------------------------------


def g(v):
    return np.where(v >= 0, v + 0.5, sigma(v))


def mingru(w, h, x, s):
    z, c = cut(w, "", x, 2)
    h = (1 - sigma(z)) * h + sigma(z) * g(c)
    return h, h


def rg_lru(w, h, x, s):
    u = w["W_u"] @ x + w["b_u"] if "W_u" in w else x
    r, i = map(sigma, cut(w, "", u, 2))
    a = sigma(-w["lambda"]) ** (8 * r)  # a softplus is the logarithm of a sigmoid
    h = a * h + np.sqrt(1 - a**2) * (i * u)
    return h, h


def lru(w, h, x, s):
    n = len(w["nu"])
    b_re, b_im = w["B"][:n], w["B"][n:]
    c_re, minus_c_im = w["C"][:, :n], w["C"][:, n:]
    lam = np.exp(-np.exp(w["nu"]) + 1j * np.exp(w["theta"]))
    h = lam * (h[:n] + 1j * h[n:]) + np.exp(w["log_gamma"]) * ((b_re + 1j * b_im) @ x)
    y = s(((c_re - 1j * minus_c_im) @ h).real + w["b"])
    return np.concatenate([h.real, h.imag]), y


def slstm(w, carry, x, s):
    c, n, h = carry  # without the scale m: gates as they are
    i, f, z, o = np.split(w["W"] @ x + w["R"] @ h + w["b"], 4)
    c = sigma(f) * c + np.exp(i) * np.tanh(z)
    n = sigma(f) * n + np.exp(i)
    h = sigma(o) * c / n
    return (c, n, h), h


def mgu(w, h, x, s):
    x_f, x_c = cut({"W": w["W_x"], "b": w["b"]}, "", x, 2)
    f = sigma(x_f + w["W_fh"] @ h)
    c = s(x_c + w["W_ch"] @ (f * h))
    h = (1 - f) * h + f * c
    return h, h


def janet(w, h, x, s):
    f, c = np.split(w["W_h"] @ h + w["W_x"] @ x + w["b"], 2)
    h = sigma(f) * h + (1 - sigma(f - 1)) * s(c)
    return h, h


def fastgrnn(w, h, x, s):
    b_z, b_c = np.split(w["b"], 2)
    pre = w["W_x"] @ x + w["W_h"] @ h
    z, c = sigma(pre + b_z), s(pre + b_c)
    h = (sigma(w["zeta"]) * (1 - z) + sigma(w["nu"])) * c + z * h
    return h, h


def lem(w, carry, x, s):
    z, y = carry
    V_1, V_2, V_z, V_y = np.split(w["W_x"], 4)
    W_1, W_2, W_z = np.split(w["W_y"], 3)
    b_1, b_2, b_z, b_y = np.split(w["b"], 4)
    d1 = sigma(W_1 @ y + V_1 @ x + b_1)
    d2 = sigma(W_2 @ y + V_2 @ x + b_2)
    z = (1 - d2) * z + d2 * s(W_z @ y + V_z @ x + b_z)
    y = (1 - d1) * y + d1 * s(w["W_yz"] @ z + V_y @ x + b_y)
    return (z, y), y


def nbrc(w, h, x, s):
    U_a, U_c, U = np.split(w["W_x"], 3)
    W_a, W_c = np.split(w["W_h"], 2)
    b_a, b_c = np.split(w["b"], 2)
    a = 1 + np.tanh(U_a @ x + W_a @ h + b_a)
    c = sigma(U_c @ x + W_c @ h + b_c)
    h = c * h + (1 - c) * np.tanh(U @ x + a * h)
    return h, h


def peephole_lstm(w, carry, x, s):
    c, h = carry
    i, f, z, o = np.split(w["W_h"] @ h + w["W_x"] @ x + w["b"], 4)
    p_i, p_f, p_o = np.split(w["p"], 3)
    i, f = sigma(i + p_i * c), sigma(f + p_f * c)
    c = f * c + i * s(z)
    h = sigma(o + p_o * c) * np.tanh(c)
    return (c, h), h


# --- Matrices ---------------------------------------------------------------------------------------------------------


def s6(w, S, x, s):
    n, N = S.shape
    u = w["W_u"] @ x + w["b_u"] if "W_u" in w else x
    rank = w["W_d"].shape[1]
    low, B, C = np.split(w["W_s"] @ u, [rank, rank + N])
    B, C = B + w["b_s"][:N], C + w["b_s"][N:]
    delta = softplus(w["W_d"] @ low + w["b_d"])
    A = -np.exp(w["log_a"]).reshape(N, n).T
    y = np.zeros(n)
    S = S.copy()
    for j in range(n):
        S[j] = np.exp(delta[j] * A[j]) * S[j] + delta[j] * B * u[j]
        y[j] = C @ S[j] + w["skip"][j] * u[j]
    return S, y


def mamba_2(w, S, x, s):
    C, B = cut(w, "_qk", x, 2)
    v = w["W_v"] @ x + w["b_v"]
    delta = softplus(w["W_d"] @ x + w["b_d"])
    S = np.exp(-delta * np.exp(w["log_a"])) * S + delta * np.outer(v, B)
    return S, S @ C + w["skip"] * v


def mlstm(w, carry, x, s):
    S, n = carry  # without the scale m: gates as they are
    q, k = cut(w, "_qk", x, 2)
    k = k / np.sqrt(len(k))
    v = w["W_v"] @ x + w["b_v"]
    i, f = 15 * np.tanh((w["W_if"] @ x + w["b_if"]) / 15)
    i, f = np.exp(i), sigma(f)
    S = f * S + i * np.outer(v, k)
    n = f * n + i * k
    y = sigma(w["W_o"] @ x + w["b_o"]) * (S @ q) / max(abs(n @ q), 1)
    return (S, n), y


def delta(w, S, x, decay, most=1):
    q, k = map(unit, map(silu, cut(w, "_qk", x, 2)))
    v = silu(w["W_v"] @ x + w["b_v"])
    beta = most * sigma(w["W_beta"] @ x + w["b_beta"])
    S = decay * S @ (np.eye(len(k)) - beta * np.outer(k, k)) + beta * np.outer(v, k)
    return S, S @ q


def deltanet(w, S, x, s):
    return delta(w, S, x, 1.0)


def gated_deltanet(w, S, x, s):
    return delta(w, S, x, np.exp(-np.exp(w["log_a"]) * softplus(w["W_d"] @ x + w["b_d"])))


def gla(w, S, x, s):
    q, k = cut(w, "_qk", x, 2)
    alpha = sigma(w["W_alpha"] @ x + w["b_alpha"])
    S = S @ np.diag(alpha) + np.outer(w["W_v"] @ x + w["b_v"], k)
    return S, S @ q / np.sqrt(len(q))


def linear_attention(w, S, x, s):
    q, k = (np.where(z > 0, z + 1, np.exp(z)) for z in cut(w, "_qk", x, 2))
    S = S + np.outer(w["W_v"] @ x + w["b_v"], k)
    return S, S @ q / np.sqrt(len(q))


def turned(z, t):
    """The position t in z, as RetNet has it: pairs turned by t times their angle."""
    pairs = len(z) // 2
    angle = t * 10_000.0 ** -np.linspace(0, 1, pairs)
    a, b = z[:pairs], z[pairs : 2 * pairs]
    return np.concatenate(
        [np.cos(angle) * a - np.sin(angle) * b, np.sin(angle) * a + np.cos(angle) * b, z[2 * pairs :]]
    )


def retnet(w, carry, x, s):
    S, t = carry
    q, k = (turned(z, t) for z in cut(w, "_qk", x, 2))
    S = (1 - 2.0**-5) * S + np.outer(w["W_v"] @ x + w["b_v"], k)
    return (S, t + 1), S @ q / np.sqrt(len(q))


# --- At the start -----------------------------------------------------------------------------------------------------


def _matrix(w):
    return np.zeros((len(w["b_v"]), len(w["b_qk"]) // 2))


STARTS = {
    "mingru": lambda w: g(w["h_0"]),
    "slstm": lambda w: (w["c_0"], np.ones_like(w["c_0"]), w["h_0"]),
    "lem": lambda w: (w["z_0"], w["y_0"]),
    "peephole lstm": lambda w: (w["c_0"], w["h_0"]),
    "s6": lambda w: np.zeros((len(w["skip"]), len(w["b_s"]) // 2)),
    "mamba-2": _matrix,
    "mlstm": lambda w: (_matrix(w), np.zeros(len(w["b_qk"]) // 2)),
    "deltanet": _matrix,
    "gated deltanet": _matrix,
    "gla": _matrix,
    "linear attention": _matrix,
    "retnet": lambda w: (_matrix(w), 0),
}
STEPS = {
    "mingru": mingru,
    "rg-lru": rg_lru,
    "lru": lru,
    "s6": s6,
    "mamba-2": mamba_2,
    "slstm": slstm,
    "mlstm": mlstm,
    "deltanet": deltanet,
    "gated deltanet": gated_deltanet,
    "gla": gla,
    "linear attention": linear_attention,
    "retnet": retnet,
    "mgu": mgu,
    "janet": janet,
    "fastgrnn": fastgrnn,
    "lem": lem,
    "nbrc": nbrc,
    "peephole lstm": peephole_lstm,
}


def initial_carry(name, w):
    return STARTS[name](w) if name in STARTS else w["h_0"]
