"""What `import rnn_capacity` gives: every name that the documents use, and a version."""

import re
import subprocess
import sys

import pytest
from helpers import ROOT

import rnn_capacity

NAMED = re.compile(r"\brnn_capacity((?:\.[A-Za-z_]\w*)+)")  # not the folder's: rnn_capacity/paper/dataset.py


def names():
    """Of calls and modules in Python blocks and in the text, without files."""
    files = [ROOT / "README.md", ROOT / "BUILD.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    text = re.sub(r"(?s)```{eval-rst}.*?```", "", text)  # which name modules themselves
    return sorted({name[1:] for name in NAMED.findall(text) if not name.endswith(".py")})


LOOK_UP = """
import functools, sys
import rnn_capacity
before = {name for name in sys.modules if name.startswith(("rnn_capacity.", "flax"))}
for name in sys.argv[1:]:
    functools.reduce(getattr, name.split("."), rnn_capacity)
print(*before)
"""


def test_every_name_of_the_documents_is_there_after_one_import():
    found = names()
    assert {"paper.dataset.read", "measure_capacity", "search.GPBanditSampler"} <= set(found)
    command = [sys.executable, "-c", LOOK_UP, *found]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "rnn_capacity.paper.dataset" not in done.stdout.split()  # what is seldom used is imported when it is
    assert "rnn_capacity.sweep" not in done.stdout.split()
    assert "flax" not in done.stdout.split()


def test_modules_are_listed_and_what_there_is_not_is_an_attribute_error():
    assert {"paper", "sweep", "measure_capacity"} <= set(dir(rnn_capacity))
    with pytest.raises(AttributeError, match=r"^module 'rnn_capacity' has no attribute 'recal'$"):
        _ = rnn_capacity.recal
    assert not hasattr(rnn_capacity, "__wrapped__")
