"""Optimizers: against PyTorch, against the functions they are made of, state and errors."""

from typing import ClassVar

import numpy as np
import pytest

import nnfast as nn
from nnfast import optim

CASES = {
    "sgd": (optim.SGD, "SGD", {"lr": 0.1}),
    "sgd-decay": (optim.SGD, "SGD", {"lr": 0.1, "weight_decay": 0.05}),
    "momentum": (optim.SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    "nesterov": (optim.SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adagrad": (optim.AdaGrad, "Adagrad", {"lr": 0.1, "eps": 1e-6, "weight_decay": 0.05}),
    "rmsprop": (optim.RMSprop, "RMSprop", {"lr": 0.1, "alpha": 0.9, "weight_decay": 0.05}),
    "adadelta": (optim.Adadelta, "Adadelta", {"lr": 0.5, "rho": 0.8, "weight_decay": 0.05}),
    "adam": (optim.Adam, "Adam", {"lr": 0.1, "beta1": 0.8, "beta2": 0.9, "weight_decay": 0.05}),
    "adamw": (optim.AdamW, "AdamW", {"lr": 0.1, "weight_decay": 0.3}),
    "defaults-adam": (optim.Adam, "Adam", {}),
    "defaults-adamw": (optim.AdamW, "AdamW", {}),
    "defaults-adagrad": (optim.AdaGrad, "Adagrad", {}),
    "defaults-rmsprop": (optim.RMSprop, "RMSprop", {}),
    "defaults-adadelta": (optim.Adadelta, "Adadelta", {}),
}
every_case = pytest.mark.parametrize("case", CASES)


def gradients(shape, steps, seed=0):
    return np.random.default_rng(seed).standard_normal((steps, *shape))


def parameter(dtype=np.float64, shape=(3, 5)):
    return nn.Parameter(np.random.default_rng(1).standard_normal(shape).astype(dtype), name="w")


def run(opt, p, grads):
    for grad in grads:
        p.grad = grad.astype(p.dtype)
        opt.step()
    return p.data.copy()


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_is_that_of_torch(case, dtype, backend):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    make, name, settings = CASES[case]
    p = parameter(dtype)
    theirs = torch.nn.Parameter(torch.tensor(p.data.copy()))
    renamed = dict(settings)
    if "beta1" in renamed:
        renamed["betas"] = (renamed.pop("beta1"), renamed.pop("beta2"))
    reference = getattr(torch.optim, name)([theirs], **renamed)
    opt = make([p], **settings)
    tol = 1e-5 if dtype == np.float32 else 1e-12
    for grad in gradients(p.shape, 6):
        theirs.grad = torch.tensor(grad.astype(dtype))
        reference.step()
        run(opt, p, [grad])
        np.testing.assert_allclose(p.data, theirs.detach().numpy(), rtol=tol, atol=tol)
    assert p.data.dtype == dtype


@every_case
def test_saved_and_loaded_it_goes_on_as_if_nothing_had_happened(case, backend):
    make, _, settings = CASES[case]
    grads = gradients((3, 5), 5)
    p = parameter()
    opt = make([p], **settings)
    run(opt, p, grads[:2])
    state, weights = opt.state_dict(), p.data.copy()
    expected = run(opt, p, grads[2:])
    q = nn.Parameter(weights)
    other = make([q], lr=9.0)  # settings are those of the state
    other.load_state_dict(state)
    np.testing.assert_array_equal(run(other, q, grads[2:]), expected)


@every_case
def test_steps_are_in_place_and_lr_can_be_changed(case, backend):
    make, _, settings = CASES[case]
    p = parameter()
    opt, data, before = make([p], **settings), p.data, p.data.copy()
    opt.lr = 0.0
    run(opt, p, gradients(p.shape, 1))
    np.testing.assert_array_equal(p.data, before)
    opt.lr = 0.1
    run(opt, p, gradients(p.shape, 1))
    assert p.data is data and not np.array_equal(data, before)
    assert f"{make.__name__}(1 parameters, lr=0.1" in repr(opt)


def test_momentum_can_be_switched_on_and_off(backend):
    p, grad = parameter(), np.ones((3, 5))
    start, opt = p.data.copy(), optim.SGD([p], lr=0.1)
    run(opt, p, [grad])
    opt.momentum = 0.5
    run(opt, p, [grad, grad])
    opt.momentum = 0.0
    run(opt, p, [grad])
    np.testing.assert_allclose(p.data, start - 0.1 * (1 + 1 + 1.5 + 1), rtol=1e-12)


def test_passes_over_frozen_parameters_and_those_without_gradient(backend):
    frozen, fresh, learned = parameter(), parameter(), parameter()
    before = learned.data.copy()
    frozen.requires_grad = False
    frozen.grad = learned.grad = np.ones((3, 5))
    optim.Adam([frozen, fresh, learned]).step()
    np.testing.assert_array_equal(frozen.data, before)
    np.testing.assert_array_equal(fresh.data, before)
    assert not np.array_equal(learned.data, before)


def test_a_parameter_thawed_later_starts_with_its_own_first_step(backend):
    late, alone = parameter(), parameter()
    other = parameter()
    opt = optim.Adam([other, late], lr=0.1)
    run(opt, other, gradients((3, 5), 3))
    late.grad = alone.grad = np.ones((3, 5))
    opt.step()
    optim.Adam([alone], lr=0.1).step()
    np.testing.assert_array_equal(late.data, alone.data)


def test_parameters_of_any_dtype_and_step_count_go_together(backend):
    """Frozen for a while, of two precisions: the same bits as each by itself."""

    def some():
        shapes = [((3, 5), np.float32), ((7,), np.float64), ((2, 2), np.float32)]
        return [parameter(dtype, shape) for shape, dtype in shapes]

    together, apart = some(), some()
    opt = optim.Adam(together, lr=0.1)
    alone = [optim.Adam([p], lr=0.1) for p in apart]
    for step in range(6):
        for p, q in zip(together, apart, strict=True):
            p.grad = gradients(p.shape, 1, seed=step)[0].astype(p.dtype)
            q.grad = p.grad.copy()
        together[1].requires_grad = apart[1].requires_grad = step not in (1, 2)
        if step == 4:
            together[2].data = apart[2].data.copy()  # a new array between steps
        opt.step()
        for one in alone:
            one.step()
        for p, q in zip(together, apart, strict=True):
            np.testing.assert_array_equal(p.data, q.data)
    assert opt.state_dict()["steps"] == [6, 4, 6]


def test_parameters_that_share_memory_are_refused(backend):
    block = np.ones(10)
    first, second = nn.Parameter(block[:6]), nn.Parameter(block[4:])
    first.grad = second.grad = np.ones(6)
    with pytest.raises(ValueError, match=r"param\[1\].* memory"):
        optim.SGD([first, second], lr=0.1).step()
    np.testing.assert_array_equal(block, 1)


def test_a_step_that_fails_is_not_counted(backend):
    p = parameter()
    opt = optim.Adam([p])
    p.grad = np.ones((5, 3))
    with pytest.raises(ValueError, match="grad"):
        opt.step()
    assert opt.state_dict()["steps"] == [0]


def test_shared_parameter_is_updated_once(backend):
    p, q = parameter(), parameter()
    p.grad = q.grad = np.ones((3, 5))
    optim.SGD([p, p], lr=1.0).step()
    optim.SGD([q], lr=1.0).step()
    np.testing.assert_array_equal(p.data, q.data)


def test_model_parameters_and_zero_grad(backend):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1), rng=0)
    opt = optim.SGD(model.parameters(), lr=0.1)
    assert len(opt.params) == 4
    model.backward(model(np.ones((1, 3), np.float32)))
    assert all(g is not None for g in model.grads.values())
    opt.zero_grad()
    assert all(g is None for g in model.grads.values())


def test_wrong_gradient_is_named(backend):
    p = parameter()
    p.grad = np.ones((5, 3))
    with pytest.raises(ValueError, match="grad"):
        optim.SGD([p], lr=0.1).step()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: optim.SGD([p], lr=-1), ValueError, "lr must be finite, at least 0, got -1"),
        (lambda p: optim.SGD([p], lr="fast"), TypeError, "lr must be a number, got 'fast'"),
        (lambda p: optim.SGD([p], lr=float("nan")), ValueError, "lr must be finite"),
        (lambda p: optim.SGD([p], 0.1, momentum=1), ValueError, "momentum must .* below 1, got 1"),
        (lambda p: optim.SGD([p], 0.1, nesterov=True), ValueError, "nesterov must go with a mom"),
        (lambda p: optim.SGD([p], 0.1, weight_decay=-1), ValueError, "weight_decay must be finite"),
        (lambda p: optim.AdaGrad([p], eps=-1), ValueError, "eps must be finite, at least 0"),
        (lambda p: optim.RMSprop([p], alpha=1.5), ValueError, "alpha must .* below 1, got 1.5"),
        (lambda p: optim.Adadelta([p], rho=-0.1), ValueError, "rho must be finite, at least 0"),
        (lambda p: optim.Adam([p], beta1=1.0), ValueError, "beta1 must .* below 1, got 1.0"),
        (lambda p: optim.AdamW([p], beta2=2), ValueError, "beta2 must .* below 1, got 2"),
        (lambda p: optim.Adam([]), ValueError, "params must hold at least one Parameter"),
        (lambda p: optim.Adam(p), TypeError, "params must be an iterable of Parameter"),
        (lambda p: optim.Adam(nn.ReLU()), TypeError, "params must be .* as layer.parameters"),
        (lambda p: optim.Adam([p]).load_state_dict(None), TypeError, "state must be a state_dict"),
        (lambda p: optim.Adam([p.data]), TypeError, "params must hold nnfast Parameters, got nd"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(parameter())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(optimizer="SGD"), "state must be one of Adam, got 'SGD'"),
        (lambda s: s.update(steps=[1, 1]), "state must be for 1 parameters, got 2"),
        (lambda s: s.update(steps=[-1]), "steps must be at least 0, got -1"),
        (lambda s: s["settings"].update(lr=-1), "lr must be finite"),
        (lambda s: s.pop("steps"), "state must have steps, which is missing"),
        (lambda s: s["settings"].pop("lr"), "state must have lr, which is missing"),
        (lambda s: s["state"].pop("0.v"), "state must have '0.v', which is missing"),
        (lambda s: s["state"].update({"0.v": np.ones(3)}), r"state\['0.v'\] must have shape"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message, backend):
    p = parameter()
    opt = optim.Adam([p], lr=0.1)
    run(opt, p, gradients(p.shape, 2))
    state, before = opt.state_dict(), opt.state_dict()
    change(state)
    with pytest.raises(ValueError, match=message):
        opt.load_state_dict(state)
    after = opt.state_dict()
    assert after["steps"] == before["steps"] and after["settings"] == before["settings"]
    for key, array in before["state"].items():
        np.testing.assert_array_equal(after["state"][key], array)


@pytest.mark.parametrize(("before", "after"), [(0.9, 0.0), (0.0, 0.9)])
def test_a_state_can_be_saved_after_momentum_was_changed(before, after, backend):
    p, twin = parameter(), parameter()
    opt, other = optim.SGD([p], 0.1, momentum=before), optim.SGD([twin], 0.1)
    run(opt, p, gradients(p.shape, 2))
    opt.momentum, twin.data[:] = after, p.data
    other.load_state_dict(opt.state_dict())
    for each, param in ((opt, p), (other, twin)):
        run(each, param, gradients(p.shape, 2))
    np.testing.assert_array_equal(p.data, twin.data)


def test_an_optimizer_follows_a_model_to_another_precision(backend):
    model = nn.Sequential(nn.Linear(3, 2), rng=0)
    opt = optim.Adam(model.parameters())
    for dtype in (np.float32, np.float64, np.float32):
        x = np.ones((1, 3), dtype)
        model.astype(dtype).backward(model(x))
        opt.step()
        assert opt.state_dict()["state"]["0.m"].dtype == dtype
    assert opt.state_dict()["steps"] == [3, 3]


def test_weights_that_cannot_be_changed_in_place_are_named(backend):
    layer = nn.Linear(3, 2, rng=0)
    opt = optim.SGD(layer.parameters(), 0.1)
    layer.weight.data = np.ones((3, 2), np.float32).T
    layer.backward(layer(np.ones((1, 3), np.float32)))
    with pytest.raises(ValueError, match=r"params\[0\].data \(weight\) must be a C-contiguous"):
        opt.step()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipping_is_that_of_torch(dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(0)
    ours = [nn.Parameter(np.zeros(shape, dtype)) for shape in ((3, 4), (5,), ())]
    frozen = nn.Parameter(np.zeros(2, dtype), requires_grad=False)
    frozen.grad = np.full(2, 9, dtype)
    for most in (100.0, 1.0, 0.0):
        theirs = [torch.zeros(p.shape, dtype=torch.tensor(p.data).dtype) for p in ours]
        for p, t in zip(ours, theirs, strict=True):
            p.grad = np.asarray(rng.standard_normal(p.shape), dtype)
            t.grad = torch.tensor(p.grad)
        expected = torch.nn.utils.clip_grad_norm_(theirs, most).item()
        norm = optim.clip_grad_norm_([*ours, ours[0], frozen, parameter()], most)
        assert norm == pytest.approx(expected, rel=1e-6)
        for p, t in zip(ours, theirs, strict=True):
            assert p.grad.dtype == dtype
            np.testing.assert_allclose(p.grad, t.grad.numpy(), rtol=1e-6)
    np.testing.assert_array_equal(frozen.grad, 9)


def test_clipping_scales_the_rows_of_a_sparse_gradient(backend):
    grads = []
    for sparse in (False, True):
        table = nn.Embedding(6, 3, sparse=sparse, rng=0)
        table.backward(np.full_like(table(np.array([1, 4, 1])), 2))
        assert optim.clip_grad_norm_(table.parameters(), 1.0) > 1
        grads.append(np.array(table.weight.grad))
    np.testing.assert_allclose(*grads, rtol=1e-6)
    assert np.linalg.norm(grads[0]) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(("most", "error"), [(-1, ValueError), ("1 m", TypeError)])
def test_clipping_to_no_norm_is_an_error(most, error):
    with pytest.raises(error, match="max_norm must be"):
        optim.clip_grad_norm_([parameter()], most)


@pytest.mark.parametrize("make", [optim.Adam, optim.AdamW])
def test_the_running_means_of_adam_are_saved_under_their_names(make, backend):
    p = parameter()
    opt = make([p], weight_decay=0.0)
    run(opt, p, [np.full((3, 5), 2.0)])
    state = opt.state_dict()["state"]
    np.testing.assert_allclose(state["0.m"], 0.1 * 2)
    np.testing.assert_allclose(state["0.v"], 0.001 * 2**2)


def test_an_optimizer_of_one_s_own(backend):
    class Plain(optim.Optimizer):
        settings: ClassVar = {"lr": 10.0}

        def _update(self, step, data, grad, state):
            assert state == []
            for array, gradient in zip(data, grad, strict=True):
                array -= self.lr / step * gradient

    class Counting(Plain):
        slots = ("count",)

        def _update(self, step, data, grad, state):
            for array in state[0]:
                array += step
            super()._update(step, data, grad, [])

    for make in (Plain, Counting):
        p = parameter()
        opt, expected = make([p], lr=0.5), p.data - (0.5 + 0.25)
        run(opt, p, np.ones((2, 3, 5)))
        np.testing.assert_allclose(p.data, expected)
        assert repr(opt) == f"{make.__name__}(1 parameters, lr=0.5)"
        again = make([p], lr=1.0)
        again.load_state_dict(opt.state_dict())
        assert again.state_dict()["settings"] == {"lr": 0.5} and again.state_dict()["steps"] == [2]
    np.testing.assert_array_equal(again.state_dict()["state"]["0.count"], np.full((3, 5), 3.0))
    with pytest.raises(ValueError, match=r"lr must be .* below 10"):
        Plain([p], lr=10.0)
    p.grad = np.ones((3, 5))
    with pytest.raises(NotImplementedError):
        optim.Optimizer([p]).step()
