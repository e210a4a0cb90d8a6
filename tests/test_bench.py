"""The benchmark tool: what it measures, and the numbers it keeps. Nothing timed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.layers import LAYERS
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
    measured = {row.function for row in LAYERS.values()} - {"optimize"}
    no_row = {"batch_norm_inference", "batch_norm_update", "gru_inference", "attention"}
    assert measured | no_row == {n for n in functional.__all__ if "_backward" not in n}


def test_it_prints_times_and_ratios(measured):
    run, _ = measured
    lines = [line for line in run.stdout.splitlines() if line.startswith("ReLU 100x100")]
    assert [line.split()[2] for line in lines] == ["f", "f+b"]
    assert all(re.search(r"\d[\d.]* (ns|us|ms) .*\| .*\d\.\d\dx$", line.rstrip()) for line in lines)


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


def test_a_row_measured_again_takes_the_place_of_the_old(measured, tmp_path):
    file = tmp_path / "layers.json"
    old = json.loads(measured[1].read_text())
    for result in old["results"]:
        result["median"] = 1e9
    old["results"] += [{**old["results"][0], "row": "ReLU"}]
    file.write_text(json.dumps(old))
    options = ("--rows", "ReLU 100x100", "--repeat", 1, "--json", file)
    run = bench("bench", "layers", *options, "--threads", 2)
    assert run.returncode != 0 and "rows with another threads" in run.stderr
    assert json.loads(file.read_text()) == old
    run = bench("bench", "layers", *options, "--threads", 1)
    assert run.returncode == 0, run.stderr
    results = json.loads(file.read_text())["results"]
    assert len(results) == len(old["results"])
    assert [result["row"] for result in results if result["median"] == 1e9] == ["ReLU"]


def test_performance_writes_a_document_that_report_writes_again(tmp_path):
    file = tmp_path / "all.json"
    options = ("--rows", "ReLU 100x100,mlp", "--against", "reference", "--repeat", 1)
    run = bench("bench", "performance", *options, "--json", file)
    assert run.returncode == 0, run.stderr
    written = {suffix: file.with_suffix(suffix).read_text() for suffix in (".md", ".svg")}
    assert run.stdout.splitlines()[-2:] == [str(file.with_suffix(suffix)) for suffix in written]
    for suffix in written:
        file.with_suffix(suffix).unlink()
    run = bench("bench", "report", file)
    assert run.returncode == 0, run.stderr
    assert written == {suffix: file.with_suffix(suffix).read_text() for suffix in written}
    assert re.search(r"\| mlp \| step \| [\d.]+ (us|ms) \|", written[".md"])


def test_the_suite_of_pytest_benchmark_runs(tmp_path):
    suite = tmp_path / "suite.json"
    options = ("-k", "ReLU and 100x100 and not torch", f"--benchmark-json={suite}")
    run = bench("pytest", "bench", *options, "--benchmark-max-time=0.01", "-p", "no:cacheprovider")
    assert run.returncode == 0, run.stdout
    assert len(json.loads(suite.read_text())["benchmarks"]) == 4


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (("layers", "--rows", "none such"), "none begins with 'none such'"),
        (("steps", "--against", "nobody"), "no peer 'nobody'"),
        (("layers", "--repeat", "0"), "--repeat: must be at least 1, got 0"),
        (("layers", "--json", "none such/x.json"), "there is no folder none such"),
        (("report", __file__), "test_bench.py: no results of"),
    ],
)
def test_wrong_arguments(arguments, complaint, tmp_path):
    run = bench("bench", *arguments)
    assert run.returncode != 0
    assert re.search(complaint, run.stderr)
