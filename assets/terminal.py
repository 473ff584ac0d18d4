"""What a run prints on a terminal: the steps' own sentences, without Dagster's event log.

The whole event log is in the web UI. https://docs.dagster.io/guides/monitor/logging/custom-logging
"""

import logging
import os
import sys

import dagster as dg

TERMINAL = "T2S_TERMINAL"
"""Names the file descriptor to write to. Without it, standard error is used."""


class _StepsOnly(logging.Filter):
    """Passes what our code logged through ``context.log``, and errors."""

    def filter(self, entry: logging.LogRecord) -> bool:
        dagster_fields = getattr(entry, "dagster_meta", {})
        event = dagster_fields.get("dagster_event")
        message = dagster_fields.get("orig_message") or entry.getMessage()
        if event is not None or message.startswith("[pipes]"):
            return False
        entry.msg, entry.args = message, ()
        return True


@dg.logger(config_schema=None, description="The sentences of the steps, one per line.")
def terminal_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Write the steps' sentences to the terminal that ``T2S_TERMINAL`` names, or to standard error."""
    terminal = os.environ.get(TERMINAL)
    handler = logging.StreamHandler(sys.stderr if terminal is None else os.fdopen(os.dup(int(terminal)), "w"))
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    handler.addFilter(_StepsOnly())
    logger = logging.Logger("t2s", level=logging.INFO)
    logger.addHandler(handler)
    return logger
