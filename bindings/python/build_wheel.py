#!/usr/bin/env python3
"""Makes the wheel: the package, the shared library beside it, and the accelerator. A PEP 517 backend that needs nothing but
Python; without a C compiler and Python.h the wheel holds no accelerator.

    cargo build --release && pip wheel --no-deps bindings/python
    python bindings/python/build_wheel.py [FOLDER]

The library is target/release/libtidegate.so of this checkout, or the file that TIDEGATE_LIBRARY names. As where the package
runs, TIDEGATE_PYTHON_ACCELERATOR is 0 for a wheel without the accelerator, and 1 for none but with it.
"""
import base64
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

import build_accelerator

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
SOURCE = os.path.join(HERE, "src", "tidegate")
FILE = "libtidegate.so"
# The same wheel from the same files, whenever it is made.
DATE = (1980, 1, 1, 0, 0, 0)
SETTING = re.compile(r'^([a-z-]+) = "(.*)"$', re.MULTILINE)


def build_wheel(folder, config_settings=None, metadata_directory=None):
    with open(library(), "rb") as built:
        shared = stripped(built.read())
    files = {f"tidegate/{FILE}": shared}
    for name in sorted(os.listdir(SOURCE)):
        if name.endswith(".py") or name == "py.typed":
            files[f"tidegate/{name}"] = read(os.path.join(SOURCE, name))
    accelerator = accelerated()
    if accelerator:
        files[f"tidegate/{build_accelerator.FILE}"] = accelerator
    # Any Python 3, although the accelerator is for CPython from 3.10 on: where it cannot be used the package goes without.
    return write(folder, files, f"py3-none-{platform_tag(shared + accelerator)}")


def build_editable(folder, config_settings=None, metadata_directory=None):
    """`pip install -e`: the package of this checkout, with the library that cargo built last."""
    if wants_accelerator():
        build_accelerator.in_place()
    return write(folder, {"tidegate.pth": os.path.dirname(SOURCE).encode() + b"\n"}, "py3-none-any")


def build_sdist(folder, config_settings=None):
    raise SystemExit("a source archive of the package alone would lack the library: build a wheel in a checkout")


def library():
    path = os.environ.get("TIDEGATE_LIBRARY") or os.path.join(ROOT, "target", "release", FILE)
    if not os.path.isfile(path):
        raise SystemExit(f"{os.path.normpath(path)} is not there: run `cargo build --release` first")
    return path


def wants_accelerator():
    """Whether to compile the accelerator; says why not."""
    said = os.environ.get("TIDEGATE_PYTHON_ACCELERATOR")
    why = "TIDEGATE_PYTHON_ACCELERATOR is 0" if said == "0" else build_accelerator.missing()
    if why and said == "1":
        raise SystemExit(f"TIDEGATE_PYTHON_ACCELERATOR is 1, and the accelerator cannot be compiled: {why}")
    if why:
        print(f"without the accelerator, ctypes will do its work: {why}", file=sys.stderr)
    return not why


def accelerated():
    return build_accelerator.compiled() if wants_accelerator() else b""


def stripped(shared):
    """Without the tables for debuggers, which are most of the file; as it is where binutils are missing."""
    if not shutil.which("strip"):
        return shared
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, FILE)
        with open(path, "wb") as copy:
            copy.write(shared)
        subprocess.run(["strip", "--strip-unneeded", path], check=True)
        return read(path)


def platform_tag(shared):
    """The oldest glibc that has every symbol that is asked for."""
    if not sys.platform.startswith("linux"):
        raise SystemExit(f"wheels are built on Linux only so far, not on {sys.platform}")
    minors = [int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)(?=[.\0])", shared)]
    kind = f"manylinux_2_{max([17, *minors])}" if minors else "linux"
    return f"{kind}_{platform.machine()}"


def settings():
    """The strings of pyproject.toml. By pattern: tomllib came with Python 3.11."""
    return dict(SETTING.findall(read(os.path.join(HERE, "pyproject.toml")).decode()))


def write(folder, files, tag):
    project = settings()
    info = f"tidegate-{project['version']}.dist-info"
    files[f"{info}/METADATA"] = "\n".join([
        "Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}",
        f"Summary: {project['description']}", f"License: {project['license']}",
        f"Requires-Python: {project['requires-python']}", "Description-Content-Type: text/markdown", "",
        read(os.path.join(HERE, "README.md")).decode(),
    ]).encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tidegate\nRoot-Is-Purelib: {str(tag.endswith('any')).lower()}\nTag: {tag}\n"
    ).encode()
    files[f"{info}/LICENSE"] = read(os.path.join(ROOT, "LICENSE"))
    digests = [(name, base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode(), len(data))
               for name, data in files.items()]
    files[f"{info}/RECORD"] = "".join(
        [f"{name},sha256={digest},{size}\n" for name, digest, size in digests] + [f"{info}/RECORD,,\n"]
    ).encode()
    wheel = f"tidegate-{project['version']}-{tag}.whl"
    os.makedirs(folder, exist_ok=True)
    with zipfile.ZipFile(os.path.join(folder, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.external_attr = 0o100755 << 16 if name.endswith(".so") else 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return wheel


def read(path):
    with open(path, "rb") as file:
        return file.read()


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "dist"
    print(os.path.join(target, build_wheel(target)))
