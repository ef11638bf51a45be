"""The recipes of launch/cluster: shell that does what it says, YAML whose parts agree, commands that exist."""

import importlib.util
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml
from helpers import ROOT

from rnn_capacity import sweep

CLUSTER = ROOT / "launch" / "cluster"
SHELL = sorted(CLUSTER.glob("*.sh"))
TINY = [
    "--config=experiments/irnn.py:quick",
    "--config.num_params=60",
    "--config.num_inputs=8",
    "--config.unroll=1",
    "--config.num_trials=2",
    "--config.num_repeats=0",
    "--config.train_steps=20",
]


def read(name):
    return (CLUSTER / name).read_text()


def check_flags(flags):
    """That launch/sweep.py knows them, and that the config is there and has the fields."""
    known = re.findall(r'DEFINE_\w+\(\s*"(\w+)"', (ROOT / "launch" / "sweep.py").read_text())
    assert {"config", "workdir"} <= set(known)
    for flag in flags:
        name, value = re.fullmatch(r"--([\w.]+)=(.+)", flag).groups()
        if name == "config":
            path = ROOT / value.split(":")[0]
            spec = importlib.util.spec_from_file_location(path.stem, path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            module.get_config()
        elif name.startswith("config."):
            assert name.split(".")[1] in sweep.FIELDS
        else:
            assert name in known


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Puts a shell script on the PATH under a name; `stand_in.log()` has the lines that these appended to $LOG."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))

    def write(name, script):
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / name).chmod(0o755)
        return folder / name

    write.log = lambda: (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []
    return write


def bash(*command, cwd=ROOT, **environment):
    return subprocess.run(
        ["bash", *map(str, command)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


# --- Shell ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shell_parses(script):
    done = bash("-n", script)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.access(script, os.X_OK)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script):
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", sorted(CLUSTER.iterdir()), ids=lambda path: path.name)
def test_the_commands_in_comments_exist(path):
    text = path.read_text()
    check_flags(re.findall(r"--config(?:\.\w+)?=[\w/.:]+|--workdir=[\w/]+", text))
    for named in re.findall(r"launch/[\w/.]*\w", text):
        assert (ROOT / named).exists(), named


# --- Slurm ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def slurm(stand_in):
    """Runs slurm.sh as sbatch would, with an srun that runs its command once; what ran, what was requeued."""
    stand_in("srun", 'while [[ $1 == --* ]]; do echo "srun $1" >> "$LOG"; shift; done; exec "$@"')
    stand_in("scontrol", 'echo "scontrol $*" >> "$LOG"')

    def run(*flags, python, **environment):
        done = bash(CLUSTER / "slurm.sh", *flags, SLURM_JOB_ID="7", PYTHON=str(python), **environment)
        return done, stand_in.log()

    return run


def test_slurm_runs_a_sweep(slurm, tmp_path):
    flags = [*TINY, f"--workdir={tmp_path / 'out'}"]
    done, log = slurm(*flags, python=sys.executable, PYTHONPATH=str(ROOT), JAX_PLATFORMS="cpu")
    assert done.returncode == 0, done.stderr
    assert log == ["srun --kill-on-bad-exit=0", "srun --cpu-bind=none"]
    (result,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert result["num_trials"] == 2


@pytest.mark.parametrize(("code", "requeued"), [(0, []), (1, []), (143, ["scontrol requeue 7"])])
def test_slurm_goes_back_to_the_queue_when_it_was_asked_to_stop(slurm, stand_in, code, requeued):
    done, log = slurm("--config=x", python=stand_in("python", f"exit {code}"))
    assert done.returncode == code
    assert [line for line in log if line.startswith("scontrol")] == requeued


@pytest.mark.parametrize(("gpus", "ids"), [({}, ""), ({"SLURM_GPUS_ON_NODE": "4"}, "0,1,2,3")])
def test_slurm_gives_a_process_every_gpu_of_its_node(slurm, stand_in, gpus, ids):
    _, log = slurm(python=stand_in("python", 'echo "ids $JAX_LOCAL_DEVICE_IDS" >> "$LOG"'), **gpus)
    assert f"ids {ids}" in log


def test_slurm_warns_before_the_end_and_starts_one_task_a_node():
    options = re.findall(r"^#SBATCH (\S+)$", read("slurm.sh"), re.MULTILINE)
    assert {"--signal=TERM@60", "--requeue", "--ntasks-per-node=1", "--exclusive"} <= set(options)


# --- Cloud TPU --------------------------------------------------------------------------------------------------------

# Two hosts are two folders; a command "on" them is run there. The slice is there at the second look.
GCLOUD = r"""
echo "gcloud $*" >> "$LOG"
for arg in "$@"; do case $arg in
  --worker=all) workers="0 1" ;; --worker=*) workers=${arg#*=} ;; --command=*) command=${arg#*=} ;; esac; done
case "$3 $4" in
  "queued-resources create") touch "$HOSTS/asked" ;;
  "queued-resources describe")
    if [ -e "$HOSTS/active" ]; then echo ACTIVE; elif [ -e "$HOSTS/asked" ]; then
      touch "$HOSTS/active"; echo WAITING_FOR_RESOURCES; else exit 1; fi ;;
  "tpu-vm ssh") for w in $workers; do (cd "$HOSTS/$w" && bash -c "$command") || exit; done ;;
  "tpu-vm scp")
    if [ "$5" = --recurse ]; then cp -r "$HOSTS/0/${6#*:}" "$7"; else
      for w in $workers; do cp "$5" "$HOSTS/$w/"; done; fi ;;
esac
"""
# A sweep that trains until it is told to stop, and then has a checkpoint.
PYTHON = """#!/bin/bash
echo "$@" > flags; mkdir -p results/gru
trap 'echo saved > results/gru/checkpoint; exit 143' TERM
echo training; while true; do sleep 0.05; done
"""


def test_tpu_runs_on_every_host_stops_with_checkpoints_and_brings_the_results(stand_in, tmp_path):
    hosts = [tmp_path / "hosts" / "0", tmp_path / "hosts" / "1"]
    for host in hosts:
        (host / "rnn_capacity" / ".venv" / "bin").mkdir(parents=True)
        (host / "rnn_capacity" / ".venv" / "bin" / "python").write_text(PYTHON)
        (host / "rnn_capacity" / ".venv" / "bin" / "python").chmod(0o755)
    stand_in("gcloud", GCLOUD)
    stand_in("python3", 'echo "python3 $*" >> "$LOG"')

    def tpu(*command):
        return bash(CLUSTER / "tpu.sh", *command, cwd=code, HOSTS=str(tmp_path / "hosts"), WAIT="0", SPOT="1")

    code = tmp_path / "code"
    code.mkdir()
    (code / "committed").write_text("this")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(code)]
    for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run([*git, *step], check=True)

    done = tpu("create")
    assert done.returncode == 0, done.stderr
    (created,) = [line for line in stand_in.log() if "queued-resources create" in line]
    assert {"--accelerator-type=v6e-16", "--runtime-version=v2-alpha-tpuv6e", "--spot"} <= set(created.split())
    assert [(host / "rnn_capacity" / "committed").read_text() for host in hosts] == ["this", "this"]
    installed = [line for line in stand_in.log() if "uv pip install" in line and line.startswith("python3")]
    assert installed == ["python3 -m uv pip install -q .[tpu,postgres]"] * 2

    flags = ["--config=experiments/gru.py", "--workdir=results/gru", "--config.hparams.learning_rate=(0.01, 0.1)"]
    script = [CLUSTER / "tpu.sh", "run", *flags]
    environment = os.environ | {"HOSTS": str(tmp_path / "hosts")}
    running = subprocess.Popen(["bash", *map(str, script)], cwd=code, env=environment, stdout=subprocess.PIPE)
    assert running.stdout.readline() == b"training\n"
    assert tpu("stop").returncode == 0
    running.communicate(timeout=30)  # ends with the sweep
    assert running.returncode == 0
    for host in hosts:
        assert (host / "rnn_capacity" / "flags").read_text().split(maxsplit=1) == [
            "launch/sweep.py",
            " ".join(flags) + "\n",
        ]

    assert tpu("fetch", "results/gru").returncode == 0
    assert (code / "results" / "gru" / "checkpoint").read_text() == "saved\n"
    assert tpu("delete").returncode == 0
    assert "queued-resources delete rnn-capacity" in stand_in.log()[-1]


def test_tpu_says_that_a_slice_was_taken(stand_in):
    stand_in("gcloud", "echo SUSPENDED")
    done = bash(CLUSTER / "tpu.sh", "create")
    assert (done.returncode, done.stderr) == (1, "rnn-capacity: SUSPENDED; delete it and create it again\n")


def test_tpu_without_a_command_tells_how_it_is_used():
    done = bash(CLUSTER / "tpu.sh")
    assert done.returncode == 2
    for command in ("create", "run --config=experiments/gru.py", "stop", "fetch", "delete"):
        assert f"\n  launch/cluster/tpu.sh {command}" in done.stdout


# --- Kubernetes -------------------------------------------------------------------------------------------------------


def test_the_jobset_agrees_with_itself():
    volume, jobset = yaml.safe_load_all(read("jobset.yaml"))
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    (hosts,) = jobset["spec"]["replicatedJobs"]
    job = hosts["template"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    env = {e["name"]: e for e in container["env"]}

    assert hosts["replicas"] == 1
    assert job["parallelism"] == job["completions"] == int(env["JAX_NUM_PROCESSES"]["value"])
    assert job["completionMode"] == "Indexed"
    # JobSet names a pod <set>-<job>-<number of the job>-<number of the pod>, in the subdomain <set>
    name = jobset["metadata"]["name"]
    assert env["JAX_COORDINATOR_ADDRESS"]["value"] == f"{name}-{hosts['name']}-0-0.{name}:8476"
    index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert env["JAX_PROCESS_ID"]["valueFrom"]["fieldRef"]["fieldPath"] == index
    # hosts x chips of a host = chips of the slice
    rows, columns = pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x")
    assert job["parallelism"] * container["resources"]["limits"]["google.com/tpu"] == int(rows) * int(columns)

    # any pod that ends ends its job, and this the set, which starts again
    assert (job["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] > 0
    assert job["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"] == [143]
    assert pod["terminationGracePeriodSeconds"] >= 60

    check_flags(container["args"])
    (workdir,) = [arg.removeprefix("--workdir=") for arg in container["args"] if arg.startswith("--workdir=")]
    (mount,) = container["volumeMounts"]
    assert pathlib.PurePath(workdir).is_relative_to(mount["mountPath"])
    (claim,) = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if v["name"] == mount["name"]]
    assert (volume["kind"], volume["metadata"]["name"]) == ("PersistentVolumeClaim", claim)
    assert volume["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_image_starts_the_sweep_without_a_shell_and_has_extras_that_exist():
    text = read("Dockerfile")
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1]) == ["python", "launch/sweep.py"]
    extras = re.search(r'"\.\[\$\{EXTRA\},(\w+)\]"', text)[1], *re.findall(r"EXTRA=(\w+)", text)
    assert set(extras) == {"postgres", "tpu", "cuda"}
    for extra in extras:
        assert f'"{extra}": [' in (ROOT / "setup.py").read_text()


# --- SkyPilot ---------------------------------------------------------------------------------------------------------

SHOW = 'echo "$JAX_COORDINATOR_ADDRESS $JAX_NUM_PROCESSES $JAX_PROCESS_ID"; printf "%s\\n" "$@"'


@pytest.mark.parametrize(("nodes", "joined"), [(1, "  "), (2, "10.0.0.1:8476 2 1")])
def test_skypilot_joins_the_nodes_of_a_worker(stand_in, tmp_path, nodes, joined):
    task = yaml.safe_load(read("skypilot.yaml"))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(stand_in("python", SHOW).parent)
    done = bash(
        "-c",
        task["run"],
        cwd=tmp_path,
        SKYPILOT_NUM_NODES=str(nodes),
        SKYPILOT_NODE_RANK="1",
        SKYPILOT_NODE_IPS="10.0.0.1\n10.0.0.2",
        STORAGE="postgresql://u:p@h/d",
        **task["envs"],
    )
    assert done.returncode == 0, done.stderr
    shown, script, *flags = done.stdout.splitlines()
    assert (shown, script) == (joined, "launch/sweep.py")
    assert flags == ["--config=experiments/gru.py", "--config.storage=postgresql://u:p@h/d"]
    check_flags(flags)


def test_skypilot_brings_back_what_was_preempted_and_needs_a_database():
    task = yaml.safe_load(read("skypilot.yaml"))
    assert task["resources"]["use_spot"] is True
    assert task["resources"]["job_recovery"] == {"recover_on_exit_codes": [143]}
    assert task["secrets"] == {"STORAGE": None}
    assert set(re.findall(r"--(?:secret|env) (\w+)=", read("skypilot.yaml"))) <= {*task["envs"], *task["secrets"]}
    assert shlex.split(task["setup"].splitlines()[-1])[-1] == ".[$EXTRA,postgres]"
