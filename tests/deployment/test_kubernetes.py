"""docker/kubernetes: manifests that a cluster accepts, of a program that is there, with the rights it needs and no more."""

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
from manifests import FOLDER, KUSTOMIZATION, Manifest, containers, environment, manifests, of_kind, pods, read, selected

from streamforge import __version__
from streamforge.access.caller import Need
from streamforge.api.app import routes
from streamforge.api.http.server import GRACE_SECONDS
from streamforge.cli import app
from streamforge.observability.metrics import REGISTRY
from streamforge.settings import ENV_PREFIX, ServerSettings, Settings, load
from streamforge.worker.pulse import Pulse

VERSIONS = ("1.30", kubernetes_validate.latest_version())
"""The oldest that knows all that is used (`preStop.sleep`), and the newest that the schemas are here of."""

each_container = pytest.mark.parametrize(
    "container", [pytest.param(each, id=f"{name}/{each['name']}") for name, each in containers()]
)
each_pod = pytest.mark.parametrize("pod", [pytest.param(pod["spec"], id=name) for name, pod in pods().items()])

SECRET = "a secret of at least 32 characters"
DSN = "postgresql://streamforge@postgres:5432/streamforge"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """As the pods have them, read in the same way."""
    for name in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    for _, container in containers():
        for variable in container["env"]:
            monkeypatch.setenv(variable["name"], DSN if variable["name"].endswith("DSN") else SECRET)
    return load()


# ── a cluster accepts them ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "manifest", [pytest.param(each, id=f"{each['kind']} {each['metadata']['name']}") for each in manifests()]
)
def test_kubernetes_knows_every_field_of_it(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_would_be_found() -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**manifests()[0], "replicas": 2}, VERSIONS[-1], strict=True)


def test_every_manifest_is_applied() -> None:
    others = {"kustomization.yaml", "prometheus-adapter.yaml"}
    assert {file.name for file in FOLDER.glob("*.yaml")} - others == set(KUSTOMIZATION["resources"])


def test_each_is_there_once() -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests()]
    assert len(names) == len(set(names))


def test_selectors_find_what_they_are_for() -> None:
    for name, deployment in of_kind("Deployment").items():
        assert selected(deployment["spec"]["selector"]["matchLabels"]) == {name}
    for name in ("streamforge-api", "streamforge-worker"):
        assert selected(of_kind("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"]) == {name}
    assert selected(of_kind("Service")["streamforge-api"]["spec"]["selector"]) == {"streamforge-api"}
    assert selected(of_kind("Service")["streamforge-metrics"]["spec"]["selector"]) == set(pods())
    assert selected(of_kind("NetworkPolicy")["streamforge"]["spec"]["podSelector"]["matchLabels"]) == set(pods())


def test_ports_that_are_named_are_there() -> None:
    for service in of_kind("Service").values():
        wanted = {port["targetPort"] for port in service["spec"]["ports"]}
        for name in selected(service["spec"]["selector"]):
            there = {port["name"] for _, each in containers() if _ == name for port in each.get("ports", [])}
            assert wanted <= there, name


# ── of the program and the image that are there ─────────────────────────────────────────────────────────────────────


@each_container
def test_it_runs_a_command_of_the_image(container: Manifest) -> None:
    assert container["image"] == "streamforge"
    group = typer.main.get_command(app)
    assert container["args"][0] in group.commands  # type: ignore[attr-defined]


def test_the_image_has_the_version_of_the_program() -> None:
    assert KUSTOMIZATION["images"] == [{"name": "streamforge", "newTag": __version__}]


def test_what_they_set_are_settings_and_an_api_may_start_with_them(settings: Settings) -> None:
    assert settings.auth.required, "it listens on more than loopback"
    assert str(settings.storage.url).startswith("s3://"), "pods share no disk"
    assert settings.database.dsn == DSN
    assert settings.temporal.address


def test_what_is_not_ours_is_what_the_store_reads() -> None:
    names = {*environment(), *(variable["name"] for _, each in containers() for variable in each["env"])}
    others = {name for name in names if not name.startswith(ENV_PREFIX)}
    assert others == {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_containers_listen_where_their_ports_are(settings: Settings) -> None:
    ports = {
        name: {port["name"]: port["containerPort"] for port in each.get("ports", [])}
        for name, each in containers()
        if each["name"] in {"api", "worker"}
    }
    metrics = settings.metrics
    assert settings.metrics.host == "0.0.0.0"
    assert ports["streamforge-api"] == {"http": ServerSettings().port, "metrics": metrics.port}
    assert ports["streamforge-worker"] == {"metrics": metrics.worker_port}


def probes(container: Manifest) -> Iterator[tuple[str, Manifest]]:
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        yield kind, container[kind]["httpGet"]


def test_probes_ask_what_is_answered_without_a_key() -> None:
    public = {route.path for route in routes(ServerSettings()) if route.needs is Need.PUBLIC}
    answered = {"api": public, "worker": set(Pulse().probes())}
    for _, container in containers():
        if container["name"] in answered:
            for kind, probe in probes(container):
                assert probe["path"] in answered[container["name"]], (container["name"], kind)
                assert probe["path"] == ("/ready" if kind == "readinessProbe" else "/health")
                assert probe["port"] in {port["name"] for port in container["ports"]}


def test_secrets_are_among_those_that_are_made() -> None:
    (made,) = KUSTOMIZATION["secretGenerator"]
    there = {Path(file).name for file in made["files"]}
    asked = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for _, container in containers()
        for variable in container["env"]
        if variable["valueFrom"]["secretKeyRef"]["name"] == made["name"]
    }
    mounted = {
        item["key"]
        for pod in pods().values()
        for volume in pod["spec"]["volumes"]
        if volume.get("secret", {}).get("secretName") == made["name"]
        for item in volume["secret"]["items"]
    }
    assert asked | mounted == there
    told = set(re.findall(r"`([a-z-]+)`", (FOLDER / "secrets" / "README.md").read_text(encoding="utf-8")))
    assert there <= told


def test_no_secret_is_in_what_is_committed() -> None:
    assert not {name for name in environment() if re.search(r"SECRET$|TOKEN$|DSN$|PASSWORD|ACCESS_KEY", name)}
    assert (FOLDER / "secrets" / ".gitignore").read_text(encoding="utf-8").splitlines()[0] == "*"


def test_the_secret_file_is_where_the_settings_look_for_it(settings: Settings) -> None:
    for _, container in of_apis():
        mounts = {mount["name"]: Path(mount["mountPath"]) for mount in container["volumeMounts"]}
        assert settings.auth.secret_file == mounts["secrets"] / "access-secret"


def test_workers_have_not_the_secret_by_which_callers_are_known() -> None:
    """Whoever takes one over could sign a ticket of any administrator, and the address of any stream."""
    worker = pods()["streamforge-worker"]["spec"]
    assert not [volume for volume in worker["volumes"] if "secret" in volume]
    assert "access-secret" not in str(worker)


def of_apis() -> list[tuple[str, Manifest]]:
    return [(pod, container) for pod, container in containers() if pod == "streamforge-api"]


# ── with the rights they need ───────────────────────────────────────────────────────────────────────────────────────


@each_pod
def test_a_pod_is_restricted_as_the_pod_security_standards_have_it(pod: Manifest) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, which the namespace enforces."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert {next(iter(set(volume) - {"name"})) for volume in pod["volumes"]} <= {"emptyDir", "secret", "configMap"}
    labels = of_kind("Namespace")["streamforge"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@each_pod
def test_a_pod_is_the_images_user_and_has_no_business_with_the_cluster(pod: Manifest) -> None:
    dockerfile = (FOLDER.parent / "Dockerfile").read_text(encoding="utf-8")
    user = int(re.findall(r"^USER (\d+):\d+$", dockerfile, re.MULTILINE)[-1])
    ids = {pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")}
    assert ids == {user}
    assert pod["automountServiceAccountToken"] is False


@each_container
def test_a_container_can_change_nothing_and_become_nobody_else(container: Manifest) -> None:
    rights = container["securityContext"]
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}


@each_container
def test_a_container_has_its_share_and_a_limit_of_memory(container: Manifest) -> None:
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]


def test_a_worker_takes_as_many_chunks_as_its_share_of_the_cpus_allows() -> None:
    """Without a limit it would take half as many as the whole node has cores."""
    (worker,) = pods()["streamforge-worker"]["spec"]["containers"]
    assert worker["resources"]["limits"]["cpu"] == worker["resources"]["requests"]["cpu"]


def test_the_network_is_closed_but_for_what_is_named() -> None:
    everything = of_kind("NetworkPolicy")["streamforge"]["spec"]
    assert everything["policyTypes"] == ["Ingress", "Egress"]
    ports = {port["port"] for rule in everything["egress"] for port in rule["ports"]}
    assert ports == {53, 5432, 7233, 443}
    assert all(rule.get("from") for each in of_kind("NetworkPolicy").values() for rule in each["spec"]["ingress"])


# ── and come and go without a loss ──────────────────────────────────────────────────────────────────────────────────


def test_a_pod_has_longer_to_end_than_the_program_takes(settings: Settings) -> None:
    api, worker = (pods()[name]["spec"] for name in ("streamforge-api", "streamforge-worker"))
    quiet = api["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert api["terminationGracePeriodSeconds"] >= quiet + GRACE_SECONDS + 5
    assert worker["terminationGracePeriodSeconds"] >= settings.worker.graceful_shutdown_seconds + 15


def test_a_rollout_takes_nobody_away_before_somebody_is_ready() -> None:
    for deployment in of_kind("Deployment").values():
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_a_node_can_be_drained_and_takes_one_pod_at_a_time() -> None:
    least = {
        "streamforge-api": of_kind("Deployment")["streamforge-api"]["spec"]["replicas"],
        "streamforge-worker": of_kind("HorizontalPodAutoscaler")["streamforge-worker"]["spec"]["minReplicas"],
    }
    for name, budget in of_kind("PodDisruptionBudget").items():
        assert budget["spec"]["maxUnavailable"] == 1
        assert least[name] >= 2


def test_workers_come_and_go_with_the_age_of_the_queue() -> None:
    scaler = of_kind("HorizontalPodAutoscaler")["streamforge-worker"]["spec"]
    assert scaler["scaleTargetRef"]["name"] in of_kind("Deployment")
    assert "replicas" not in of_kind("Deployment")["streamforge-worker"]["spec"], "the autoscaler's"
    (metric,) = scaler["metrics"]
    name = metric["external"]["metric"]["name"]
    assert name in {family.name for family in REGISTRY.collect()}
    (rule,) = read("prometheus-adapter.yaml")["rules"]["external"]
    assert (rule["seriesQuery"], rule["name"]["as"]) == (name, name)
    assert rule["metricsQuery"].startswith(f"max({name}{{")


def test_pods_are_spread_over_nodes_and_zones() -> None:
    for name, pod in pods().items():
        spread: list[dict[str, Any]] = pod["spec"]["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        assert all(selected(each["labelSelector"]["matchLabels"]) == {name} for each in spread)


def test_both_deployments_have_the_same_settings_and_secrets() -> None:
    """But for the one that only APIs have."""
    given = [
        (each["envFrom"], each["env"], [mount for mount in each["volumeMounts"] if mount["name"] != "secrets"])
        for _, each in containers()
    ]
    assert all(one == other for one, other in pairwise(given))
