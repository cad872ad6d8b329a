// Many threads on one key.

#include "open.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *take_until_denied(void *key) {
  uintptr_t granted = 0;
  for (int denied = 0; denied < 1000;) {
    if (tidegate_key_try_acquire(*(uint64_t *)key, 1, NULL) == TIDEGATE_OK) granted++;
    else denied++;
  }
  return (void *)granted;
}

// None comes back while a test runs.
static tidegate_limit_t per_hour(uint64_t permits, uint64_t burst) {
  tidegate_limit_t limit = per_second(permits, burst);
  limit.period_ns *= 3600;
  return limit;
}

TEST(eight_threads_get_the_burst_and_not_one_more) {
  struct gate gate = open_gate("", per_hour(1, 100000));
  pthread_t threads[8];
  uintptr_t total = 0;
  for (int i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, take_until_denied, &gate.key) == 0);
  for (int i = 0; i < 8; i++) {
    void *granted;
    CHECK(pthread_join(threads[i], &granted) == 0);
    total += (uintptr_t)granted;
  }
  CHECK_IS(total, 100000);
  close_gate(gate);
}

TEST(a_wait_ends_when_the_permit_comes_and_not_before) {
  struct gate gate = open_gate("", per_second(20, 1));
  tidegate_decision_t decision;
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, &decision), TIDEGATE_DENIED);
  uint64_t start = now_ns();
  CHECK_IS(tidegate_key_acquire(gate.key, 1, 30000 * TIDEGATE_MS, &decision), TIDEGATE_OK);
  uint64_t waited = now_ns() - start;
  // The permit comes 50 ms after the first was taken, which was a little before `start`.
  CHECK(waited > 20 * TIDEGATE_MS && waited < 10000 * TIDEGATE_MS);
  CHECK(decision.retry_after_ns == 0);
  close_gate(gate);
}

TEST(a_wait_that_is_too_short_times_out_and_takes_nothing) {
  struct gate gate = open_gate("", per_hour(1, 2));
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, NULL), TIDEGATE_OK);
  uint64_t start = now_ns();
  CHECK_IS(tidegate_key_acquire(gate.key, 2, 30 * TIDEGATE_MS, NULL), TIDEGATE_TIMED_OUT);
  CHECK(now_ns() - start >= 30 * TIDEGATE_MS);
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, NULL), TIDEGATE_OK);
  // What can never be is said at once.
  CHECK_IS(tidegate_key_acquire(gate.key, 3, UINT64_MAX, NULL), TIDEGATE_NEVER);
  close_gate(gate);
}

struct wait {
  uint64_t key;
  tidegate_status_t status;
};

static void *wait_long(void *argument) {
  struct wait *wait = argument;
  wait->status = tidegate_key_acquire(wait->key, 1, UINT64_MAX, NULL);
  return NULL;
}

static void until_waiting(tidegate_runtime_t *runtime, uint64_t waiting) {
  tidegate_metrics_t metrics = {.struct_size = sizeof metrics};
  do CHECK_IS(tidegate_runtime_metrics(runtime, &metrics, NULL), TIDEGATE_OK);
  while (metrics.waiting != waiting);
}

TEST(a_runtime_that_is_closed_ends_those_who_wait) {
  struct gate gate = open_gate("", per_hour(1, 1));
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, NULL), TIDEGATE_OK);
  pthread_t threads[4];
  struct wait waits[4];
  for (int i = 0; i < 4; i++) {
    waits[i] = (struct wait){gate.key, TIDEGATE_OK};
    CHECK(pthread_create(&threads[i], NULL, wait_long, &waits[i]) == 0);
  }
  until_waiting(gate.runtime, 4);
  // Nobody overtakes them.
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, NULL), TIDEGATE_DENIED);
  close_gate(gate);
  for (int i = 0; i < 4; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(waits[i].status == TIDEGATE_E_STALE || waits[i].status == TIDEGATE_E_CLOSED);
  }
}

TEST(a_key_that_is_released_ends_those_who_wait) {
  struct gate gate = open_gate("", per_hour(1, 1));
  struct wait wait = {gate.key, TIDEGATE_OK};
  pthread_t thread;
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, NULL), TIDEGATE_OK);
  CHECK(pthread_create(&thread, NULL, wait_long, &wait) == 0);
  until_waiting(gate.runtime, 1);
  CHECK_IS(tidegate_key_release(gate.key), TIDEGATE_OK);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK_IS(wait.status, TIDEGATE_E_STALE);
  close_gate(gate);
}

static atomic_int stop;

static void *use_keys(void *limiter) {
  char value[16];
  for (unsigned n = 0; !stop; n++) {
    snprintf(value, sizeof value, "%u", n % 16);
    uint64_t key = make_key(limiter, value);
    tidegate_status_t status = tidegate_key_try_acquire(key, 1, NULL);
    CHECK(status == TIDEGATE_OK || status == TIDEGATE_DENIED);
    CHECK_IS(tidegate_key_release(key), TIDEGATE_OK);
  }
  return NULL;
}

TEST(threads_that_make_and_release_the_same_keys_never_see_a_stale_one) {
  struct gate gate = open_gate("", per_second(1000, 10));
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, use_keys, gate.limiter) == 0);
  for (int i = 0; i < 2000; i++) {
    tidegate_text_t *json = NULL;
    CHECK_IS(tidegate_runtime_snapshot(gate.runtime, &json, NULL), TIDEGATE_OK);
    tidegate_text_free(json);
  }
  stop = 1;
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  close_gate(gate);
}
