"""The commands of launch/: what is wrong is one line and exit code 1, a bug is a traceback, Ctrl-C is 130."""

import errno
import os
import signal
import subprocess
import sys

import pytest
from helpers import ROOT

from rnn_capacity import sweep
from rnn_capacity.checks import InputError
from rnn_capacity.studies.database import StorageLostError
from rnn_capacity.training import hosts
from rnn_capacity.training.trainer import OutOfMemoryError

QUICK = "--config=experiments/irnn.py:quick"
PARENTHESES = "--config=experiments/parentheses.py:quick"
FIG2A = "--config=experiments/figures/fig2a.py:quick"


BAD = [
    # flags
    ("config: none given; it must be a file of experiments/", ["sweep"]),
    ("Missing value for flag --config", ["sweep", "--config"]),
    ("config: '' given", ["sweep", "--config="]),
    ("config: 'experiments/irnn.py:quick' and 'experiments/parentheses.py:quick' given", ["sweep", QUICK, PARENTHESES]),
    ("config.foo: no such field; there are", ["sweep", QUICK.removeprefix("-"), "-config.foo=1"]),
    ("config: 'experiments/none.py' given; it must be .*No such file", ["sweep", "--config=experiments/none.py"]),
    ("config: 'experiments' given; it must be .*Is a directory", ["sweep", "--config=experiments"]),
    ("config: 'docs/modern.png' given; it must be a Python file", ["sweep", "--config", "docs/modern.png"]),
    ("config: 'README.md' given; .*SyntaxError", ["sweep", "--config=README.md"]),
    (
        "config argument: 'fast' given; it must be 'quick', 'evening'",
        ["sweep", "--config=experiments/irnn.py:fast"],
    ),
    ("unknown arguments: results", ["sweep", QUICK, "results"]),
    ("Unknown command line flag 'workdirr'. Did you mean: workdir", ["sweep", QUICK, "--workdirr=a"]),
    ("num_processes: 'two' given; it must be a whole number", ["sweep", QUICK, "--num_processes=two"]),
    ("num_processes: 0 given; it must be .* at least 1", ["sweep", QUICK, "--num_processes=0"]),
    ("process_id: 2 given; it must be from 0 to 1", ["sweep", QUICK, "--num_processes=2", "--process_id=2"]),
    ("coordinator_address: 'a' given; it must be host:port", ["sweep", QUICK, "--coordinator_address=a"]),
    ("coordinator_address: None given beside num_processes=2", ["sweep", QUICK, "--num_processes=2"]),
    ("initialization_timeout: 0 given", ["sweep", QUICK, "--initialization_timeout=0"]),
    # folders and databases
    ("workdir: '/proc/nowhere' given; it must be a folder that can be", ["sweep", QUICK, "--workdir=/proc/nowhere"]),
    ("workdir: '' given; it must be a folder", ["sweep", QUICK, "--workdir="]),
    ("workdir: 'postgresql://a/b' given; it must be a folder", ["sweep", QUICK, "--workdir=postgresql://a/b"]),
    ("checkpoints: '/proc/x' given", ["sweep", QUICK, "--config.checkpoints=/proc/x"]),
    ("storage: 'x://y' given; it must be a folder, or a URL such as", ["sweep", QUICK, "--config.storage=x://y"]),
    ("storage: 3 given", ["sweep", QUICK, "--config.storage=3"]),
    # fields of a config
    ("config.foo: no such field; there are batch_size, cell,", ["sweep", QUICK, "--config.foo=1"]),
    ("config.num_trials.x: no such field; it has none", ["sweep", QUICK, "--config.num_trials.x=1"]),
    ("config.hparams.learnig_rate: no such field; there are", ["sweep", QUICK, "--config.hparams.learnig_rate=1"]),
    ("config.task_fields: no such field; there are", ["sweep", QUICK, "--config.task_fields.num_types=1"]),
    ("config.task_fields.foo: no such field; there are", ["sweep", PARENTHESES, "--config.task_fields.foo=1"]),
    ("config.task_fields.num_types: 'x' given; it must be", ["sweep", PARENTHESES, "--config.task_fields.num_types=x"]),
    ("num_types: 0 given", ["sweep", PARENTHESES, "--config.task_fields.num_types=0"]),
    ("config.depths: no such field; there are sweeps, workdir", ["sweep", FIG2A, "--config.depths=1"]),
    ("config.sweeps.blue: no such field; there are relu, tanh", ["sweep", FIG2A, "--config.sweeps.blue.depths=1"]),
    ("config.sweeps.relu.foo: no such field; there are", ["sweep", FIG2A, "--config.sweeps.relu.foo=1"]),
    ("sweeps.relu.depth: 0 given", ["sweep", FIG2A, "--config.sweeps.relu.depths=0"]),
    ("Failed to parse '3' as a ConfigDict", ["sweep", FIG2A, "--config.sweeps=3"]),
    # their values
    ("config.num_trials: 'many' given; it must be a whole number", ["sweep", QUICK, "--config.num_trials=many"]),
    ("config.num_trials: '1.5' given; it must be a whole number", ["sweep", QUICK, "--config.num_trials=1.5"]),
    ("num_trials: -1 given", ["sweep", QUICK, "--config.num_trials=-1"]),
    ("cell: '3' given; it must be one of 'rnn'", ["sweep", QUICK, "--config.cell=3"]),
    ("cell: 'elman' given", ["sweep", QUICK, "--config.cell=elman"]),
    ("task: 'tetris' given", ["sweep", QUICK, "--config.task=tetris"]),
    ("depth: 1.5 given", ["sweep", QUICK, "--config.depths=1.5"]),
    ("depth: 'a' given", ["sweep", QUICK, "--config.depths=(1,'a')"]),
    ("config: a grid without points", ["sweep", QUICK, "--config.depths=()"]),
    ("num_params: 1000.0 given", ["sweep", QUICK, "--config.num_params=1e3"]),
    ("num_params: 99999999999 given", ["sweep", QUICK, "--config.num_params=99999999999"]),
    ("unroll: None given", ["sweep", QUICK, "--config.unroll=None"]),
    ("num_inputs: [1] given", ["sweep", QUICK, "--config.num_inputs=[1]"]),
    ("batch_size: {} given", ["sweep", QUICK, "--config.batch_size={}"]),
    ("space: 'big' given", ["sweep", QUICK, "--config.space=big"]),
    ("hparams.learning_rate: 'x' given", ["sweep", QUICK, "--config.hparams.learning_rate=x"]),
    ("hparams.learning_rate: (0.1, 0.01) given", ["sweep", QUICK, "--config.hparams.learning_rate=(0.1,0.01)"]),
    ("hparams.optimizer: 3 given", ["sweep", QUICK, "--config.hparams.optimizer=3"]),
    ("sampler: 'vizier' given", ["sweep", QUICK, "--config.sampler=vizier"]),
    ("halving: 1 given", ["sweep", QUICK, "--config.halving=1"]),
    ("seed: 18446744073709551616 given", ["sweep", QUICK, "--config.seed=18446744073709551616"]),
    ("precision: 'low' given", ["sweep", QUICK, "--config.precision=low"]),
    ("devices: 'all' given", ["sweep", QUICK, "--config.devices=all"]),
    ("trials_per_device: 0 given", ["sweep", QUICK, "--config.trials_per_device=0"]),
    ("per_cell.rnn: 3 given; it must be a mapping", ["sweep", QUICK, "--config.per_cell={'rnn': 3}"]),
    ("per_cell: 'elman' given", ["sweep", QUICK, "--config.per_cell={'elman': {'depths': 2}}"]),
    # the other commands
    ("--workdir must be given", ["report"]),
    ("workdir: '/nowhere' given; it must be a folder that is there", ["report", "--workdir=/nowhere"]),
    ("config: none given; it must be a file of experiments/", ["compile", "--topology=h100"]),
    ("--topology must be given: h100, a100, or a TPU", ["compile", QUICK]),
    ("topology: 'v9:2x2' given; it must be a100 or h100,", ["compile", QUICK, "--topology=v9:2x2"]),
    ("config.foo: no such field; there are batch_size,", ["compile", QUICK, "--topology=h100", "--config.foo=1"]),
    ("unknown arguments: a", ["report", "--workdir=TMP", "a"]),
    ("Unknown command line flag 'foo'", ["report", "--foo"]),
    ("--out must be given, and one of --storage and --authors", ["table", "--out=TMP/o"]),
    ("storage: '/nowhere' given", ["table", "--storage=/nowhere", "--out=TMP/o"]),
    ("out: '/nowhere/o' given; it must be a file", ["table", "--storage=TMP", "--out=/nowhere/o"]),
    ("authors: '/nowhere' given; it must be a file", ["table", "--authors=/nowhere", "--out=TMP/o"]),
    ("command: none given; it must come first, and be one of submit, verify, build", ["leaderboard"]),
    ("command: 'sbmit' given; it must come first", ["leaderboard", "sbmit"]),
    ("--cell must be given to submit", ["leaderboard", "submit", "--protocol=capacity-500-v1"]),
    ("--protocol must be given to submit", ["leaderboard", "submit", "--cell=gru"]),
    ("--entry must be given to verify", ["leaderboard", "verify"]),
    ("--cell given; build has no such flag, but --folder", ["leaderboard", "build", "--cell=gru"]),
    ("unknown arguments: a", ["leaderboard", "build", "a"]),
    ("protocol: 'recall' given; it must be one of", ["leaderboard", "submit", "--cell=gru", "--protocol=recall"]),
    ("folder: '/nowhere' given; it must be a folder of entries", ["leaderboard", "build", "--folder=/nowhere"]),
    ("entry: '/nowhere' given; it must be a file", ["leaderboard", "verify", "--entry=/nowhere"]),
    ("seed: 'a' given; it must be a whole number", ["leaderboard", "verify", "--entry=a", "--seed=a"]),
    ("flag --format=csv: value should be one of <trials|authors>", ["table", "--out=TMP/o", "--format=csv"]),
]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("named", "command"), BAD, ids=[" ".join(command) for _, command in BAD])
def test_a_bad_command_line_ends_in_one_line(launch, tmp_path, named, command):
    if command[0] == "sweep" and not any("workdir" in arg for arg in command):
        command = ["sweep", f"--workdir={tmp_path / 'out'}", *command[1:]]
    code, output, errors = launch(*command)
    (line,) = errors.splitlines()
    assert (code, output) == (1, "")
    assert line.startswith("error: ")
    for part in named.split(".*"):
        assert part in line


CONFIGS = [
    ("def get_config():\n    return {'cell': 'rnn'}", "get_config returns {'cell': 'rnn'}"),
    ("def get_config():\n    pass", "get_config returns None"),
    ("def get_config():\n    settings = {}\n    return settings['lr']", "line 3: KeyError: 'lr'"),
    (
        "import ml_collections as m\ndef get_config():\n    return m.FrozenConfigDict({'cell': 'rnn'})",
        "get_config returns",
    ),
    ("def get_config():\n    return x", "line 2: NameError: name 'x' is not defined"),
    ("import no_such\ndef get_config(): pass", "line 1: ModuleNotFoundError: No module named 'no_such'"),
    ("def get_config(:", "line 1: SyntaxError: invalid syntax"),
    ("\nx = 'ü\n", "line 2: SyntaxError"),
    ("config = 3", "AttributeError: module 'config' has no attribute 'get_config'"),
    ("def get_config(arg):\n    return arg", "TypeError: get_config() missing 1 required positional argument"),
    ("def get_config():\n    return open('/nowhere')", "line 2: FileNotFoundError"),
    ("def get_config():\n    raise ValueError('of\\nmine')", "line 2: ValueError: of mine"),
]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("text", "reason"), CONFIGS, ids=[reason for _, reason in CONFIGS])
def test_a_config_file_that_is_none_is_refused_with_its_line(launch, tmp_path, text, reason):
    path = tmp_path / "mine.py"
    path.write_text(text, encoding="utf-8")
    code, output, errors = launch("sweep", f"--config={path}", "--config.seed=1")
    (line,) = errors.splitlines()
    assert (code, output) == (1, "")
    must = "it must be a Python file whose get_config returns a ConfigDict, as those of experiments/ do"
    assert line.startswith(f"error: config: '{path}' given; {must} (")
    assert reason in line


@pytest.mark.usefixtures("no_training")
def test_a_config_of_something_else_is_refused_by_name(launch, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import ml_collections\ndef get_config():\n    return ml_collections.ConfigDict({'model': 1})")
    code, _, errors = launch("sweep", f"--config={path}")
    assert code == 1
    assert errors.startswith("error: config field: 'model' given; it must be one of 'cell', 'task'")


# --- What is expected, and what is a bug ------------------------------------------------------------------------------


@pytest.fixture
def fails(launch, monkeypatch):
    """Runs a sweep that ends with an exception."""

    def run(error, *flags):
        def raised(_):
            raise error

        monkeypatch.setattr(sweep, "run", raised)
        return launch("sweep", QUICK, *flags)

    return run


@pytest.mark.parametrize(
    "error",
    [
        InputError("depth: 0 given"),
        StorageLostError("the database is away"),
        OutOfMemoryError("a single trial does not fit"),
        hosts.JobError("process 1 is gone"),
        FileNotFoundError(errno.ENOENT, "No such file", "/nowhere"),
        OSError(errno.ENOSPC, "No space left on device"),
        ConnectionError("text8 could not be downloaded"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_may_happen_is_one_line_and_with_debug_a_traceback_too(fails, error):
    assert fails(error) == (1, "", f"error: {error}\n")
    with pytest.raises(type(error)):
        fails(error, "--debug")


@pytest.mark.parametrize(
    "error",
    [ValueError("shapes do not match"), KeyError("bits"), ImportError("x"), OSError("no file is named")],
    ids=repr,
)
def test_a_bug_shows_its_traceback(fails, error):
    with pytest.raises(type(error)):
        fails(error)


def test_debug_shows_where_bad_flags_and_configs_come_from(launch):
    for flag in ("--config=experiments/none.py", "--foo=1"):
        with pytest.raises(InputError):
            launch("sweep", flag, "--debug")


def test_ctrl_c_is_one_line(fails):
    assert fails(KeyboardInterrupt()) == (130, "", "stopped by Ctrl-C\n")
    assert fails(KeyboardInterrupt("stopped by Ctrl-C; the same")) == (130, "", "stopped by Ctrl-C; the same\n")


# --- Which copy runs --------------------------------------------------------------------------------------------------

STUB = {  # as much of the package as launch/sweep.py and launch/table.py import
    "__init__.py": "",
    "checks.py": "class InputError(ValueError): pass",
    "paper/dataset.py": "FORMATS = ('trials',)",
    "training/hosts.py": "INITIALIZATION_TIMEOUT = 1",
    "sweep.py": "",
    "dry_run.py": "",
    "command_line.py": "parse_flags = None\n"
    "def run(main, parse):\n    import experiments, signal\n"
    "    print(__file__, *experiments.__path__, signal.getsignal(signal.SIGINT) is signal.SIG_DFL)",
}


@pytest.mark.parametrize("script", ["sweep", "table"])
def test_an_installed_copy_runs_with_the_experiments_of_the_clone(tmp_path, script):
    """Whatever else is called experiments; and Ctrl-C while it is imported shows no traceback."""
    package = tmp_path / "rnn_capacity"
    for name, text in STUB.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    if script == "sweep":
        (tmp_path / "experiments").mkdir()
        (tmp_path / "experiments" / "__init__.py").write_text("")
    command = [sys.executable, str(ROOT / "launch" / f"{script}.py")]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert done.stdout.split() == [str(package / "command_line.py"), str(ROOT / "experiments"), "True"], done.stderr


def test_without_an_installed_copy_the_clones_runs(tmp_path):
    """Isolated from PYTHONPATH and from the folder that it is started in."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    script = "import runpy, sys; runpy.run_path(sys.argv[0]); import rnn_capacity; print(rnn_capacity.__file__)"
    script = script.replace("sys.argv[0]", repr(str(ROOT / "launch" / "table.py")))
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    installed = subprocess.run(
        [sys.executable, "-P", "-c", "import importlib.util as i; print(i.find_spec('rnn_capacity').origin)"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    expected = installed.stdout.strip() or str(ROOT / "rnn_capacity" / "__init__.py")
    assert done.stdout.strip() == expected, done.stderr
