// One key from C, granted and refused: nanoseconds of processor time per call, a line of JSON for each contender.
//
//   cmake -S . -B target/c -DTIDEGATE_BENCHMARKS=ON && cmake --build target/c --target one_key && target/c/one_key
//
// The library is linked as programs link it. The contenders take turns in short rounds; one of them is the clock alone,
// which is what a limiter pays that reads it each time.

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <tidegate.h>
#include <time.h>

enum { CALLS = 50000, ROUNDS = 100 };

static uint64_t plenty, dry;

static int granted(void) { return tidegate_key_try_acquire(plenty, 1, NULL) == TIDEGATE_OK; }

static int granted_with_decision(void) {
  tidegate_decision_t decision;
  return tidegate_key_try_acquire(plenty, 1, &decision) == TIDEGATE_OK;
}

static int refused(void) { return tidegate_key_try_acquire(dry, 1, NULL) == TIDEGATE_DENIED; }

static int clock_alone(void) {
  struct timespec time;
  return clock_gettime(CLOCK_BOOTTIME, &time) == 0;
}

static const struct {
  const char *situation, *name;
  int (*one)(void);
} contenders[] = {
    {"one key, granted", "tidegate, status only", granted},
    {"one key, granted", "tidegate, with a decision", granted_with_decision},
    {"one key, granted", "CLOCK_BOOTTIME alone", clock_alone},
    {"one key, refused", "tidegate, status only", refused},
};
enum { CONTENDERS = sizeof contenders / sizeof contenders[0] };

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static uint64_t key_of(tidegate_runtime_t *runtime, const char *name, size_t name_len, uint64_t permits, uint64_t period_ns) {
  tidegate_limit_t limit = {.struct_size = sizeof limit, .kind = TIDEGATE_LIMIT_TOKEN_BUCKET, .permits = permits, .period_ns = period_ns};
  tidegate_limiter_t *limiter = NULL;
  tidegate_error_t *error = NULL;
  uint64_t key = 0;
  if (tidegate_limiter_create(runtime, name, name_len, &limit, &limiter, &error) ||
      tidegate_limiter_key(limiter, TIDEGATE_STR("tenant-1"), &key, &error))
    fail(tidegate_error_message(error));
  return key;
}

static uint64_t processor_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static double measure(int (*one)(void)) {
  uint64_t start = processor_ns();
  int as_expected = 0;
  for (int i = 0; i < CALLS; i++) as_expected += one();
  uint64_t end = processor_ns();
  if (as_expected != CALLS) fail("a call was answered otherwise");
  return (double)(end - start) / CALLS;
}

int main(void) {
  tidegate_config_t *config = tidegate_config_create();
  tidegate_runtime_t *runtime = NULL;
  tidegate_error_t *error = NULL;
  if (tidegate_config_set(config, TIDEGATE_STR("storage"), TIDEGATE_STR("memory"), &error) ||
      tidegate_runtime_open(config, &runtime, &error))
    fail(tidegate_error_message(error));
  plenty = key_of(runtime, TIDEGATE_STR("plenty"), 1000000000, 1000 * TIDEGATE_MS);
  dry = key_of(runtime, TIDEGATE_STR("dry"), 1, 86400000 * TIDEGATE_MS);
  tidegate_key_try_acquire(dry, 1, NULL);

  static double rounds[CONTENDERS][ROUNDS];
  // The first round warms up.
  for (int round = -1; round < ROUNDS; round++)
    for (int turn = 0; turn < CONTENDERS; turn++) {
      int who = (round + 1 + turn) % CONTENDERS;
      double ns = measure(contenders[who].one);
      if (round >= 0) rounds[who][round] = ns;
    }
  for (int who = 0; who < CONTENDERS; who++) {
    printf("{\"part\": \"c\", \"case\": \"%s\", \"who\": \"%s\", \"unit\": \"ns\", \"rounds\": [", contenders[who].situation, contenders[who].name);
    for (int round = 0; round < ROUNDS; round++) printf("%s%.2f", round ? ", " : "", rounds[who][round]);
    printf("]}\n");
  }
  tidegate_config_free(config);
  return tidegate_runtime_close(runtime, 1000 * TIDEGATE_MS, NULL) != TIDEGATE_OK;
}
