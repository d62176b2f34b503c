import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.toolchain import ROOT

COMPOSE = ROOT / "infra" / "docker" / "compose.yaml"


@pytest.fixture(scope="module")
def composition() -> dict[str, Any]:
    """The parsed compose file."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def test_every_published_port_is_bound_to_loopback(composition: dict[str, Any]) -> None:
    """No service can be reached from another machine, and PostgreSQL not even from this one."""
    ports = {name: service["ports"] for name, service in composition["services"].items() if "ports" in service}
    assert ports == {"prefect": ["127.0.0.1:4200:4200"], "mlflow": ["127.0.0.1:5000:5000"]}


def test_passwords_are_references_to_a_secret_file(composition: dict[str, Any]) -> None:
    """P14: the one password stands in a file git ignores; every use of it reads that file inside the container."""
    assert composition["secrets"] == {"postgres_password": {"file": "./secrets/postgres_password"}}
    assert "infra/docker/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    passwords = re.findall(r"://churnlake:(.+?)@", COMPOSE.read_text())
    assert passwords == ["$$(cat /run/secrets/postgres_password)"] * 2
    settings = [service.get("environment", {}) for service in composition["services"].values()]
    assert [value for pairs in settings for name, value in pairs.items() if "PASSWORD" in name] == [
        "/run/secrets/postgres_password"
    ]


def test_prefect_and_mlflow_each_have_a_database(composition: dict[str, Any]) -> None:
    """Both keep their state in the one PostgreSQL, in databases that its first start makes."""
    services = composition["services"]
    made = {services["postgres"]["environment"]["POSTGRES_DB"]}
    made |= set(re.findall(r"CREATE DATABASE (\w+)", (COMPOSE.parent / "databases.sql").read_text()))
    used = {re.search(r"@postgres:5432/(\w+)", str(services[name]["command"]))[1] for name in ("prefect", "mlflow")}  # type: ignore[index]
    assert used == made == {"prefect", "mlflow"}


def test_builds_and_files_named_exist(composition: dict[str, Any]) -> None:
    """Every Dockerfile and mounted file of the composition is in the clone."""
    builds = [service["build"] for service in composition["services"].values() if "build" in service]
    folder: Path = COMPOSE.parent
    assert all((folder / build["context"] / build["dockerfile"]).is_file() for build in builds)
    assert (folder / "databases.sql").is_file()
