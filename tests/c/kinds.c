// Windows, enforcements, shadow mode, lag, outcomes, events and header fields, as C meets them.

#include "open.h"

#define SECOND (1000 * TIDEGATE_MS)

static tidegate_clock_t *stopped;

// A runtime whose time stands still, one limiter and one key.
static struct gate open_stopped(tidegate_limit_t limit) {
  tidegate_config_t *config = memory_config();
  struct gate gate = {NULL, NULL, 0};
  stopped = tidegate_clock_create();
  CHECK_IS(tidegate_runtime_open_with_clock(config, stopped, &gate.runtime, NULL), TIDEGATE_OK);
  tidegate_config_free(config);
  gate.limiter = make_limiter(gate.runtime, limit);
  gate.key = make_key(gate.limiter, "tenant-1");
  return gate;
}

static void close_stopped(struct gate gate) {
  close_gate(gate);
  tidegate_clock_free(stopped);
}

static uint32_t next_event(struct gate gate) {
  tidegate_event_t *event = NULL;
  tidegate_status_t status = tidegate_runtime_next_event(gate.runtime, 0, &event, NULL);
  uint32_t kind = tidegate_event_kind(event);
  CHECK_IS(status, kind == 0 ? TIDEGATE_TIMED_OUT : TIDEGATE_OK);
  tidegate_event_free(event);
  return kind;
}

static uint64_t drain(uint64_t key) {
  uint64_t granted = 0;
  while (tidegate_key_try_acquire(key, 1, NULL) == TIDEGATE_OK) granted++;
  return granted;
}

TEST(a_sliding_window_gives_back_a_span_later_and_a_bucket_meanwhile) {
  tidegate_limit_t limit = per_second(10, 10);
  for (limit.kind = TIDEGATE_LIMIT_TOKEN_BUCKET; limit.kind <= TIDEGATE_LIMIT_SLIDING_WINDOW; limit.kind++) {
    struct gate gate = open_stopped(limit);
    CHECK_IS(drain(gate.key), 10);
    tidegate_clock_advance(stopped, SECOND / 2);
    CHECK_IS(drain(gate.key), limit.kind == TIDEGATE_LIMIT_TOKEN_BUCKET ? 5 : 0);
    tidegate_clock_advance(stopped, SECOND / 2);
    CHECK_IS(drain(gate.key), limit.kind == TIDEGATE_LIMIT_TOKEN_BUCKET ? 5 : 10);
    close_stopped(gate);
  }
}

TEST(a_breaker_refuses_unasked_while_it_is_open_and_tells_so) {
  tidegate_limit_t limit = per_second(1, 1);
  limit.enforcement = TIDEGATE_ENFORCE_CIRCUIT_BREAKER;
  limit.breaker_threshold = 2;
  limit.open_for_ns = 5 * SECOND;
  struct gate gate = open_stopped(limit);
  tidegate_decision_t decision;
  CHECK_IS(drain(gate.key), 1);
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, &decision), TIDEGATE_DENIED);
  CHECK_IS(decision.basis, TIDEGATE_BASIS_LOCAL);
  tidegate_clock_advance(stopped, SECOND);
  CHECK_IS(tidegate_key_acquire(gate.key, 1, 60 * SECOND, &decision), TIDEGATE_DENIED);
  CHECK_IS(decision.basis, TIDEGATE_BASIS_BREAKER);
  CHECK_IS(next_event(gate), TIDEGATE_EVENT_BREAKER_OPENED);
  tidegate_clock_advance(stopped, 4 * SECOND);
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, NULL), TIDEGATE_OK);
  CHECK_IS(next_event(gate), TIDEGATE_EVENT_BREAKER_HALF_OPEN);
  CHECK_IS(next_event(gate), TIDEGATE_EVENT_BREAKER_CLOSED);
  CHECK_IS(next_event(gate), 0);
  close_stopped(gate);
}

TEST(pressure_names_its_limit_and_ends_for_who_waits_for_it) {
  tidegate_limit_t limit = per_second(10, 10);
  limit.enforcement = TIDEGATE_ENFORCE_BACKPRESSURE;
  struct gate gate = open_stopped(limit);
  tidegate_event_t *event = NULL;
  CHECK_IS(drain(gate.key), 10);
  CHECK_IS(tidegate_runtime_next_event(gate.runtime, 0, &event, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_event_kind(event), TIDEGATE_EVENT_PRESSURE_ON);
  CHECK_HAS(tidegate_event_limiter(event), "test");
  CHECK_HAS(tidegate_event_value(event), "tenant-1");
  CHECK_IS(tidegate_event_tier(event), 0);
  CHECK_IS(tidegate_event_dropped(event), 0);
  tidegate_event_free(event);
  CHECK_IS(next_event(gate), 0);
  tidegate_clock_advance(stopped, SECOND / 2);
  CHECK_IS(next_event(gate), TIDEGATE_EVENT_PRESSURE_OFF);
  close_stopped(gate);
}

TEST(a_wait_for_events_that_is_woken_ends_without_one_and_the_next_wait_does_not) {
  struct gate gate = open_stopped(per_second(10, 10));
  tidegate_event_t *event = NULL;
  CHECK_IS(tidegate_runtime_wake(gate.runtime), TIDEGATE_OK);
  CHECK_IS(tidegate_runtime_next_event(gate.runtime, UINT64_MAX, &event, NULL), TIDEGATE_TIMED_OUT);
  CHECK_IS(tidegate_runtime_next_event(gate.runtime, 1000, &event, NULL), TIDEGATE_TIMED_OUT);
  CHECK(event == NULL);
  CHECK_IS(tidegate_runtime_wake(NULL), TIDEGATE_E_ARGUMENT);
  close_stopped(gate);
}

TEST(throttling_refuses_at_once_what_would_wait_too_long) {
  tidegate_limit_t limit = per_second(10, 10);
  limit.enforcement = TIDEGATE_ENFORCE_THROTTLING;
  limit.max_wait_ns = SECOND / 4;
  struct gate gate = open_stopped(limit);
  tidegate_decision_t decision;
  uint64_t ticket = 0;
  CHECK_IS(drain(gate.key), 10);
  CHECK_IS(tidegate_key_acquire(gate.key, 3, 60 * SECOND, &decision), TIDEGATE_DENIED);
  CHECK_IS(decision.retry_after_ns, 3 * SECOND / 10);
  CHECK_IS(tidegate_key_reserve(gate.key, 2, 60 * SECOND, &ticket, NULL), TIDEGATE_PENDING);
  CHECK_IS(tidegate_ticket_cancel(ticket), TIDEGATE_OK);
  close_stopped(gate);
}

TEST(a_shadow_refuses_nothing_and_counts) {
  tidegate_limit_t limit = per_second(1, 1);
  limit.mode = TIDEGATE_MODE_SHADOW;
  struct gate gate = open_stopped(limit);
  tidegate_decision_t decision;
  tidegate_metrics_t metrics = {.struct_size = sizeof metrics};
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, &decision), TIDEGATE_OK);
  CHECK_IS(decision.basis, TIDEGATE_BASIS_LOCAL);
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, &decision), TIDEGATE_OK);
  CHECK_IS(decision.basis, TIDEGATE_BASIS_SHADOW);
  CHECK_IS(tidegate_runtime_metrics(gate.runtime, &metrics, NULL), TIDEGATE_OK);
  CHECK_IS(metrics.permits_shadowed, 1);
  close_stopped(gate);
}

TEST(a_lag_pauses_and_slows_and_outcomes_adapt) {
  struct gate gate = open_stopped(per_second(10, 100));
  tidegate_key_status_t status = {.struct_size = sizeof status};
  tidegate_adaptive_t adaptive = {sizeof adaptive, 100000, 50000, 500000, SECOND};
  CHECK_IS(tidegate_limiter_pause_on_lag(gate.limiter, 100, 10, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_limiter_observe_lag(gate.limiter, 101, NULL), TIDEGATE_OK);
  CHECK_IS(drain(gate.key), 100);
  tidegate_clock_advance(stopped, SECOND);
  CHECK_IS(drain(gate.key), 0);
  CHECK_IS(next_event(gate), TIDEGATE_EVENT_PAUSED);
  CHECK_IS(tidegate_limiter_observe_lag(gate.limiter, 10, NULL), TIDEGATE_OK);
  CHECK_IS(next_event(gate), TIDEGATE_EVENT_RESUMED);
  tidegate_clock_advance(stopped, SECOND);
  CHECK_IS(drain(gate.key), 10);
  CHECK_IS(tidegate_limiter_slow_on_lag(gate.limiter, 0, 20, 0, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_key_status(gate.key, &status), TIDEGATE_OK);
  CHECK_IS(status.pace_ppm, 500000);
  CHECK_IS(tidegate_limiter_observe_lag(gate.limiter, 0, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_limiter_adapt(gate.limiter, &adaptive, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_limiter_observe_outcome(gate.limiter, 0, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_limiter_observe_outcome(gate.limiter, 1, NULL), TIDEGATE_OK);
  tidegate_clock_advance(stopped, SECOND);
  CHECK_IS(drain(gate.key), 5);
  close_stopped(gate);
}

TEST(what_cannot_be_followed_is_refused_in_words) {
  struct gate gate = open_stopped(per_second(10, 100));
  tidegate_adaptive_t adaptive = {sizeof adaptive, 0, 0, 500000, SECOND};
  tidegate_error_t *error = NULL;
  CHECK_IS(tidegate_limiter_pause_on_lag(gate.limiter, 1, 2, &error), TIDEGATE_E_ARGUMENT);
  CHECK_HAS(tidegate_error_message(error), "resume_below");
  tidegate_error_free(error);
  CHECK_IS(tidegate_limiter_slow_on_lag(gate.limiter, 2, 2, 0, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_limiter_adapt(gate.limiter, &adaptive, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_limiter_adapt(gate.limiter, NULL, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_limiter_observe_lag(NULL, 1, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_limiter_observe_outcome(NULL, 1, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_runtime_next_event(NULL, 0, NULL, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_event_kind(NULL), 0);
  tidegate_event_free(NULL);
  CHECK_IS(tidegate_limiter_watch_lag(gate.limiter, TIDEGATE_STR("group"), TIDEGATE_STR(""), TIDEGATE_LAG_RECORDS, SECOND, &error),
           TIDEGATE_E_CONFIG);
  CHECK_HAS(tidegate_error_message(error), "bootstrap.servers");
  tidegate_error_free(error);
  CHECK_IS(tidegate_limiter_watch_lag(gate.limiter, TIDEGATE_STR("group"), TIDEGATE_STR(""), 3, SECOND, NULL), TIDEGATE_E_ARGUMENT);
  close_stopped(gate);
}

TEST(header_fields_tell_the_rule_and_the_time_of_a_refusal) {
  tidegate_limit_t limit = per_second(2, 2);
  struct gate gate = open_stopped(limit);
  tidegate_decision_t decision;
  tidegate_text_t *fields = NULL;
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, &decision), TIDEGATE_OK);
  CHECK_IS(tidegate_headers_format(TIDEGATE_STR("api"), &limit, &decision, &fields, NULL), TIDEGATE_OK);
  CHECK_HAS(tidegate_text_data(fields), "RateLimit: \"api\";r=1");
  CHECK(strstr(tidegate_text_data(fields), "Retry-After") == NULL);
  tidegate_text_free(fields);
  CHECK_IS(tidegate_key_try_acquire(gate.key, 2, &decision), TIDEGATE_DENIED);
  CHECK_IS(tidegate_headers_format(TIDEGATE_STR("api"), &limit, &decision, &fields, NULL), TIDEGATE_OK);
  CHECK_HAS(tidegate_text_data(fields), "RateLimit-Policy: \"api\";q=2;w=1\r\n");
  CHECK_HAS(tidegate_text_data(fields), "Retry-After: 1\r\n");
  tidegate_text_free(fields);
  CHECK_IS(tidegate_headers_format(TIDEGATE_STR("api"), NULL, &decision, &fields, NULL), TIDEGATE_E_ARGUMENT);
  close_stopped(gate);
}

