"""Package metadata; settings of the tools are in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
# What a clone has beside the package, and an installed package within it (`rnn_capacity/installed.py`).
SHIPPED = {
    f"rnn_capacity.shipped.{name.replace('/', '.')}": name for name in ("launch", "experiments", "experiments/figures")
}
VERSION = re.search(r'^__version__ = "(.+?)"', (ROOT / "rnn_capacity" / "__init__.py").read_text("utf-8"), re.MULTILINE)
LIVE = ["optuna-dashboard>=0.19"]
REPORT = ["jinja2>=3.1", "vl-convert-python>=1.7"]
TEXT8 = ["array_record>=0.5", "importlib_resources>=6.0", "tensorflow-datasets>=4.9.8"]

setup(
    name="rnn_capacity",
    version=VERSION[1],
    description="How many bits a recurrent cell can store in each parameter, measured in minutes",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The rnn_capacity authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=["recurrent neural networks", "capacity", "benchmark", "JAX", "hyperparameters"],
    project_urls={"Paper": "https://arxiv.org/abs/1611.09913"},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=[*find_packages(include=["rnn_capacity", "rnn_capacity.*"]), *SHIPPED],
    package_dir=SHIPPED,
    package_data={
        "rnn_capacity": ["py.typed"],
        "rnn_capacity.report": ["assets/*"],
        "rnn_capacity.leaderboard": ["assets/*"],
    },
    entry_points={
        "console_scripts": [
            f"rnn-capacity-{name} = rnn_capacity.installed:{name}"
            for name in ("sweep", "report", "table", "compile", "leaderboard")
        ]
    },
    install_requires=[
        "absl-py>=2.1",
        "flax>=0.12,<0.14",
        "jax>=0.10,<0.13",
        "matplotlib>=3.9",
        "ml_collections>=1.0",
        "numpy>=2.0",
        "optax>=0.2.8",
        "optuna>=5.0,<6",
        "pandas>=2.2.2",
        "rich>=13.7",
        "scipy>=1.15",
        "sqlalchemy>=2.1",
        "tinygp>=0.3.1",
    ],
    extras_require={
        "docs": ["furo>=2025.12.19", "myst-parser>=5.0", "sphinx>=9.0"],
        "live": LIVE,
        "parquet": ["pyarrow>=18.0"],
        "postgres": ["psycopg[binary]>=3.2.1"],
        "report": REPORT,
        # importlib_resources and array_record: what tensorflow-datasets reads and writes with, and does not declare.
        "text8": TEXT8,
        "test": [
            *LIVE,
            *REPORT,
            *TEXT8,
            "chex>=0.1.90",
            "equinox>=0.13",
            "ipykernel>=6.29",
            "ipywidgets>=8.1",
            "mypy>=1.19",
            "nbclient>=0.10",
            "nbformat>=5.10",
            "psycopg[binary]>=3.2.1",
            "pyarrow>=18.0",
            "pytest>=8.0",
            "pytest-xdist>=3.7",
            "ruff>=0.12",
            "selenium>=4.20",
        ],
        "compile-gpu": ["jax-cuda12-plugin>=0.10", "nvidia-cuda-nvcc-cu12>=12.6"],
        "cuda": ["jax[cuda12]>=0.10"],
        "tpu": ["jax[tpu]>=0.10"],
    },
)
