"""Asking a job process: it only looks, and answers with one JSON document on its standard output."""

import json
import shutil
import time
from datetime import UTC, datetime
from typing import Any

from churnlake.contract import Contract
from churnlake.settings import Settings
from flows.runners import COMMANDS, POLL_SECONDS, Application, Command, Job, Kind, application_name


def ask_job(
    kind: Kind, contract: Contract, options: tuple[str, ...], settings: Settings, command: Command | None = None
) -> dict[str, Any]:
    """The answer of a job; what it left of itself is removed with it, and kept where it failed.

    Raises:
        ChurnlakeError: The job ended with an error.
    """
    name = application_name(datetime.now(UTC))
    application = Application(kind, contract.name, contract.path, (), name, options=options)
    with Job(application, command or COMMANDS[kind], settings, pauses=()) as job:
        while (code := job.poll()) is None:
            time.sleep(POLL_SECONDS)
        if code != 0:
            raise job.error()
        answer: dict[str, Any] = json.loads(job.said().splitlines()[-1])
    shutil.rmtree(job.folder, ignore_errors=True)
    return answer
