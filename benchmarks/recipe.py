"""How hparams of training change what is stored: every combination of some values, the rest in the middle of its range.

python benchmarks/recipe.py --train_steps=10000 --set learning_rate=0.034,0.05 readout_scale=3.5,7

Prints bits per parameter, the mean over seeds, a row a combination. What `search/recipe.py` says was measured so.
"""

import argparse
import itertools

import numpy as np
from machine import machine
from table import markdown

from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.search import space as spaces
from rnn_capacity.studies import session
from rnn_capacity.training import sharding
from rnn_capacity.training.trainer import Trainer


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", default="rnn")
    parser.add_argument("--num_params", type=int, default=1000)
    parser.add_argument("--train_steps", type=int, default=3000)
    parser.add_argument("--unroll", type=int, default=5)
    parser.add_argument("--batch_size", type=int, default=None)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--b", type=float, default=5.0, help="mappings a parameter")
    parser.add_argument("--set", nargs="+", default=[], help="hparam=value,value ...")
    return parser.parse_args()


def main():
    args = parse()
    given = [pair.split("=") for pair in args.set]
    names, values = [name for name, _ in given], [[float(v) for v in text.split(",")] for _, text in given]
    combinations = list(itertools.product(*values))
    plan = CapacityConfig(
        cell=args.cell,
        num_params=args.num_params,
        unroll=args.unroll,
        train_steps=args.train_steps,
        batch_size=args.batch_size,
        hparams={"mappings_per_param": args.b},
        sampler="random",
    ).plan()
    with session.measuring():
        middle = spaces.complete(plan.space, {})
        trials = [
            plan.trial(number, middle | dict(zip(names, combination, strict=True)))
            for number, combination in enumerate(c for c in combinations for _ in range(args.seeds))
        ]
        devices = sharding.choose_devices(None)
        trainer = Trainer(devices, sharding.trials_per_device(None, devices))
        trained = {}
        for batch in trainer.train(trials, args.train_steps, lambda batch, step: None):
            trained |= batch
        about = machine()
    bits = [plan.outcome(t, trained[t.number].outcome, 0.0)[0]["bits_per_param"] for t in trials]
    bits = np.array([np.nan if b is None else b for b in bits]).reshape(len(combinations), args.seeds)
    print(f"{about}\n{args.cell}, {plan.num_params} parameters, b = {args.b:g} a parameter, {args.train_steps} steps\n")
    rows = [
        dict(zip(names, combination, strict=True))
        | {"bits/param": f"{found.mean():.3f}", "each": " ".join(f"{b:.2f}" for b in found)}
        for combination, found in zip(combinations, bits, strict=True)
    ]
    print(markdown(rows))


if __name__ == "__main__":
    main()
