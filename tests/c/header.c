// Compiled as C99, C11, C17 and C++17, and run: the header is complete, twice included, and its structs lie in memory
// as they did in the first version of this ABI. With BROKEN defined it must not compile: the asserts are none else.

#include <tidegate.h>
#include <tidegate.h>

#define JOINED(a, b) a##b
#define NAMED(line) JOINED(assert_in_line_, line)
// Static asserts came with C11; this works in all of them.
#define ASSERT(condition) typedef char NAMED(__LINE__)[(condition) ? 1 : -1]
#define AT(type, field, offset) ASSERT(offsetof(type, field) == (offset))

ASSERT(sizeof(tidegate_status_t) == 4 && (tidegate_status_t)-1 < 0);

ASSERT(sizeof(tidegate_decision_t) == 24);
AT(tidegate_decision_t, retry_after_ns, 0);
AT(tidegate_decision_t, remaining, 8);
AT(tidegate_decision_t, status, 16);
AT(tidegate_decision_t, tier, 20);
AT(tidegate_decision_t, basis, 22);

ASSERT(sizeof(tidegate_limit_t) >= 64);
AT(tidegate_limit_t, struct_size, 0);
AT(tidegate_limit_t, kind, 4);
AT(tidegate_limit_t, permits, 8);
AT(tidegate_limit_t, period_ns, 16);
AT(tidegate_limit_t, burst, 24);
AT(tidegate_limit_t, on_outage, 32);
AT(tidegate_limit_t, mode, 36);
AT(tidegate_limit_t, enforcement, 40);
AT(tidegate_limit_t, breaker_threshold, 44);
AT(tidegate_limit_t, max_wait_ns, 48);
AT(tidegate_limit_t, open_for_ns, 56);

ASSERT(sizeof(tidegate_key_status_t) >= 80);
AT(tidegate_key_status_t, struct_size, 0);
AT(tidegate_key_status_t, basis, 4);
AT(tidegate_key_status_t, rate_micro, 8);
AT(tidegate_key_status_t, burst, 16);
AT(tidegate_key_status_t, share_rate_micro, 24);
AT(tidegate_key_status_t, share_burst, 32);
AT(tidegate_key_status_t, remaining, 40);
AT(tidegate_key_status_t, granted, 48);
AT(tidegate_key_status_t, refused, 56);
AT(tidegate_key_status_t, processes, 64);
AT(tidegate_key_status_t, waiting, 68);
AT(tidegate_key_status_t, pace_ppm, 72);

ASSERT(sizeof(tidegate_storage_info_t) >= 48);
AT(tidegate_storage_info_t, struct_size, 0);
AT(tidegate_storage_info_t, backend, 4);
AT(tidegate_storage_info_t, is_shared, 8);
AT(tidegate_storage_info_t, is_persistent, 12);
AT(tidegate_storage_info_t, partitions, 16);
AT(tidegate_storage_info_t, replication, 20);
AT(tidegate_storage_info_t, append_p50_ns, 24);
AT(tidegate_storage_info_t, append_p99_ns, 32);
AT(tidegate_storage_info_t, ack_age_ns, 40);

ASSERT(sizeof(tidegate_metrics_t) >= 200);
AT(tidegate_metrics_t, struct_size, 0);
AT(tidegate_metrics_t, keys, 8);
AT(tidegate_metrics_t, permits_granted, 16);
AT(tidegate_metrics_t, permits_refused, 24);
AT(tidegate_metrics_t, permits_allowed, 32);
AT(tidegate_metrics_t, waiting, 40);
AT(tidegate_metrics_t, partitions_followed, 48);
AT(tidegate_metrics_t, sessions_valid, 56);
AT(tidegate_metrics_t, records_sent, 64);
AT(tidegate_metrics_t, records_resent, 72);
AT(tidegate_metrics_t, records_read, 80);
AT(tidegate_metrics_t, records_refused, 88);
AT(tidegate_metrics_t, sessions_lost, 96);
AT(tidegate_metrics_t, evictions_sent, 104);
AT(tidegate_metrics_t, digest_mismatches, 112);
AT(tidegate_metrics_t, gaps, 120);
AT(tidegate_metrics_t, keys_idle, 128);
AT(tidegate_metrics_t, permits_shadowed, 136);
AT(tidegate_metrics_t, sessions_lost_while_valid, 144);
AT(tidegate_metrics_t, digests_compared, 152);
AT(tidegate_metrics_t, snapshots_written, 160);
AT(tidegate_metrics_t, snapshots_restored, 168);
AT(tidegate_metrics_t, snapshot_age_ms, 176);
AT(tidegate_metrics_t, snapshot_offset, 184);
AT(tidegate_metrics_t, resets, 192);

ASSERT(sizeof(tidegate_adaptive_t) >= 24);
AT(tidegate_adaptive_t, struct_size, 0);
AT(tidegate_adaptive_t, floor_ppm, 4);
AT(tidegate_adaptive_t, step_ppm, 8);
AT(tidegate_adaptive_t, cut_ppm, 12);
AT(tidegate_adaptive_t, every_ns, 16);

#ifdef BROKEN
AT(tidegate_decision_t, basis, 23);
#endif

int main(void) {
  tidegate_limit_t limit = {sizeof limit, TIDEGATE_LIMIT_TOKEN_BUCKET, 1, 1000 * TIDEGATE_MS, 0, 0, 0, 0, 0, 0, 0};
  tidegate_config_t *config = tidegate_config_create();
  tidegate_status_t status = tidegate_config_set(config, TIDEGATE_STR("storage"), TIDEGATE_STR("memory"), NULL);
  tidegate_config_free(config);
  return status != TIDEGATE_OK || limit.permits != 1 || tidegate_abi_version() != TIDEGATE_ABI_VERSION;
}
