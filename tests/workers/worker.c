// A worker in C: spends a shared limit and records what it was granted. README.md here says how.

#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <tidegate.h>
#include <time.h>
#include <unistd.h>

static const uint64_t TICK_NS = 250 * TIDEGATE_MS, FLUSH_NS = 40 * TIDEGATE_MS, PAUSE_NS = TIDEGATE_MS / 5;
// A call that took longer waited for its permits, or for a processor.
static const uint64_t WAITED_NS = TIDEGATE_MS;

static const char *limiter_name = "worker", *key_value = "", *out_path;
static tidegate_limit_t limit = {.struct_size = sizeof limit, .kind = TIDEGATE_LIMIT_TOKEN_BUCKET,
                                 .period_ns = 1000 * TIDEGATE_MS};
static double seconds;
static uint64_t pace;
static int waits;

static uint64_t key;
static FILE *out;
static atomic_int stop;
// Why the spender ended, if not because it was told to.
static _Atomic tidegate_status_t failure;
enum { BASES = 5 };
static const char *const basis_names[BASES] = {"local", "shared", "kept_share", "allowed", "no_share"};
static _Atomic uint64_t granted, denied, waited, denied_by[BASES];
static atomic_int last_basis = -1;

static void print_json(const char *text) {
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') printf("\\%c", *text);
    else if ((unsigned char)*text < ' ') printf("\\u%04x", *text);
    else putchar(*text);
  }
}

_Noreturn static void fail(const char *message) {
  printf("{\"event\": \"error\", \"message\": \"");
  print_json(message);
  puts("\"}");
  exit(1);
}

static void must(tidegate_status_t status, tidegate_error_t **error) {
  if (status == TIDEGATE_OK) return;
  fail(error ? tidegate_error_message(*error) : tidegate_status_name(status));
}

// CLOCK_BOOTTIME, the clock by which the library refills.
static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct timespec span(uint64_t ns) {
  return (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
}

static void pause_for(uint64_t ns) {
  struct timespec left = span(ns);
  nanosleep(&left, NULL);
}

// stdio locks the file: a flush never cuts a record in two.
static void record(uint64_t before, uint64_t after) {
  const uint64_t admission[3] = {before, after, 1};
  if (out && fwrite(admission, sizeof admission, 1, out) != 1) fail("the admissions cannot be written");
}

// Asks for permits. A thread of its own, so that ticks and signals come while it waits.
static void *spend(void *unused) {
  uint64_t next = now_ns();
  while (!stop) {
    tidegate_decision_t decision;
    uint64_t before = now_ns();
    tidegate_status_t status = waits ? tidegate_key_acquire(key, 1, 1000 * TIDEGATE_MS, &decision)
                                     : tidegate_key_try_acquire(key, 1, &decision);
    uint64_t after = now_ns();
    if (status < 0) {
      failure = status;
      stop = 1;
      break;
    }
    last_basis = decision.basis;
    if (status == TIDEGATE_OK) {
      record(before, after);
      granted++;
    } else {
      denied++;
      denied_by[decision.basis < BASES ? decision.basis : 0]++;
      if (!waits) pause_for(PAUSE_NS);
    }
    if (waits && after - before >= WAITED_NS) waited++;
    if (pace) {
      // What was missed is not made up for.
      next += 1000000000 / pace;
      after = now_ns();
      if (next < after) next = after;
      pause_for(next - after);
    }
  }
  return unused;
}

static void *flush(void *unused) {
  while (!stop) {
    pause_for(FLUSH_NS);
    fflush(out);
  }
  return unused;
}

static const char *health_name(const tidegate_runtime_t *runtime) {
  static const char *const names[] = {"ok", "connecting", "degraded", "failed", "closed"};
  int32_t state;
  must(tidegate_runtime_health(runtime, &state, NULL, NULL), NULL);
  return names[state];
}

static void tick(const tidegate_runtime_t *runtime) {
  tidegate_key_status_t status = {.struct_size = sizeof status};
  must(tidegate_key_status(key, &status), NULL);
  uint32_t basis = last_basis < 0 ? status.basis : (uint32_t)last_basis;
  printf("{\"event\": \"tick\", \"granted\": %" PRIu64 ", \"denied\": %" PRIu64 ", \"waited\": %" PRIu64
         ", \"share_rate\": %.6f, \"share_burst\": %" PRIu64 ", \"processes\": %" PRIu32
         ", \"basis\": \"%s\", \"health\": \"%s\", \"denied_by\": {",
         granted, denied, waited, (double)status.share_rate_micro / 1e6, status.share_burst, status.processes,
         basis_names[basis], health_name(runtime));
  for (int i = 0; i < BASES; i++) printf("%s\"%s\": %" PRIu64, i ? ", " : "", basis_names[i], denied_by[i]);
  puts("}}");
}

// A child asks for permits; it must get none. Its exit code says how many it got.
static void fork_and_try(void) {
  enum { TRIES = 100, MOST_S = 5 };
  pid_t child = fork();
  if (child == 0) {
    int got = 0;
    alarm(MOST_S);
    for (int i = 0; i < TRIES; i++) got += tidegate_key_try_acquire(key, 1, NULL) == TIDEGATE_OK;
    _exit(got);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) < 0) fail("no fork");
  printf("{\"event\": \"fork\", \"granted\": %d}\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

// Ticks until the time is up or a signal comes.
static void watch(const tidegate_runtime_t *runtime, const sigset_t *signals) {
  const uint64_t end = seconds > 0 ? now_ns() + (uint64_t)(seconds * 1e9) : UINT64_MAX;
  uint64_t due = now_ns() + TICK_NS;
  while (!stop) {
    uint64_t now = now_ns(), until = due < end ? due : end;
    struct timespec left = span(until > now ? until - now : 0);
    int signal = sigtimedwait(signals, NULL, &left);
    if (signal == SIGUSR1) {
      fork_and_try();
    } else if (signal > 0 || now_ns() >= end) {
      stop = 1;
    } else if (now_ns() >= due) {
      due += TICK_NS;
      tick(runtime);
    }
  }
}

static void set(tidegate_config_t *config, const char *name, size_t name_len, const char *value) {
  tidegate_error_t *error = NULL;
  must(tidegate_config_set(config, name, name_len, value, strlen(value), &error), &error);
}

static uint64_t number(const char *text) {
  char *end;
  errno = 0;
  uint64_t value = strtoull(text, &end, 10);
  if (errno || end == text || *end) fail("an option needs a number");
  return value;
}

static void read_options(int argc, char **argv, tidegate_config_t *config) {
  enum { SERVERS, TOPIC, LIMITER, KEY, PERMITS, PERIOD, BURST, SECONDS, TTL, OUTAGE, SET, MODE, PACE, OUT };
  static const struct option options[] = {
      {"bootstrap-servers", 1, NULL, SERVERS}, {"topic", 1, NULL, TOPIC},     {"limiter", 1, NULL, LIMITER},
      {"key", 1, NULL, KEY},                   {"permits", 1, NULL, PERMITS}, {"period-ms", 1, NULL, PERIOD},
      {"burst", 1, NULL, BURST},               {"seconds", 1, NULL, SECONDS}, {"ttl-ms", 1, NULL, TTL},
      {"on-outage", 1, NULL, OUTAGE},          {"set", 1, NULL, SET},         {"mode", 1, NULL, MODE},
      {"pace", 1, NULL, PACE},                 {"out", 1, NULL, OUT},         {0}};
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (option) {
      case SERVERS: set(config, TIDEGATE_STR("bootstrap.servers"), optarg); break;
      case TOPIC: set(config, TIDEGATE_STR("topic"), optarg); break;
      case TTL: set(config, TIDEGATE_STR("ttl.ms"), optarg); break;
      case OUTAGE: set(config, TIDEGATE_STR("on.outage"), optarg); break;
      case LIMITER: limiter_name = optarg; break;
      case KEY: key_value = optarg; break;
      case PERMITS: limit.permits = number(optarg); break;
      case PERIOD: limit.period_ns = number(optarg) * TIDEGATE_MS; break;
      case BURST: limit.burst = number(optarg); break;
      case SECONDS: seconds = atof(optarg); break;
      case PACE: pace = number(optarg); break;
      case OUT: out_path = optarg; break;
      case MODE:
        waits = strcmp(optarg, "wait") == 0;
        if (!waits && strcmp(optarg, "spin") != 0) fail("--mode is spin or wait");
        break;
      case SET: {
        size_t name_len = strcspn(optarg, "=");
        if (!optarg[name_len]) fail("--set needs NAME=VALUE");
        set(config, optarg, name_len, optarg + name_len + 1);
        break;
      }
      default: fail("unknown option");
    }
  }
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  // Taken with sigtimedwait, and blocked before any thread starts.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);

  tidegate_config_t *config = tidegate_config_create();
  tidegate_runtime_t *runtime = NULL;
  tidegate_limiter_t *limiter = NULL;
  tidegate_error_t *error = NULL;
  read_options(argc, argv, config);
  if (out_path && !(out = fopen(out_path, "wb"))) fail("--out cannot be opened");
  must(tidegate_runtime_open(config, &runtime, &error), &error);
  must(tidegate_limiter_create(runtime, limiter_name, strlen(limiter_name), &limit, &limiter, &error), &error);
  must(tidegate_limiter_key(limiter, key_value, strlen(key_value), &key, &error), &error);
  tidegate_config_free(config);
  puts("{\"event\": \"ready\"}");

  pthread_t spender, flusher;
  if (pthread_create(&spender, NULL, spend, NULL) || (out && pthread_create(&flusher, NULL, flush, NULL)))
    fail("no thread could be started");
  watch(runtime, &signals);
  pthread_join(spender, NULL);
  if (out) pthread_join(flusher, NULL);
  must(failure, NULL);

  tidegate_metrics_t metrics = {.struct_size = sizeof metrics};
  must(tidegate_runtime_metrics(runtime, &metrics, &error), &error);
  if (out && fclose(out) != 0) fail("the admissions cannot be written");
  tidegate_key_release(key);
  tidegate_limiter_free(limiter);
  must(tidegate_runtime_close(runtime, 5000 * TIDEGATE_MS, &error), &error);
  printf("{\"event\": \"done\", \"granted\": %" PRIu64 ", \"denied\": %" PRIu64 ", \"records_sent\": %" PRIu64 "}\n",
         granted, denied, metrics.records_sent);
  return 0;
}
