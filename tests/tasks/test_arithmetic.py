"""Arithmetic: problems that Python reads, answers that Python gives, and an honest loss."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rnn_capacity.tasks import arithmetic
from rnn_capacity.tasks.arithmetic import ANSWER_SYMBOLS, MAX_NUMBER, SYMBOLS, Arithmetic
from rnn_capacity.tasks.base import Source

PAPER = Arithmetic()
SIZES = {9: 36, 99: 18, 10**7: 36, 10**8: 40, MAX_NUMBER: 50}  # max_number: unroll, for 99 the least
COMPUTE_STEPS = np.arange(1, 7)


def _text(codes):
    return "".join(SYMBOLS[code] for code in codes)


def _draw_program(task, num_examples):
    return lambda key, compute_steps: task.draw(key, num_examples, Source(0, (), {"compute_steps": compute_steps}))


@functools.cache
def _draws(task, num_examples=500):
    """A batch for each number of compute steps, from one program, trials side by side."""
    keys = jax.random.split(jax.random.key(0), 6)
    batch = jax.jit(jax.vmap(_draw_program(task, num_examples)))(keys, COMPUTE_STEPS.astype(np.float32))
    return jax.tree.map(np.asarray, batch)


def _numbers(task, num_examples):
    """The two numbers of each problem, as Python reads them."""
    codes = _draws(task, num_examples).x_tib.argmax(axis=2)
    texts = [_text(codes_t) for codes_tb in codes for codes_t in codes_tb.T]
    return np.array([[int(number) for number in text.strip()[:-1].split("+")] for text in texts]).T


# --- Problems and answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_number", SIZES)
def test_every_problem_is_a_sum_in_its_place_and_python_gives_the_same_answer(max_number):
    task = Arithmetic(max_number=max_number, unroll=SIZES[max_number])
    batch = _draws(task)
    assert batch.x_tib.shape == (6, task.unroll, 14, 500)
    assert batch.x_tib.dtype == np.int8
    assert (batch.x_tib.sum(axis=2) == 1).all()
    assert batch.targets.shape == (6, task.answer_width, 500)
    np.testing.assert_array_equal(batch.weights_b, np.ones((6, 500)))
    signs = set()
    for compute_steps, x_tib, targets in zip(COMPUTE_STEPS, batch.x_tib, batch.targets, strict=True):
        for codes, target in zip(x_tib.argmax(axis=1).T, targets.T, strict=True):
            first, second, spaces = re.fullmatch(r" *(-?\d+)\+(-?\d+)=( +)", _text(codes)).groups()
            assert len(spaces) == compute_steps + task.answer_width
            assert (str(int(first)), str(int(second))) == (first, second)
            assert max(abs(int(first)), abs(int(second))) <= max_number
            assert _text(target) == str(int(first) + int(second)).rjust(task.answer_width)
            signs.add((first < "0", second < "0", _text(target).strip() < "0"))
    assert len(signs) == 6  # two signs and that of the sum, less the two that cannot be


@pytest.mark.parametrize(
    ("first", "second", "problem", "answer"),
    [
        (-343243, 93851, "-343243+93851=", "  -249392"),
        (12, -7, "12+-7=", "        5"),
        (0, 0, "0+0=", "        0"),
        (-5, 5, "-5+5=", "        0"),
        (10**7, 10**7, "10000000+10000000=", " 20000000"),
        (-(10**7), -(10**7), "-10000000+-10000000=", "-20000000"),
        (10**7, -(10**7), "10000000+-10000000=", "        0"),
        (100, 9900, "100+9900=", "    10000"),
        (-1, -9, "-1+-9=", "      -10"),
        (7654321, 0, "7654321+0=", "  7654321"),
    ],
)
def test_problems_by_hand(first, second, problem, answer):
    first_b, second_b = jnp.array([first]), jnp.array([second])
    for compute_steps in COMPUTE_STEPS:
        codes = np.asarray(PAPER.problem(first_b, second_b, jnp.float32(compute_steps)))[:, 0]
        assert _text(codes) == (problem + " " * (compute_steps + 9)).rjust(36)
        assert codes[36 - 9 - 1 - compute_steps] == SYMBOLS.index("=")
    assert _text(np.asarray(PAPER.answer(first_b + second_b))[:, 0]) == answer


def test_the_drawing_shows_what_the_network_reads_and_writes():
    lines = {
        line.split()[0]: line[13:] for line in arithmetic.__doc__.splitlines() if re.match(r"    (in|out)put", line)
    }
    problem = PAPER.problem(jnp.array([-343243]), jnp.array([93851]), 2.0)
    assert lines["input"] == _text(problem[:, 0]).replace(" ", ".")
    answer = PAPER.answer(jnp.array([-343243 + 93851]))
    assert lines["output"][:36] == _text(answer[:, 0]).replace(" ", ".").rjust(36)


def test_the_largest_numbers_of_all_are_written_in_full():
    task = Arithmetic(max_number=MAX_NUMBER, unroll=38)
    problem = task.problem(jnp.array([-MAX_NUMBER]), jnp.array([-MAX_NUMBER]), 6.0)
    assert _text(problem[:, 0]) == "-499999999+-499999999=" + " " * 16
    assert _text(task.answer(jnp.array([-2 * MAX_NUMBER]))[:, 0]) == "-999999998"


def test_compute_steps_are_rounded():
    problem = jax.jit(lambda steps: PAPER.problem(jnp.array([12]), jnp.array([-7]), steps))
    np.testing.assert_array_equal(problem(2.9999), problem(3.0))
    np.testing.assert_array_equal(problem(3.0001), problem(3.0))


def test_new_compute_steps_recompile_nothing_and_move_the_problem_alone():
    traced = []

    @jax.jit
    def draw(key, compute_steps):
        traced.append(1)
        return _draw_program(PAPER, 20)(key, compute_steps)

    batches = [draw(jax.random.key(5), np.float32(steps)) for steps in COMPUTE_STEPS]
    assert len(traced) == draw._cache_size() == 1
    for moved, batch in enumerate(batches):
        np.testing.assert_array_equal(batch.targets, batches[0].targets)
        np.testing.assert_array_equal(batch.x_tib, np.roll(batches[0].x_tib, -moved, axis=0))


def test_trials_side_by_side_draw_what_each_draws_alone():
    together = _draws(PAPER)
    keys = jax.random.split(jax.random.key(0), 6)
    draw = jax.jit(_draw_program(PAPER, 500))
    for k in (0, 5):
        alone = draw(keys[k], np.float32(COMPUTE_STEPS[k]))
        jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda a, k=k: a[k], together), alone)
    assert not np.array_equal(together.targets[0], together.targets[5])


# --- Numbers ----------------------------------------------------------------------------------------------------------


def test_all_pairs_of_small_numbers_are_equally_likely():
    first, second = _numbers(Arithmetic(max_number=9), 4000)
    pairs = np.bincount(19 * (first + 9) + second + 9, minlength=361)
    assert len(pairs) == 361
    expected = pairs.sum() / 361
    assert ((pairs - expected) ** 2 / expected).sum() < 360 + 5 * (2 * 360) ** 0.5


def test_large_numbers_are_uniform_and_unrelated():
    numbers = _numbers(PAPER, 2000)
    for number in numbers:
        assert stats.kstest((number + 10**7) / (2 * 10**7), "uniform").pvalue > 1e-5
        assert stats.chisquare(np.bincount(number % 10, minlength=10)).pvalue > 1e-5
    assert abs(np.corrcoef(numbers)[0, 1]) < 5 * numbers.shape[1] ** -0.5


# --- Loss and score ---------------------------------------------------------------------------------------------------


def test_sizes():
    assert (PAPER.num_inputs, PAPER.num_outputs, PAPER.read_steps, PAPER.unroll) == (14, 12, 9, 36)
    assert (PAPER.number_width, PAPER.problem_width, PAPER.answer_width) == (9, 20, 9)
    assert (PAPER.batch_size, PAPER.measure, PAPER.hparam_names) == (64, "accuracy", ("compute_steps",))
    assert ANSWER_SYMBOLS == "0123456789- "
    assert [Arithmetic(max_number=n).answer_width for n in (1, 4, 5, 49, 50, 10**7)] == [2, 2, 3, 3, 4, 9]


def _batch():
    """A batch of 500, and outputs of which most are right."""
    batch = jax.tree.map(lambda a: a[0], _draws(PAPER))
    hot_tob = np.arange(12)[:, None] == batch.targets[:, None]
    noise = np.random.default_rng(0).normal(scale=3, size=hot_tob.shape)
    return batch, (noise + 12 * hot_tob).astype(np.float32)


def test_the_loss_is_the_mean_cross_entropy_of_the_answers_characters():
    batch, outputs_tob = _batch()
    expected = np.zeros(500)
    for t in range(9):
        p_ob = np.exp(outputs_tob[t].astype(float))
        p_ob /= p_ob.sum(axis=0)
        expected -= np.log(p_ob[batch.targets[t], np.arange(500)]) / 9
    np.testing.assert_allclose(PAPER.loss(jnp.asarray(outputs_tob), batch), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(PAPER.loss(jnp.zeros((9, 12, 500)), batch), np.log(12), rtol=1e-6)


def test_the_score_counts_whole_answers_and_characters_and_leaves_padding_out():
    batch, outputs_tob = _batch()
    weights_b = (np.arange(500) < 400).astype(np.float32)
    score = PAPER.score(jnp.asarray(outputs_tob), batch._replace(weights_b=weights_b))
    written = [_text(max(range(12), key=outputs_tob[t, :, b].__getitem__) for t in range(9)) for b in range(400)]
    answers = [_text(batch.targets[:, b]) for b in range(400)]
    pairs = list(zip(written, answers, strict=True))
    assert set(score) == {"accuracy", "characters"}
    assert 0.5 < score["accuracy"] < score["characters"] < 1
    assert score["accuracy"] == pytest.approx(np.mean([a == b for a, b in pairs]), abs=1e-6)
    characters = np.mean([[x == y for x, y in zip(a, b, strict=True)] for a, b in pairs])
    assert score["characters"] == pytest.approx(characters, abs=1e-6)


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_number": 0}, r"^max_number: 0 given; .* at least 1$"),
        ({"max_number": 1e7}, r"^max_number: 10000000.0 given"),
        (
            {"max_number": MAX_NUMBER + 1, "unroll": 99},
            r"^max_number: 500000000 given; it must be a whole number of at most 499999999$",
        ),
        (
            {"unroll": 34},
            r"^unroll: 34 given; it must be at least 35: .* 20 characters, .* 6 compute steps and 9 steps",
        ),
        ({"max_number": 99, "unroll": 17}, r"^unroll: 17 given; it must be at least 18: "),
        ({"max_number": 10**8}, r"^unroll: 36 given; it must be at least 38: "),
        ({"unroll": 0}, r"^unroll: 0 given; .* at least 1$"),
        ({"num_held_out": 0}, r"^num_held_out: 0 given"),
    ],
)
def test_a_bad_field_is_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        Arithmetic(**fields)


def test_the_least_unroll_has_room_for_the_longest_problem():
    task = Arithmetic(unroll=35)
    problem = task.problem(jnp.array([-(10**7)]), jnp.array([-(10**7)]), 6.0)
    assert _text(problem[:, 0]) == "-10000000+-10000000=" + " " * 15
