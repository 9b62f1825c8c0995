"""Whether a Python package is here, and in which version: asked in one way, whatever its build is called."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

# Builds of a package that are packages of other names and hold its module.
BUILDS = {
    "onnxruntime": ("onnxruntime-gpu",),
    "tensorrt": ("tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu11"),
}


def package_version(package: str) -> str | None:
    """Version of a package or of a build of it, or what its module says where none of them is listed; None without it.

    Args:
        package: Its name; that of its module as well, where it has one of its own.
    """
    for name in (package, *BUILDS.get(package, ())):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return _version_of_module(package)


def _version_of_module(name: str) -> str | None:
    """What a module says that no listed package brought, as on some boards; None where it does not load."""
    if find_spec(name) is None:
        return None
    try:
        return getattr(importlib.import_module(name), "__version__", None)
    except (ImportError, OSError):
        return None
