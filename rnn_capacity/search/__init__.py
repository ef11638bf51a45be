"""What to try next: search spaces, and samplers that propose points of them."""

from rnn_capacity.search.gp_bandit import GPBanditSampler
from rnn_capacity.search.samplers import quasi_random_sampler, random_sampler

# name -> (space, seed) -> an Optuna sampler.
SAMPLERS = {"gp": GPBanditSampler, "quasi-random": quasi_random_sampler, "random": random_sampler}

__all__ = ["SAMPLERS", "GPBanditSampler", "quasi_random_sampler", "random_sampler"]
