"""The blocks in plain NumPy, float64, from what their papers have around the cells, which are the other reference's."""

import math

import numpy as np
import reference_modern_cells as modern


def silu(z):
    return modern.silu(z)


def gelu(z):
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def rms_norm(z, w):
    return z / np.sqrt(np.mean(z**2) + 1e-6) * w


def linear(w, name, z):
    return w[f"W_{name}"] @ z + w[f"b_{name}"]


def convolve(w, past):
    """Of the last four inputs, the newest last."""
    taps = w["W_conv"].reshape(4, -1)
    return sum(tap * z for tap, z in zip(taps, past, strict=True)) + w["b_conv"]


class Block:
    """One example's way through a block; `past` holds all that the convolution has seen, behind three zeros."""

    def __init__(self, name, params):
        self.cell = name.removesuffix(" block")
        self.w = {key: np.asarray(value, float) for key, value in params.items() if key != "cell"}
        self.inner = {key: np.asarray(value, float) for key, value in params["cell"].items()}
        self.carry = modern.initial_carry(self.cell, self.inner)
        self.past = [np.zeros_like(self.w["b_conv"])] * 3 if "b_conv" in self.w else []

    def conv(self, z):
        self.past.append(z)
        return convolve(self.w, self.past[-4:])

    def recurrence(self, v, s=np.tanh):
        self.carry, y = modern.STEPS[self.cell](self.inner, self.carry, v, s)
        return y

    def mlp(self, x, act):
        a, b = np.split(linear(self.w, "up", rms_norm(x, self.w["norm_mlp"])), 2)
        return x + linear(self.w, "down", act(a) * b)

    def __call__(self, x):
        x = linear(self.w, "in", x) if "W_in" in self.w else x
        return BLOCKS[self.cell](self, self.w, x)


def mingru(b, w, x):
    x = x + b.conv(x)
    x = x + linear(w, "out", b.recurrence(rms_norm(x, w["norm"])))
    return x + linear(w, "down", gelu(linear(w, "up", rms_norm(x, w["norm_mlp"]))))


def hawk(b, w, x):
    u = rms_norm(x, w["norm"])
    y = gelu(linear(w, "g", u)) * b.recurrence(b.conv(linear(w, "x", u)))
    return b.mlp(x + linear(w, "out", y), gelu)


def lru(b, w, x):
    y, gate = np.split(linear(w, "out", b.recurrence(rms_norm(x, w["norm"]), gelu)), 2)
    return x + y * modern.sigma(gate)


def mamba(b, w, x):
    u = rms_norm(x, w["norm"])
    y = b.recurrence(silu(b.conv(linear(w, "x", u)))) * silu(linear(w, "g", u))
    return x + linear(w, "out", y)


def mamba_2(b, w, x):
    u = rms_norm(x, w["norm"])
    y = b.recurrence(silu(b.conv(u))) * silu(linear(w, "g", u))
    return x + linear(w, "out", rms_norm(y, w["norm_y"]))


def slstm(b, w, x):
    y = b.recurrence(silu(b.conv(rms_norm(x, w["norm"]))))
    return b.mlp(x + linear(w, "out", rms_norm(y, w["norm_y"])), gelu)


def mlstm(b, w, x):
    u = rms_norm(x, w["norm"])
    y = rms_norm(b.recurrence(silu(b.conv(linear(w, "x", u)))), w["norm_y"])
    return x + linear(w, "out", y * silu(linear(w, "g", u)))


def deltanet(b, w, x):
    y = b.recurrence(b.conv(rms_norm(x, w["norm"])))
    return b.mlp(x + linear(w, "out", rms_norm(y, w["norm_y"])), silu)


def gated_deltanet(b, w, x):
    u = rms_norm(x, w["norm"])
    y = rms_norm(b.recurrence(b.conv(u)), w["norm_y"]) * silu(linear(w, "g", u))
    return b.mlp(x + linear(w, "out", y), silu)


def gla(b, w, x):
    u = rms_norm(x, w["norm"])
    y = rms_norm(b.recurrence(u), w["norm_y"]) * silu(linear(w, "g", u))
    return b.mlp(x + linear(w, "out", y), silu)


BLOCKS = {
    "mingru": mingru,
    "rg-lru": hawk,
    "lru": lru,
    "s6": mamba,
    "mamba-2": mamba_2,
    "slstm": slstm,
    "mlstm": mlstm,
    "deltanet": deltanet,
    "gated deltanet": gated_deltanet,
    "gla": gla,
}


def sizes(name, n, i):
    """The parameters of a block of n units with i inputs, without those of its cell."""
    matrix = lambda rows, columns: rows * (columns + 1)
    swiglu, gelu_gated = math.ceil(8 * n / 3), math.ceil(4 * n / 3)
    gated = lambda inside: matrix(2 * inside, n) + matrix(n, inside) + n
    around = {
        "mingru": 5 * n + matrix(n, n) + matrix(4 * n, n) + matrix(n, 4 * n) + n,
        "rg-lru": 2 * matrix(n, n) + 5 * n + matrix(n, n) + gated(3 * n),
        "lru": matrix(2 * n, n),
        "s6": 2 * matrix(2 * n, n) + 5 * 2 * n + matrix(n, 2 * n),
        "mamba-2": 5 * n + matrix(2 * n, n) + 2 * n + matrix(n, 2 * n),
        "slstm": 5 * n + n + matrix(n, n) + gated(gelu_gated),
        "mlstm": 2 * matrix(2 * n, n) + 5 * 2 * n + 2 * n + matrix(n, 2 * n),
        "deltanet": 5 * n + n + matrix(n, n) + gated(swiglu),
        "gated deltanet": 5 * n + n + 2 * matrix(n, n) + gated(swiglu),
        "gla": n + 2 * matrix(n, n) + gated(swiglu),
    }
    return n + around[name.removesuffix(" block")] + (matrix(n, i) if i != n else 0)
