// Tiers, values, tickets, batches and the manual clock, as C meets them.

#include "open.h"

#define SCOPE(dimension, value) {"" dimension, sizeof dimension - 1, "" value, sizeof value - 1}

static tidegate_clock_t *stopped;

// A runtime of its own whose time stands still.
static tidegate_runtime_t *open_stopped(void) {
  tidegate_config_t *config = memory_config();
  tidegate_runtime_t *runtime = NULL;
  stopped = tidegate_clock_create();
  CHECK_IS(tidegate_runtime_open_with_clock(config, stopped, &runtime, NULL), TIDEGATE_OK);
  tidegate_config_free(config);
  return runtime;
}

static void close_stopped(tidegate_runtime_t *runtime) {
  CHECK_IS(tidegate_runtime_close(runtime, 0, NULL), TIDEGATE_OK);
  tidegate_clock_free(stopped);
}

static tidegate_tier_t tier(const char *name, const char *scope, const tidegate_limit_t *limit) {
  tidegate_tier_t tier = {sizeof tier, 0, name, strlen(name), scope, scope ? strlen(scope) : 0, limit, 0};
  return tier;
}

static tidegate_limiter_t *make_tiers(tidegate_runtime_t *runtime) {
  tidegate_limit_t ten = per_second(10, 10), two = per_second(2, 2);
  tidegate_tier_t tiers[2] = {tier("cluster", NULL, &ten), tier("topic", "topic", &two)};
  tidegate_limiter_t *limiter = NULL;
  CHECK_IS(tidegate_limiter_create_tiers(runtime, TIDEGATE_STR("tiers"), tiers, 2, &limiter, NULL), TIDEGATE_OK);
  return limiter;
}

TEST(a_tier_that_refuses_is_named_and_the_others_lose_nothing) {
  tidegate_runtime_t *runtime = open_stopped();
  tidegate_limiter_t *limiter = make_tiers(runtime);
  const tidegate_scope_t orders[] = {SCOPE("topic", "orders")}, bills[] = {SCOPE("topic", "bills")};
  uint64_t key = 0, other = 0;
  tidegate_decision_t decision;
  CHECK_IS(tidegate_limiter_key_in(limiter, orders, 1, &key, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_limiter_key_in(limiter, bills, 1, &other, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_key_try_acquire(key, 2, NULL), TIDEGATE_OK);
  for (int i = 0; i < 20; i++) CHECK_IS(tidegate_key_try_acquire(key, 1, &decision), TIDEGATE_DENIED);
  CHECK_HAS(tidegate_limiter_tier_name(limiter, decision.tier), "topic");
  CHECK_IS(tidegate_limiter_tier_count(limiter), 2);
  CHECK_IS(tidegate_key_try_acquire(other, 2, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_limiter_try_acquire_in(limiter, bills, 1, 1, &decision), TIDEGATE_DENIED);
  CHECK_IS(tidegate_limiter_try_acquire(limiter, TIDEGATE_STR("third"), 2, &decision), TIDEGATE_OK);
  CHECK_IS(tidegate_key_release(key), TIDEGATE_OK);
  CHECK_IS(tidegate_key_try_acquire(key, 1, NULL), TIDEGATE_E_STALE);
  tidegate_limiter_free(limiter);
  close_stopped(runtime);
}

TEST(a_dimension_that_is_missing_is_an_error_that_names_it) {
  tidegate_runtime_t *runtime = open_stopped();
  tidegate_limiter_t *limiter = make_tiers(runtime);
  const tidegate_scope_t wrong[] = {SCOPE("tpoic", "orders")};
  uint64_t key = 7;
  tidegate_error_t *error = NULL;
  CHECK_IS(tidegate_limiter_key_in(limiter, wrong, 1, &key, &error), TIDEGATE_E_ARGUMENT);
  CHECK_HAS(tidegate_error_message(error), "`topic`");
  CHECK_HAS(tidegate_error_message(error), "`tpoic`");
  CHECK_IS(key, 7);
  tidegate_error_free(error);
  CHECK_IS(tidegate_limiter_try_acquire_in(limiter, wrong, 1, 1, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_limiter_key_in(limiter, NULL, 1, &key, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_limiter_key_in(limiter, wrong, 65, &key, NULL), TIDEGATE_E_ARGUMENT);
  tidegate_limiter_free(limiter);
  close_stopped(runtime);
}

TEST(tiers_that_are_wrong_are_refused_and_the_message_says_which) {
  tidegate_runtime_t *runtime = open_stopped();
  tidegate_limit_t limit = per_second(1, 1);
  tidegate_tier_t tiers[2] = {tier("a", NULL, &limit), tier("a", NULL, &limit)};
  tidegate_limiter_t *limiter = NULL;
  tidegate_error_t *error = NULL;
  CHECK_IS(tidegate_limiter_create_tiers(runtime, TIDEGATE_STR("x"), tiers, 2, &limiter, &error), TIDEGATE_E_ARGUMENT);
  CHECK_HAS(tidegate_error_message(error), "`a`");
  tidegate_error_free(error);
  tiers[1] = tier("b", NULL, NULL);
  CHECK_IS(tidegate_limiter_create_tiers(runtime, TIDEGATE_STR("x"), tiers, 2, &limiter, NULL), TIDEGATE_E_ARGUMENT);
  tiers[1] = tier("b", NULL, &limit);
  tiers[1].struct_size = 8;
  CHECK_IS(tidegate_limiter_create_tiers(runtime, TIDEGATE_STR("x"), tiers, 2, &limiter, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_limiter_create_tiers(runtime, TIDEGATE_STR("x"), NULL, 1, &limiter, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_limiter_create_tiers(runtime, TIDEGATE_STR("x"), tiers, 9, &limiter, NULL), TIDEGATE_E_ARGUMENT);
  CHECK(limiter == NULL);
  close_stopped(runtime);
}

TEST(a_ticket_is_granted_once_and_gives_back_what_was_not_used) {
  tidegate_runtime_t *runtime = open_stopped();
  tidegate_limiter_t *limiter = make_limiter(runtime, per_second(10, 10));
  uint64_t key = make_key(limiter, "a"), first = 0, second = 0;
  tidegate_decision_t decision;
  CHECK_IS(tidegate_key_reserve(key, 8, 0, &first, &decision), TIDEGATE_OK);
  CHECK_IS(tidegate_key_reserve(key, 4, 1000 * TIDEGATE_MS, &second, &decision), TIDEGATE_PENDING);
  CHECK_IS(decision.retry_after_ns, 200 * TIDEGATE_MS);
  CHECK_IS(tidegate_ticket_settle(second, 4), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_ticket_settle(first, 5), TIDEGATE_OK);
  CHECK_IS(tidegate_ticket_settle(first, 5), TIDEGATE_E_STALE);
  CHECK_IS(tidegate_ticket_poll(second, &decision), TIDEGATE_OK);
  CHECK_IS(tidegate_ticket_poll(second, NULL), TIDEGATE_E_STALE);
  CHECK_IS(tidegate_ticket_cancel(second), TIDEGATE_OK);
  CHECK_IS(tidegate_ticket_cancel(0), TIDEGATE_E_STALE);
  CHECK_IS(tidegate_key_reserve(key, 1, 0, NULL, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_key_try_acquire(key, 5, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_key_try_acquire(key, 1, NULL), TIDEGATE_DENIED);
  tidegate_clock_advance(stopped, 100 * TIDEGATE_MS);
  CHECK_IS(tidegate_key_try_acquire(key, 1, NULL), TIDEGATE_OK);
  tidegate_limiter_free(limiter);
  close_stopped(runtime);
}

TEST(a_batch_decides_each_key_by_itself) {
  tidegate_runtime_t *runtime = open_stopped();
  tidegate_limiter_t *limiter = make_limiter(runtime, per_second(2, 2));
  uint64_t keys[3] = {make_key(limiter, "a"), make_key(limiter, "b"), 99};
  const uint64_t permits[3] = {2, 3, 1};
  tidegate_decision_t decisions[3];
  CHECK_IS(tidegate_keys_try_acquire(keys, permits, 3, decisions), TIDEGATE_OK);
  CHECK_IS(decisions[0].status, TIDEGATE_OK);
  CHECK_IS(decisions[1].status, TIDEGATE_NEVER);
  CHECK_IS(decisions[2].status, TIDEGATE_E_STALE);
  CHECK_IS(tidegate_keys_try_acquire(keys, NULL, 2, decisions), TIDEGATE_OK);
  CHECK_IS(decisions[0].status, TIDEGATE_DENIED);
  CHECK_IS(decisions[1].status, TIDEGATE_OK);
  CHECK_IS(tidegate_keys_try_acquire(NULL, NULL, 1, decisions), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_keys_try_acquire(keys, NULL, 1, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_keys_try_acquire(NULL, NULL, 0, NULL), TIDEGATE_OK);
  tidegate_limiter_free(limiter);
  close_stopped(runtime);
}

TEST(a_clock_needs_a_limit_of_this_process_alone) {
  tidegate_config_t *config = tidegate_config_create();
  tidegate_clock_t *clock = tidegate_clock_create();
  tidegate_runtime_t *runtime = NULL;
  CHECK_IS(tidegate_runtime_open_with_clock(config, NULL, &runtime, NULL), TIDEGATE_E_ARGUMENT);
  if (tidegate_features() & TIDEGATE_FEATURE_KAFKA) {
    tidegate_config_set(config, TIDEGATE_STR("bootstrap.servers"), TIDEGATE_STR("localhost:1"), NULL);
    CHECK_IS(tidegate_runtime_open_with_clock(config, clock, &runtime, NULL), TIDEGATE_E_CONFIG);
  }
  tidegate_clock_advance(NULL, 1);
  tidegate_clock_free(NULL);
  tidegate_clock_free(clock);
  tidegate_config_free(config);
}
