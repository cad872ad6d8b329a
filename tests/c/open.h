// What most tests begin with.

#ifndef OPEN_H
#define OPEN_H

#include "check.h"

static inline tidegate_config_t *memory_config(void) {
  tidegate_config_t *config = tidegate_config_create();
  CHECK(config != NULL);
  CHECK_IS(tidegate_config_set(config, TIDEGATE_STR("storage"), TIDEGATE_STR("memory"), NULL), TIDEGATE_OK);
  return config;
}

// Equal configurations share one runtime: `note` makes them differ.
static inline tidegate_runtime_t *open_noted(const char *note) {
  tidegate_config_t *config = memory_config();
  tidegate_runtime_t *runtime = NULL;
  CHECK_IS(tidegate_config_set(config, TIDEGATE_STR("client.note"), note, strlen(note), NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_runtime_open(config, &runtime, NULL), TIDEGATE_OK);
  tidegate_config_free(config);
  return runtime;
}

static inline tidegate_limit_t per_second(uint64_t permits, uint64_t burst) {
  tidegate_limit_t limit = {sizeof limit, TIDEGATE_LIMIT_TOKEN_BUCKET, permits, 1000 * TIDEGATE_MS, burst, 0, 0, 0, 0, 0, 0};
  return limit;
}

static inline tidegate_limiter_t *make_limiter(tidegate_runtime_t *runtime, tidegate_limit_t limit) {
  tidegate_limiter_t *limiter = NULL;
  CHECK_IS(tidegate_limiter_create(runtime, TIDEGATE_STR("test"), &limit, &limiter, NULL), TIDEGATE_OK);
  return limiter;
}

static inline uint64_t make_key(tidegate_limiter_t *limiter, const char *value) {
  uint64_t key = 0;
  CHECK_IS(tidegate_limiter_key(limiter, value, strlen(value), &key, NULL), TIDEGATE_OK);
  CHECK(key != 0);
  return key;
}

// A runtime with one limiter and one key.
struct gate {
  tidegate_runtime_t *runtime;
  tidegate_limiter_t *limiter;
  uint64_t key;
};

static inline struct gate open_gate(const char *note, tidegate_limit_t limit) {
  struct gate gate;
  gate.runtime = open_noted(note);
  gate.limiter = make_limiter(gate.runtime, limit);
  gate.key = make_key(gate.limiter, "tenant-1");
  return gate;
}

static inline void close_gate(struct gate gate) {
  tidegate_limiter_free(gate.limiter);
  CHECK_IS(tidegate_runtime_close(gate.runtime, 1000 * TIDEGATE_MS, NULL), TIDEGATE_OK);
}

#endif
