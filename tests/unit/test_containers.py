"""The examples for containers: they parse, and ask for no more power than the tools need."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import typer.main
import yaml
from ebpflab.cli import app

ROOT = Path(__file__).parents[2]
SECCOMP = "docs/examples/ebpflab-seccomp.json"


def read(path: str) -> Any:  # noqa: ANN401  whatever YAML has
    return yaml.safe_load((ROOT / path).read_text())


def is_a_command(words: list[str]) -> None:
    name, *arguments = words
    options = {option for parameter in typer.main.get_group(app()).commands[name].params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("-")} <= options


def test_the_daemonset_has_two_capabilities_and_no_more() -> None:
    example = read("docs/examples/ebpflab-daemonset.yml")
    assert (example["apiVersion"], example["kind"]) == ("apps/v1", "DaemonSet")
    pod = example["spec"]["template"]
    assert example["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert not {"hostNetwork", "hostIPC", "volumes"} & set(pod["spec"])
    (container,) = pod["spec"]["containers"]
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["BPF", "PERFMON"]}
    assert (context["privileged"], context["allowPrivilegeEscalation"]) == (False, False)
    assert context["readOnlyRootFilesystem"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    is_a_command(container["args"])


def test_the_services_of_the_slim_image_have_their_capabilities_and_no_more() -> None:
    services = read("docker-compose.slim.yml")["services"]
    added = {name: service["cap_add"] for name, service in services.items()}
    assert added == {"ebpflab": ["BPF", "PERFMON"], "ebpflab-xdp": ["BPF", "PERFMON", "NET_ADMIN"]}
    for service in services.values():
        assert not {"privileged", "volumes", "devices"} & set(service)
        assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
        assert service["security_opt"] == ["no-new-privileges", f"seccomp:{SECCOMP}"]
        is_a_command(shlex.split(service["command"]))


def test_the_seccomp_profile_lets_only_named_calls_through() -> None:
    profile = json.loads((ROOT / SECCOMP).read_text())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    (rule,) = profile["syscalls"]
    assert rule["action"] == "SCMP_ACT_ALLOW"
    assert {"bpf", "perf_event_open"} <= set(rule["names"])
    # Ways out of a container, or into others.
    assert not {"mount", "ptrace", "setns", "unshare", "init_module", "finit_module", "kexec_load"} & set(rule["names"])
