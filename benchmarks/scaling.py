"""Weak scaling over the devices of a machine: python benchmarks/scaling.py [--rounds=7] [--steps=1500].

The trials x steps per second of N devices that train as many trials each (RNN, about 1000 parameters, memorization in
the middle of the quick space), for N from 1 to all there are: the cores of a CPU, or the accelerators. Each measurement
is a process of its own, started anew; all numbers of devices are measured in every round, one after the other. On a CPU
the process of N devices is bound to N cores, threads of XLA included, so one device has no help from an idle core.
Compilation and the first steps are not timed. The columns, medians over the rounds (least to greatest):

    trials x steps / s    of all devices together
    efficiency            the same, divided by N times the rate of one device in the same round; wanted: above 0.9
    apart                 the efficiency of N processes with a core and a device each at the same time, which share
                          nothing but the machine: what its memory, clock and neighbours leave (on a CPU)
    cores busy            processor seconds per second of the N devices' process (on a CPU)
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def worker(cores, num_devices, steps, trials_per_device):
    """A process's measurement: a line when it is ready, and once it is told to begin, a line of what it took."""
    if cores:
        os.sched_setaffinity(0, cores)  # before there are threads
    import jax
    from machine import machine, middle_trials

    from rnn_capacity.measure.capacity import CapacityConfig
    from rnn_capacity.training import program, sharding

    if cores:
        jax.config.update("jax_num_cpu_devices", num_devices)
    plan = CapacityConfig(
        cell="rnn",
        sampler="random",
    ).plan()
    devices = jax.local_devices()[:num_devices]
    each = sharding.trials_per_device(trials_per_device, devices)
    spec, hparams, keys = middle_trials(plan, num_devices * each)
    with sharding.keep_compiled():
        _, state = program.advance(spec, hparams, keys, None, 0, 100, devices=devices)  # compiles
    until, moments = 100 + steps, []

    def on_chunk(step, _):
        moments.append((time.perf_counter(), time.process_time(), step))

    print(json.dumps({"machine": machine(), "platform": devices[0].platform}), flush=True)
    sys.stdin.readline()
    program.advance(spec, hparams, keys, state, 100, until, devices=devices, on_chunk=on_chunk)
    (begun, busy, step), (ended, busy_then, _) = moments[0], moments[-1]  # the first chunk follows an evaluation
    done = (until - step) * num_devices * each
    print(json.dumps({"rate": done / (ended - begun), "busy": (busy_then - busy) / (ended - begun)}), flush=True)


def measure(groups, args):
    """One process for each group of (cores, number of devices), all at the same time: what each printed."""
    processes = []
    for cores, num_devices in groups:
        task = json.dumps([cores, num_devices, args.steps, args.trials_per_device])
        command = [sys.executable, __file__, "--worker", task]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    hello = [json.loads(process.stdout.readline()) for process in processes]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    told = [json.loads(process.communicate()[0]) for process in processes]
    return [first | then for first, then in zip(hello, told, strict=True)]


def counts_to(most):
    """Powers of two, and the most."""
    return sorted({1 << k for k in range(most.bit_length())} | {most})


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1500, help="steps of each trial, of which the first few not timed")
    parser.add_argument("--trials_per_device", type=int, help="default: 4 on a CPU, in turn; what suits it elsewhere")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(*json.loads(args.worker))

    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # this process and its workers share accelerators
    import jax
    from machine import machine
    from table import markdown

    is_cpu = jax.default_backend() == "cpu"
    if is_cpu:
        args.trials_per_device = args.trials_per_device or 4
    cores = sorted(os.sched_getaffinity(0))
    counts = counts_to(len(cores) if is_cpu else jax.local_device_count())
    print(f"{machine()}; {len(cores)} cores\n", flush=True)
    found = {count: [] for count in counts}
    for number in range(args.rounds):
        for count in counts:
            (told,) = measure([(cores[:count] if is_cpu else None, count)], args)
            if is_cpu:
                told["apart"] = sum(t["rate"] for t in measure([([core], 1) for core in cores[:count]], args))
            found[count].append(told)
            print(f"round {number + 1} of {args.rounds}: {count} devices, {told['rate']:.0f} / s", flush=True)
    rows = []
    for count in counts:
        single = [count * told["rate"] for told in found[1]]
        relative = lambda name, count=count, single=single: spread(
            [told[name] / one for told, one in zip(found[count], single, strict=True)]
        )
        rates = [told["rate"] for told in found[count]]
        row = {
            "devices": count,
            "trials x steps / s": f"{statistics.median(rates):.0f}",
            "efficiency": relative("rate"),
        }
        if is_cpu:
            row |= {"apart": relative("apart"), "cores busy": spread([told["busy"] for told in found[count]])}
        rows.append(row)
    print("\n" + markdown(rows))


if __name__ == "__main__":
    main()
