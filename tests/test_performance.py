"""The document about performance: floors counted by hand, peaks, marks, means, and the plot."""

import json
import os
import re
import shlex
import shutil
import xml.etree.ElementTree as ET

import pytest

from bench import floor, peaks, report
from bench.networks import NETWORKS
from bench.rows import ROWS
from bench.svg import ticks

ALL = {row.name: row for rows in ROWS.values() for row in rows()}
PEAKS = {"float32": 200e9, "float64": 100e9, "memory": 50e9}
CACHE = 32 * 2**20
PIXELS = 64 * 64 * 56 * 56


@pytest.mark.parametrize(
    ("name", "what", "flops", "numbers"),
    [
        ("conv 1-30 5x5 on 28x28", "f", 86_400_000, 78_400 + 750 + 30 + 1_728_000),
        ("conv 1-30 5x5 on 28x28", "f+b", 3 * 86_400_000, 3 * (78_400 + 780) + 2 * 1_728_000),
        ("conv 3-64 7x7/2 on 224x224", "f", 2 * 16 * 64 * 112 * 112 * 147, None),
        ("conv 64-64 1x9 on 1x16000", "f", 2 * 4 * 64 * 16_000 * 64 * 9, None),
        ("linear 784-100", "f", 2 * 100 * 784 * 100, 78_400 + 78_400 + 100 + 10_000),
        ("GEMM NT 20x100x400", "f", 2 * 20 * 100 * 400, 2_000 + 40_000 + 8_000),
        ("LSTM 35x20 100-100", "f", 2 * 35 * 20 * 400 * 200, None),
        ("GRU 35x20 100-100", "f+b", 3 * 2 * 35 * 20 * 300 * 200, None),
        ("attention 16x8x128x32", "f", 2 * 2 * 16 * 8 * 128 * 128 * 32, 4 * 16 * 128 * 256),
        ("ReLU", "f", 0, 2 * PIXELS),
        ("ReLU", "f+b", 0, 5 * PIXELS),
        ("dropout 0.5", "f+b", 0, 4 * PIXELS),
        ("residual add + ReLU", "f", 0, 3 * PIXELS),
        ("batch norm + ReLU", "f+b", 0, 5 * PIXELS + 5 * 64),
        ("max pool 3/2", "f+b", 0, 2 * (PIXELS + 64 * 64 * 27 * 27)),
        ("im2col 16 3x3 on 28x28", "f", 0, 10 * 100 * 16 * 28 * 28),
        ("col2im 16 3x3 on 28x28", "f", 0, 10 * 100 * 16 * 28 * 28),
        ("embedding 10000x100", "f+b", 0, 3 * 700 * 100 + 1_000_000),
        ("cross-entropy 4096x1000", "f+b", 0, 3 * 4_096_000),
        ("mean of rows", "f", 0, 4_096_000 + 4_096),
        ("SGD", "step", 0, 3 * 2_000_000),
        ("Adadelta", "step", 0, 7 * 2_000_000),
        ("Adam of mlp", "step", 0, 7 * 79_510),
        ("resnet18", "step", 106.5e9, 0),
        ("resnet18 batch 64", "f", 2 * 35.54e9, 0),
    ],
)
def test_work_of_a_row(name, what, flops, numbers):
    work = floor.work(ALL[name], what)
    assert work.flops == pytest.approx(flops)
    assert numbers is None or work.numbers == numbers


@pytest.mark.parametrize("network", floor.PARAMETERS)
def test_numbers_of_parameters(network):
    on_nnfast = pytest.importorskip("bench.on_nnfast", reason="nnfast is not installed")
    model = NETWORKS[network].build(on_nnfast.LAYERS)
    assert sum(p.data.size for p in model.parameters()) == floor.PARAMETERS[network]


def test_every_row_has_a_floor():
    for row in ALL.values():
        assert floor.floor(row, "f", "float32", PEAKS, CACHE).seconds > 0, row.name


def test_what_sets_the_floor():
    def under(name, dtype="float32", cache=CACHE):
        return floor.floor(ALL[name], "f", dtype, PEAKS, cache)

    assert under("GEMM 512") == (2 * 512**3 / 200e9, "flops")
    assert under("GEMM 512", "float64") == (2 * 512**3 / 100e9, "flops")
    assert under("GEMM 512 float64") == under("GEMM 512", "float64")  # has a dtype of its own
    assert under("ReLU") == (8 * PIXELS / 50e9, "bytes")
    assert under("ReLU", "float64") == (16 * PIXELS / 50e9, "bytes")
    assert under("ReLU 100x100").bound == "cache"
    assert under("ReLU 100x100", cache=None).bound == "bytes"


def test_targets():
    assert ALL["simpleconv"].target("step") == 7
    assert ALL["resnet18 batch 1"].target("f") == 1
    convolution = ALL["conv 64-64 3x3 on 8x8"]
    assert (convolution.target("f"), convolution.target("f+b")) == (1, 1.5)


def test_peaks(monkeypatch):
    compiler = shlex.split(os.environ.get("CC", "cc"))[0]
    if not shutil.which(compiler):
        pytest.skip(f"there is no C compiler {compiler}")
    for name, value in {"TRIES": 1, "ROUNDS": 1000, "BYTES": 2**20}.items():
        monkeypatch.setattr(peaks, name, value)
    monkeypatch.setattr(peaks, "last_cache", lambda: None)
    measured = peaks.Peaks(2).sample()
    assert set(measured) == {"float32", "float64", "memory"}
    assert all(rate > 0 for rate in measured.values())


def test_no_peaks_without_a_compiler(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    assert peaks.Peaks(1).sample() is None


def result(row, what, peer, setting, median, megabytes):
    spread = {"low": 0.9 * median, "median": median, "high": 1.1 * median, "calls": 3}
    size = megabytes and megabytes * 2**20
    return {"row": row, "what": what, "peer": peer, "setting": setting, **spread, "bytes": size}


def ours_and_torch(row, what, ours, eager, tuned):
    """A pass in which PyTorch's memory is 30 MB, and ours 20 MB."""
    return [
        result(row, what, "native", "", ours, 20),
        result(row, what, "torch", "eager", eager, 30),
        result(row, what, "torch", "tuned malloc", tuned, 30),
    ]


@pytest.fixture
def content():
    """What a file of results holds: some rows, not in order, each different in kind."""
    machine = {"cpu": "Abacus", "cpus": 2, "cache": CACHE, "system": "Linux", "python": "3.13"}
    machine |= {"nnfast": "0.1.0", "numpy": "2.4", "torch": None}
    machine |= {"dtype": "float32", "threads": 2, "rounds": 5, "seconds": 0.1}
    results = [
        *ours_and_torch("ReLU", "f", 8 * PIXELS / 50e9 / 0.5, 0.1, 0.2),
        *ours_and_torch("conv 64-64 3x3 on 56x56", "f+b", 0.05, 0.08, 0.07),
        *ours_and_torch("lstm", "step", 0.02, 0.03, 0.02),
        *ours_and_torch("mlp", "step", 0.001, 0.005, 0.004),
        result("simpleconv batch 1", "f", "native", "", 1e-4, None),
        *ours_and_torch("a row of the past", "f", 1, 1, 1),
    ]
    results[0]["bytes"] *= 2
    factors = {"mlp": 1.2, "lstm": 0.5, "ReLU": 1, "simpleconv batch 1": 1.1}
    samples_of = {
        row: {name: factor * rate for name, rate in PEAKS.items()}
        for row, factor in factors.items()
    }
    return {"date": "2026-01-31", "machine": machine, "peaks": samples_of, "results": results}


@pytest.fixture
def written(content, tmp_path):
    """Write the document about results; its text and the plot's."""

    def write():
        file = tmp_path / "performance.json"
        file.write_text(json.dumps(content))
        return [path.read_text() for path in report.write(file)]

    return write


def cells(page, row, what):
    (line,) = re.findall(rf"^\| {re.escape(row)} \| {re.escape(what)} \| (.*) \|$", page, re.M)
    return line.split(" | ")


def test_rows_of_the_document(written):
    page, _ = written()
    mlp = "1 ms|4 ms|torch tuned malloc|**4.00**|3.27-4.89|3.0|160 us, flops|16%|20|30"
    assert cells(page, "mlp", "step") == mlp.split("|")
    lstm = cells(page, "lstm", "step")
    assert lstm[3:6] == ["**1.00** ▼", "0.82-1.22", "1.7"]
    conv = cells(page, "conv 64-64 3x3 on 56x56", "f+b")
    assert conv[3] == "**1.40** ▼" and conv[5:8] == ["1.5", "55.5 ms, flops", "111%"]
    relu = cells(page, "ReLU", "f")
    assert relu[2] == "torch eager" and relu[6:] == ["2.06 ms, bytes", "50% ▼", "40 ▼", "30"]
    alone = cells(page, "simpleconv batch 1", "f")
    assert alone[1:6] == ["-", "-", "-", "-", "1.0"] and alone[8:] == ["", "-"]
    assert "past" not in page
    assert page.index("| mlp |") < page.index("| lstm |") < page.index("| ReLU |")


def test_head_of_the_document(written, content):
    page, _ = written()
    assert "| Training steps | 2 | 2.00 | lstm (1.00) |" in page
    assert "| Inference | 1 | - | none |" in page
    assert "(1.40) |" in page and "Abacus" in page and "2026-01-31" in page
    assert "NumPy 2.4, Python 3.13" in page  # no PyTorch
    assert "float32 200 GFLOP/s (100 to 240), float64 100 GFLOP/s (50 to 120)" in page
    assert "memory 50 GB/s (25 to 60)" in page
    content["peaks"] = {}
    page, _ = written()
    assert "no C compiler" in page
    assert cells(page, "mlp", "step")[6:8] == ["not measured", "not measured"]


def test_the_plot_stands_alone(written):
    _, plot = written()
    root = ET.fromstring(plot)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r"<script|<image|@import|url\(|href=", plot)
    tips = {title.text for title in root.iter("{http://www.w3.org/2000/svg}title")}
    ratios = {"mlp step: 4.00", "lstm step: 1.00", "conv 64-64 3x3 on 56x56 f+b: 1.40"}
    assert ratios < tips and len(tips) == 4
    below = re.findall(r'<circle class="below".*<title>(.*)</title>', plot)
    assert below == ["lstm step: 1.00", "conv 64-64 3x3 on 56x56 f+b: 1.40"]


def test_ticks_are_round_and_few():
    assert ticks(0.7, 12) == [1, 2, 5, 10]
    assert ticks(0.5, 1e6) == [1, 10, 100, 1e3, 1e4, 1e5, 1e6]
