# runtime.pxi: threads, ISA and memory pool, for nnfast.runtime.


def runtime_set_threads(n):
    """Let kernels use up to n threads."""
    nnf_set_threads(<int>check_int(n, "n", 1, 4096))


def runtime_get_threads():
    """Threads the next kernel may use."""
    return nnf_get_threads()


def runtime_openmp():
    """Whether the library was built with OpenMP."""
    return bool(nnf_has_openmp())


def runtime_isa():
    """Name of the instruction set in use."""
    return nnf_isa().decode()


def runtime_isas():
    """Names of the instruction sets compiled in, from lowest to highest."""
    return [nnf_isa_name(i).decode() for i in range(nnf_isa_count())]


def runtime_memory():
    """Bytes of the memory pool: in_use, cached, limit, peak."""
    return nnf_memory()


def runtime_trim():
    """Give the pool's cached blocks back to the operating system."""
    with nogil:
        nnf_trim()
