"""deploy/ is what it says: valid by the schemas of its platforms, and of nothing but what the product has."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict
from typer.main import get_command

from knowdefeat_pipeline import settings
from knowdefeat_pipeline.cli.app import app
from knowdefeat_pipeline.postgres import migrations, roles
from knowdefeat_pipeline.settings import ROOT, variable_names
from knowdefeat_pipeline.web.recorder import Recorder
from tests.postgres.servers import FOUND, server_of

DEPLOY = ROOT / "deploy"
GUIDE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
MANIFESTS = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "values.yaml")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
VALUES = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8"))
HEALTHY = ["python", "-m", "knowdefeat_pipeline.automation.healthy"]
HEALTH = {3000: {"/api/v1/health", "/static/icon.svg"}, 3001: {"/server_info"}, 3002: {"/"}, 8787: {"/health"}}
DASK = {"dask-scheduler", "dask-worker"}
OF_DAGSTER = {"DAGSTER_EVENT_BATCH_SIZE", "DAGSTER_PG_PASSWORD", "DAGSTER_K8S_PIPELINE_RUN_NAMESPACE"}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def containers() -> dict[str, dict[str, Any]]:
    """The containers of our manifests by name."""
    pods = [document["spec"]["template"]["spec"] for path in MANIFESTS for document in documents(path)
            if document["kind"] in ("Deployment", "Job")]  # fmt: skip
    return {container["name"]: container for pod in pods for container in pod["containers"]}


def require_command(command: list[str]) -> None:
    """Fail unless the product, or Dask, takes this command with these options."""
    name, *words = command
    if name == "dask":
        program = pytest.importorskip(f"distributed.cli.dask_{words.pop(0)}")
        assert program.main.make_context("dask", words).params["dashboard"] is False
        return
    assert name == "knowdefeat"
    group = get_command(app)
    with click.Context(group) as context:
        while isinstance(group, click.Group):
            group = group.get_command(context, words.pop(0)) or pytest.fail(f"no such command: {command}")
    with group.make_context("knowdefeat", words, resilient_parsing=False) as parsed:
        assert parsed.params is not None


def test_compose_is_valid_and_every_service_is_a_part_of_the_product() -> None:
    schemas = pytest.importorskip("check_jsonschema.builtin_schemas")
    import jsonschema

    jsonschema.validate(COMPOSE, schemas.get_builtin_schema("vendor.compose-spec"))
    parts = {name: service for name, service in COMPOSE["services"].items() if name != "postgres"}
    assert parts.keys() == {"migrate", "code", "daemon", "dagster", "pages", "listener", *DASK}
    assert {name for name, service in parts.items() if service.get("profiles")} == DASK
    for name, service in parts.items():
        command = service["command"]
        for one in command[2].split(" && ")[1:] if command[0] == "sh" else [shlex.join(command)]:
            require_command(shlex.split(one.partition(" > ")[0]))
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert set(service["environment"]) <= set(variable_names())
        assert set(service["secrets"]) <= COMPOSE["secrets"].keys()
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= COMPOSE["volumes"].keys()
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        if name != "migrate":
            assert service["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
            require_check(service["healthcheck"]["test"][1:] if "healthcheck" in service else image_check(), command)
    assert parts["listener"]["deploy"]["replicas"] == 2
    command = parts["code"]["command"]
    assert settings.workspace(settings.Settings(code_server=parts["daemon"]["environment"]["KNOWDEFEAT_CODE_SERVER"]))[1][
        "KNOWDEFEAT_CODE_PORT"
    ] == command[command.index("--port") + 1]  # fmt: skip
    assert parts["pages"]["deploy"]["resources"]["limits"] == {"memory": "2g"}  # 1 GiB of it is the recorder's
    assert containers()["pages"]["resources"]["limits"] == {"memory": "2Gi"}
    assert "database_url" not in parts["pages"]["secrets"]  # they have the rights of their role alone


def test_the_pages_of_compose_and_kubernetes_are_told_who_records_trades() -> None:
    asked = COMPOSE["services"]["migrate"]["command"][2]
    for variable, role in (("DATABASE_URL", "web"), ("INTAKE_URL", "pipeline")):
        file = COMPOSE["services"]["pages"]["environment"][f"KNOWDEFEAT_{variable}_FILE"]
        assert f"knowdefeat db url --role {role} > {file}" in asked
        assert f"--from-file=KNOWDEFEAT_{variable}" in GUIDE.partition("secret generic knowdefeat-web")[2]
        (given,) = [one for one in containers()["pages"]["env"] if one["name"] == f"KNOWDEFEAT_{variable}"]
        assert given["valueFrom"] == {"secretKeyRef": {"name": "knowdefeat-web", "key": f"KNOWDEFEAT_{variable}"}}


@pytest.mark.long
@pytest.mark.skipif(not FOUND or shutil.which("psql") is None, reason="no PostgreSQL of the system")
def test_the_database_s_start_shows_no_password_and_its_role_of_the_intake_records_files(tmp_path: Path) -> None:
    (tmp_path / "database_url").write_text("postgresql://knowdefeat:f00dcafe@postgres:5432/knowdefeat\n")
    shown = tmp_path / "arguments"
    (tmp_path / "psql").write_text(f'#!/bin/sh\necho "$@" > {shown}\nexec {shutil.which("psql")} "$@"\n')
    (tmp_path / "psql").chmod(0o755)
    with server_of(FOUND[max(FOUND)]) as server:
        parts = conninfo_to_dict(server)
        of_psql = {"PGHOST": "host", "PGPORT": "port", "PGPASSWORD": "password", "PGSSLROOTCERT": "sslrootcert"}
        environment = os.environ | {name: str(parts.get(key, "")) for name, key in of_psql.items()} | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}", "PGDATABASE": "postgres", "POSTGRES_USER": "owner",
            "KNOWDEFEAT_DATABASE_URL_FILE": str(tmp_path / "database_url"),
        }  # fmt: skip
        subprocess.run(["sh", str(DEPLOY / "postgres-init.sh")], env=environment, check=True, capture_output=True)
        assert "f00dcafe" not in shown.read_text()
        place = urlsplit(server)
        address = place.netloc.rpartition("@")[2]
        url = place._replace(netloc=f"knowdefeat:f00dcafe@{address}", path="/knowdefeat").geturl()
        migrations.upgrade(url)
        (tmp_path / "trades.csv").write_text(
            "id,bot,pair,side,opened_at,closed_at,open_price,close_price,position_value,fee\n" + "".join(
                f"{number},7,BTC-USD,buy,2025-01-02 10:00,2025-01-02 11:00,100,110,1000,1\n" for number in range(300)
            )
        )  # fmt: skip
        recorder = Recorder(roles.login_url(url, roles.PIPELINE, roles.Passwords(tmp_path / "roles")))
        (report,) = recorder.record_file(str(tmp_path / "trades.csv"), "trades.csv", {}, "test")
        assert report["inserted"] == 300


def test_nobody_but_who_needs_them_shares_a_network_with_the_code_server_or_dask() -> None:
    networks = {name: set(service["networks"]) for name, service in COMPOSE["services"].items()}
    assert set().union(*networks.values()) == COMPOSE["networks"].keys()
    beside = {name: {other for other, those in networks.items() if those & networks[name]} for name in networks}
    assert beside["code"] == {"code", "daemon", "dagster", "postgres", *DASK}
    assert all(beside[name] == {"code", "postgres", *DASK} for name in DASK)
    assert beside["postgres"] == networks.keys()


def image_check() -> list[str]:
    """The check of a container that has none of its own."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    found: list[str] = json.loads(re.findall(r"^    CMD (\[.+\])$", text, re.MULTILINE)[0])
    return found


def require_check(check: list[str], command: list[str]) -> None:
    """Fail unless the check asks the part at an address that it has."""
    assert check[:-1] == HEALTHY
    asked = re.fullmatch(r"(http|grpc)://127\.0\.0\.1:(\d+)(/\S*)?", check[-1])
    if asked is None:
        assert (check[-1], command) == ("daemon", ["knowdefeat", "serve", "daemon"])
        return
    option = "--dashboard-address" if command[0] == "dask" else "--health-port" if command[1] == "live" else "--port"
    assert asked[2] == command[command.index(option) + 1].removeprefix(":")
    assert asked[1] == "grpc" or asked[3] in HEALTH[int(asked[2])]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests_are_valid(path: Path) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for document in documents(path):
        kubernetes_validate.validate(document, "1.31", strict=True)
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_containers_run_commands_of_the_product_with_settings_that_it_reads_and_no_more_rights() -> None:
    found = containers()
    assert found.keys() == {"migrate", "listener", "pages", "dagster-ui", *DASK}
    (config,) = documents(DEPLOY / "kubernetes" / "config.yaml")
    known = set(variable_names()) | OF_DAGSTER
    assert config["data"].keys() <= known
    for name, container in found.items():
        require_command(container["command"])
        assert {variable["name"] for variable in container.get("env", [])} <= known
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert container["resources"].keys() == {"requests", "limits"}
        probes = [container.get(f"{kind}Probe") for kind in ("startup", "readiness", "liveness")]
        assert all(probes) == (name != "migrate")
        for probe in filter(None, probes):
            if "exec" in probe:
                require_check(probe["exec"]["command"], container["command"])
                continue
            asked = probe["httpGet"]
            (port,) = [port["containerPort"] for port in container["ports"] if port["name"] == asked["port"]]
            require_check([*HEALTHY, f"http://127.0.0.1:{port}{asked['path']}"], container["command"])
            if name not in DASK:
                assert asked["httpHeaders"] == [{"name": "Host", "value": "localhost"}]  # else the guard refuses
    assert found["dagster-ui"]["env"][0] == {
        "name": "KNOWDEFEAT_DAGSTER_HOME",
        "value": VALUES["global"]["dagsterHome"],
    }


def test_runs_and_workers_find_the_scheduler_of_dask_and_nobody_else_does() -> None:
    text = (DEPLOY / "kubernetes" / "config.yaml").read_text(encoding="utf-8")
    (named,) = re.findall(r"# KNOWDEFEAT_DASK_SCHEDULER: tcp://(\S+)", text)
    manifests = documents(DEPLOY / "kubernetes" / "dask.yaml")
    (service,) = [document for document in manifests if document["kind"] == "Service"]
    ((port,), selector) = service["spec"]["ports"], service["spec"]["selector"]
    assert named == f"{service['metadata']['name']}:{port['port']}"
    scheduler, worker = (containers()[name] for name in ("dask-scheduler", "dask-worker"))
    assert worker["command"][2] == f"tcp://{named}"
    assert scheduler["ports"][0] == {"name": port["targetPort"], "containerPort": port["port"]}
    assert scheduler["command"][scheduler["command"].index("--port") + 1] == str(port["port"])
    (placed,) = (document for document in manifests if document["metadata"]["name"] == "knowdefeat-dask-scheduler"
                 and document["kind"] == "Deployment")  # fmt: skip
    assert selector.items() <= placed["spec"]["template"]["metadata"]["labels"].items()

    rules = {rule["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name"): rule["spec"]["ingress"]
             for rule in documents(DEPLOY / "kubernetes" / "network.yaml")}  # fmt: skip
    let_in = {name: [peer["podSelector"]["matchLabels"] for rule in rules[f"knowdefeat-{name}"] for peer in rule["from"]]
              for name in DASK}  # fmt: skip
    assert let_in == {
        "dask-scheduler": [
            {"app.kubernetes.io/name": "dagster", "app.kubernetes.io/component": "run_worker"},
            {"app.kubernetes.io/name": "knowdefeat-dask-worker"},
        ],
        "dask-worker": [{"app.kubernetes.io/name": "knowdefeat-dask-scheduler"}],
    }
    comment = re.search(
        r"KNOWDEFEAT_DASK_SCHEDULER=(\S+) docker", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    )
    assert comment is not None
    assert comment[1] == COMPOSE["services"]["dask-worker"]["command"][2] == "tcp://dask-scheduler:8786"


def test_the_configuration_of_dask_is_one_that_dask_knows_and_leaves_memory_with_the_workers() -> None:
    import jsonschema

    found = yaml.safe_load((DEPLOY / "dask.yaml").read_text(encoding="utf-8"))
    distributed = pytest.importorskip("distributed")
    schema = yaml.safe_load((Path(distributed.__file__).parent / "distributed-schema.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(found, schema)
    chosen = found["distributed"]["nanny"]["pre-spawn-environ"]
    assert chosen == {"MALLOC_TRIM_THRESHOLD_": 2**28, "MALLOC_MMAP_THRESHOLD_": 2**27}


def test_the_charts_values_fit_our_parts_and_their_launcher() -> None:
    (config,) = documents(DEPLOY / "kubernetes" / "config.yaml")
    (code,) = VALUES["dagster-user-deployments"]["deployments"]
    assert config["data"]["KNOWDEFEAT_CODE_SERVER"] == f"{code['name']}:{code['port']}"
    assert config["data"]["KNOWDEFEAT_CODE_LOCATION"] == code["name"]
    assert re.fullmatch(r"[a-z0-9-]+", code["name"])
    assert code["dagsterApiGrpcArgs"][-1] == "knowdefeat_pipeline.definitions"
    assert VALUES["dagsterWebserver"]["replicaCount"] == 0  # it has no guard
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    coordinator = VALUES["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert coordinator == {
        "maxConcurrentRuns": ours["run_coordinator"]["config"]["max_concurrent_runs"],
        "dequeueIntervalSeconds": ours["run_coordinator"]["config"]["dequeue_interval_seconds"],
        "tagConcurrencyLimits": ours["run_coordinator"]["config"]["tag_concurrency_limits"],
    }
    assert {kind: rule["purgeAfterDays"] for kind, rule in VALUES["retention"].items() if kind != "enabled"} == {
        kind: rule["purge_after_days"] for kind, rule in ours["retention"].items()
    }


def test_the_launcher_takes_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dagster_k8s", reason="the extra kubernetes is not installed")
    from dagster._config import process_config, resolve_to_config_type

    from knowdefeat_pipeline.automation.dagster_internals import kubernetes

    chosen = VALUES["runLauncher"]["config"]["customRunLauncher"]
    assert (chosen["module"], chosen["class"]) == (kubernetes.__name__, kubernetes.KubernetesLauncher.__name__)
    monkeypatch.setenv("DAGSTER_K8S_PIPELINE_RUN_NAMESPACE", "here")
    found = process_config(resolve_to_config_type(kubernetes.KubernetesLauncher.config_type()), chosen["config"])
    assert found.success, found.errors
    assert found.value["job_namespace"] == "here"


def test_the_image_copies_what_there_is_and_installs_the_lock_by_hash() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = {name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for name in line.split()}
    assert {"requirements-kubernetes.lock", "sql", "knowdefeat_pipeline"} <= copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    taken = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert taken == copied
    assert "--require-hashes" in text
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert set(re.findall(r"(KNOWDEFEAT_\w+)=", text)) <= set(variable_names())
    command = json.loads(re.search(r"^CMD (\[.+\])$", text, re.MULTILINE)[1])  # type: ignore[index]
    require_command(command)
    require_check(image_check(), command)
    assert not {"--host", "--trusted-network"} & set(command)  # who starts it says who reaches it


def test_the_unit_of_systemd_starts_our_program_with_settings_that_it_reads() -> None:
    text = (DEPLOY / "systemd" / "knowdefeat@.service").read_text(encoding="utf-8")
    assert set(re.findall(r"(KNOWDEFEAT_\w+)=", text)) <= set(variable_names())
    for part in re.findall(r'^(?:#   )?PART="(.+)"', f"{text}\n{GUIDE}", re.MULTILINE):
        require_command(["knowdefeat", *shlex.split(part)])


def test_the_guide_names_files_commands_and_settings_that_there_are() -> None:
    for name in re.findall(r"`(deploy/[\w/.@-]+)`", GUIDE):
        assert (ROOT / name).exists() or name == "deploy/secrets", name
    assert set(re.findall(r"KNOWDEFEAT_\w+", GUIDE)) <= set(variable_names())
    assert {path.name for path in MANIFESTS} <= set(re.findall(r"[\w-]+\.yaml", GUIDE))
    commands = re.findall(r"(?:^|[`(]|-- )knowdefeat ((?:\w+ ?)+)", GUIDE, flags=re.MULTILINE)
    known = get_command(app).commands  # type: ignore[attr-defined]
    assert {words.split()[0] for words in commands} <= known.keys()
