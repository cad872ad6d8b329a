/* The module tidegate._accelerator: what Python imports, and how the package connects it with the library. */
#include "accelerator.h"

static void put(PyObject **place, PyObject *object) {
  PyObject *before = *place;
  Py_XINCREF(object);
  *place = object;
  Py_XDECREF(before);
}

/* (tidegate.Decision, Key.try_acquire in Python, and the addresses of three functions of the library) */
static PyObject *connect(PyObject *module, PyObject *arguments) {
  State *state = PyModule_GetState(module);
  PyObject *decision, *try_acquire;
  unsigned long long one, text, batch;
  if (!PyArg_ParseTuple(arguments, "OOKKK", &decision, &try_acquire, &one, &text, &batch)) return NULL;
  if (!PyType_Check(decision) || !PyType_IsSubtype((PyTypeObject *)decision, state->decision_base) || !one || !text || !batch) {
    PyErr_SetString(PyExc_TypeError, "a subclass of Decision and three addresses are needed");
    return NULL;
  }
  put((PyObject **)&state->decision, decision);
  put(&state->try_acquire, try_acquire);
  state->key_try_acquire = (key_try_acquire_t)(uintptr_t)one;
  state->limiter_try_acquire = (limiter_try_acquire_t)(uintptr_t)text;
  state->keys_try_acquire = (keys_try_acquire_t)(uintptr_t)batch;
  return new_none();
}

static PyObject *add_type(PyObject *module, PyType_Spec *spec) {
  PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
  if (type && PyModule_AddType(module, (PyTypeObject *)type)) Py_CLEAR(type);
  return type;
}

static int execute(PyObject *module) {
  State *state = PyModule_GetState(module);
  state->address_name = PyUnicode_InternFromString("_address");
  state->decision_base = (PyTypeObject *)add_type(module, &decision_spec);
  state->key_base = (PyTypeObject *)add_type(module, &key_spec);
  return state->address_name && state->decision_base && state->key_base ? 0 : -1;
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
  State *state = PyModule_GetState(module);
  Py_VISIT(state->decision_base);
  Py_VISIT(state->key_base);
  Py_VISIT(state->decision);
  Py_VISIT(state->try_acquire);
  return 0;
}

static int clear(PyObject *module) {
  State *state = PyModule_GetState(module);
  Py_CLEAR(state->decision_base);
  Py_CLEAR(state->key_base);
  Py_CLEAR(state->decision);
  Py_CLEAR(state->try_acquire);
  Py_CLEAR(state->address_name);
  return 0;
}

static void free_module(void *module) { clear(module); }

static PyMethodDef methods[] = {
    {"connect", connect, METH_VARARGS, NULL},
    {"limiter_try_acquire", (PyCFunction)(void (*)(void))limiter_try_acquire, METH_FASTCALL, NULL},
    {"keys_try_acquire", (PyCFunction)(void (*)(void))keys_try_acquire, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "tidegate._accelerator",
    .m_size = sizeof(State),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = free_module,
};

PyMODINIT_FUNC PyInit__accelerator(void) { return PyModuleDef_Init(&definition); }
