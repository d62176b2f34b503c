import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.toolchain import ROOT

DOCKERFILES = sorted((ROOT / "infra" / "docker").glob("Dockerfile.*"))
BASE = os.environ.get("IMAGE_BASE")


def test_both_dockerfiles_are_there() -> None:
    """One image for Spark jobs and one for flows."""
    assert [path.name for path in DOCKERFILES] == ["Dockerfile.flows", "Dockerfile.spark"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.suffix[1:])
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    """The image files pass the linter without a single exception."""
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([str(hadolint), str(dockerfile)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
    assert "hadolint ignore" not in dockerfile.read_text()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.suffix[1:])
def test_images_run_as_nobody_in_particular(dockerfile: Path) -> None:
    """The last user of each image is a number that is not the administrator's."""
    users = [line.split()[1] for line in dockerfile.read_text().splitlines() if line.startswith("USER ")]
    assert users == ["10001"]


@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed: images are linted, not built")
@pytest.mark.skipif(BASE is None, reason="IMAGE_BASE names no base image: images are linted, not built")
@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.suffix[1:])
def test_images_build(dockerfile: Path) -> None:
    """Each image builds from the clone, with every hash checked on the way."""
    command = ["buildah", "bud", "--isolation", "chroot", "--build-arg", f"BASE={BASE}", "-f", str(dockerfile), "."]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
