// One key from C, granted and refused: nanoseconds of processor time per decision, a line of JSON for each contender.
//
//   cmake -S . -B target/c -DTIDEGATE_BENCHMARKS=ON && cmake --build target/c --target one_key && target/c/one_key [--quick]
//
// The library is linked as programs link it. The contenders take turns in short rounds; one of them is the clock alone,
// which is what a limiter pays that reads it each time.

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tidegate.h>
#include <time.h>

enum { CALLS = 51200, ROUNDS = 100, QUICK_ROUNDS = 25, BATCH = 32 };

static uint64_t plenty, dry, batch[BATCH];
static tidegate_limiter_t *idle;

static int granted(void) { return tidegate_key_try_acquire(plenty, 1, NULL) == TIDEGATE_OK; }

static int granted_with_decision(void) {
  tidegate_decision_t decision;
  return tidegate_key_try_acquire(plenty, 1, &decision) == TIDEGATE_OK;
}

static int granted_by_text(void) {
  tidegate_decision_t decision;
  return tidegate_limiter_try_acquire(idle, TIDEGATE_STR("tenant-00000001"), 1, &decision) == TIDEGATE_OK;
}

// All of the batch are the same key.
static int granted_in_a_batch(void) {
  tidegate_decision_t decisions[BATCH];
  int count = 0;
  if (tidegate_keys_try_acquire(batch, NULL, BATCH, decisions)) return 0;
  for (int i = 0; i < BATCH; i++) count += decisions[i].status == TIDEGATE_OK;
  return count;
}

static int refused(void) { return tidegate_key_try_acquire(dry, 1, NULL) == TIDEGATE_DENIED; }

static int clock_alone(void) {
  struct timespec time;
  return clock_gettime(CLOCK_BOOTTIME, &time) == 0;
}

static const struct {
  const char *situation, *name;
  int (*one)(void);
  int decisions;
} contenders[] = {
    {"one key, granted", "tidegate, status only", granted, 1},
    {"one key, granted", "tidegate, with a decision", granted_with_decision, 1},
    {"one key, granted", "tidegate, by text", granted_by_text, 1},
    {"one key, granted", "tidegate, 32 in a batch", granted_in_a_batch, BATCH},
    {"one key, granted", "CLOCK_BOOTTIME alone", clock_alone, 1},
    {"one key, refused", "tidegate, status only", refused, 1},
};
enum { CONTENDERS = sizeof contenders / sizeof contenders[0] };

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static tidegate_limiter_t *limiter_of(tidegate_runtime_t *runtime, const char *name, size_t name_len, uint64_t permits,
                                      uint64_t period_ns) {
  tidegate_limit_t limit = {.struct_size = sizeof limit, .kind = TIDEGATE_LIMIT_TOKEN_BUCKET, .permits = permits, .period_ns = period_ns};
  tidegate_limiter_t *limiter = NULL;
  tidegate_error_t *error = NULL;
  if (tidegate_limiter_create(runtime, name, name_len, &limit, &limiter, &error)) fail(tidegate_error_message(error));
  return limiter;
}

static uint64_t key_of(tidegate_limiter_t *limiter) {
  tidegate_error_t *error = NULL;
  uint64_t key = 0;
  if (tidegate_limiter_key(limiter, TIDEGATE_STR("tenant-1"), &key, &error)) fail(tidegate_error_message(error));
  return key;
}

static uint64_t processor_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static double measure(int (*one)(void), int decisions) {
  uint64_t start = processor_ns();
  int as_expected = 0;
  for (int i = 0; i < CALLS / decisions; i++) as_expected += one();
  uint64_t end = processor_ns();
  if (as_expected != CALLS) fail("a call was answered otherwise");
  return (double)(end - start) / CALLS;
}

int main(int argc, char **argv) {
  int rounds = argc > 1 && !strcmp(argv[1], "--quick") ? QUICK_ROUNDS : ROUNDS;
  tidegate_config_t *config = tidegate_config_create();
  tidegate_runtime_t *runtime = NULL;
  tidegate_error_t *error = NULL;
  if (tidegate_config_set(config, TIDEGATE_STR("storage"), TIDEGATE_STR("memory"), &error) ||
      tidegate_runtime_open(config, &runtime, &error))
    fail(tidegate_error_message(error));
  plenty = key_of(limiter_of(runtime, TIDEGATE_STR("plenty"), 1000000000, 1000 * TIDEGATE_MS));
  idle = limiter_of(runtime, TIDEGATE_STR("idle"), 1000000000, 1000 * TIDEGATE_MS);
  dry = key_of(limiter_of(runtime, TIDEGATE_STR("dry"), 1, 86400000 * TIDEGATE_MS));
  for (int i = 0; i < BATCH; i++) batch[i] = plenty;
  tidegate_key_try_acquire(dry, 1, NULL);

  static double measured[CONTENDERS][ROUNDS];
  // The first round warms up.
  for (int round = -1; round < rounds; round++)
    for (int turn = 0; turn < CONTENDERS; turn++) {
      int who = (round + 1 + turn) % CONTENDERS;
      double ns = measure(contenders[who].one, contenders[who].decisions);
      if (round >= 0) measured[who][round] = ns;
    }
  for (int who = 0; who < CONTENDERS; who++) {
    printf("{\"part\": \"c\", \"case\": \"%s\", \"who\": \"%s\", \"unit\": \"ns\", \"rounds\": [", contenders[who].situation, contenders[who].name);
    for (int round = 0; round < rounds; round++) printf("%s%.2f", round ? ", " : "", measured[who][round]);
    printf("]}\n");
  }
  tidegate_config_free(config);
  return tidegate_runtime_close(runtime, 1000 * TIDEGATE_MS, NULL) != TIDEGATE_OK;
}
