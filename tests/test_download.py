"""Downloads from a server on this machine that can resume, break off, lie and fail."""

import gzip
import hashlib
import http.server
import threading

import numpy as np
import pytest
from mnist_files import NAMES, idx, small_mnist

from nnfast.datasets import DownloadError, load_mnist, mnist
from nnfast.datasets.download import fetch

PAYLOAD = np.random.default_rng(1).bytes(300_000)
MD5 = hashlib.md5(PAYLOAD).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve ``server.files``; the first folder of the address names the mood of the mirror."""

    def do_GET(self):
        mood, name = self.path.strip("/").split("/")
        wanted = self.headers.get("Range")
        self.server.requests.append((mood, wanted))
        data = self.server.files.get(name)
        if mood == "gone" or data is None:
            return self.send_error(404)
        if mood == "wrong":
            data = b"\0" * len(data)
        start = int(wanted[6:-1]) if wanted and mood != "norange" else 0
        if start and start >= len(data):
            return self.send_error(416)
        body = data[start:]
        self.send_response(206 if start else 200)
        if start:
            said = start - 1 if mood == "misplaced" else start
            self.send_header("Content-Range", f"bytes {said}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if mood == "flaky" else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        web.files, web.requests = {"data.bin": PAYLOAD}, []
        web.url = lambda mood: f"http://127.0.0.1:{web.server_port}/{mood}/"
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield web
        web.shutdown()
        thread.join()


def get(server, folder, *moods):
    return fetch("data.bin", [server.url(mood) for mood in moods], MD5, folder)


def test_plain(server, tmp_path, capsys):
    path = get(server, tmp_path / "new" / "folder", "good")
    assert path.read_bytes() == PAYLOAD
    assert capsys.readouterr() == ("", f"downloading {server.url('good')}data.bin\n")  # no bar
    assert [p.name for p in path.parent.iterdir()] == ["data.bin"]


def test_present_file_is_left_alone(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"mine")
    assert get(server, tmp_path, "good").read_bytes() == b"mine"
    assert server.requests == []


@pytest.mark.parametrize("bad", ["gone", "wrong", "flaky"])
def test_next_mirror_steps_in(server, tmp_path, bad):
    assert get(server, tmp_path, bad, "good").read_bytes() == PAYLOAD


def test_goes_on_where_another_mirror_broke_off(server, tmp_path):
    get(server, tmp_path, "flaky", "good")
    assert server.requests == [("flaky", None), ("good", "bytes=150000-")]


def test_goes_on_where_an_earlier_run_stopped(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(PAYLOAD[:1000])
    assert get(server, tmp_path, "good").read_bytes() == PAYLOAD
    assert server.requests == [("good", "bytes=1000-")]


def test_complete_part_needs_only_the_checksum(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(PAYLOAD)
    assert get(server, tmp_path, "good").read_bytes() == PAYLOAD


@pytest.mark.parametrize("stale", [b"x" * 1000, b"x" * 400_000])
def test_wrong_part_is_thrown_away(server, tmp_path, stale):
    (tmp_path / "data.bin.part").write_bytes(stale)
    assert get(server, tmp_path, "good").read_bytes() == PAYLOAD
    assert server.requests[-1] == ("good", None)


def test_server_without_ranges(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(PAYLOAD[:1000])
    assert get(server, tmp_path, "norange").read_bytes() == PAYLOAD


def test_misplaced_range_is_refused(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(PAYLOAD[:1000])
    with pytest.raises(DownloadError, match="another range"):
        get(server, tmp_path, "misplaced")


def test_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match=f"checksum .* where {MD5} was expected"):
        get(server, tmp_path, "wrong")
    assert list(tmp_path.iterdir()) == []


def test_failure_names_every_mirror(server, tmp_path):
    with pytest.raises(DownloadError) as caught:
        get(server, tmp_path, "gone", "flaky", "wrong")
    text = str(caught.value)
    assert "gone/: HTTP 404" in text and "flaky/: connection lost after" in text
    assert not (tmp_path / "data.bin").exists()


def test_nobody_listens(tmp_path):
    with pytest.raises(DownloadError, match="refused"):
        fetch("data.bin", ["http://127.0.0.1:9/"], MD5, tmp_path)


@pytest.fixture
def mirrored(server, monkeypatch):
    """A server that holds a small MNIST, whose checksums load_mnist then expects."""
    files = {f"{name}.gz": gzip.compress(idx(array)) for name, array in small_mnist().items()}
    server.files = files
    sums = {n[:-3]: hashlib.md5(data).hexdigest() for n, data in files.items()}
    monkeypatch.setattr(mnist, "_FILES", sums)
    monkeypatch.delenv("NNFAST_DATA", raising=False)
    return server


def test_mnist_is_downloaded_once(mirrored, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mirrors = [mirrored.url("flaky"), mirrored.url("good")]
    (x, _), _ = load_mnist(normalize=False, mirrors=mirrors)
    np.testing.assert_array_equal(x[:, 0], small_mnist()[NAMES[0]])
    asked = len(mirrored.requests)
    load_mnist(mirrors=mirrors)
    assert len(mirrored.requests) == asked
    assert sorted(p.name for p in (tmp_path / "nnfast" / "mnist").iterdir()) == sorted(
        f"{name}.gz" for name in NAMES
    )


def test_mnist_downloads_into_root_what_it_lacks(mirrored, tmp_path):
    (tmp_path / NAMES[1]).write_bytes(idx(small_mnist()[NAMES[1]]))
    load_mnist(tmp_path, mirrors=[mirrored.url("good")])
    assert len(mirrored.requests) == 3


def test_mnist_without_a_place_to_go_says_what_to_do(mirrored, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="could not make a folder") as caught:
        load_mnist(tmp_path / "file" / "mnist", mirrors=[mirrored.url("good")])
    assert "load_digits_sample" in str(caught.value)


def test_mnist_offline_says_what_to_do(mirrored, tmp_path):
    with pytest.raises(DownloadError) as caught:
        load_mnist(tmp_path, mirrors=[mirrored.url("gone")])
    text = str(caught.value)
    assert "HTTP 404" in text and str(tmp_path) in text
    assert "NNFAST_DATA" in text and "load_digits_sample" in text
