// Handles may be given back in any order, and each runtime is closed with its last one.

#include "open.h"

enum { RUNTIME, LIMITER, CONFIG, KEY };

// Opens everything, gives it back in the order of `order`; `key_released` = false: the key never is.
static void give_back_in(const int order[4], int key_released) {
  tidegate_config_t *config = memory_config();
  tidegate_runtime_t *runtime = NULL;
  CHECK_IS(tidegate_runtime_open(config, &runtime, NULL), TIDEGATE_OK);
  tidegate_limiter_t *limiter = make_limiter(runtime, per_second(5, 5));
  uint64_t key = make_key(limiter, "tenant-1");
  int handles = 2, released = 0;
  for (int i = 0; i < 4; i++) {
    switch (order[i]) {
      case RUNTIME: CHECK_IS(tidegate_runtime_close(runtime, 0, NULL), TIDEGATE_OK); handles--; break;
      case LIMITER: tidegate_limiter_free(limiter); handles--; break;
      case CONFIG: tidegate_config_free(config); break;
      case KEY:
        if (!key_released) break;
        CHECK_IS(tidegate_key_release(key), handles ? TIDEGATE_OK : TIDEGATE_E_STALE);
        released = 1;
        break;
    }
    tidegate_status_t expected = handles && !released ? TIDEGATE_OK : TIDEGATE_E_STALE;
    CHECK_IS(tidegate_key_try_acquire(key, 1, NULL), expected);
  }
}

TEST(handles_are_given_back_in_any_order_and_the_key_lives_until_the_last) {
  int orders = 0;
  for (int n = 0; n < 256; n++) {
    const int order[4] = {n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6};
    int seen = 0;
    for (int i = 0; i < 4; i++) seen |= 1 << order[i];
    if (seen != 15) continue;
    give_back_in(order, 1);
    give_back_in(order, 0);
    orders++;
  }
  CHECK_IS(orders, 24);
}

TEST(an_error_and_a_text_outlive_what_they_came_from) {
  tidegate_config_t *config = memory_config();
  tidegate_error_t *error = NULL;
  tidegate_text_t *text = NULL, *health = NULL, *json = NULL;
  tidegate_runtime_t *runtime = NULL;
  int32_t state = -1;
  CHECK_IS(tidegate_config_set(config, TIDEGATE_STR("ttl.ms"), TIDEGATE_STR("x"), &error), TIDEGATE_E_CONFIG);
  CHECK_IS(tidegate_config_describe(config, &text, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_runtime_open(config, &runtime, NULL), TIDEGATE_OK);
  tidegate_config_free(config);
  CHECK_IS(tidegate_runtime_health(runtime, &state, &health, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_runtime_snapshot(runtime, &json, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_runtime_close(runtime, 0, NULL), TIDEGATE_OK);
  CHECK_IS(state, TIDEGATE_HEALTH_OK);
  CHECK_HAS(tidegate_error_message(error), "ttl.ms");
  CHECK_HAS(tidegate_text_data(text), "storage = memory\n");
  CHECK_HAS(tidegate_text_data(health), "local");
  CHECK_HAS(tidegate_text_data(json), "\"backend\": \"memory\"");
  tidegate_error_free(error);
  tidegate_text_free(text);
  tidegate_text_free(health);
  tidegate_text_free(json);
}

TEST(equal_configurations_share_a_runtime_and_different_ones_do_not) {
  struct gate one = open_gate("same", per_second(1, 5)), two = open_gate("same", per_second(1, 5));
  struct gate other = open_gate("other", per_second(1, 5));
  CHECK(one.key == two.key && one.key != other.key);
  CHECK_IS(tidegate_key_try_acquire(one.key, 5, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_key_try_acquire(two.key, 1, NULL), TIDEGATE_DENIED);
  CHECK_IS(tidegate_key_try_acquire(other.key, 5, NULL), TIDEGATE_OK);
  close_gate(one);
  CHECK_IS(tidegate_key_peek(two.key, NULL), TIDEGATE_DENIED);
  close_gate(two);
  CHECK_IS(tidegate_key_peek(two.key, NULL), TIDEGATE_E_STALE);
  close_gate(other);
}

TEST(counters_say_what_was_granted_and_refused) {
  struct gate gate = open_gate("", per_second(1, 5));
  tidegate_key_status_t status = {.struct_size = sizeof status};
  tidegate_metrics_t metrics = {.struct_size = sizeof metrics};
  tidegate_storage_info_t info = {.struct_size = sizeof info};
  CHECK_IS(tidegate_key_try_acquire(gate.key, 4, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_key_try_acquire(gate.key, 3, NULL), TIDEGATE_DENIED);
  CHECK_IS(tidegate_key_status(gate.key, &status), TIDEGATE_OK);
  CHECK_IS(tidegate_runtime_metrics(gate.runtime, &metrics, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_runtime_storage_info(gate.runtime, &info, NULL), TIDEGATE_OK);
  CHECK(status.granted == 4 && status.refused == 3 && status.remaining == 1 && status.burst == 5);
  CHECK(status.rate_micro == 1000000 && status.share_rate_micro == 1000000 && status.share_burst == 5);
  CHECK(status.processes == 1 && status.waiting == 0 && status.basis == TIDEGATE_BASIS_LOCAL);
  CHECK(metrics.keys == 1 && metrics.permits_granted == 4 && metrics.permits_refused == 3 && metrics.waiting == 0);
  CHECK(info.backend == TIDEGATE_STORAGE_MEMORY && info.is_shared == 0 && info.is_persistent == 0);
  CHECK(info.ack_age_ns == UINT64_MAX);
  close_gate(gate);
}
