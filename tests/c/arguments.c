// Whatever a program hands over: it is answered with a status, and nothing is written that was not asked for.

#include "open.h"
#include <stdint.h>

// A pointer that must not be written to: it is looked at afterwards.
#define UNTOUCHED(type) ((type *)(uintptr_t)0x5a5a5a5a)

static void refused(tidegate_status_t status, tidegate_status_t expected, tidegate_error_t **error, const char *part) {
  CHECK_IS(status, expected);
  CHECK(*error != NULL);
  CHECK_IS(tidegate_error_status(*error), expected);
  CHECK_HAS(tidegate_error_message(*error), part);
  CHECK_IS(tidegate_error_is_retriable(*error), 0);
  tidegate_error_free(*error);
  *error = NULL;
}

// Each pointer argument in turn; the error names it.
#define REFUSED(call, part) refused(call, TIDEGATE_E_ARGUMENT, &error, part)

TEST(every_pointer_that_is_needed_may_be_null_and_is_named) {
  struct gate gate = open_gate("", per_second(5, 5));
  tidegate_config_t *config = memory_config();
  tidegate_limit_t limit = per_second(5, 5);
  tidegate_storage_info_t info = {.struct_size = sizeof info};
  tidegate_metrics_t metrics = {.struct_size = sizeof metrics};
  tidegate_limiter_t *limiter = UNTOUCHED(tidegate_limiter_t);
  tidegate_runtime_t *runtime = UNTOUCHED(tidegate_runtime_t);
  tidegate_text_t *text = UNTOUCHED(tidegate_text_t);
  tidegate_error_t *error = NULL;
  uint64_t key = 77;
  int32_t state = 77;

  REFUSED(tidegate_config_set(NULL, TIDEGATE_STR("storage"), TIDEGATE_STR("memory"), &error), "`config`");
  REFUSED(tidegate_config_set(config, NULL, 7, TIDEGATE_STR("memory"), &error), "`name`");
  REFUSED(tidegate_config_set(config, TIDEGATE_STR("storage"), NULL, 6, &error), "`value`");
  REFUSED(tidegate_config_describe(NULL, &text, &error), "`config`");
  REFUSED(tidegate_config_describe(config, NULL, &error), "`text_out`");
  REFUSED(tidegate_runtime_open(NULL, &runtime, &error), "`config`");
  REFUSED(tidegate_runtime_open(config, NULL, &error), "`runtime_out`");
  REFUSED(tidegate_limiter_create(NULL, TIDEGATE_STR("a"), &limit, &limiter, &error), "`runtime`");
  REFUSED(tidegate_limiter_create(gate.runtime, NULL, 1, &limit, &limiter, &error), "`name`");
  REFUSED(tidegate_limiter_create(gate.runtime, TIDEGATE_STR("a"), NULL, &limiter, &error), "`limit`");
  REFUSED(tidegate_limiter_create(gate.runtime, TIDEGATE_STR("a"), &limit, NULL, &error), "`limiter_out`");
  REFUSED(tidegate_limiter_set_limit(NULL, &limit, 0, &error), "`limiter`");
  REFUSED(tidegate_limiter_set_limit(gate.limiter, NULL, 0, &error), "`limit`");
  REFUSED(tidegate_limiter_key(NULL, TIDEGATE_STR("a"), &key, &error), "`limiter`");
  REFUSED(tidegate_limiter_key(gate.limiter, NULL, 1, &key, &error), "`value`");
  REFUSED(tidegate_limiter_key(gate.limiter, TIDEGATE_STR("a"), NULL, &error), "`key_out`");
  REFUSED(tidegate_runtime_storage_info(NULL, &info, &error), "`runtime`");
  REFUSED(tidegate_runtime_storage_info(gate.runtime, NULL, &error), "`info_out`");
  REFUSED(tidegate_runtime_health(NULL, &state, &text, &error), "`runtime`");
  REFUSED(tidegate_runtime_metrics(NULL, &metrics, &error), "`runtime`");
  REFUSED(tidegate_runtime_metrics(gate.runtime, NULL, &error), "`metrics_out`");
  REFUSED(tidegate_runtime_snapshot(NULL, &text, &error), "`runtime`");
  REFUSED(tidegate_runtime_snapshot(gate.runtime, NULL, &error), "`json_out`");
  CHECK_IS(tidegate_key_status(gate.key, NULL), TIDEGATE_E_ARGUMENT);

  CHECK(limiter == UNTOUCHED(tidegate_limiter_t) && runtime == UNTOUCHED(tidegate_runtime_t));
  CHECK(text == UNTOUCHED(tidegate_text_t) && key == 77 && state == 77);
  tidegate_config_free(config);
  close_gate(gate);
}

TEST(every_pointer_that_is_not_needed_may_be_null) {
  struct gate gate = open_gate("", per_second(5, 5));
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_key_acquire(gate.key, 1, 0, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_key_peek(gate.key, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_runtime_health(gate.runtime, NULL, NULL, NULL), TIDEGATE_OK);
  // Without a place for the error the status stays the same.
  CHECK_IS(tidegate_config_set(NULL, NULL, 0, NULL, 0, NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_limiter_key(gate.limiter, NULL, 0, &gate.key, NULL), TIDEGATE_OK);
  tidegate_config_free(NULL);
  tidegate_error_free(NULL);
  tidegate_text_free(NULL);
  tidegate_limiter_free(NULL);
  CHECK_IS(tidegate_runtime_close(NULL, 0, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_error_status(NULL), TIDEGATE_E_ARGUMENT);
  CHECK_IS(tidegate_error_is_retriable(NULL), 0);
  CHECK(strcmp(tidegate_error_message(NULL), "") == 0 && strcmp(tidegate_text_data(NULL), "") == 0);
  close_gate(gate);
}

TEST(a_success_leaves_the_error_alone) {
  tidegate_config_t *config = tidegate_config_create();
  tidegate_error_t *error = UNTOUCHED(tidegate_error_t);
  CHECK_IS(tidegate_config_set(config, TIDEGATE_STR("storage"), TIDEGATE_STR("memory"), &error), TIDEGATE_OK);
  CHECK(error == UNTOUCHED(tidegate_error_t));
  tidegate_config_free(config);
}

TEST(a_string_that_is_not_utf8_or_too_long_is_refused_without_being_read) {
  struct gate gate = open_gate("", per_second(5, 5));
  tidegate_limit_t limit = per_second(5, 5);
  tidegate_config_t *config = memory_config();
  tidegate_limiter_t *limiter = NULL;
  tidegate_error_t *error = NULL;
  uint64_t key;
  static const size_t lengths[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 2 + 1, (size_t)1 << 40, ((size_t)1 << 20) + 1};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    REFUSED(tidegate_config_set(config, "topic", lengths[i], TIDEGATE_STR("t"), &error), "`name` has");
    REFUSED(tidegate_config_set(config, TIDEGATE_STR("topic"), "t", lengths[i], &error), "`value` has");
    REFUSED(tidegate_limiter_create(gate.runtime, "a", lengths[i], &limit, &limiter, &error), "`name` has");
    REFUSED(tidegate_limiter_key(gate.limiter, "a", lengths[i], &key, &error), "`value` has");
  }
  // Alone, cut off, overlong, a surrogate.
  static const char *const bad[] = {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    REFUSED(tidegate_config_set(config, bad[i], strlen(bad[i]), TIDEGATE_STR("t"), &error), "`name` is not UTF-8");
    REFUSED(tidegate_config_set(config, TIDEGATE_STR("topic"), bad[i], strlen(bad[i]), &error), "`value` is not");
    REFUSED(tidegate_limiter_create(gate.runtime, bad[i], strlen(bad[i]), &limit, &limiter, &error), "`name` is");
    REFUSED(tidegate_limiter_key(gate.limiter, bad[i], strlen(bad[i]), &key, &error), "`value` is not UTF-8");
  }
  CHECK_IS(tidegate_limiter_key(gate.limiter, TIDEGATE_STR("f\xc3\xbcr \xf0\x9f\x9a\xa6\0!"), &key, NULL), TIDEGATE_OK);
  tidegate_config_free(config);
  close_gate(gate);
}

TEST(names_have_1_to_1024_bytes_and_keys_0_to_1024) {
  struct gate gate = open_gate("", per_second(5, 5));
  tidegate_limit_t limit = per_second(5, 5);
  tidegate_limiter_t *limiter = NULL;
  tidegate_error_t *error = NULL;
  uint64_t key, other;
  char name[1025];
  memset(name, 'n', sizeof name);
  REFUSED(tidegate_limiter_create(gate.runtime, name, 1025, &limit, &limiter, &error), "1025 bytes");
  REFUSED(tidegate_limiter_create(gate.runtime, name, 0, &limit, &limiter, &error), "0 bytes");
  REFUSED(tidegate_limiter_create(gate.runtime, NULL, 0, &limit, &limiter, &error), "0 bytes");
  CHECK_IS(tidegate_limiter_create(gate.runtime, name, 1024, &limit, &limiter, NULL), TIDEGATE_OK);
  REFUSED(tidegate_limiter_key(limiter, name, 1025, &key, &error), "1025 bytes");
  CHECK_IS(tidegate_limiter_key(limiter, name, 1024, &key, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_limiter_key(limiter, name, 0, &key, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_limiter_key(limiter, NULL, 0, &other, NULL), TIDEGATE_OK);
  CHECK(key == other);
  tidegate_limiter_free(limiter);
  close_gate(gate);
}

// A struct of some later version: ours, and what that version appended.
struct later_limit {
  tidegate_limit_t ours;
  unsigned char tail[4096 + 8];
};

static tidegate_status_t create_sized(tidegate_runtime_t *runtime, struct later_limit *limit, uint32_t size,
                                      tidegate_error_t **error) {
  tidegate_limiter_t *limiter = NULL;
  limit->ours.struct_size = size;
  tidegate_status_t status = tidegate_limiter_create(runtime, TIDEGATE_STR("sized"), &limit->ours, &limiter, error);
  tidegate_limiter_free(limiter);
  return status;
}

TEST(a_limit_of_another_size_is_taken_only_if_nothing_unknown_is_set) {
  tidegate_runtime_t *runtime = open_noted("");
  struct later_limit limit = {per_second(5, 5), {0}};
  const uint32_t ours = sizeof(tidegate_limit_t);
  tidegate_error_t *error = NULL;
  static const uint32_t wrong[] = {0, 1, 4, 8, sizeof(tidegate_limit_t) - 1, sizeof limit, 65536, UINT32_MAX};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    REFUSED(create_sized(runtime, &limit, wrong[i], &error), "`limit.struct_size` is");
  CHECK_IS(create_sized(runtime, &limit, ours, NULL), TIDEGATE_OK);
  CHECK_IS(create_sized(runtime, &limit, ours + 1, NULL), TIDEGATE_OK);
  CHECK_IS(create_sized(runtime, &limit, ours + 4096, NULL), TIDEGATE_OK);
  limit.tail[8] = 1;
  CHECK_IS(create_sized(runtime, &limit, ours + 8, NULL), TIDEGATE_OK);
  REFUSED(create_sized(runtime, &limit, ours + 9, &error), "`limit` sets fields that this version does not know");
  CHECK_IS(tidegate_runtime_close(runtime, 0, NULL), TIDEGATE_OK);
}

TEST(a_limit_out_of_range_is_refused_with_the_field) {
  tidegate_runtime_t *runtime = open_noted("");
  struct later_limit limit = {per_second(5, 5), {0}};
  const uint32_t ours = sizeof(tidegate_limit_t);
  tidegate_error_t *error = NULL;
#define BAD(field, value, part)                                \
  limit.ours = per_second(5, 5);                               \
  limit.ours.field = (value);                                  \
  REFUSED(create_sized(runtime, &limit, ours, &error), part)
  BAD(kind, 0, "limit.kind");
  BAD(kind, 3, "limit.kind");
  BAD(on_outage, 4, "limit.on_outage");
  BAD(mode, 2, "limit.mode");
  BAD(enforcement, 4, "limit.enforcement");
  BAD(enforcement, TIDEGATE_ENFORCE_THROTTLING, "limit.max_wait_ns");
  BAD(max_wait_ns, 1, "limit.max_wait_ns");
  BAD(enforcement, TIDEGATE_ENFORCE_CIRCUIT_BREAKER, "limit.open_for_ns");
  BAD(breaker_threshold, 1, "limit.breaker_threshold");
  BAD(open_for_ns, 1, "limit.open_for_ns");
  BAD(permits, 0, "permit");
  BAD(permits, UINT64_MAX, "");
  BAD(period_ns, 0, "period");
  BAD(period_ns, UINT64_MAX, "");
  BAD(burst, UINT64_MAX, "burst");
  CHECK_IS(tidegate_runtime_close(runtime, 0, NULL), TIDEGATE_OK);
}

// Fills a struct through `CALL`, with every wrong size and with a longer one.
#define FILLS(type, CALL)                                                             \
  do {                                                                                \
    struct {                                                                          \
      type ours;                                                                      \
      unsigned char tail[16];                                                         \
    } out;                                                                            \
    static const uint32_t wrong[] = {0, 4, sizeof(void *), sizeof(type) - 1, 1000000, UINT32_MAX}; \
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {                       \
      memset(&out, 0x5a, sizeof out);                                                 \
      out.ours.struct_size = wrong[i];                                                \
      CHECK_IS(CALL(&out.ours), TIDEGATE_E_ARGUMENT);                                 \
      CHECK(((unsigned char *)&out)[4] == 0x5a && out.tail[0] == 0x5a);               \
    }                                                                                 \
    memset(&out, 0x5a, sizeof out);                                                   \
    out.ours.struct_size = sizeof(type) + 8;                                          \
    CHECK_IS(CALL(&out.ours), TIDEGATE_OK);                                           \
    CHECK_IS(out.ours.struct_size, sizeof(type) + 8);                                 \
    CHECK(((unsigned char *)&out)[4] != 0x5a);                                        \
    CHECK(out.tail[0] == 0 && out.tail[7] == 0 && out.tail[8] == 0x5a);               \
  } while (0)

TEST(a_filled_struct_is_filled_as_far_as_the_caller_knows_it_and_no_further) {
  struct gate gate = open_gate("", per_second(5, 5));
#define STATUS(out) tidegate_key_status(gate.key, out)
#define INFO(out) tidegate_runtime_storage_info(gate.runtime, out, NULL)
#define METRICS(out) tidegate_runtime_metrics(gate.runtime, out, NULL)
  FILLS(tidegate_key_status_t, STATUS);
  FILLS(tidegate_storage_info_t, INFO);
  FILLS(tidegate_metrics_t, METRICS);
  close_gate(gate);
}

static void all_answer(uint64_t key, tidegate_status_t expected) {
  tidegate_decision_t decision;
  tidegate_key_status_t status = {.struct_size = sizeof status};
  CHECK_IS(tidegate_key_try_acquire(key, 1, &decision), expected);
  CHECK_IS(decision.status, expected);
  CHECK_IS(tidegate_key_acquire(key, 1, 10000 * TIDEGATE_MS, &decision), expected);
  CHECK_IS(decision.status, expected);
  CHECK_IS(tidegate_key_peek(key, &decision), expected);
  CHECK_IS(tidegate_key_status(key, &status), expected);
  CHECK_IS(tidegate_key_release(key), expected);
}

TEST(a_key_that_was_never_given_or_is_out_of_date_is_stale_and_harms_no_other) {
  struct gate gate = open_gate("", per_second(1, 5));
  static const uint64_t garbage[] = {0, 1, UINT32_MAX, (uint64_t)1 << 32, (uint64_t)1 << 63, UINT64_MAX, 0xdeadbeef};
  for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++)
    if (garbage[i] != gate.key) all_answer(garbage[i], TIDEGATE_E_STALE);
  // The same place under another generation, or another place under the same.
  for (int bit = 0; bit < 64; bit++) all_answer(gate.key ^ (uint64_t)1 << bit, TIDEGATE_E_STALE);
  uint64_t other = make_key(gate.limiter, "other");
  CHECK_IS(tidegate_key_release(other), TIDEGATE_OK);
  uint64_t next = make_key(gate.limiter, "next");
  CHECK(next != other);
  all_answer(other, TIDEGATE_E_STALE);
  CHECK_IS(tidegate_key_try_acquire(next, 5, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_key_try_acquire(gate.key, 5, NULL), TIDEGATE_OK);
  close_gate(gate);
}

TEST(a_key_is_released_as_often_as_it_was_asked_for) {
  struct gate gate = open_gate("", per_second(1, 5));
  CHECK(make_key(gate.limiter, "tenant-1") == gate.key);
  CHECK_IS(tidegate_key_release(gate.key), TIDEGATE_OK);
  CHECK_IS(tidegate_key_try_acquire(gate.key, 1, NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_key_release(gate.key), TIDEGATE_OK);
  all_answer(gate.key, TIDEGATE_E_STALE);
  close_gate(gate);
}

TEST(an_unknown_property_is_named) {
  tidegate_config_t *config = tidegate_config_create();
  tidegate_error_t *error = NULL;
  refused(tidegate_config_set(config, TIDEGATE_STR("no_such_property"), TIDEGATE_STR("1"), &error), TIDEGATE_E_CONFIG,
          &error, "`no_such_property`");
  refused(tidegate_config_set(config, TIDEGATE_STR("ttl.ms"), TIDEGATE_STR("soon"), &error), TIDEGATE_E_CONFIG, &error,
          "`ttl.ms` is `soon`");
  refused(tidegate_config_set(config, NULL, 0, NULL, 0, &error), TIDEGATE_E_CONFIG, &error, "name");
  if (tidegate_features() & TIDEGATE_FEATURE_KAFKA)
    refused(tidegate_config_set(config, TIDEGATE_STR("ssl.no.such"), TIDEGATE_STR("1"), &error), TIDEGATE_E_CONFIG,
            &error, "`ssl.no.such`");
  tidegate_config_free(config);
}

TEST(a_description_has_the_values_but_no_secret) {
  tidegate_config_t *config = tidegate_config_create();
  tidegate_text_t *text = NULL;
  static const char *const secret[] = {"sasl.password", "ssl.key.password", "ssl.keystore.password",
                                       "sasl.oauthbearer.config"};
  CHECK_IS(tidegate_config_set(config, TIDEGATE_STR("bootstrap.servers"), TIDEGATE_STR("kafka:9092"), NULL), 0);
  CHECK_IS(tidegate_config_set(config, TIDEGATE_STR("sasl.username"), TIDEGATE_STR("alice"), NULL), 0);
  for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
    CHECK_IS(tidegate_config_set(config, secret[i], strlen(secret[i]), TIDEGATE_STR("hunter2"), NULL), TIDEGATE_OK);
  CHECK_IS(tidegate_config_describe(config, &text, NULL), TIDEGATE_OK);
  CHECK_HAS(tidegate_text_data(text), "bootstrap.servers = kafka:9092\n");
  CHECK_HAS(tidegate_text_data(text), "sasl.username = alice\n");
  CHECK_HAS(tidegate_text_data(text), "ssl.key.password = (hidden)\n");
  CHECK(strstr(tidegate_text_data(text), "hunter2") == NULL);
  tidegate_text_free(text);
  tidegate_config_free(config);
}

TEST(only_ok_is_zero_so_that_not_rc_fails_closed) {
  static const tidegate_status_t no[] = {
      TIDEGATE_DENIED,     TIDEGATE_NEVER,     TIDEGATE_TIMED_OUT,   TIDEGATE_E_ARGUMENT, TIDEGATE_E_CONFIG,
      TIDEGATE_E_CLOSED,   TIDEGATE_E_STORAGE, TIDEGATE_E_CAPACITY,  TIDEGATE_E_STALE,    TIDEGATE_E_FORKED,
      TIDEGATE_E_BUG};
  CHECK(strcmp(tidegate_status_name(TIDEGATE_OK), "TIDEGATE_OK") == 0);
  for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
    CHECK(no[i] != 0);
    for (size_t j = 0; j < i; j++)
      CHECK(no[i] != no[j] && strcmp(tidegate_status_name(no[i]), tidegate_status_name(no[j])) != 0);
  }
  CHECK(strcmp(tidegate_status_name(4242), "TIDEGATE_UNKNOWN_STATUS") == 0);
  // Every no of a decision stands in its status too, for those who look there.
  struct gate gate = open_gate("", per_second(1, 1));
  tidegate_decision_t decision;
  int granted = 0;
  for (uint64_t permits = 0; permits < 3; permits++) {
    memset(&decision, 0, sizeof decision);
    tidegate_status_t rc = tidegate_key_try_acquire(gate.key, permits, &decision);
    CHECK_IS(decision.status, rc);
    if (!rc) granted++;
  }
  CHECK_IS(granted, 1);
  close_gate(gate);
}

TEST(the_version_of_the_header_is_that_of_the_library) {
  char version[64];
  snprintf(version, sizeof version, "%d.%d.%d", TIDEGATE_VERSION_MAJOR, TIDEGATE_VERSION_MINOR, TIDEGATE_VERSION_PATCH);
  CHECK(strcmp(version, tidegate_version()) == 0);
  CHECK_IS(tidegate_abi_version(), TIDEGATE_ABI_VERSION);
  CHECK((tidegate_features() & ~(uint64_t)TIDEGATE_FEATURE_KAFKA) == 0);
}
