"""The examples run and do what they say."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_train_mlp(capsys):
    assert load("train_mlp").main(epochs=3) > 0.9
    assert capsys.readouterr().out.count("test accuracy") == 3


def test_train_cnn(capsys):
    accuracy = load("train_cnn").main(epochs=1)
    assert accuracy > 0.8
    assert f"test accuracy {accuracy:.1%}" in capsys.readouterr().out  # reloaded weights are equal


def test_gradient_check(capsys):
    load("gradient_check").main()
    text = capsys.readouterr().out
    assert text.count("WRONG") == 1 and "At 3 we find 6.0" in text


def test_every_example_is_tested():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tested
    with pytest.raises(FileNotFoundError):
        load("nothing")
