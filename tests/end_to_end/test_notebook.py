"""The notebook runs from top to bottom in a fresh kernel, and is kept with what such a run gave.

`python tests/end_to_end/test_notebook.py` runs it and keeps what came out.
"""

import base64
import glob
import importlib.util
import os
import pathlib
import re
import shutil
import time
from types import SimpleNamespace

import nbformat
import pytest
from ipykernel.kernelspec import write_kernel_spec
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"


def kept():
    return nbformat.read(NOTEBOOK, as_version=4)


def execute(notebook, folder, **options):
    """By a kernel of the interpreter that this is, which compiles as a user's does."""
    write_kernel_spec(str(folder / "kernels" / "python3"))
    manager = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(folder / "kernels")]))
    client = NotebookClient(notebook, km=manager, timeout=300, record_timing=False, **options)
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}
    client.execute(cwd=str(ROOT), env=environment)  # the package is importable there


def run(folder):
    """The notebook run; bars of progress, which are gone, are left out."""
    notebook = kept()
    execute(notebook, folder)
    for cell in codes(notebook):
        cell.outputs = [o for o in cell.outputs if o.output_type != "display_data" or "image/png" in o.data]
    notebook.metadata = kept().metadata
    return notebook


def codes(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def showing(notebook, source):
    """The outputs of the one cell whose last line it is."""
    (cell,) = (cell for cell in codes(notebook) if cell.source.splitlines()[-1] == source)
    return cell.outputs


def page(notebook, name):
    """The HTML of a result that a cell ends with."""
    (output,) = showing(notebook, name)
    return output.data["text/html"]


def rows(html):
    """The first table's rows, each as a dict of strings."""
    head, *body = html.split("</table>")[0].split("<tr")[1:]
    names = re.findall(r"<th>(.*?)</th>", head)
    return [dict(zip(names, re.findall(r"<td>(.*?)</td>", line), strict=True)) for line in body]


def every_cell_ran_in_its_order_without_error(notebook):
    assert [cell.execution_count for cell in codes(notebook)] == list(range(1, len(codes(notebook)) + 1))
    outputs = [output for cell in codes(notebook) for output in cell.outputs]
    assert {o.output_type for o in outputs} == {"display_data", "execute_result", "stream"}


def nothing_is_installed_where_the_package_is_and_the_device_is_named(notebook):
    first, second, *_ = codes(notebook)
    assert "%pip install" in first.source
    assert first.outputs == []
    assert re.search(r"^\d+ x .+ \((cpu|gpu|tpu)\), JAX \d", second.outputs[-1].text)


def capacities_are_shown_well_above_chance(notebook):
    for name, cell in (("gru", "gru"), ("mine", "leaky")):
        shown = page(notebook, name)
        (found,) = rows(shown)
        assert f"{cell}, depth 1: {found['bits/param']} bits per parameter" in shown
        assert found["cell"] == cell
        assert 200 < int(found["params"]) <= 250
        assert 1 < float(found["bits/param"]) < 6
        assert float(found["chance"]) < 0.1


def both_cells_stand_in_one_table_as_they_stood_alone(notebook):
    together = rows(page(notebook, "both"))
    assert [row["cell"] for row in together] == ["gru", "leaky"]
    for row, name in zip(together, ("gru", "mine"), strict=True):
        (alone,) = rows(page(notebook, name))
        assert alone.items() <= row.items()


def recall_lies_near_the_line(notebook):
    found = rows(page(notebook, "recall"))
    assert [float(row["the line"]) for row in found] == [0.75, 0.5, 0]
    for row in found:
        assert -0.03 < float(row["error"]) - float(row["the line"]) < 0.1


def trainability_is_better_than_no_training(notebook):
    (found,) = rows(page(notebook, "trained"))
    assert (found["task"], found["cell"], found["trials"]) == ("parentheses", "gru", "16")
    assert float(found["score"]) > float(found["chance"])
    assert float(found["loss"]) < float(found["median"])


def each_plot_is_shown_once(notebook):
    for name in ("gru", "both", "recall", "trained"):
        (output,) = showing(notebook, f"{name}.plot();")
        assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG")


FACTS = (
    every_cell_ran_in_its_order_without_error,
    nothing_is_installed_where_the_package_is_and_the_device_is_named,
    capacities_are_shown_well_above_chance,
    both_cells_stand_in_one_table_as_they_stood_alone,
    recall_lies_near_the_line,
    trainability_is_better_than_no_training,
    each_plot_is_shown_once,
)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
def test_it_is_kept_with_outputs(fact):
    fact(kept())


def test_it_runs_anew_within_minutes(tmp_path, monkeypatch):
    """All in one test: where tests are spread over processes, it is run once."""
    monkeypatch.delenv("MPLBACKEND", raising=False)  # a kernel has its own
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    begun = time.monotonic()
    found = run(tmp_path)
    assert time.monotonic() - begun < 300
    for fact in FACTS:
        fact(found)


def test_the_file_is_small_and_says_nothing_of_the_machine_that_ran_it():
    assert NOTEBOOK.stat().st_size < 400_000
    found = kept()
    assert found.metadata.kernelspec == {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert found.metadata.language_info == {"name": "python"}
    assert not [o for cell in codes(found) for o in cell.outputs if o.get("name") == "stderr"]
    assert "site-packages" not in NOTEBOOK.read_text()


def installs(folder, missing="tinygp", owner="OWNER", program=None):
    """What pip is asked for where the first cell runs in a folder and a package is missing; None: it is not asked."""
    asked, find = [], importlib.util.find_spec
    scope = {"get_ipython": lambda: SimpleNamespace(run_line_magic=lambda name, line: asked.append((name, line)))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
        patch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == program else None)
        patch.setattr(glob, "glob", lambda pattern: [])
        patch.chdir(folder)
        exec(TransformerManager().transform_cell(codes(kept())[0].source.replace("/OWNER/", f"/{owner}/")), scope)
    assert asked in ([], [("pip", 'install --quiet "{source}"')])
    return scope["source"] if asked else None


@pytest.mark.parametrize("missing", ["rnn_capacity", "tinygp"])
def test_in_a_clone_the_clone_is_installed(missing):
    assert installs(ROOT, missing) == "."
    assert installs(ROOT / "notebooks", missing) == ".."
    assert installs(ROOT / "notebooks", missing, program="nvidia-smi") == "..[cuda]"
    assert installs(ROOT / "notebooks", missing=None) is None


def test_elsewhere_it_is_installed_from_its_owner_whom_one_must_tell(tmp_path):
    found = installs(tmp_path, owner="someone", program="nvidia-smi")
    assert found == "rnn_capacity[cuda] @ git+https://github.com/someone/rnn_capacity"
    with pytest.raises(ValueError, match=r"^REPOSITORY: OWNER given; put the name of the owner"):
        installs(tmp_path)


def test_whoever_meets_owner_is_told_to_put_a_name():
    """Nobody knows the address of a copy before it is there."""
    texts = [(ROOT / "README.md").read_text(encoding="utf-8"), *(cell.source for cell in kept().cells)]
    with_owner = [text for text in texts if "/OWNER/" in text]
    assert len(with_owner) == 3  # the README, the badge's cell and the one that installs
    for text in with_owner:
        assert re.search(r"owner\s+of\s+your\s+copy", text)


def test_colab_opens_this_very_file():
    badge, *_ = kept().cells
    assert f"/blob/main/{NOTEBOOK.relative_to(ROOT)})" in badge.source


INTERRUPTED = """
import os, signal
import rnn_capacity
from rnn_capacity.studies.progress import Silent

class Interrupts(Silent):  # as the button does, three times
    def update(self, level, done, note):
        if level == "batch":
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)

rnn_capacity.measure_recall("rnn", num_units=2, num_inputs=4, unroll=2, num_trials=2, progress=Interrupts())
"""


def test_an_interrupted_measurement_is_a_keyboard_interrupt_and_the_kernel_lives(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in (INTERRUPTED, "print('alive')")]
    execute(nbformat.v4.new_notebook(cells=cells), tmp_path, allow_errors=True)
    (error,), (printed,) = (cell.outputs for cell in cells)
    assert error.ename == "KeyboardInterrupt"
    assert error.evalue == "stopped by Ctrl-C; with a storage the same call goes on where it was"
    assert printed.text == "alive\n"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(run(pathlib.Path(folder)), NOTEBOOK)
