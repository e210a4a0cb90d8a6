"""The benchmark's training steps: the same bits for any number of threads, and no new memory.

The networks are those of bench/networks.py, with dropout wherever they have a place for it. Batches
are smaller where a step would take too long, but large enough for several threads in all layers.
"""

import importlib.util
import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import cases
import numpy as np
import pytest
from kernel_checks import by_threads, core

import nnfast as nn
from nnfast import models

PAGE = resource.getpagesize()


def load_networks():
    """Load bench/networks.py by its path: bench is not installed."""
    path = Path(__file__).parents[1] / "bench" / "networks.py"
    spec = importlib.util.spec_from_file_location("bench_networks", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


networks = load_networks()
NAMES = list(networks.NETWORKS)
BATCH = {"simpleconv": 20, "deepconv": 20, "vgg": 8, "resnet18": 4, "mobilenet": 8}
BATCH |= {"transformer": 4}  # the others are taken whole
OPTIMIZERS = {
    "Adam": lambda parameters: nn.optim.Adam(parameters, lr=1e-3),
    "SGD": lambda parameters: nn.optim.SGD(parameters, lr=0.01),
    "momentum": lambda parameters: nn.optim.SGD(parameters, lr=0.01, momentum=0.9),
    None: lambda parameters: nn.optim.AdamW(parameters, lr=1e-3),
}


def block(*sizes, **options):
    return nn.TransformerEncoderLayer(*sizes, **{**options, "dropout": 0.1})


LAYERS = SimpleNamespace(
    **{**vars(nn), "BasicBlock": models.BasicBlock, "TransformerEncoderLayer": block}
)


class Training:
    """A network, its batch, its loss and its optimizer; `step` returns the loss."""

    def __init__(self, name, dtype):
        network = networks.NETWORKS[name]
        shape = (BATCH.get(name, network.batch[0]), *network.batch[1:])
        self.x, self.target = networks.batch(network, shape, dtype)
        self.model = network.build(LAYERS).astype(dtype).seed(0)
        self.optimizer = OPTIMIZERS[network.optimizer](self.model.parameters())
        self.loss = nn.CrossEntropyLoss() if network.optimizer else nn.MSELoss()
        self.classes = network.classes

    def step(self):
        y = self.model(self.x)
        if isinstance(self.loss, nn.MSELoss):
            value = self.loss(y, self.x)
        else:
            value = self.loss(y.reshape(-1, self.classes), self.target)
        self.model.backward(self.loss.backward().reshape(y.shape))
        self.optimizer.step()
        return np.asarray(value)

    def state(self):
        """Every parameter and its gradient, running statistics, the state of dropouts."""
        gradients = (p.grad for p in self.model.parameters())
        return (*self.model.state_dict().values(), *gradients)


@pytest.fixture(autouse=True)
def compiled():
    with nn.use_backend("native"):
        yield
    nn.runtime.trim()


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_bits_of_three_steps_do_not_depend_on_the_thread_count(name, dtype):
    losses = []

    def three_steps():
        training = Training(name, dtype)
        losses[:] = [training.step() for _ in range(3)]
        return (*losses, *training.state())

    state = by_threads(three_steps)
    assert all(array.dtype == dtype for array in state if array.dtype.kind == "f")
    assert all(np.isfinite(array).all() for array in state)
    assert len({float(loss) for loss in losses}) == 3  # they learn


def test_dropout_is_active():
    dropouts = {
        name: [
            layer
            for _, layer in Training(name, np.float32).model.named_layers()
            if isinstance(layer, nn.Dropout)
        ]
        for name in ("deepconv", "transformer")
    }
    assert [len(layers) for layers in dropouts.values()] == [1, 3]
    assert all(layer.training and layer.p > 0 for layers in dropouts.values() for layer in layers)


def held():
    memory = nn.runtime.memory()
    return memory["in_use"] + memory["cached"]


@pytest.mark.parametrize("name", NAMES)
def test_after_the_third_step_no_more_memory_is_taken(name, threads):
    nn.runtime.trim()
    training = Training(name, np.float32)
    threads(1)
    sizes = []
    for _ in range(6):
        training.step()
        sizes.append(held())
    assert sizes[5] == sizes[2], sizes
    # How much scratch is in use at once depends on which threads meet: it may take more steps
    # until the most has been seen, but not many.
    threads(3)
    while len(sizes) < 60 and sizes[-1] != sizes[-4]:
        training.step()
        sizes.append(held())
    assert sizes[-1] == sizes[-4], sizes


def resident():
    """Bytes of this process in physical memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.parametrize("name", NAMES)
def test_trim_gives_memory_back(name):
    nn.runtime.trim()
    before = held()
    training = Training(name, np.float32)
    training.step()
    training.step()
    used = core.runtime_memory()
    assert used["cached"] > 0
    nn.runtime.trim()
    trimmed = core.runtime_memory()
    assert trimmed["cached"] == 0
    assert trimmed["in_use"] == used["in_use"]
    training.step()  # and the next one takes what it needs
    del training
    nn.runtime.trim()
    assert held() <= before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells the resident memory")
def test_the_system_gets_the_memory_back():
    for _ in range(2):  # glibc keeps more once it has been given large blocks
        training = Training("vgg", np.float32)
        training.step()
        training.step()
        cached, before = core.runtime_memory()["cached"], resident()
        nn.runtime.trim()
        given_back = before - resident()
        del training
    assert given_back > 0.7 * cached
