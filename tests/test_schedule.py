"""Which point of a sweep trains next, and where: each once, devices never twice, and others' work left to them."""

import collections
import itertools
import threading
import time

import pytest

from rnn_capacity import schedule
from rnn_capacity.schedule import Point, Schedule
from rnn_capacity.studies import database
from rnn_capacity.training import share, stop
from rnn_capacity.training.share import Pool


def points(*blocks):
    return [Point(n, [f"study {n}"], sizes) for n, sizes in enumerate(blocks)]


def run(schedule, num_devices, num_shares):
    return [(point.number, answer) for point, answer in schedule.run(range(num_devices), num_shares)]


@pytest.mark.parametrize(
    ("blocks", "num_devices", "width", "expected"),
    [
        ([[24]] * 8, 1, 1, 1),
        ([[24]], 8, 1, 1),
        ([[24]] * 8, 2, 1, 2),  # while one compiles
        ([[6, 6, 6, 6, 4]] * 6, 4, 1, 2),  # which two devices train without a gap
        ([[128] * 8] * 72, 256, 1, 2),
        ([[125] * 8 + [16]] * 72, 256, 1, 6),
        ([[125] * 8] * 72, 8, 256, 8),  # a GPU takes a block alone
    ],
)
def test_so_many_points_train_at_once_that_the_devices_are_busy(blocks, num_devices, width, expected):
    found = schedule.at_once(points(*blocks), num_devices, width)
    most = min(len(blocks), num_devices)
    busy = {n: schedule.busy(points(*blocks), n, num_devices, width) for n in range(1, most + 1)}
    assert all(0 < fraction <= 1 for fraction in busy.values())
    enough = [n for n, fraction in busy.items() if fraction >= schedule.BUSY and n >= 2]
    assert found == (enough[0] if enough else most)
    assert found == expected


@pytest.mark.parametrize(("num_devices", "num_shares"), [(1, 1), (4, 1), (4, 2), (7, 3), (8, 8)])
def test_each_point_is_measured_once_and_no_device_trains_two(num_devices, num_shares):
    held, most, lock = collections.Counter(), [], threading.Lock()
    together = threading.Barrier(num_shares)  # the first points wait for each other, so that all shares are held

    def measure(point, devices, place):
        for n in range(3):
            devices.grow()
            with lock:
                held.update(devices)
                assert max(held.values()) == 1
                most.append(held.total())
            if n == 0 and point.number < num_shares:
                together.wait(20)
            with lock:
                held.subtract(devices)
                held.__iadd__(collections.Counter())
        return point.number**2, place

    found = run(Schedule(points(*[[4]] * 12), measure), num_devices, num_shares)
    assert sorted(number for number, _ in found) == list(range(12))
    assert all(answer == number**2 for number, (answer, _) in found)
    assert {place for _, (_, place) in found} <= set(range(num_shares))
    if num_shares == 1:
        assert [number for number, _ in found] == list(range(12))
    assert max(most) == num_devices  # and all of them do


def test_the_last_points_take_the_devices_that_the_others_leave():
    sizes = {}

    def measure(point, devices, place):
        if point.number == 0:
            ended.wait(20)
            for _ in range(200):  # the other share is given back in a moment
                devices.grow()
                time.sleep(0.01)
                if len(devices) == 6:
                    break
        sizes[point.number] = len(devices)
        if point.number == 2:
            ended.set()

    ended = threading.Event()
    run(Schedule(points([4], [4], [4]), measure), 6, 2)
    assert sizes == {0: 6, 1: 3, 2: 3}


def test_a_share_grows_to_a_fair_part_and_no_further():
    pool = Pool(range(8), 3)
    with pool.share(lambda: None) as a, pool.share(lambda: None) as b:
        with pool.share(lambda: None) as c:
            assert sorted(map(len, (a, b, c))) == [2, 3, 3]
            a.grow()
            assert len(a) == 2
            assert (a.whole, sorted([*a, *b, *c])) == (8, list(range(8)))
        a.grow()
        b.grow()
        assert (len(a), len(b)) == (4, 4)


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(share, "SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(schedule, "SECONDS_BETWEEN_LOOKS", 0.01)


def test_a_worker_takes_the_point_that_the_fewest_others_train():
    others = {"study 0": 2, "study 1": 1, "study 2": 1}
    found = run(Schedule(points(*[[4]] * 4), lambda *_: None, lambda: others), 1, 1)
    assert [number for number, _ in found] == [3, 1, 2, 0]


def test_a_point_whose_last_trials_others_have_is_left_and_taken_up_again(soon):
    seen, elsewhere = [], {0: 3, 2: 1}  # how often others are seen to have a point's last trials

    def measure(point, devices, place):
        seen.append(point.number)
        while elsewhere.get(point.number, 0):
            elsewhere[point.number] -= 1
            devices.idle()

    found = run(Schedule(points(*[[4]] * 4), measure, dict), 2, 1)
    assert [number for number, _ in found] == [1, 3, 0, 2]
    assert seen == [0, 1, 2, 3, 0, 2]  # with no other left to go to, it waits where it is


def test_of_two_points_that_others_train_each_is_looked_after(soon, monkeypatch):
    monkeypatch.setattr(database, "GRACE", 5)
    looks = collections.Counter()

    def measure(point, devices, place):
        while not all(looks[n] > 7 for n in range(2)):
            looks[point.number] += 1
            devices.idle()

    assert len(run(Schedule(points([4], [4]), measure, dict), 1, 1)) == 2


def test_where_workers_are_not_known_no_point_is_left(soon):
    looks = itertools.count()

    def measure(point, devices, place):
        while next(looks) % 5:
            devices.idle()

    assert [number for number, _ in run(Schedule(points([4], [4]), measure), 1, 1)] == [0, 1]


def test_a_point_that_fails_ends_the_others_whose_results_are_kept(soon):
    ended, stopped = threading.Event(), []

    def measure(point, devices, place):
        if point.number == 0:
            return "result"
        if point.number == 1:
            ended.wait(20)
            raise ValueError("of point 1")
        try:
            ended.set()
            while True:
                stop.check()
                time.sleep(0.01)
        except stop.Stopped:
            stopped.append(point.number)
            raise

    found = []
    with pytest.raises(ValueError, match="of point 1"):
        found.extend(Schedule(points(*[[4]] * 3), measure).run(range(2), 2))
    del found
    assert stopped == [2]
    stop.check()  # nothing is left behind for the next


def test_what_the_consumer_raises_ends_the_points_that_train(soon):
    def measure(point, devices, place):
        while point.number:
            stop.check()
            time.sleep(0.01)

    running = Schedule(points([4], [4]), measure).run(range(2), 2)
    assert next(running)[0].number == 0
    running.close()
    assert not [thread for thread in threading.enumerate() if "work" in thread.name]
    stop.check()
