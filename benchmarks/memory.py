"""The memory that training takes, against what was said before: python benchmarks/memory.py [--cases=0,3].

Each case is a process of its own that trains trials for a few steps, and evaluates them, as a study does. What
`training/memory.py` says of the programs before they run, beside what lies in memory already, is compared with the
most that there was while they ran, less what there was before. On a CPU that is resident memory (VmHWM, reset before),
and the trials of all cores count; on an accelerator it is the allocator's own peak. Activations are most of it, so the
networks are large and the sequences long: 0.2 to 2 GiB. The columns:

    params        of a trial
    batch         examples a step; on a CPU those of memorization are worked on in blocks of 512 or 128
    estimate      of the program that needs most, GiB
    measured      the peak, less what there was before, GiB
    ratio         measured / estimate; wanted: from 1 / 1.5 to 1.5
    before        what there was: the process, data, weights, compiled programs, GiB
"""

import argparse
import ctypes
import dataclasses
import json
import os
import pathlib
import subprocess
import sys

CASES = [  # cell, params, depth, T, batch, task
    ("rnn", 1_000_000, 1, 60, 512, "memorization"),
    ("rnn", 300_000, 4, 50, 1_000, "memorization"),
    ("gru", 1_000_000, 1, 100, 512, "memorization"),
    ("lstm", 1_000_000, 1, 50, 512, "memorization"),
    ("lstm", 300_000, 4, 30, 700, "memorization"),
    ("ugrnn", 1_000_000, 1, 60, 512, "memorization"),
    ("+rnn", 1_000_000, 2, 50, 512, "memorization"),
    ("rnn", 4_000_000, 1, 3, 512, "memorization"),  # weights, not activations
    ("gru", 30_000, 1, 100, 900, "parentheses"),
    ("lstm", 30_000, 1, 60, 1_000, "text8:synthetic"),
]
STEPS = 4  # in two chunks or more, since what lies in memory in the first differs


def plan_of(cell, num_params, depth, unroll, batch, task):
    from rnn_capacity.measure.capacity import CapacityConfig
    from rnn_capacity.measure.trainability import TrainabilityConfig

    shared = {"cell": cell, "num_params": num_params, "depth": depth, "unroll": unroll, "train_steps": STEPS}
    if task == "memorization":  # of as many mappings as a batch has, which are then its data, a block or not
        config = CapacityConfig(**shared, batch_size=2**30, hparams={"mappings_per_param": batch / num_params})
        plan = config.plan()
        return dataclasses.replace(plan, task=dataclasses.replace(plan.task, max_mappings=batch))
    held_out = {"num_held_out": batch}
    config = TrainabilityConfig(**shared, task=task, task_fields=held_out, batch_size=batch, space="quick")
    return config.plan()


def resident():
    """Bytes in memory now, and the most since the last `forget_peak`."""
    lines = dict(line.split(":") for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    return tuple(int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))


def forget_peak():
    ctypes.CDLL(None).malloc_trim(0)  # what is free already is not there twice
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def worker(case):
    import jax
    import numpy as np
    from machine import machine, middle_trials

    from rnn_capacity.training import memory, sharding
    from rnn_capacity.training.program import TrialProgram

    sharding.use_all_cores()
    devices = jax.local_devices()
    on_host = devices[0].platform == "cpu"
    peak_of = lambda name: max(device.memory_stats()[name] for device in devices)
    told = {"machine": machine()}

    plan = plan_of(*case)
    spec, hparams, keys = middle_trials(plan, len(devices))
    program = TrialProgram(spec, devices)
    compiled, shared = program.compile(len(devices), hparams), program.shared()
    begun = program.data(keys.task), program.begin(hparams, keys.network)
    data, state = jax.block_until_ready(begun)  # what makes them needs memory of its own
    told["estimate"] = max(memory.needed(one, devices) for one in compiled)
    if on_host:
        forget_peak()
    told["before"] = resident()[0] if on_host else peak_of("bytes_in_use")
    state = compiled.advance((shared, np.int32(0), np.int32(STEPS)), data, hparams, state)
    jax.block_until_ready(compiled.evaluate((shared, np.int32(2)), data, hparams, state.params))
    told["measured"] = (resident()[1] if on_host else peak_of("peak_bytes_in_use")) - told["before"]
    print(json.dumps(told | {"params": plan.num_params, "trained": bool(np.any(state.feasible))}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", help="numbers of CASES, 0,3 say; by default all")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(json.loads(args.worker))

    # Every large array its own mapping, given back when it is freed: else what was freed before the peak hides in it.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    chosen = [CASES[int(n)] for n in args.cases.split(",")] if args.cases else CASES
    rows, device = [], ""
    for number, case in enumerate(chosen, 1):
        command = [sys.executable, __file__, "--worker", json.dumps(case)]
        told = json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)
        device = told["machine"]
        cell, _, depth, unroll, batch, task = case
        gib = {name: f"{told[name] / 2**30:.2f}" for name in ("estimate", "measured", "before")}
        ratio = told["measured"] / told["estimate"]
        rows.append(
            {"cell": cell, "task": task, "params": told["params"], "depth": depth, "T": unroll, "batch": batch}
            | {"estimate": gib["estimate"], "measured": gib["measured"], "ratio": f"{ratio:.2f}"}
            | {"before": gib["before"]}
        )
        print(f"{number} of {len(chosen)}: {', '.join(map(str, case))}: ratio {ratio:.2f}", flush=True)
    from table import markdown

    print(f"\n{device}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
