// The walkthrough in C: README.md here says what it does, expected.txt what it prints.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <tidegate.h>

// Ends the program when something failed that must not.
static void must(tidegate_status_t status, tidegate_error_t **error) {
  if (status == TIDEGATE_OK) return;
  fprintf(stderr, "%s: %s\n", tidegate_status_name(status), error ? tidegate_error_message(*error) : "");
  exit(1);
}

// TIDEGATE_DENIED is DENIED here.
static const char *short_name(tidegate_status_t status) { return tidegate_status_name(status) + sizeof "TIDEGATE"; }

static const char *yes(int flag) { return flag ? "yes" : "no"; }

int main(void) {
  tidegate_error_t *error = NULL;
  printf("version %s, ABI %" PRIu32 "\n", tidegate_version(), tidegate_abi_version());

  tidegate_config_t *config = tidegate_config_create();
  tidegate_status_t status = tidegate_config_set(config, TIDEGATE_STR("no.such.property"), TIDEGATE_STR("1"), &error);
  printf("unknown property: %s\n", tidegate_status_name(status));
  tidegate_error_free(error);

  tidegate_runtime_t *runtime = NULL;
  must(tidegate_config_set(config, TIDEGATE_STR("storage"), TIDEGATE_STR("memory"), &error), &error);
  must(tidegate_runtime_open(config, &runtime, &error), &error);
  tidegate_config_free(config);

  tidegate_storage_info_t info = {.struct_size = sizeof info};
  must(tidegate_runtime_storage_info(runtime, &info, &error), &error);
  printf("storage: %s, shared: %s, persistent: %s\n", info.backend == TIDEGATE_STORAGE_MEMORY ? "memory" : "kafka",
         yes(info.is_shared), yes(info.is_persistent));

  const char name[] = "walkthrough";
  tidegate_limit_t limit = {.struct_size = sizeof limit, .kind = TIDEGATE_LIMIT_TOKEN_BUCKET,
                            .permits = 5, .period_ns = 1000 * TIDEGATE_MS, .burst = 5};
  tidegate_limiter_t *limiter = NULL;
  must(tidegate_limiter_create(runtime, name, sizeof name - 1, &limit, &limiter, &error), &error);
  printf("limiter \"%s\": %" PRIu64 " permits per %" PRIu64 " ms, burst %" PRIu64 "\n", name, limit.permits,
         limit.period_ns / TIDEGATE_MS, limit.burst);

  uint64_t key = 0;
  tidegate_decision_t decision;
  must(tidegate_limiter_key(limiter, TIDEGATE_STR("tenant-1"), &key, &error), &error);
  int acquired = 0;
  for (int i = 0; i < 5; i++) acquired += tidegate_key_try_acquire(key, 1, NULL) == TIDEGATE_OK;
  printf("acquired %d of 5\n", acquired);
  status = tidegate_key_try_acquire(key, 1, &decision);
  int soon = decision.retry_after_ns > 0 && decision.retry_after_ns <= 200 * TIDEGATE_MS;
  printf("sixth: %s, retry within 200 ms: %s\n", short_name(status), yes(soon));
  printf("peek: %s\n", short_name(tidegate_key_peek(key, NULL)));
  status = tidegate_key_acquire(key, 1, 2000 * TIDEGATE_MS, NULL);
  printf("acquire with a timeout of 2 s: %s\n", short_name(status));
  status = tidegate_key_acquire(key, 5, TIDEGATE_MS, NULL);
  printf("acquire with a timeout of 1 ms for 5: %s\n", short_name(status));
  printf("six at once: %s\n", short_name(tidegate_key_try_acquire(key, 6, NULL)));
  printf("zero: %s\n", tidegate_status_name(tidegate_key_try_acquire(key, 0, NULL)));

  tidegate_key_status_t state = {.struct_size = sizeof state};
  must(tidegate_key_status(key, &state), NULL);
  printf("granted by this process: %" PRIu64 "\n", state.granted);
  must(tidegate_key_release(key), NULL);
  printf("released twice: %s\n", tidegate_status_name(tidegate_key_release(key)));

  int32_t health = -1;
  must(tidegate_runtime_health(runtime, &health, NULL, &error), &error);
  printf("health: %s\n", health == TIDEGATE_HEALTH_OK ? "ok" : "not ok");
  tidegate_limiter_free(limiter);
  must(tidegate_runtime_close(runtime, 1000 * TIDEGATE_MS, &error), &error);
  return 0;
}
