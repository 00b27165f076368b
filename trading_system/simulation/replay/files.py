"""Compressed text files of recordings, line by line."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zstandard

from trading_system.domain.errors import ConfigurationError

_LONGEST_LINE = 16 * 1024 * 1024


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a gzip or zstandard (``.zst``) file with their numbers from 1.

    Raises
    ------
    ConfigurationError
        If it is missing, cut off, of another kind, or holds an endless line.
    """
    kind = "zstandard" if path.suffix == ".zst" else "gzip"
    number = 0
    try:
        with _opened(path, kind) as stream:
            while line := stream.readline(_LONGEST_LINE):
                number += 1
                if len(line) >= _LONGEST_LINE:
                    raise refusal(path, number, "line too long")
                yield number, line
    except FileNotFoundError as e:
        raise ConfigurationError(f"recording {path} does not exist") from e
    except EOFError as e:
        raise ConfigurationError(f"recording {path} is cut off after line {number}") from e
    except (zlib.error, zstandard.ZstdError, OSError) as e:
        raise ConfigurationError(f"recording {path} cannot be read as {kind}: {e}") from e


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[io.BufferedIOBase]:
    if kind == "gzip":
        with gzip.open(path, "rb") as stream:
            yield stream
        return
    with (
        path.open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed) as plain,
        io.BufferedReader(plain) as buffered,
    ):
        yield buffered


def refusal(path: Path, number: int, reason: str) -> ConfigurationError:
    """Return the error that names file, line and reason."""
    return ConfigurationError(f"recording {path} line {number}: {reason[:200]}")
