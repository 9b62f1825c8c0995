"""Downloads that survive a bad network: retried, resumed, hashed as they arrive, whole or not there."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError, DiskFullError, DownloadError
from ..base.files import atomic_write_json, is_disk_full, read_json

ATTEMPTS = 4
PAUSE_S = 2.0
TIMEOUT_S = 60
SLOW_S, SLOW_BYTES = (
    60,
    64 * 1024,
)  # fewer bytes than these in that time, and the transfer is begun again
TOLD_S = 10.0  # between two lines of progress
MAX_BYTES = 16 * 2**30
_CHUNK = 2**20
_COUNT = re.compile(r"[0-9]{1,18}")
_WORTH_ANOTHER_TRY = {408, 416, 425, 429}


def download(
    url: str,
    path: Path,
    attempts: int = ATTEMPTS,
    pause_s: float = PAUSE_S,
    max_bytes: int = MAX_BYTES,
    tell: Callable[[str], None] | None = None,
) -> str:
    """Fetch ``url`` to ``path``, whole or not at all.

    A broken transfer leaves ``.<name>.part`` beside ``path``; if the server can name the version
    of the file (ETag), the next attempt or run goes on from there.

    Args:
        url: http or https address.
        path: File to make.
        attempts: Attempts in all; a refusal such as 404 is not tried again.
        pause_s: Pause before the second attempt; it doubles each time.
        max_bytes: Most bytes that are taken.
        tell: Gets lines of progress, every ten seconds.

    Returns:
        SHA-256 of the file, 64 hex digits.

    Raises:
        DownloadError: Every attempt failed.
        DiskFullError: The disk has no room.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    fault = ""
    for attempt in range(attempts):
        if attempt:
            if tell is not None:
                tell(f"{fault}; attempt {attempt + 1} of {attempts}")
            time.sleep(pause_s * 2 ** (attempt - 1))
        try:
            digest = _fetch(url, part, max_bytes, tell)
        except urllib.error.HTTPError as error:
            fault = f"HTTP {error.code} {error.reason}"
            error.close()
            if error.code < 500 and error.code not in _WORTH_ANOTHER_TRY:
                break
        except (OSError, http.client.HTTPException) as error:
            if is_disk_full(error):
                fix = "make room on this disk, then run the same command again"
                raise DiskFullError(path, "disk", str(error), fix) from error
            fault = str(error) or type(error).__name__
        else:
            part.replace(path)
            _forget(part)
            return digest
    raise DownloadError(url, "download", fault, "check the network or give a mirror")


def _fetch(url: str, part: Path, max_bytes: int, tell: Callable[[str], None] | None) -> str:
    headers = {"User-Agent": "defectbench"} | _resume_headers(url, part)
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 416:
            _forget(part)
        raise
    with response:
        start = part.stat().st_size if response.status == 206 and part.exists() else 0
        size = _declared(url, response, start, max_bytes)
        if not start:
            _remember(url, part, response.headers.get("ETag", ""))
        digest = hashlib.sha256()
        with part.open("r+b" if start else "w+b") as sink:
            for block in iter(lambda: sink.read(_CHUNK), b"") if start else ():
                digest.update(block)
            sink.seek(start)
            _copy(url, response, sink, digest, max_bytes, _Progress(tell, start, size))
            arrived = sink.tell()
            os.fsync(sink.fileno())
    if size is not None and arrived != size:
        raise ConnectionError(f"{arrived} of {size} bytes arrived")
    return digest.hexdigest()


class _Progress:
    """Tells how far a transfer is, now and then, and stops one that hardly moves.

    Args:
        tell: Gets the lines; None where nobody listens.
        start: Bytes that were there before.
        size: Bytes of the whole, where the server tells.
    """

    def __init__(self, tell: Callable[[str], None] | None, start: int, size: int | None) -> None:
        self.tell, self.size = tell, size
        self.told_at = self.seen_at = time.monotonic()
        self.seen = start

    def at(self, arrived: int) -> None:
        """Note how many bytes are there.

        Raises:
            ConnectionError: Hardly any arrived for a minute.
        """
        now = time.monotonic()
        if now - self.seen_at >= SLOW_S:
            if arrived - self.seen < SLOW_BYTES:
                raise ConnectionError(f"{arrived - self.seen} bytes in {now - self.seen_at:.0f} s")
            self.seen, self.seen_at = arrived, now
        if self.tell is not None and now - self.told_at >= TOLD_S:
            whole = f" of {self.size / 2**20:,.0f}" if self.size else ""
            self.tell(f"{arrived / 2**20:,.0f}{whole} MiB")
            self.told_at = now


def _declared(url: str, response: Any, start: int, max_bytes: int) -> int | None:
    """Bytes of the whole file, as far as the server tells."""
    length = response.headers.get("Content-Length")
    size = start + int(length) if length and _COUNT.fullmatch(length) else None
    if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        raise ConnectionError("the server resumed at another place")
    _check_size(url, size or 0, max_bytes)
    return size


def _copy(
    url: str, response: Any, sink: Any, digest: Any, max_bytes: int, progress: _Progress
) -> None:
    while block := response.read1(_CHUNK):
        sink.write(block)
        digest.update(block)
        arrived = sink.tell()
        _check_size(url, arrived, max_bytes)
        progress.at(arrived)


def _check_size(url: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise DownloadError(url, "bytes", size, f"at most {max_bytes} are allowed")


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _remember(url: str, part: Path, etag: str) -> None:
    atomic_write_json(_note(part), {"url": url, "etag": etag})


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _resume_headers(url: str, part: Path) -> dict[str, str]:
    """What asks for the rest of a broken transfer; nothing where it could be another version."""
    try:
        note = read_json(_note(part)) if part.exists() else {}
    except ConfigError:
        note = {}
    etag = note.get("etag", "") if note.get("url") == url else ""
    if not etag.startswith('"'):  # none, or a weak one
        _forget(part)
        return {}
    return {"Range": f"bytes={part.stat().st_size}-", "If-Range": etag}
