"""The wheel: complete by itself, and the same each time."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest
from conftest import HAS_ACCELERATOR, ROOT

PACKAGE = os.path.join(ROOT, "bindings", "python")
# What every Linux that a manylinux wheel is for has.
SWITCH = "TIDEGATE_PYTHON_ACCELERATOR"
ACCELERATOR = "tidegate/_accelerator.abi3.so"
SYSTEM = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1", "libutil.so.1",
          "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="wheels are built on Linux only so far")


def environment():
    """Nothing of this checkout, and no package index: the wheel needs none."""
    left_out = ("PYTHONPATH", "TIDEGATE_LIBRARY", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An interpreter in a fresh environment with pip."""
    folder = tmp_path_factory.mktemp("venv")
    try:
        venv.create(folder, with_pip=True)
    except (subprocess.CalledProcessError, OSError) as why:
        pytest.skip(f"no environment with pip can be made here (python3-venv missing?): {why}")
    return str(folder / "bin" / "python")


@pytest.fixture(scope="module")
def wheel(python, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run([python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, PACKAGE], env=environment(),
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [name] = os.listdir(folder)
    return folder / name


def test_the_name_says_any_python_3_and_one_platform(wheel):
    assert re.fullmatch(r"tidegate-[\d.]+-py3-none-(manylinux_2_\d+|linux)_(x86_64|aarch64)\.whl", wheel.name)


def members(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_the_package_the_types_the_library_and_the_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        record = archive.read(next(name for name in names if name.endswith("RECORD"))).decode()
    assert {"tidegate/__init__.py", "tidegate/py.typed", "tidegate/libtidegate.so"} <= names
    assert any(name.endswith("dist-info/LICENSE") for name in names)
    assert {line.split(",")[0] for line in record.splitlines()} == names


def test_it_holds_the_accelerator_where_that_must_be_there_and_not_where_it_is_switched_off(wheel):
    said = os.environ.get(SWITCH)
    assert not said or (ACCELERATOR in members(wheel)) == (said == "1")


needs_accelerator = pytest.mark.skipif(not HAS_ACCELERATOR, reason="the accelerator is for CPython from 3.10 on")


def build(folder, **changes):
    return subprocess.run([sys.executable, os.path.join(PACKAGE, "build_wheel.py"), str(folder)], env={**environment(), **changes},
                          capture_output=True, text=True, check=False)


@needs_accelerator
def test_without_a_compiler_the_wheel_is_made_without_the_accelerator_and_says_so(tmp_path):
    done = build(tmp_path, **{"CC": str(tmp_path / "none"), SWITCH: ""})
    assert done.returncode == 0 and "without the accelerator, ctypes will do its work: no C compiler" in done.stderr
    assert ACCELERATOR not in members(done.stdout.strip())


@needs_accelerator
def test_without_a_compiler_no_wheel_is_made_that_must_have_the_accelerator(tmp_path):
    done = build(tmp_path, **{"CC": str(tmp_path / "none"), SWITCH: "1"})
    assert done.returncode != 0 and "the accelerator cannot be compiled: no C compiler" in done.stderr
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not shutil.which("false"), reason="no command that fails")
def test_a_compiler_that_fails_makes_no_wheel(tmp_path):
    done = build(tmp_path, **{"CC": "false", SWITCH: "1"})
    assert done.returncode != 0 and not os.listdir(tmp_path)


@pytest.mark.skipif(not shutil.which("nm"), reason="no nm")
def test_the_accelerator_has_one_name_for_python_and_asks_for_nothing_but_python(wheel, tmp_path):
    if ACCELERATOR not in members(wheel):
        assert os.environ.get(SWITCH) != "1"
        return
    with zipfile.ZipFile(wheel) as archive:
        path = archive.extract(ACCELERATOR, tmp_path)
    symbols = subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^[0-9a-f ]{16} (\w) (\w+)", symbols, re.MULTILINE)
    assert [name for kind, name in found if kind not in "Uw"] == ["PyInit__accelerator"]
    asked = {name for kind, name in found if kind == "U"}
    assert asked and all(re.match("_?Py", name) for name in asked)


@pytest.mark.skipif(not shutil.which("readelf"), reason="no readelf")
def test_the_library_in_it_needs_nothing_but_the_system(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        path = archive.extract("tidegate/libtidegate.so", tmp_path)
    dynamic = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert needed and needed <= SYSTEM
    symbols = subprocess.run(["readelf", "-V", path], capture_output=True, text=True, check=True).stdout
    newest = max(int(minor) for minor in re.findall(r"GLIBC_2\.(\d+)", symbols))
    assert f"manylinux_2_{max(newest, 17)}_" in wheel.name


def test_the_same_files_make_the_same_wheel(wheel, tmp_path):
    done = subprocess.run([sys.executable, os.path.join(PACKAGE, "build_wheel.py"), str(tmp_path)], env=environment(),
                          capture_output=True, text=True, check=True)
    again = done.stdout.strip()
    assert os.path.basename(again) == wheel.name
    digests = []
    for path in (again, wheel):
        with open(path, "rb") as file:
            digests.append(hashlib.sha256(file.read()).hexdigest())
    assert digests[0] == digests[1]


def test_it_works_where_there_is_no_checkout(python, wheel, tmp_path):
    install = [python, "-m", "pip", "install", "-q", "--force-reinstall", str(wheel)]
    done = subprocess.run(install, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shutil.copy(os.path.join(ROOT, "tests", "walkthrough", "walkthrough.py"), tmp_path)
    options = {"cwd": tmp_path, "env": environment(), "capture_output": True, "text": True, "check": False}
    done = subprocess.run([python, "-I", "walkthrough.py"], **options)
    with open(os.path.join(ROOT, "tests", "walkthrough", "expected.txt"), encoding="utf-8") as expected:
        assert (done.stdout, done.stderr, done.returncode) == (expected.read(), "", 0)
    code = "import tidegate; print(tidegate.LIBRARY_PATH, tidegate.ACCELERATED)"
    where, accelerated = subprocess.run([python, "-I", "-c", code], **options).stdout.split()
    assert "site-packages" in where and ROOT not in where
    assert accelerated == str(ACCELERATOR in members(wheel))
