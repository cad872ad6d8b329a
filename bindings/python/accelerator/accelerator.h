/* What the files of the accelerator share. It makes the calls that a program makes per request without ctypes, through
 * addresses in the one library that the package has loaded; what is odd about a call it leaves to the package's Python.
 *
 * All that it calls never waits and never calls back, so the interpreter lock is kept: no thread can hold a lock of the
 * library while it waits for the interpreter's, and no other thread can close what is in use.
 *
 * Only the limited API of Python 3.10, so that one binary serves every CPython from there on. */
#ifndef TIDEGATE_ACCELERATOR_H
#define TIDEGATE_ACCELERATOR_H

#define Py_LIMITED_API 0x030a0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <tidegate.h>

/* The functions themselves are never named: the accelerator is linked with no library. */
typedef __typeof__(tidegate_key_try_acquire) *key_try_acquire_t;
typedef __typeof__(tidegate_limiter_try_acquire) *limiter_try_acquire_t;
typedef __typeof__(tidegate_keys_try_acquire) *keys_try_acquire_t;

/* Of the module, one per interpreter. What `connect` brings is NULL until then. */
typedef struct {
  PyTypeObject *decision_base;
  PyTypeObject *key_base;
  PyObject *address_name; /* "_address", of a handle */
  PyTypeObject *decision; /* tidegate.Decision */
  PyObject *try_acquire;  /* Key.try_acquire in Python */
  key_try_acquire_t key_try_acquire;
  limiter_try_acquire_t limiter_try_acquire;
  keys_try_acquire_t keys_try_acquire;
} State;

typedef struct {
  PyObject_HEAD
  tidegate_decision_t native;
} Decision;

typedef struct {
  PyObject_HEAD
  uint64_t id;
} Key;

extern PyType_Spec decision_spec;
extern PyType_Spec key_spec;

/* A decision of zeros; NULL with an exception where the module is not connected. */
Decision *new_decision(State *state);

/* None, counted. Py_RETURN_NONE counts nothing where the headers are of 3.12 or newer, and Python up to 3.11 does count. */
static inline PyObject *new_none(void) {
  Py_INCREF(Py_None);
  return Py_None;
}

/* Whether it is an int, and no subclass of it, that fits; sets no exception. */
int to_uint64(PyObject *number, uint64_t *out);

/* tp_dealloc of a type whose instances refer to nothing. */
void free_plain(PyObject *self);

PyObject *limiter_try_acquire(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *keys_try_acquire(PyObject *module, PyObject *const *arguments, Py_ssize_t count);

#endif
