"""Every compiled function gives the same bits with any number of threads."""

import pytest
from kernel_checks import by_threads, core
from thread_calls import CALLS


@pytest.mark.parametrize("name", CALLS)
def test_bits_do_not_depend_on_the_thread_count(name: str) -> None:
    by_threads(CALLS[name])


def test_every_compiled_function_is_in_the_table() -> None:
    functions = {
        name
        for name, value in vars(core).items()
        if callable(value) and not name.startswith(("_", "runtime_"))
    }
    assert functions == set(CALLS)
