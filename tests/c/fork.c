// A forked child may use nothing of its parent's, is told so, never hangs, and may open its own.

#include "open.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

// A child that hangs is ended by a signal, which the parent sees.
enum { CHILD_SECONDS = 20, FORKS = 100 };

static pid_t fork_child(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) alarm(CHILD_SECONDS);
  return child;
}

static void child_is_content(pid_t child) {
  int how;
  CHECK(waitpid(child, &how, 0) == child);
  if (WIFSIGNALED(how)) fprintf(stderr, "the child was ended by signal %d\n", WTERMSIG(how));
  CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

static void forked(tidegate_status_t status, tidegate_error_t **error) {
  CHECK_IS(status, TIDEGATE_E_FORKED);
  CHECK(*error != NULL);
  CHECK_IS(tidegate_error_status(*error), TIDEGATE_E_FORKED);
  CHECK_HAS(tidegate_error_message(*error), "forked");
  tidegate_error_free(*error);
  *error = NULL;
}

// In the child: every call that takes something of the parent's.
static void every_call_says_forked(struct gate gate) {
  tidegate_limit_t limit = per_second(1, 1);
  tidegate_storage_info_t info = {.struct_size = sizeof info};
  tidegate_metrics_t metrics = {.struct_size = sizeof metrics};
  tidegate_key_status_t status = {.struct_size = sizeof status};
  tidegate_limiter_t *limiter = NULL;
  tidegate_decision_t decision;
  tidegate_text_t *text = NULL;
  tidegate_error_t *error = NULL;
  uint64_t key;
  int32_t state;
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, &decision), TIDEGATE_E_FORKED);
  CHECK_IS(decision.status, TIDEGATE_E_FORKED);
  CHECK_IS(tidegate_key_acquire(gate.key, 1, UINT64_MAX, &decision), TIDEGATE_E_FORKED);
  CHECK_IS(tidegate_key_peek(gate.key, NULL), TIDEGATE_E_FORKED);
  CHECK_IS(tidegate_key_status(gate.key, &status), TIDEGATE_E_FORKED);
  CHECK_IS(tidegate_key_release(gate.key), TIDEGATE_E_FORKED);
  forked(tidegate_limiter_key(gate.limiter, TIDEGATE_STR("tenant-1"), &key, &error), &error);
  forked(tidegate_limiter_create(gate.runtime, TIDEGATE_STR("test"), &limit, &limiter, &error), &error);
  forked(tidegate_runtime_storage_info(gate.runtime, &info, &error), &error);
  forked(tidegate_runtime_health(gate.runtime, &state, &text, &error), &error);
  forked(tidegate_runtime_metrics(gate.runtime, &metrics, &error), &error);
  forked(tidegate_runtime_snapshot(gate.runtime, &text, &error), &error);
}

static void handles_can_be_given_back(struct gate gate) {
  tidegate_error_t *error = NULL;
  tidegate_limiter_free(gate.limiter);
  forked(tidegate_runtime_close(gate.runtime, UINT64_MAX, &error), &error);
  // What is given back is not reused under the parent's key.
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, NULL), TIDEGATE_E_FORKED);
}

// In the child: a runtime of its own, also with the parent's configuration, and one that must wait for a permit.
static void its_own_works(const char *note) {
  struct gate own = open_gate(note, per_second(1000, 1));
  CHECK_IS(tidegate_key_try_acquire(own.key, 1, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_key_acquire(own.key, 1, 10000 * TIDEGATE_MS, NULL), TIDEGATE_OK);
  close_gate(own);
}

TEST(a_child_is_told_and_opens_its_own_and_the_parent_loses_nothing) {
  struct gate gate = open_gate("parent", per_second(1, 5));
  pid_t child = fork_child();
  if (child == 0) {
    every_call_says_forked(gate);
    its_own_works("parent");
    every_call_says_forked(gate);
    handles_can_be_given_back(gate);
    its_own_works("child");
    _exit(0);
  }
  child_is_content(child);
  CHECK_IS(tidegate_key_try_acquire(gate.key, 5, NULL), TIDEGATE_OK);
  close_gate(gate);
}

TEST(a_grandchild_is_told_too) {
  struct gate gate = open_gate("parent", per_second(1, 5));
  pid_t child = fork_child();
  if (child == 0) {
    struct gate own = open_gate("parent", per_second(1, 5));
    pid_t grandchild = fork_child();
    if (grandchild == 0) {
      every_call_says_forked(gate);
      every_call_says_forked(own);
      its_own_works("parent");
      _exit(0);
    }
    child_is_content(grandchild);
    CHECK_IS(tidegate_key_try_acquire(own.key, 5, NULL), TIDEGATE_OK);
    close_gate(own);
    _exit(0);
  }
  child_is_content(child);
  close_gate(gate);
}

TEST(a_child_of_a_process_that_only_loaded_the_library_is_free) {
  pid_t child = fork_child();
  if (child == 0) {
    its_own_works("child");
    _exit(0);
  }
  child_is_content(child);
}

static atomic_int stop;
static struct gate shared;

static void *hammer(void *unused) {
  (void)unused;
  while (!stop) tidegate_key_try_acquire(shared.key, 1, NULL);
  return NULL;
}

static void *wait_shortly(void *unused) {
  (void)unused;
  while (!stop) tidegate_key_acquire(shared.key, 1, TIDEGATE_MS / 10, NULL);
  return NULL;
}

static void *make_and_release(void *unused) {
  (void)unused;
  while (!stop) tidegate_key_release(make_key(shared.limiter, "short-lived"));
  return NULL;
}

static void *open_and_look(void *unused) {
  (void)unused;
  while (!stop) {
    struct gate gate = open_gate("now and then", per_second(1, 1));
    tidegate_text_t *text = NULL;
    CHECK_IS(tidegate_runtime_snapshot(shared.runtime, &text, NULL), TIDEGATE_OK);
    tidegate_text_free(text);
    close_gate(gate);
  }
  return NULL;
}

static void forks_while_others_work(void) {
  static void *(*const work[])(void *) = {hammer, wait_shortly, wait_shortly, make_and_release, open_and_look};
  enum { THREADS = sizeof work / sizeof *work };
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work[i], NULL) == 0);
  for (int i = 0; i < FORKS; i++) {
    pid_t child = fork_child();
    if (child == 0) {
      every_call_says_forked(shared);
      its_own_works("parent");
      handles_can_be_given_back(shared);
      _exit(0);
    }
    child_is_content(child);
  }
  stop = 1;
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

TEST(no_child_hangs_whatever_the_parents_threads_are_doing) {
  shared = open_gate("parent", per_second(1000, 1));
  forks_while_others_work();
  close_gate(shared);
}

TEST(no_child_of_a_runtime_with_a_background_thread_hangs) {
  // Without Kafka in the library there is no background thread.
  if (!(tidegate_features() & TIDEGATE_FEATURE_KAFKA)) return;
  tidegate_config_t *config = tidegate_config_create();
  // Nobody listens there: the runtime opens all the same, and tries again and again.
  CHECK_IS(tidegate_config_set(config, TIDEGATE_STR("bootstrap.servers"), TIDEGATE_STR("127.0.0.1:1"), NULL), 0);
  CHECK_IS(tidegate_runtime_open(config, &shared.runtime, NULL), TIDEGATE_OK);
  shared.limiter = make_limiter(shared.runtime, per_second(1000, 1));
  shared.key = make_key(shared.limiter, "tenant-1");
  stop = 0;
  forks_while_others_work();
  pid_t child = fork_child();
  if (child == 0) {
    tidegate_runtime_t *own = NULL;
    CHECK_IS(tidegate_runtime_open(config, &own, NULL), TIDEGATE_OK);
    CHECK_IS(tidegate_runtime_close(own, 0, NULL), TIDEGATE_OK);
    _exit(0);
  }
  child_is_content(child);
  tidegate_config_free(config);
  tidegate_limiter_free(shared.limiter);
  CHECK_IS(tidegate_runtime_close(shared.runtime, 0, NULL), TIDEGATE_OK);
}
