"""The command `dozor`. Exit codes: 0 fine, 1 the check failed, 2 wrong usage or configuration."""

from service.cli.main import main

__all__ = ["main"]
