"""Finding the library, and what is said when it is not the right one."""
import shutil
import subprocess

import pytest
import tidegate
from conftest import run, succeeds

IMPORT = "import tidegate; print(tidegate.LIBRARY_PATH)"


def refused(path):
    done = run(IMPORT, environment={"TIDEGATE_LIBRARY": str(path)})
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def library(folder, source):
    """A library that is not ours."""
    path = folder / "libother.so"
    (folder / "other.c").write_text(source)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, folder / "other.c"], check=True)
    return path


needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")


def test_a_file_that_is_named_is_taken(tmp_path):
    copy = tmp_path / "any-name.so"
    shutil.copy(tidegate.LIBRARY_PATH, copy)
    assert succeeds(IMPORT, environment={"TIDEGATE_LIBRARY": str(copy)}).strip() == str(copy)


def test_a_file_that_is_named_and_missing_is_not_replaced_by_another(tmp_path):
    path = tmp_path / "none.so"
    assert refused(path) == f"tidegate._load.LibraryError: TIDEGATE_LIBRARY is {str(path)!r}, which is no file"


def test_a_file_that_is_no_library_is_refused_with_what_to_do(tmp_path):
    text = tmp_path / "text.so"
    text.write_text("no library")
    assert "cannot be loaded" in refused(text) and "cargo build --release" in refused(text)


@needs_cc
def test_another_library_is_refused(tmp_path):
    assert "is not the Tidegate library" in refused(library(tmp_path, "int x;"))


@needs_cc
def test_another_abi_is_refused_with_both_numbers(tmp_path):
    path = library(tmp_path, "unsigned tidegate_abi_version(void) { return 7; }")
    assert "has ABI 7, this package needs ABI 1" in refused(path)


@needs_cc
def test_an_older_library_is_refused_with_what_it_lacks(tmp_path):
    path = library(tmp_path, "unsigned tidegate_abi_version(void) { return 1; }")
    assert "is older than this package: it lacks" in refused(path) and "tidegate_key_try_acquire" in refused(path)


def test_a_failed_import_can_be_caught_as_one(tmp_path):
    assert succeeds("""
        try: import tidegate
        except ImportError as error: print(type(error).__name__)
    """, environment={"TIDEGATE_LIBRARY": str(tmp_path / "none")}) == "LibraryError\n"
