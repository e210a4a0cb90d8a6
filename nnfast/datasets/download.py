"""Fetch one file from the first mirror that delivers it whole: resumed, checked, then renamed.

The bytes go to ``NAME.part``. A later call goes on where an earlier one stopped, from any mirror:
the checksum, not the server, says that the pieces fit. The final name never holds half a file.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from nnfast._progress import Progress

_CHUNK = 1 << 16
_TIMEOUT_SECONDS = 20
_ROUNDS = 2


class DownloadError(OSError):
    """No mirror delivered the file; the message holds what each of them answered."""


def fetch(name: str, mirrors: Sequence[str], md5: str, folder: Path) -> Path:
    """Download ``name`` into ``folder`` unless it is there already.

    Parameters
    ----------
    name : str
        File name, appended to each mirror's address.
    mirrors : sequence of str
        Addresses that end in ``/``, tried in this order, the whole list twice.
    md5 : str
        Hexadecimal MD5 digest of the whole file.
    folder : Path
        Where the file goes; created if missing.

    Returns
    -------
    Path
        The file, whole and checked.

    Raises
    ------
    DownloadError
        If every mirror failed, or the folder cannot be made.
    """
    target = folder / name
    if target.exists():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"could not make a folder for {name}: {error}") from error
    part = folder / (name + ".part")
    failures: list[str] = []
    for mirror in list(mirrors) * _ROUNDS:
        try:
            _receive(mirror + name, part)
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(f"{mirror}: {_reason(error)}")
            continue
        found = _md5(part)
        if found == md5:
            os.replace(part, target)
            return target
        part.unlink()
        failures.append(f"{mirror}: checksum {found} where {md5} was expected")
    raise DownloadError(f"could not download {name}\n  " + "\n  ".join(dict.fromkeys(failures)))


def _receive(url: str, part: Path) -> None:
    """Append what is missing to ``part``; OSError if the connection ends too early."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "nnfast", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        reply = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing beyond what we have: whole, or a wrong part file
            return
        raise
    with reply:
        resumed = reply.status == 206
        if resumed and not _starts_at(reply.headers.get("Content-Range", ""), have):
            raise OSError("the server sent another range than the one asked for")
        length = reply.headers.get("Content-Length")
        start = have if resumed else 0
        total = start + int(length) if length else None
        if not sys.stderr.isatty():
            print(f"downloading {url}", file=sys.stderr, flush=True)
        count = start
        with part.open("ab" if resumed else "wb") as file, Progress(total, part.stem, "B") as bar:
            bar.update(start)
            while chunk := reply.read(_CHUNK):
                file.write(chunk)
                count += len(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if total is not None and count < total:
        raise OSError(f"connection lost after {count} of {total} bytes")


def _starts_at(content_range: str, position: int) -> bool:
    match = re.match(r"bytes (\d+)-", content_range)
    return match is not None and int(match[1]) == position


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
