/* What tidegate.Key inherits from: the id, and the call that decides. */
#include "accelerator.h"

#include <stddef.h>

#include <structmember.h>

int to_uint64(PyObject *number, uint64_t *out) {
  if (!PyLong_CheckExact(number)) return 0;
  *out = PyLong_AsUnsignedLongLong(number);
  if (*out != UINT64_MAX || !PyErr_Occurred()) return 1;
  PyErr_Clear();
  return 0;
}

/* The same call of the method in Python, which knows every error and its words. */
static PyObject *in_python(PyObject *method, PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *names) {
  PyObject *answer = NULL, *named = NULL, *all = PyTuple_New(count + 1);
  if (!all) return NULL;
  Py_INCREF(self);
  PyTuple_SetItem(all, 0, self);
  for (Py_ssize_t i = 0; i < count; i++) {
    Py_INCREF(arguments[i]);
    PyTuple_SetItem(all, i + 1, arguments[i]);
  }
  if (names) {
    named = PyDict_New();
    if (!named) goto end;
    for (Py_ssize_t i = 0; i < PyTuple_Size(names); i++)
      if (PyDict_SetItem(named, PyTuple_GetItem(names, i), arguments[count + i])) goto end;
  }
  answer = PyObject_Call(method, all, named);
end:
  Py_XDECREF(named);
  Py_DECREF(all);
  return answer;
}

/* Whether the call is one of (), (permits) and (permits=..) with a number that fits. */
static int is_plain(PyObject *const *arguments, Py_ssize_t count, PyObject *names, uint64_t *permits) {
  Py_ssize_t named = names ? PyTuple_Size(names) : 0;
  *permits = 1;
  if (count + named == 0) return 1;
  if (count + named > 1) return 0;
  if (named && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "permits")) return 0;
  return to_uint64(arguments[0], permits);
}

static PyObject *try_acquire(PyObject *self, PyTypeObject *base, PyObject *const *arguments, Py_ssize_t count, PyObject *names) {
  State *state = PyType_GetModuleState(base);
  Decision *decision = new_decision(state);
  if (!decision) return NULL;
  uint64_t permits;
  if (is_plain(arguments, count, names, &permits) &&
      state->key_try_acquire(((Key *)self)->id, permits, &decision->native) >= 0)
    return (PyObject *)decision;
  /* Nothing was taken by a call that failed. */
  Py_DECREF(decision);
  return in_python(state->try_acquire, self, arguments, count, names);
}

static PyMemberDef members[] = {
    {"_id", T_ULONGLONG, offsetof(Key, id), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef methods[] = {
    {"try_acquire", (PyCFunction)(void (*)(void))try_acquire, METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("try_acquire($self, /, permits=1)\n--\n\n"
               "Takes `permits` now or not at all: true when granted. Never waits.\n\n"
               "An ordinary no is no exception: `decision.status` is DENIED or NEVER.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, free_plain}, {Py_tp_members, members}, {Py_tp_methods, methods}, {0, NULL},
};

PyType_Spec key_spec = {
    .name = "tidegate._accelerator.Key",
    .basicsize = sizeof(Key),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};
