"""The examples in the docstrings hold."""

import doctest
import importlib
import pkgutil

import pytest

import luau_rft

MODULES = sorted(module.name for module in pkgutil.walk_packages(luau_rft.__path__, "luau_rft."))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
