// A host that loads the library as a plugin: `load LIBRARY`. It is not linked with it.

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
  if (!(condition)) return fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition), 1

typedef uint32_t number_function(void);
typedef void *create_function(void);
typedef int32_t set_function(void *, const char *, size_t, const char *, size_t, void **);
typedef int32_t open_function(void *, void **, void **);
typedef int32_t close_function(void *, uint64_t, void **);

static void *load(const char *library) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) fprintf(stderr, "%s\n", dlerror());
  return handle;
}

// ISO C knows no way from an object pointer to a function.
static int look_up(void *library, const char *name, void *function) {
  void *symbol = dlsym(library, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

int main(int argc, char **argv) {
  number_function *abi_version;
  create_function *create;
  set_function *set;
  open_function *open;
  close_function *close;
  void *runtime = NULL, *again = NULL;

  CHECK(argc == 2);
  void *library = load(argv[1]);
  CHECK(library && look_up(library, "tidegate_abi_version", &abi_version));
  CHECK(look_up(library, "tidegate_config_create", &create) && look_up(library, "tidegate_config_set", &set));
  CHECK(look_up(library, "tidegate_runtime_open", &open) && look_up(library, "tidegate_runtime_close", &close));
  CHECK(!look_up(library, "tidegate_no_such_function", &(void *){NULL}));
  // With Kafka: a background thread runs on when the library is "unloaded".
  void *config = create();
  if (set(config, "bootstrap.servers", 17, "127.0.0.1:1", 11, NULL) != 0 || open(config, &runtime, NULL) != 0) {
    config = create();
    CHECK(open(config, &runtime, NULL) == 0);
  }
  CHECK(dlclose(library) == 0);
  // The code is still there: without -z nodelete this call would be the end.
  CHECK(abi_version() == 1);
  CHECK(close(runtime, 0, NULL) == 0);
  library = load(argv[1]);
  CHECK(library && open(config, &again, NULL) == 0 && close(again, 0, NULL) == 0);
  CHECK(dlclose(library) == 0);
  puts("ok");
  return 0;
}
