"""The files for clusters in docs/scale: they can be parsed, and what they name exists."""

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from t2s_pipeline.core.settings import REPO

FOLDER = REPO / "docs" / "scale"
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]
DOCKERFILES = sorted(FOLDER.glob("*.Dockerfile"))
INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}


def instructions(file: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments."""
    text = re.sub(r"\\\n", " ", file.read_text("utf-8"))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    pairs = [line.split(maxsplit=1) for line in lines]
    return [(name, arguments) for name, arguments in pairs]


def test_the_batch_script_is_a_shell_script_with_options_that_slurm_and_ray_have():
    script = FOLDER / "evaluate.sbatch"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text("utf-8")
    given = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", text, re.MULTILINE))
    assert given["nodes"] == "4" and given["ntasks-per-node"] == "1" and "requeue" in given
    head, *_ = text.split("\nset -euo")
    assert len(given) == head.count("#SBATCH"), "each directive stands before the first command"
    command = re.sub(r"\\\n", " ", text[text.index("srun ") :]).split()
    ray = command[command.index("symmetric-run") + 1 : command.index("--")]
    from ray.scripts.symmetric_run import symmetric_run

    options = {option for parameter in symmetric_run.params for option in parameter.opts}
    from ray.scripts.scripts import start

    options |= {option for parameter in start.params for option in parameter.opts}
    assert {word for word in ray if word.startswith("--")} <= options
    # Each Ray node has what the job asks for per node.
    assert ray[ray.index("--num-gpus") + 1] == given["gpus-per-node"]
    assert ray[ray.index("--num-cpus") + 1] == given["cpus-per-task"]


def test_the_manifest_gives_every_container_the_same_home():
    claim, cluster, dagster = yaml.safe_load_all((FOLDER / "kuberay.yaml").read_text("utf-8"))
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups] + [dagster["spec"]["template"]["spec"]]
    for pod in pods:
        (container,) = pod["containers"]
        (volume,) = pod["volumes"]
        (mount,) = container["volumeMounts"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert mount["name"] == volume["name"]
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        assert variables["T2S_HOME"] == mount["mountPath"]
        # The access to an object store reaches every pod by itself: passed_on() sends no AWS_ variable to a cluster.
        assert container["envFrom"] == [{"secretRef": {"name": "t2s-store", "optional": True}}]
        name, _, tag = container["image"].rpartition("/")[2].partition(":")
        assert tag == PROJECT["version"] and (FOLDER / f"{name.removeprefix('t2s-')}.Dockerfile").is_file()
    # KubeRay names the service of the head after the cluster.
    assert variables["T2S_RAY_ADDRESS"] == f"http://{cluster['metadata']['name']}-head-svc:8265"
    assert cluster["spec"]["rayVersion"] == version("ray")
    assert groups[1]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.stem)
def test_a_dockerfile_copies_and_installs_what_there_is(file):
    parts = instructions(file)
    assert parts[0][0] == "FROM" and {name for name, _ in parts} <= INSTRUCTIONS
    image, _, tag = parts[0][1].partition(":")
    assert image == "python" and re.match(r"3\.1[123]-", tag), "an exact version of Python, never `latest`"
    for name, arguments in parts:
        if name == "COPY":
            *sources, _ = arguments.split()
            assert all((REPO / source).exists() for source in sources)
        if name == "USER":
            assert arguments != "root"
    (install,) = [arguments for name, arguments in parts if "pip install" in arguments]
    extras = re.search(r'-e "\.\[(.+)\]"', install)[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"]) and "ray" in extras
    constraints = re.search(r"-c (\S+)", install)[1]
    assert constraints == f"constraints/{file.stem}.txt" and (REPO / constraints).is_file()
    assert parts[-1][0] == "USER" or ("USER", "t2s") in parts
    named = re.search(r"docker build .*-f (\S+) -t \S+:(\S+)", file.read_text("utf-8"))
    assert named[1] == str(file.relative_to(REPO)) and named[2] == PROJECT["version"]


def test_each_environment_has_a_dockerfile():
    assert [file.stem for file in DOCKERFILES] == ["orchestrator", "worker"]


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_agrees():
    subprocess.run(["hadolint", *map(str, DOCKERFILES)], check=True)
