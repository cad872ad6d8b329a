/* Many keys in one call. */
#include "accelerator.h"

/* Puts the ids of the keys into `ids`; -1 with an exception where one is no key. */
static int read_ids(State *state, PyObject *keys, Py_ssize_t count, uint64_t *ids) {
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *key = PyTuple_GetItem(keys, i);
    if (!PyObject_TypeCheck(key, state->key_base)) {
      PyErr_SetString(PyExc_TypeError, "keys must be tidegate.Key objects");
      return -1;
    }
    ids[i] = ((Key *)key)->id;
  }
  return 0;
}

static PyObject *to_list(State *state, const tidegate_decision_t *natives, Py_ssize_t count) {
  PyObject *list = PyList_New(count);
  for (Py_ssize_t i = 0; list && i < count; i++) {
    Decision *decision = new_decision(state);
    if (!decision) {
      Py_DECREF(list);
      return NULL;
    }
    decision->native = natives[i];
    PyList_SetItem(list, i, (PyObject *)decision);
  }
  return list;
}

/* (keys, permits of each): the status, and the decisions. */
PyObject *keys_try_acquire(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
  State *state = PyModule_GetState(module);
  uint64_t asked;
  if (count != 2 || !to_uint64(arguments[1], &asked)) {
    PyErr_SetString(PyExc_TypeError, "keys and a number of permits are needed");
    return NULL;
  }
  if (!state->keys_try_acquire) {
    PyErr_SetString(PyExc_RuntimeError, "the accelerator is not connected");
    return NULL;
  }
  if (PyObject_Size(arguments[0]) < 0) return NULL;
  /* A copy: what is asked for its items may change itself meanwhile. */
  PyObject *keys = PySequence_Tuple(arguments[0]);
  if (!keys) return NULL;
  PyObject *answer = NULL;
  Py_ssize_t n = PyTuple_Size(keys);
  const size_t each = sizeof(tidegate_decision_t) + 2 * sizeof(uint64_t);
  char *memory = (size_t)n <= UINT32_MAX ? PyMem_Calloc((size_t)n, each) : NULL;
  if (!memory) {
    PyErr_NoMemory();
    goto end;
  }
  tidegate_decision_t *decisions = (tidegate_decision_t *)memory;
  uint64_t *ids = (uint64_t *)(decisions + n), *permits = ids + n;
  if (read_ids(state, keys, n, ids)) goto end;
  for (Py_ssize_t i = 0; i < n; i++) permits[i] = asked;
  tidegate_status_t status = state->keys_try_acquire(ids, permits, (uint32_t)n, decisions);
  PyObject *list = to_list(state, decisions, n);
  if (list) answer = Py_BuildValue("(iN)", (int)status, list);
end:
  PyMem_Free(memory);
  Py_DECREF(keys);
  return answer;
}
