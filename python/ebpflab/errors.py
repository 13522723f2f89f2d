"""What can go wrong. Each message names the operation and the object, and says what to do next."""


class EbpflabError(Exception):
    """The root of the tree; raised itself for a BPF object that cannot be loaded."""

    def __str__(self) -> str:
        """Return the message alone; its parts follow it in `args`, so that errors pickle."""
        return str(self.args[0]) if self.args else ""


class NotSupportedError(EbpflabError):
    """The kernel, the driver or the machine cannot do it.

    Attributes:
        feature: What was asked for.
        needs: What would make it work: a kernel option, a mount, a driver.
        reason: Why it does not.

    """

    def __init__(self, message: str, feature: str, needs: str, reason: str) -> None:
        """Take the parts beside the message."""
        super().__init__(message, feature, needs, reason)
        self.feature = feature
        self.needs = needs
        self.reason = reason


class PrivilegeError(EbpflabError):
    """The process lacks capabilities.

    Attributes:
        missing_caps: Their names, as in capabilities(7).
        fix: What to do about it.

    """

    def __init__(self, message: str, missing_caps: list[str], fix: str) -> None:
        """Take the parts beside the message."""
        super().__init__(message, missing_caps, fix)
        self.missing_caps = missing_caps
        self.fix = fix


class VerifierError(EbpflabError):
    """The kernel's verifier refused a program.

    Attributes:
        program: Its name.
        log: All that the verifier wrote.
        explanation: The verifier's reason in one line.
        explained: What kind of refusal it is, where in the source, on which way, and what mends it.

    """

    def __init__(self, message: str, program: str, log: str, explained: str | bytes) -> None:
        """Take the parts beside the message, the last as the loader's JSON."""
        super().__init__(message, program, log, explained)
        self.program = program
        self.log = log
        from ebpflab.records import Explanation  # noqa: PLC0415  most programs are never refused

        self.explained = Explanation.from_json(explained)
        self.explanation = self.explained.reason


class AttachError(EbpflabError):
    """A program cannot be attached to its target, or the target went away.

    Attributes:
        target: What it was to be attached to.
        reason: Why that failed.

    """

    def __init__(self, message: str, target: str, reason: str) -> None:
        """Take the parts beside the message."""
        super().__init__(message, target, reason)
        self.target = target
        self.reason = reason


class ClosedError(EbpflabError):
    """The session was stopped or closed before."""
