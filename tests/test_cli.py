"""The command line: what it starts, what it prints when something is wrong."""

import subprocess
import sys

import pytest

import nnfast
from nnfast import cli, demo


def run(*arguments, **options):
    command = [sys.executable, "-m", "nnfast", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_module_and_version():
    result = run("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"nnfast {nnfast.__version__}\n"


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(f"\n    {name} " in text for name in ("demo", "run", "info"))


def test_demo_help_names_the_options(capsys):
    with pytest.raises(SystemExit):
        cli.main(["demo", "--help"])
    text = capsys.readouterr().out
    for option in ("--epochs", "--backend", "--dtype", "--seed", "--threads", "--out"):
        assert option in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["demo", "--epochs", "0"], "--epochs: must be at least 1, got 0"),
        (["demo", "--epochs", "many"], "--epochs: must be a whole number, got 'many'"),
        (["demo", "--seed", "-1"], "--seed: must be at least 0, got -1"),
        (["demo", "--threads", "0"], "--threads: must be at least 1, got 0"),
        (["demo", "--threads", "9999"], "--threads: must be at most 4096, got 9999"),
        (["demo", "--backend", "cuda"], "--backend: invalid choice: 'cuda'"),
        (["demo", "--dtype", "float16"], "--dtype: invalid choice: 'float16'"),
        (["demo", "extra"], "unrecognized arguments: extra"),
        (["info", "--all"], "unrecognized arguments: --all"),
    ],
)
def test_wrong_arguments_are_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert message in text and "--help" in text
    assert text.count("\n") == 1


def test_info(capsys):
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    assert nnfast.__version__ in text and "threads" in text


def test_run_hands_everything_over(monkeypatch):
    from nnfast.compat import runner

    monkeypatch.setattr(runner, "main", lambda arguments: 3 if arguments == seen else 4)
    seen = ["--as", "dlfs1", "script.py", "--help", "--version"]
    assert cli.main(["run", *seen]) == 3


def test_demo_gets_its_options(monkeypatch):
    seen = {}
    monkeypatch.setattr(demo, "run", lambda **options: seen.update(options) or True)
    given = ["--epochs", "2", "--dtype", "float64", "--seed", "7", "--threads", "3", "--out", "x"]
    assert cli.main(["demo", *given]) == 0
    assert seen == {"epochs": 2, "dtype": "float64", "seed": 7, "threads": 3, "out": "x"}


def test_demo_out_of_bounds_is_a_failure(monkeypatch):
    monkeypatch.setattr(demo, "run", lambda **_: False)
    assert cli.main(["demo"]) == 1


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError("disk\n  full"), 1, "nnfast: error: disk full\n"),
        (ImportError("not built"), 1, "nnfast: error: not built\n"),
        (KeyboardInterrupt(), 130, "\nnnfast: interrupted\n"),
    ],
)
def test_failures_are_one_line(monkeypatch, capsys, error, code, message):
    def fail(**_):
        raise error

    monkeypatch.setattr(demo, "run", fail)
    assert cli.main(["demo"]) == code
    assert capsys.readouterr().err == message


def test_out_that_is_a_file_is_refused_before_training(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="without matplotlib nothing is written")
    (tmp_path / "file").write_text("")
    assert cli.main(["demo", "--out", str(tmp_path / "file")]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "file" in captured.err
    assert "epoch" not in captured.out


def test_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m nnfast info | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in result.stderr


def test_starts_without_heavy_imports():
    code = (
        "import sys, nnfast.cli; nnfast.cli._parser();"
        "sys.exit(any(m in sys.modules for m in ('matplotlib', 'tqdm', 'nnfast.demo')))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
