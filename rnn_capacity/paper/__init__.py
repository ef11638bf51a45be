"""What the paper published, and results in the format of its authors."""

import importlib


def __getattr__(name):
    """Imports `dataset`, which is seldom used, when it is."""
    if name == "dataset":
        return importlib.import_module(f"{__name__}.dataset")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
