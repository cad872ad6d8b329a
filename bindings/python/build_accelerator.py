#!/usr/bin/env python3
"""Compiles the accelerator, which the package can do without.

    python bindings/python/build_accelerator.py      into the package of this checkout: for PYTHONPATH and `pip install -e`

Its name says abi3: one binary serves every CPython from 3.10 on, but for the builds without the interpreter lock.
"""
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "accelerator")
PACKAGE = os.path.join(HERE, "src", "tidegate")
INCLUDE = os.path.join(HERE, "..", "..", "include")
FILE = "_accelerator.abi3.so"
# What it lacks is found when it is loaded (now), not when it is called. No symbol tables: the same file every time (-s).
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-fPIC", "-shared", "-Wl,-z,now", "-s"]


def compiler():
    """The command that CC says, or else that made this Python, or else `cc`; None where there is none."""
    said = os.environ.get("CC")
    for command in [said] if said else [sysconfig.get_config_var("CC") or "cc", "cc"]:
        words = shlex.split(command)
        if shutil.which(words[0]):
            return words
    return None


def missing():
    """Why it cannot be compiled here, or None."""
    if sys.implementation.name != "cpython" or sys.version_info < (3, 10) or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this is no CPython of 3.10 or newer with an interpreter lock"
    if not sys.platform.startswith("linux"):
        return f"it is compiled on Linux only so far, not on {sys.platform}"
    if not compiler():
        return "no C compiler"
    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    return None if os.path.isfile(header) else f"no {header} (python3-dev)"


def compiled():
    """The binary. A compiler that fails is a failure: it was there, so what is wrong is ours."""
    sources = sorted(name for name in os.listdir(SOURCE) if name.endswith(".c"))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, FILE)
        include = ["-I", INCLUDE, "-I", sysconfig.get_paths()["include"]]
        subprocess.run([*compiler(), *FLAGS, *include, *sources, "-o", path], cwd=SOURCE, check=True)
        with open(path, "rb") as file:
            return file.read()


def in_place():
    """Puts it into the package of this checkout."""
    binary, path = compiled(), os.path.join(PACKAGE, FILE)
    # A new file in place of the old one, which a running program may have mapped.
    with open(path + ".new", "wb") as file:
        file.write(binary)
    os.replace(path + ".new", path)
    return path


if __name__ == "__main__":
    why = missing()
    print(os.path.normpath(in_place()) if not why else f"error: no accelerator: {why}")
    sys.exit(1 if why else 0)
