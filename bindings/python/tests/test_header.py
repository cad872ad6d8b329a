"""include/tidegate.h and what the package says about it are one and the same."""
import ctypes
import dataclasses
import os
import re
import shutil
import subprocess

import pytest
import tidegate
from conftest import ROOT, SOURCE
from tidegate import _abi, _enforcement, _load

with open(os.path.join(ROOT, "include", "tidegate.h"), encoding="utf-8") as file:
    HEADER = file.read()
CONSTANTS = {name: int(value) for name, value in re.findall(r"^#define TIDEGATE_(\w+) (-?\d+)$", HEADER, re.MULTILINE)}
STRUCTS = {
    "limit": _abi.Limit, "decision": _abi.Decision, "key_status": _abi.KeyStatus, "storage_info": _abi.StorageInfo,
    "metrics": _abi.Metrics, "tier": _abi.Tier, "scope": _abi.Scope, "adaptive": _abi.Adaptive,
}
TYPES = {f"{kind}_t": getattr(ctypes, f"c_{kind}") for kind in ("uint64", "uint32", "int32", "uint16")}
TYPES.update({"const char *": ctypes.c_char_p, "const tidegate_limit_t *": ctypes.POINTER(_abi.Limit)})
# Read line by line: a field is `type name;`, or `const type *name;`.
FIELDS = {
    name: [(kind.strip(), field) for kind, field in re.findall(r"^  (\w+ |const \w+ \*)(\w+);$", body, re.MULTILINE)]
    for body, name in re.findall(r"^typedef struct \{\n(.*?)^\} tidegate_(\w+)_t;$", HEADER, re.MULTILINE | re.DOTALL)
}


def group(prefix):
    return {name[len(prefix):]: value for name, value in CONSTANTS.items() if name.startswith(prefix)}


@pytest.mark.parametrize(
    "prefix, enum", [("BASIS_", tidegate.Basis), ("OUTAGE_", tidegate.Outage), ("HEALTH_", tidegate.HealthState),
                     ("STORAGE_", tidegate.Storage), ("FEATURE_", tidegate.Feature), ("LIMIT_", tidegate.LimitKind),
                     ("EVENT_", tidegate.EventKind), ("LAG_", tidegate.LagUnit)],
)
def test_every_number_has_the_headers_name_and_value(prefix, enum):
    assert {member.name: member.value for member in enum} == group(prefix) != {}


def test_every_status_has_the_headers_name_and_value():
    ours = {status.c_name[len("TIDEGATE_"):]: status.value for status in tidegate.Status}
    theirs = {name: CONSTANTS[name] for name in ("OK", "DENIED", "NEVER", "TIMED_OUT", "PENDING")}
    assert ours == {**theirs, **{"E_" + name: value for name, value in group("E_").items()}}


def test_every_enforcement_has_the_headers_name_and_value():
    ours = {re.sub("(?<!^)(?=[A-Z])", "_", cls.__name__).upper(): cls._number for cls in _enforcement.ENFORCEMENTS}
    assert ours == group("ENFORCE_") != {}


def test_no_constant_of_the_header_is_left_out():
    known = ("BASIS_", "OUTAGE_", "HEALTH_", "STORAGE_", "FEATURE_", "E_", "VERSION_", "LIMIT_", "EVENT_", "LAG_",
             "ENFORCE_")
    rest = {name: value for name, value in CONSTANTS.items() if not name.startswith(known)}
    assert rest == {"ABI_VERSION": _load.ABI_VERSION, "MODE_ENFORCE": _abi.MODE_ENFORCE,
                    "MODE_SHADOW": _abi.MODE_SHADOW, "OK": 0, "DENIED": 1, "NEVER": 2, "TIMED_OUT": 3, "PENDING": 4,
                    "TIERS_MAX": _abi.TIERS_MAX, "SCOPES_MAX": _abi.SCOPES_MAX}


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_every_struct_has_the_headers_fields(name):
    ours = [(kind, field.lstrip("_")) for field, kind in STRUCTS[name]._fields_]
    assert ours == [(TYPES[kind], field) for kind, field in FIELDS[name]]


def test_the_header_was_understood():
    assert sorted(FIELDS) == sorted(STRUCTS) and all(FIELDS.values())


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_a_c_compiler_gives_the_structs_the_same_layout(tmp_path):
    lines = []
    for name, struct in STRUCTS.items():
        lines.append(f'_Static_assert(sizeof(tidegate_{name}_t) == {ctypes.sizeof(struct)}, "{name}");')
        for field, _ in struct._fields_:
            lines.append(f'_Static_assert(__builtin_offsetof(tidegate_{name}_t, {field.lstrip("_")}) == '
                         f'{getattr(struct, field).offset}, "{name}.{field}");')
    source = tmp_path / "layout.c"
    compiler = ["cc", "-fsyntax-only", "-I", os.path.join(ROOT, "include"), str(source)]
    source.write_text("#include <tidegate.h>\n" + "\n".join(lines))
    done = subprocess.run(compiler, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    source.write_text("#include <tidegate.h>\n" + lines[0].replace("== ", "== 1"))
    assert subprocess.run(compiler, capture_output=True, check=False).returncode != 0


def test_every_function_of_the_header_is_used():
    declared = set(re.findall(r"^[\w ]+[ *]tidegate_(\w+)\(", HEADER, re.MULTILINE))
    # The names of statuses are in the package, for the sake of those that a library does not know.
    ours = {"abi_version", "status_name"} | {name for name in vars(_abi) if callable(getattr(_abi, name))}
    assert declared and declared <= ours


def test_python_and_c_have_the_same_names_for_statuses():
    status_name = ctypes.CDLL(_abi.PATH).tidegate_status_name
    status_name.restype = ctypes.c_char_p
    for status in tidegate.Status:
        assert status_name(int(status)).decode() == status.c_name


def test_what_other_packages_do_with_the_library_changes_nothing_here(key):
    ctypes.CDLL(_abi.PATH).tidegate_key_try_acquire.restype = ctypes.c_char
    assert key.try_acquire().remaining == 4


def test_the_view_of_the_data_is_that_of_the_struct():
    for view, name in ((tidegate.Metrics, "metrics"), (tidegate.KeyStatus, "key_status")):
        names = {field for _, field in FIELDS[name]} - {"struct_size", "reserved"}
        assert {field.name for field in dataclasses.fields(view)} == {
            re.sub("_(micro|ppm|ms)$", "", name) for name in names
        }


def test_package_library_and_cargo_have_one_version():
    with open(os.path.join(ROOT, "Cargo.toml"), encoding="utf-8") as cargo:
        version = re.search(r'^version = "(.*)"$', cargo.read(), re.MULTILINE)[1]
    with open(os.path.join(SOURCE, "..", "pyproject.toml"), encoding="utf-8") as project:
        assert f'version = "{version}"' in project.read()
    assert tidegate.__version__ == tidegate.LIBRARY_VERSION == version
