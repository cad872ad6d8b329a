/* A decision by text, without a key. */
#include "accelerator.h"

/* The address behind a handle; NULL when it was closed, or is no handle. */
static tidegate_limiter_t *pointer_of(State *state, PyObject *handle) {
  PyObject *number = PyObject_GetAttr(handle, state->address_name);
  uint64_t address = 0;
  if (number) {
    to_uint64(number, &address);
    Py_DECREF(number);
  } else {
    PyErr_Clear();
  }
  return (tidegate_limiter_t *)(uintptr_t)address;
}

/* (handle, value, permits): the decision, or None where Python has to say what is wrong. */
PyObject *limiter_try_acquire(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
  State *state = PyModule_GetState(module);
  uint64_t permits;
  if (count != 3 || !PyUnicode_CheckExact(arguments[1]) || !to_uint64(arguments[2], &permits)) return new_none();
  Py_ssize_t size;
  const char *value = PyUnicode_AsUTF8AndSize(arguments[1], &size);
  if (!value) {
    PyErr_Clear();
    return new_none();
  }
  Decision *decision = new_decision(state);
  if (!decision) return NULL;
  /* The last before the call: from here on nothing gives up the interpreter lock, so nobody closes it meanwhile. */
  tidegate_limiter_t *limiter = pointer_of(state, arguments[0]);
  if (limiter && state->limiter_try_acquire(limiter, value, (size_t)size, permits, &decision->native) >= 0)
    return (PyObject *)decision;
  Py_DECREF(decision);
  return new_none();
}
