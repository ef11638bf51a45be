"""Training in PyTorch: its own `nn.RNN`, `nn.GRU`, `nn.LSTM` one trial at a time, or K trials in batched products.

Nothing here knows JAX: `torch_worker.py` runs it in processes of its own. Weights and data come as NumPy arrays,
weights as the project's cells name them. `nn.GRU` has the reset act after the product; else all equations are the
project's, the learned initial carry included. The second bias of PyTorch's layers stays at zero, untrained.
"""

import math
import time

import numpy as np
import torch
import torch.nn.functional as F

EPSILON = 1e-8  # added under the root, as optax does
LAYERS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cudnn.allow_tf32 = False


def tensor(array):
    return torch.tensor(array, device=DEVICE)


class RMSProp:
    """Clipping, RMSProp with bias correction and the cosine, on lists of tensors.

    Args:
        axes: in front of each weight: 1 where there is one of trials, whose gradients are clipped each by itself.
    """

    def __init__(self, weights, axes, *, learning_rate, decay, clip, train_steps):
        self.weights, self.axes, self.decay, self.clip = weights, axes, decay, clip
        self.squares = [torch.zeros_like(w) for w in weights]
        self.rate = lambda step: learning_rate * 0.5 * (1 + math.cos(math.pi * step / train_steps))
        self.num_steps = 0

    @torch.no_grad()
    def step(self, gradients):
        rate = self.rate(self.num_steps)
        self.num_steps += 1
        if self.axes:
            norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients])
            scale = (self.clip / norms.norm(dim=0)).clamp(max=1.0)
            gradients = [g * scale.view(-1, *[1] * (g.ndim - 1)) for g in gradients]
        else:
            norm = torch.stack(torch._foreach_norm(gradients)).norm()
            gradients = torch._foreach_mul(gradients, (self.clip / norm).clamp(max=1.0))
        torch._foreach_mul_(self.squares, self.decay)
        torch._foreach_addcmul_(self.squares, gradients, gradients, 1 - self.decay)
        roots = torch._foreach_div(self.squares, 1 - self.decay**self.num_steps)
        torch._foreach_add_(roots, EPSILON)
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(self.weights, gradients, roots, -rate)


class Trainer:
    """Trains from the given weights, anew each time.

    Attributes:
        loss: of the network, of each trial where there are several.
        weights: what is trained.
    """

    axes = 0

    def __init__(self, optimizer):
        self.num_trials = 1 if self.axes == 0 else len(self.weights[0])
        self.initial, self.optimizer = [w.detach().clone() for w in self.weights], optimizer

    def steps(self):
        """Yields the loss before each step, for as long as it is asked: (), or (K,)."""
        with torch.no_grad():
            torch._foreach_copy_(self.weights, self.initial)
        optimizer = RMSProp(self.weights, self.axes, **self.optimizer)
        while True:
            loss = self.loss()
            optimizer.step(torch.autograd.grad(loss.sum(), self.weights))
            yield loss.detach()

    def losses(self, num_steps):
        """Before each step: (num_steps,), or (num_steps, K)."""
        return torch.stack([loss for _, loss in zip(range(num_steps), self.steps(), strict=False)]).cpu().numpy()

    def rate(self, seconds):
        """Steps per second, over so many seconds or one step."""
        start, steps, num_steps = time.perf_counter(), self.steps(), 0
        while num_steps == 0 or time.perf_counter() - start < seconds:
            next(steps)
            num_steps += 1
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return num_steps / (time.perf_counter() - start)


class OneTrial(Trainer):
    """PyTorch's own layers, one trial."""

    def __init__(self, sizes, trial, optimizer):
        params, x_ib, labels_b = trial
        batch, depth, units = len(labels_b), sizes["depth"], sizes["units"]
        self.layers = LAYERS[sizes["cell"]](sizes["inputs"], units, depth).to(DEVICE)
        self.readout = torch.nn.Linear(units, 1).to(DEVICE)
        self.weights = [*self.readout.parameters()]
        with torch.no_grad():
            self.readout.weight.copy_(tensor(params["readout"]["W"]))
            self.readout.bias.copy_(tensor(params["readout"]["b"]))
            for n, layer in enumerate(params["layers"]):
                W_h = [tensor(layer[name]) for name in ("W_h", "W_ch") if name in layer]
                given = {"weight_hh": torch.cat(W_h), "weight_ih": tensor(layer["W_x"]), "bias_ih": tensor(layer["b"])}
                for name, value in given.items():
                    weight = getattr(self.layers, f"{name}_l{n}")
                    weight.copy_(value)
                    self.weights.append(weight)
                getattr(self.layers, f"bias_hh_l{n}").zero_().requires_grad_(False)
        names = ("h_0", "c_0") if sizes["cell"] == "lstm" else ("h_0",)
        start = [torch.stack([tensor(layer[name]) for layer in params["layers"]]) for name in names]
        self.start = [a[:, None].requires_grad_() for a in start]
        self.weights += self.start
        self.batch = batch
        self.labels_b = tensor(labels_b)
        self.x_tbi = torch.zeros(sizes["unroll"], batch, sizes["inputs"], device=DEVICE)
        self.x_tbi[0] = tensor(x_ib.T)
        super().__init__(optimizer)

    def loss(self):
        start = [a.expand(-1, self.batch, -1).contiguous() for a in self.start]
        y_tbh, _ = self.layers(self.x_tbi, tuple(start) if len(start) > 1 else start[0])
        return F.binary_cross_entropy_with_logits(self.readout(y_tbh[-1])[:, 0], self.labels_b)


class Batched(Trainer):
    """K trials at once: matrix products batched over trials, in a loop over time; the input only at the first step."""

    axes = 1

    def __init__(self, sizes, trials, optimizer, compiled=False):
        params, inputs, labels = zip(*trials, strict=True)
        self.layers = [stacked([p["layers"][n] for p in params]) for n in range(sizes["depth"])]
        self.readout = stacked([p["readout"] for p in params])
        self.weights = [w for layer in (*self.layers, self.readout) for w in layer.values()]
        self.x_kbi = torch.stack([tensor(x_ib.T) for x_ib in inputs])
        self.labels_kb = torch.stack([tensor(labels_b) for labels_b in labels])
        self.cell, self.num_steps = sizes["cell"], sizes["unroll"]
        self.run = torch.compile(batched_losses, dynamic=False) if compiled else batched_losses
        super().__init__(optimizer)

    def loss(self):
        return self.run(self.cell, self.num_steps, self.layers, self.readout, self.x_kbi, self.labels_kb)


def stacked(layers):
    """Weights of K trials: matrices (K, in, out), vectors (K, 1, out)."""
    stack = {name: torch.stack([tensor(np.atleast_2d(layer[name])) for layer in layers]) for name in layers[0]}
    matrices = {name for name in stack if name.startswith("W")}
    return {n: (w.mT.contiguous() if n in matrices else w).requires_grad_() for n, w in stack.items()}


def batched_losses(cell, num_steps, layers, readout, x_kbi, labels_kb):
    """The mean loss of each trial, (K,)."""
    num_trials, batch, _ = x_kbi.shape
    drives = [torch.baddbmm(layers[0]["b"], x_kbi, layers[0]["W_x"])] + [layers[0]["b"]] * (num_steps - 1)
    y = []
    for n, layer in enumerate(layers):
        if n:
            y_ktbh = torch.stack(y, dim=1).flatten(1, 2)
            drives = torch.baddbmm(layer["b"], y_ktbh, layer["W_x"]).view(num_trials, num_steps, batch, -1).unbind(1)
        h = layer["h_0"].expand(-1, batch, -1)
        c = layer["c_0"] if cell == "lstm" else None
        y = []
        for drive in drives:
            if cell == "rnn":
                h = torch.tanh(torch.baddbmm(drive, h, layer["W_h"]))
            elif cell == "gru":
                units = h.shape[-1]
                r, u = torch.baddbmm(drive[..., : 2 * units], h, layer["W_h"]).sigmoid().chunk(2, dim=-1)
                candidate = torch.tanh(torch.baddbmm(drive[..., 2 * units :], r * h, layer["W_ch"]))
                h = u * h + (1 - u) * candidate
            else:
                i, f, g, o = torch.baddbmm(drive, h, layer["W_h"]).chunk(4, dim=-1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            y.append(h)
    logits_kb = torch.baddbmm(readout["b"], h, readout["W"])[..., 0]
    return F.binary_cross_entropy_with_logits(logits_kb, labels_kb, reduction="none").mean(dim=1)
