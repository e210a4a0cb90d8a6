"""The examples and the code of docs/layers.md run and do what they say."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_train_mlp(capsys):
    assert load("train_mlp").main(epochs=3) > 0.9
    assert capsys.readouterr().out.count("test accuracy") == 3


def test_train_cnn(capsys):
    accuracy = load("train_cnn").main(epochs=2)
    assert accuracy > 0.9
    assert f"test accuracy {accuracy:.1%}" in capsys.readouterr().out  # reloaded weights are equal


def test_gradient_check(capsys):
    load("gradient_check").main()
    text = capsys.readouterr().out
    assert text.count("WRONG") == 1 and "At 3 we find 6.0" in text


def test_docs_on_layers(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "docs/layers.md", "exec"), scope)
    assert list(scope["network"].parameters())[-1].shape == (3,)  # its new head, saved and loaded
    assert scope["value"] > 0 and scope["model"].grads["0.weight"] is not None
    assert capsys.readouterr().out.count(" ok ") == 4
