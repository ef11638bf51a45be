"""All trials at once over all devices, through the programs that `program.advance` runs."""

import time

import jax
import numpy as np
from problem import Trial, planned_trials

from rnn_capacity.training import memory
from rnn_capacity.training.program import TrialProgram


class Project:
    """K trials of a problem, ready to be trained from their beginning.

    Attributes:
        compile_seconds: tracing, lowering and compiling all programs of the spec, which this process has not seen.
        bytes_per_trial: of what the program that trains takes: arguments, outputs and, where trials run side by side
            those of all, on a CPU those of one a core, activations.

    Raises:
        NotEnoughMemoryError: so many do not fit.
    """

    def __init__(self, plan, num_trials):
        devices = jax.devices()
        self.num_trials = num_trials
        spec, self.hparams, keys = planned_trials(plan, num_trials)
        start = time.perf_counter()
        program = TrialProgram(spec, devices)
        begin = program.lower_begin(num_trials, self.hparams).compile()
        self.chunk, self.evaluate = program.compile(num_trials, self.hparams)
        self.compile_seconds = time.perf_counter() - start
        memory.check((self.chunk, self.evaluate), devices)
        needs = self.chunk.memory_analysis()
        size = needs.temp_size_in_bytes + needs.argument_size_in_bytes + needs.output_size_in_bytes
        self.bytes_per_trial = size * len(devices) / num_trials
        self.data = jax.block_until_ready(program.data(keys.task))
        self.state = jax.block_until_ready(begin((), (), self.hparams, keys.network))

    def train(self, num_steps, state=None, start=0):
        """The state after so many steps, or from a state at `start` up to that step."""
        given = (), np.int32(start), np.int32(num_steps)
        return jax.block_until_ready(self.chunk(given, self.data, self.hparams, self.state if state is None else state))

    def losses(self, num_steps):
        """Before each step, of all trials: (K, num_steps)."""
        state, losses = self.state, []
        for step in range(num_steps):
            state = self.train(step, state, max(step - 1, 0))
            given = (), np.int32(0)
            losses.append(np.asarray(self.evaluate(given, self.data, self.hparams, state.params)[0]))
        return np.transpose(losses)

    def trials(self, count):
        """The first of them, as the other ways take them; all have the same data."""
        data, params = jax.tree.map(lambda a: np.asarray(a, np.float32), (self.data, self.state.params))
        assert (self.hparams["num_mappings"] == data.labels_b.shape[-1]).all(), "the other ways know no padding"
        pick = lambda k: jax.tree.map(lambda a: a[k], params)
        return [Trial(pick(k), data.x_ib[0], data.labels_b[0]) for k in range(count)]
