/* What tidegate.Decision inherits from: the native struct, with what the package uses of a ctypes.Structure. */
#include "accelerator.h"

#include <stddef.h>
#include <string.h>

#include <structmember.h>

Decision *new_decision(State *state) {
  if (!state->decision) {
    PyErr_SetString(PyExc_RuntimeError, "the accelerator is not connected");
    return NULL;
  }
  return (Decision *)PyType_GenericAlloc(state->decision, 0);
}

void free_plain(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

static int is_granted(PyObject *self) { return ((Decision *)self)->native.status == TIDEGATE_OK; }

static PyObject *address(PyObject *self, void *unused) {
  (void)unused;
  return PyLong_FromVoidPtr(&((Decision *)self)->native);
}

static PyObject *to_bytes(PyObject *self, PyObject *unused) {
  (void)unused;
  return PyBytes_FromStringAndSize((const char *)&((Decision *)self)->native, sizeof(tidegate_decision_t));
}

static PyObject *from_buffer_copy(PyObject *type, PyObject *bytes) {
  char *from;
  Py_ssize_t size;
  if (PyBytes_AsStringAndSize(bytes, &from, &size)) return NULL;
  if (size != sizeof(tidegate_decision_t)) {
    PyErr_Format(PyExc_ValueError, "a decision has %zu bytes, not %zd", sizeof(tidegate_decision_t), size);
    return NULL;
  }
  PyObject *made = PyType_GenericAlloc((PyTypeObject *)type, 0);
  if (made) memcpy(&((Decision *)made)->native, from, sizeof(tidegate_decision_t));
  return made;
}

static PyMemberDef members[] = {
    {"_retry_after_ns", T_ULONGLONG, offsetof(Decision, native.retry_after_ns), 0, NULL},
    {"_remaining", T_ULONGLONG, offsetof(Decision, native.remaining), 0, NULL},
    {"_status", T_INT, offsetof(Decision, native.status), 0, NULL},
    {"_tier", T_USHORT, offsetof(Decision, native.tier), 0, NULL},
    {"_basis", T_USHORT, offsetof(Decision, native.basis), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef computed[] = {
    {"_as_parameter_", address, NULL, PyDoc_STR("What ctypes passes for it: where the struct is."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"__bytes__", to_bytes, METH_NOARGS, NULL},
    {"from_buffer_copy", from_buffer_copy, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, free_plain}, {Py_nb_bool, is_granted}, {Py_tp_members, members},
    {Py_tp_getset, computed},    {Py_tp_methods, methods}, {0, NULL},
};

PyType_Spec decision_spec = {
    .name = "tidegate._accelerator.Decision",
    .basicsize = sizeof(Decision),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};
