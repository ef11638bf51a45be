"""How busy a sweep keeps many devices: `python benchmarks/shares.py`.

The points of the paper's Figure 1 (experiments/figures/fig1.py, all of it) are scheduled over 8, 64 and 256 devices by
the sweep's own scheduler; a trial is a sleep, as long as its network's operations are many, and a device trains one at
a time. Beside it: one point after the other, each on all devices. `busy` is the fraction of the time of all devices in
which they train, until nine tenths of the whole have passed, and over the whole.
"""

import argparse
import threading
import time

import machine  # noqa: F401  # puts the clone on the path
import numpy as np

from experiments.figures import fig1
from rnn_capacity import schedule, sweep
from rnn_capacity.studies.study import blocks


def points_of(config, num_devices):
    """The points, and the seconds of a trial of each, of which all together take a second of one device."""
    found, costs = [], []
    for plan, fields in sweep.studies(config):
        sizes = blocks(plan, fields["num_trials"], fields["num_repeats"], num_devices)
        found.append(schedule.Point(len(found), [plan.name], sizes))
        costs.append(plan.num_params * plan.padded_task.max_mappings * plan.task.unroll)
    whole = sum(cost * sum(point.blocks) for cost, point in zip(costs, found, strict=True))
    return found, [cost / whole for cost in costs]


def simulated(points, seconds, num_devices, num_shares, pace):
    """The time that the whole takes, and a row (begun, ended, devices in use) for each stretch of a block."""
    rows, lock, begun = [], threading.Lock(), time.monotonic()

    def measure(point, share, place):
        each = seconds[point.number] * pace
        for size in point.blocks:
            share.grow()
            full, rest = divmod(size, len(share))
            at = time.monotonic() - begun
            time.sleep(each * (full + (rest > 0)))
            with lock:
                rows.extend([(at, at + each * full, len(share)), (at + each * full, at + each * (full + 1), rest)])

    for _ in schedule.Schedule(points, measure).run(range(num_devices), num_shares):
        pass
    return time.monotonic() - begun, np.array(rows)


def in_use(rows, until, num_devices):
    """The fraction of the devices' time in use up to a moment."""
    return sum(max(min(end, until) - begun, 0) * count for begun, end, count in rows) / (until * num_devices)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[8, 64, 256])
    parser.add_argument("--seconds", type=float, default=60, help="that a perfect schedule would take")
    args = parser.parse_args()
    config = fig1.get_config("").to_dict()
    print("devices  points  at once  busy to 9/10  busy  whole  in turn: busy  whole  ratio")
    for num_devices in args.devices:
        points, seconds = points_of(config, num_devices)
        chosen = schedule.at_once(points, num_devices, 1)
        pace = args.seconds * num_devices
        whole, rows = simulated(points, seconds, num_devices, chosen, pace)
        alone, rows_alone = simulated(points, seconds, num_devices, 1, pace)
        print(
            f"{num_devices:7} {len(points):7} {chosen:8} {in_use(rows, 0.9 * whole, num_devices):13.2f}"
            f" {in_use(rows, whole, num_devices):5.2f} {whole / args.seconds:6.2f}"
            f" {in_use(rows_alone, alone, num_devices):14.2f} {alone / args.seconds:6.2f} {alone / whole:6.2f}"
        )


if __name__ == "__main__":
    main()
