"""What to try next: search spaces, and samplers that propose points of them."""

from rnn_capacity.search.samplers import quasi_random_sampler, random_sampler


def _gp_bandit_sampler(space, seed, **options):
    return __getattr__("GPBanditSampler")(space, seed, **options)


# name -> (space, seed) -> an Optuna sampler.
SAMPLERS = {"gp": _gp_bandit_sampler, "quasi-random": quasi_random_sampler, "random": random_sampler}

__all__ = ["SAMPLERS", "GPBanditSampler", "quasi_random_sampler", "random_sampler"]


def __getattr__(name):
    """Imports the bandit, and tinygp with it, when it is first used: that takes a second."""
    if name == "GPBanditSampler":
        from rnn_capacity.search.gp_bandit import GPBanditSampler

        return GPBanditSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
