"""What a cgroup sends, and a port that it may not send to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.work import Worker, draw, shuffled
from ebpflab.learn.work.cgroup import Cgroup

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object


def check(report: Report, obj: Object) -> None:
    """Have a process in a cgroup of its own send to ports that nobody can know before, and compare."""
    report.maps(obj, "map", "SENT", "DENIED")
    report.need(
        "blocked",
        "BLOCKED",
        "BLOCKED" if "BLOCKED" in obj.globals else ", ".join(obj.globals) or "no global",
        (True, "BLOCKED is a static of the program, with #[unsafe(no_mangle)]; leave it as it was."),
    )
    # None of them reads the same with its bytes exchanged.
    ports = {
        draw(256 * first + 128, 256 * first + 255): draw(least, least + 5)
        for first, least in ((3, 3), (9, 13), (40, 23))
    }
    blocked = shuffled(list(ports))[0]
    with Cgroup() as group, Worker() as worker:
        group.take(worker.pid)
        obj.globals["BLOCKED"] = blocked
        report.attach(obj, "attached", "cgroup_skb/egress", target=str(group.folder))
        plan = shuffled([port for port, count in ports.items() for _ in range(count)])
        results: list[bool] = worker.do("sends", plan)
        sent, denied = dict(obj.maps["SENT"].entries()), dict(obj.maps["DENIED"].entries())
    _judge(report, ports, blocked, [port for port, went in zip(plan, results, strict=True) if not went], (sent, denied))


def _judge(
    report: Report,
    ports: dict[int, int],
    blocked: int,
    refused: list[int],
    counted: tuple[dict[int, int], dict[int, int]],
) -> None:
    sent, denied = counted
    turned = {(port & 0xFF) << 8 | port >> 8 for port in ports}
    others = len(refused) - refused.count(blocked)
    report.judge(
        "verdict",
        f"{ports[blocked]} packets to port {blocked} refused, and 0 others",
        f"{refused.count(blocked)} packets to port {blocked} refused, and {others} others",
        (not refused, "No packet is refused: for the port BLOCKED the program returns DENY, which is 0 (TODO 2)."),
        (
            len(refused) == sum(ports.values()),
            "Every packet is refused: all but BLOCKED are to go, by ALLOW, which is 1.",
        ),
        (
            blocked not in refused,
            "The wrong packets are refused: DENY (0) is for the port BLOCKED, ALLOW (1) for others.",
        ),
    )
    bytes_turned = (
        bool(turned & {*sent, *denied}),
        "The bytes of the ports are in the wrong order: u16::from_be turns them (TODO 1).",
    )
    report.judge(
        "sent",
        {port: count for port, count in sorted(ports.items()) if port != blocked},
        dict(sorted(sent.items())),
        bytes_turned,
        (set(sent) == {0}, "The port is not read: see TODO 1."),
        (not sent, "Nothing is counted as sent: see TODO 2."),
        (blocked in sent, "What is forbidden is counted as sent too: only what is let go belongs there."),
        (
            True,
            "These are not the ports that packets were sent to: is it the second of both ports, that of the receiver?",
        ),
    )
    report.judge(
        "denied",
        {blocked: ports[blocked]},
        denied,
        bytes_turned,
        (not denied, "Nothing is counted as denied: see TODO 2."),
        (set(denied) > {blocked}, "What is let go is counted as denied too."),
    )


LESSON = Lesson(
    stem="cgroup_skb",
    title="What a cgroup sends, and a port that it may not send to",
    variants=(Variant("cgroup_skb", ("cgroup_skb",)),),
    requirements={
        "map": "There are the maps SENT and DENIED.",
        "blocked": "There is the global BLOCKED.",
        "attached": "The kernel takes the program, and it is attached.",
        "verdict": "Packets to the port BLOCKED are refused, and no others.",
        "sent": "SENT has how many packets went to each port.",
        "denied": "DENIED has how many were refused.",
    },
    check=check,
)
