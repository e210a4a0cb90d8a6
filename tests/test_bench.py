"""The benchmark tool: what it measures, the numbers it keeps, the page it draws. Nothing timed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cases
import pytest

from nnfast import functional

ROOT = Path(__file__).parents[1]
pytest.importorskip("nnfast._core", reason="nnfast._core is not built")


def bench(*arguments, folder=ROOT):
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The run of a small row and the file it wrote."""
    file = tmp_path_factory.mktemp("bench") / "layers.json"
    options = ("--rows", "ReLU 100x100", "--repeat", 1, "--threads", 1, "--json", file)
    run = bench("bench", "layers", *options)
    assert run.returncode == 0, run.stderr
    return run, file


def test_every_family_has_a_row():
    measured = {row.function for row in cases.BENCH.values()}
    no_row = {"batch_norm_inference", "batch_norm_update", "gru_inference", "attention"}
    assert measured | no_row == {n for n in functional.__all__ if "_backward" not in n}


def test_it_prints_times_and_ratios(measured):
    run, _ = measured
    lines = [line for line in run.stdout.splitlines() if line.startswith("ReLU 100x100")]
    assert [line.split()[2] for line in lines] == ["f", "f+b"]
    assert all(re.search(r"\d[\d.]* (us|ms) .*\| .*\d\.\d\dx$", line.rstrip()) for line in lines)


def test_it_measures_the_installed_package(measured, tmp_path):
    run, _ = measured
    code = "import nnfast; print(nnfast.__file__)"
    command = [sys.executable, "-c", code]
    installed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    used = re.search(r"# native: nnfast \S+ in (.*)", run.stderr)
    assert used and used[1] == str(Path(installed.stdout).parent)


def test_json_holds_every_peer_and_pass(measured):
    content = json.loads(measured[1].read_text())
    found = {(result["peer"], result["what"]) for result in content["results"]}
    assert found == {(peer, what) for peer in ("native", "reference") for what in ("f", "f+b")}
    for result in content["results"]:
        assert 0 < result["low"] <= result["median"] <= result["high"]
        assert result["calls"] >= 1
    assert content["machine"]["threads"] == 1


def test_report_is_one_page_that_needs_nothing_else(measured, tmp_path):
    pages = tmp_path / "page.html"
    suite = tmp_path / "suite.json"
    options = ("-k", "ReLU and 100x100 and not torch", f"--benchmark-json={suite}")
    run = bench("pytest", "bench", *options, "--benchmark-max-time=0.01", "-p", "no:cacheprovider")
    assert run.returncode == 0, run.stdout
    run = bench("bench", "report", measured[1], suite, "--out", pages)
    assert run.returncode == 0, run.stderr
    page = pages.read_text()
    assert page.count("<svg") == page.count("</svg>") == 4  # speed-up and time for each file
    assert not re.search(r"https?:|<script|<link|@import|url\(|src=", page)
    assert page.count("<title>ReLU 100x100 f+b: native") == 4
    assert re.search(r"<td>ReLU 100x100 f<td>[\d.]+ (us|ms)<td>[\d.]+x", page)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (("layers", "--rows", "none such"), "none begins with 'none such'"),
        (("steps", "--against", "nobody"), "no peer 'nobody'"),
        (("report", __file__), "test_bench.py: "),
    ],
)
def test_wrong_arguments(arguments, complaint, tmp_path):
    run = bench("bench", *arguments)
    assert run.returncode != 0
    assert re.search(complaint, run.stderr)
