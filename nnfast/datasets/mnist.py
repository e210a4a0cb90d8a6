"""MNIST in full: 60,000 handwritten digits to train on and 10,000 to test on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nnfast.datasets._options import Split, prepare
from nnfast.datasets.download import DownloadError, fetch
from nnfast.datasets.idx import read_idx

# Name of each file and MD5 of the official .gz. A file the user brings is not held against it: its
# pixels count, and gzip writes a time stamp into each copy.
_FILES = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def load_mnist(
    root: str | os.PathLike[str] | None = None,
    normalize: bool = True,
    flatten: bool = False,
    one_hot: bool = False,
    *,
    download: bool = True,
    mirrors: Sequence[str] = MIRRORS,
) -> tuple[Split, Split]:
    """Load MNIST from its four IDX files, each gzipped or not.

    They are looked for in ``root`` if it is given, else in ``$NNFAST_DATA/mnist`` and then in the
    user's cache (``$XDG_CACHE_HOME/nnfast/mnist`` or ``~/.cache/nnfast/mnist``). What is missing is
    downloaded, into ``root`` or the cache: resumed after an interruption, checked, and never seen
    half-written.

    Parameters
    ----------
    root : path-like, optional
        Folder of the four files.
    normalize : bool
        True: float32 pixels from 0 to 1. False: uint8 pixels from 0 to 255.
    flatten : bool
        True: images of shape (N, 784). False: (N, 1, 28, 28).
    one_hot : bool
        True: labels as float32 rows of shape (N, 10). False: int64 labels of shape (N,).
    download : bool
        False: raise FileNotFoundError instead of using the network.
    mirrors : sequence of str
        Addresses to download from, each ending in ``/``, in order of preference.

    Returns
    -------
    (x_train, t_train), (x_test, t_test)
        Fresh arrays, free to be changed.

    Raises
    ------
    ValueError
        If a file is damaged or is not what its name says.
    FileNotFoundError
        If files are missing and ``download`` is False.
    DownloadError
        An OSError: if no mirror delivers a file. The message says what to do without a network.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document
    Recognition", 1998.
    """
    folders = _folders(root)
    paths = next(filter(None, map(_find, folders)), None)
    if paths is None:
        paths = _obtain(folders, mirrors, download)
    images, labels, test_images, test_labels = (paths[name] for name in _FILES)
    return (
        prepare(*_read(images, labels), normalize, flatten, one_hot),
        prepare(*_read(test_images, test_labels), normalize, flatten, one_hot),
    )


def _folders(root: str | os.PathLike[str] | None) -> list[Path]:
    """Where to look, in order; the last one is where a download goes."""
    if root is not None:
        return [Path(root).expanduser()]
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folders = [Path(cache) / "nnfast" / "mnist"]
    if data := os.environ.get("NNFAST_DATA"):
        folders.insert(0, Path(data).expanduser() / "mnist")
    return folders


def _present(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def _find(folder: Path) -> dict[str, Path] | None:
    """Return the four files, or None if one is missing."""
    found = {name: path for name in _FILES if (path := _present(folder, name))}
    return found if len(found) == len(_FILES) else None


def _obtain(folders: list[Path], mirrors: Sequence[str], allowed: bool) -> dict[str, Path]:
    """Download what the last folder lacks."""
    target = folders[-1]
    if not allowed:
        raise FileNotFoundError(_advice("MNIST is not on this machine", folders))
    try:
        return {
            name: _present(target, name) or fetch(f"{name}.gz", mirrors, md5, target)
            for name, md5 in _FILES.items()
        }
    except DownloadError as error:
        raise DownloadError(_advice(str(error), folders)) from None


def _advice(problem: str, folders: list[Path]) -> str:
    names = "\n".join(f"    {name}.gz" for name in _FILES)
    places = " or ".join(map(str, folders))
    return (
        f"{problem}\n\nWithout a network, do one of these:\n"
        f"  - put these files, gzipped or not, into {places}:\n{names}\n"
        "  - set NNFAST_DATA to a folder that holds them in its subfolder mnist\n"
        "  - use nnfast.datasets.load_digits_sample(): 5,000 of the digits, no download"
    )


def _read(image_path: Path, label_path: Path) -> Split:
    """Read images and their labels, and make sure that they are what their names say."""
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.ndim != 3 or images.dtype != "uint8" or images.shape[1:] != (28, 28):
        raise ValueError(
            f"{image_path}: needs uint8 images of shape (N, 28, 28), "
            f"holds {images.dtype} of shape {images.shape}"
        )
    if labels.shape != images.shape[:1] or labels.dtype != "uint8":
        raise ValueError(
            f"{label_path}: needs {len(images)} uint8 labels, one for each image, "
            f"holds {labels.dtype} of shape {labels.shape}"
        )
    if labels.size and labels.max() > 9:
        raise ValueError(f"{label_path}: labels go from 0 to 9, one is {labels.max()}")
    return images, labels
