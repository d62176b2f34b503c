"""Every error Churnlake raises on purpose, each with the exit code of the command that meets it."""

import shlex
from collections.abc import Sequence


class ChurnlakeError(Exception):
    """Base of all deliberate errors: a message that says what was given and what is allowed, and what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return self.message if self.next_step is None else f"{self.message}\n  next: {self.next_step}"


class UsageError(ChurnlakeError):
    """Raised when a command, a setting or the machine's tools (Java, Python) do not fit."""

    exit_code = 2


class ContractError(UsageError):
    """Raised once for a contract or suite, with every problem found in it."""

    def __init__(self, path: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(
            f"{path}: {count}\n{lines}", next_step=f"edit the file, then `churnlake check {shlex.quote(path)}`"
        )


class DataRefusedError(ChurnlakeError):
    """Raised when a delivery cannot be used: header, binary, empty, broken, failed gate, missing past its time."""

    exit_code = 3


class WaitingForDelivery(ChurnlakeError):  # noqa: N818 - a state, not a fault: exit 0
    """Raised when a due delivery has not come and may still come in time."""

    exit_code = 0


class ModelRefusedError(ChurnlakeError):
    """Raised when no model may be used: none registered or trainable, refused by the gate, or its digest differs."""

    exit_code = 4


class ConflictError(ChurnlakeError):
    """Raised when another run owns the lane or the date, or the date is published with another fingerprint."""

    exit_code = 5


class UnavailableError(ChurnlakeError):
    """Raised when a disk is full or read-only or a service stayed down after bounded retries."""

    exit_code = 6
