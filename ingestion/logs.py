"""Structured logs: one JSON object a line on standard error, every value escaped."""

import logging
import sys
from typing import Any

import structlog


def configure(debug: bool = False) -> None:
    """Set up logging for a command or a service; call it once, in the entry point."""
    level = logging.DEBUG if debug else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Looked up for each logger: standard error may have been replaced since.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get(component: str) -> Any:  # noqa: ANN401 - structlog's bound logger has no useful static type
    """Return a logger that carries the component's name."""
    return structlog.get_logger(component=component)
