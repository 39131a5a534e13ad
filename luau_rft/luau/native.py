"""Loads the native Luau compiler and VM."""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def native() -> ModuleType:
    """The extension module ``_pluau``, loaded by itself: on Python 3.11 the package's ``args.py`` is a syntax error."""
    package = importlib.util.find_spec("pluau")
    if package is None or not package.submodule_search_locations:
        raise ImportError("the package pluau is not installed")
    folder = Path(package.submodule_search_locations[0])
    path = next(folder.glob("_pluau.*.so"), None) or next(folder.glob("_pluau*.pyd"))
    spec = importlib.util.spec_from_file_location("_pluau", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
