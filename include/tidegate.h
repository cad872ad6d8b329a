/* tidegate.h - one rate limit shared by many processes through Kafka, decided locally.
 * Generated from src/ffi by cbindgen; do not edit.
 *
 * Rules for every function, unless its comment says otherwise:
 *   names      tidegate_<noun>_<verb>; the noun comes first, outputs come last and end in `_out`
 *   result     0 = go or done, > 0 = an ordinary no, < 0 = failure; `if (!rc)` therefore fails closed
 *   outputs    written only when the result is >= 0, but a decision always; `error_out` may be NULL and is set only
 *              when the result is < 0: free it then
 *   strings    in: UTF-8 pointer + byte count without any NUL (TIDEGATE_STR("literal") is both), copied;
 *              out: NUL-terminated, life time in the comment
 *   ownership  _create, _open and _key give you something; hand it back once, in any order, by _free, _close or
 *              _release; NULL is accepted by _free and _close
 *   keys       are ids, not pointers: one that is out of date answers TIDEGATE_E_STALE and harms nobody
 *   threads    any function from any thread at any time; only the handle that is being handed back must be idle
 *   structs    with a `struct_size` are set to sizeof by the caller; new fields go at the end; unknown ones must be 0
 *   time       uint64_t nanoseconds, `_ns` in the name, relative; never a date
 *   fork       a child may not use what its parent opened (TIDEGATE_E_FORKED), only hand it back; it may open its own
 *   signals    none are touched; the library never prints, never exits, and is never unloaded
 *
 * The simple path, a whole program (cc program.c -ltidegate):
 *
 *   #include <stdio.h>
 *   #include <tidegate.h>
 *
 *   int main(void) {
 *     tidegate_limit_t limit = { .struct_size = sizeof limit, .kind = TIDEGATE_LIMIT_TOKEN_BUCKET,
 *                                .permits = 1000, .period_ns = 1000 * TIDEGATE_MS, .burst = 2000 };
 *     tidegate_config_t *config = tidegate_config_create();
 *     tidegate_runtime_t *runtime = NULL;
 *     tidegate_limiter_t *orders = NULL;
 *     tidegate_error_t *error = NULL;
 *     uint64_t key = 0;
 *     if (tidegate_config_set(config, TIDEGATE_STR("bootstrap.servers"), TIDEGATE_STR("localhost:9092"), &error) ||
 *         tidegate_runtime_open(config, &runtime, &error) ||
 *         tidegate_limiter_create(runtime, TIDEGATE_STR("orders"), &limit, &orders, &error) ||
 *         tidegate_limiter_key(orders, TIDEGATE_STR("tenant-1"), &key, &error)) {
 *       fprintf(stderr, "%s\n", tidegate_error_message(error));
 *       return 1;
 *     }
 *     // Wait for a permit, a second at most. tidegate_key_try_acquire() is the same without waiting.
 *     tidegate_status_t status = tidegate_key_acquire(key, 1, 1000 * TIDEGATE_MS, NULL);
 *     puts(status == TIDEGATE_OK ? "go" : tidegate_status_name(status));
 *     tidegate_limiter_free(orders);
 *     tidegate_config_free(config);
 *     return tidegate_runtime_close(runtime, 5000 * TIDEGATE_MS, NULL) != TIDEGATE_OK;
 *   }
 */

#ifndef TIDEGATE_H
#define TIDEGATE_H

#include <stddef.h>
#include <stdint.h>

#define TIDEGATE_VERSION_MAJOR 0
#define TIDEGATE_VERSION_MINOR 1
#define TIDEGATE_VERSION_PATCH 0

// A string literal as the two arguments that it is here: pointer and byte count.
#define TIDEGATE_STR(literal) ("" literal), (sizeof("" literal) - 1)

// Nanoseconds in a millisecond.
#define TIDEGATE_MS ((uint64_t)1000000)


// The number of this ABI. It changes when anything that a compiled caller can see changes meaning; additions do not
// change it. Compare it with tidegate_abi_version() once, before any other call.
#define TIDEGATE_ABI_VERSION 1

// This build has the Kafka storage.
#define TIDEGATE_FEATURE_KAFKA 1

// Go, or done.
#define TIDEGATE_OK 0

// Not now; `retry_after_ns` says when to come back.
#define TIDEGATE_DENIED 1

// More permits than the limit's burst can ever hold.
#define TIDEGATE_NEVER 2

// The time-out passed first; nothing was taken.
#define TIDEGATE_TIMED_OUT 3

// Not yet: a reservation stands in line; poll its ticket after `retry_after_ns`.
#define TIDEGATE_PENDING 4

// NULL, bad UTF-8, a wrong struct_size, or a value out of range.
#define TIDEGATE_E_ARGUMENT -1

// A property is unknown, has no such value, or contradicts another.
#define TIDEGATE_E_CONFIG -2

// The runtime was closed.
#define TIDEGATE_E_CLOSED -3

// Kafka refused or could not be reached; the same call may succeed later.
#define TIDEGATE_E_STORAGE -4

// A named maximum was hit, such as keys.max.
#define TIDEGATE_E_CAPACITY -5

// The key was released or its runtime closed, or the ticket was used.
#define TIDEGATE_E_STALE -6

// This process was forked: open a runtime of its own here.
#define TIDEGATE_E_FORKED -7

// A panic inside Tidegate; that runtime refuses every further call.
#define TIDEGATE_E_BUG -100

// A token bucket: `permits` per `period_ns` on average, at most `burst` at once. A window of one period may see both.
#define TIDEGATE_LIMIT_TOKEN_BUCKET 1

// A sliding window: at most `permits` in any `period_ns`, wherever it begins. Without other processes all of them may come
// at once. Shared ones keep it by a token bucket of `burst` that refills permits - burst + 1 per period.
#define TIDEGATE_LIMIT_SLIDING_WINDOW 2

// As the property on.outage says.
#define TIDEGATE_OUTAGE_DEFAULT 0

// Go on with the last share.
#define TIDEGATE_OUTAGE_KEEP_SHARE 1

// Refuse when the share could not be renewed.
#define TIDEGATE_OUTAGE_DENY 2

// Let everything through, and count it.
#define TIDEGATE_OUTAGE_ALLOW 3

// The limit is kept.
#define TIDEGATE_MODE_ENFORCE 0

// It decides and counts, and refuses nothing: what it would have refused is granted with TIDEGATE_BASIS_SHADOW.
#define TIDEGATE_MODE_SHADOW 1

// Refuses.
#define TIDEGATE_ENFORCE_HARD_LIMIT 0

// Delays: tidegate_key_acquire() and tidegate_key_reserve() wait at most `max_wait_ns`, and refuse at once what takes
// longer.
#define TIDEGATE_ENFORCE_THROTTLING 1

// Refuses, and tells tidegate_runtime_next_event() when that begins and when half of the burst is there again.
#define TIDEGATE_ENFORCE_BACKPRESSURE 2

// Refuses; after `breaker_threshold` refusals in a row it is open, and refuses everybody who comes unasked with
// TIDEGATE_BASIS_BREAKER. Requests that can never be granted, and a share that is still to come, are not counted; who waits
// in line already is served. After `open_for_ns` one request goes through as a probe: granted, it closes; refused, it stays
// open for as long again.
#define TIDEGATE_ENFORCE_CIRCUIT_BREAKER 3

// The decision rests on a limit of this process alone.
#define TIDEGATE_BASIS_LOCAL 0

// On this process's share of a limit that many processes have.
#define TIDEGATE_BASIS_SHARED 1

// On the last share, in an outage, under the policy keep_share.
#define TIDEGATE_BASIS_KEPT_SHARE 2

// On nothing, in an outage, under the policy allow.
#define TIDEGATE_BASIS_ALLOWED 3

// There is no share yet, or no more.
#define TIDEGATE_BASIS_NO_SHARE 4

// On nothing: a circuit breaker is open, and refuses unasked.
#define TIDEGATE_BASIS_BREAKER 5

// The limit would have refused, but is in shadow mode.
#define TIDEGATE_BASIS_SHADOW 6

// Most tiers of a limiter.
#define TIDEGATE_TIERS_MAX 8

// Most dimensions of a context.
#define TIDEGATE_SCOPES_MAX 64

// Lag in records that the group has not read.
#define TIDEGATE_LAG_RECORDS 1

// Lag in milliseconds: the age of the oldest record that the group has not read.
#define TIDEGATE_LAG_MS 2

// A limit with backpressure began to refuse: slow down.
#define TIDEGATE_EVENT_PRESSURE_ON 1

// Half of its burst is there again: go on.
#define TIDEGATE_EVENT_PRESSURE_OFF 2

// A circuit breaker opened.
#define TIDEGATE_EVENT_BREAKER_OPENED 3

// It lets one request through.
#define TIDEGATE_EVENT_BREAKER_HALF_OPEN 4

// It closed.
#define TIDEGATE_EVENT_BREAKER_CLOSED 5

// A consumer is too far behind: the limit does not refill.
#define TIDEGATE_EVENT_PAUSED 6

// It refills again.
#define TIDEGATE_EVENT_RESUMED 7

// Decisions are made from shares that are renewed, or from local limits.
#define TIDEGATE_HEALTH_OK 0

// The log was not reached or read yet.
#define TIDEGATE_HEALTH_CONNECTING 1

// Something is wrong, and decisions follow the outage policy.
#define TIDEGATE_HEALTH_DEGRADED 2

// Sharing cannot go on until somebody acts.
#define TIDEGATE_HEALTH_FAILED 3

// The runtime was closed.
#define TIDEGATE_HEALTH_CLOSED 4

// This process alone.
#define TIDEGATE_STORAGE_MEMORY 1

// Apache Kafka.
#define TIDEGATE_STORAGE_KAFKA 2

// A clock that stands still until it is told to advance: with it, an application tests its own limits without sleeping.
typedef struct tidegate_clock_t tidegate_clock_t;

// A set of properties to open a runtime with.
typedef struct tidegate_config_t tidegate_config_t;

// The story behind a negative status. Belongs to no thread; free it on any. Look at it in a statement of its own: in
// `f(call(.., &error), error)` C may read `error` before it makes the call.
typedef struct tidegate_error_t tidegate_error_t;

// Something that a limit has to say.
typedef struct tidegate_event_t tidegate_event_t;

// A named limit, or several that are kept at once. Keeps its runtime open.
typedef struct tidegate_limiter_t tidegate_limiter_t;

// Storage, background thread and clock; usually one per process.
typedef struct tidegate_runtime_t tidegate_runtime_t;

// A text that the library made: JSON, a description.
typedef struct tidegate_text_t tidegate_text_t;

// 0 = go or done, > 0 = an ordinary no, < 0 = failure.
typedef int32_t tidegate_status_t;

// A limit: the numbers of the whole fleet, and what happens where they are reached.
typedef struct {
  // sizeof(tidegate_limit_t)
  uint32_t struct_size;
  // TIDEGATE_LIMIT_*
  uint32_t kind;
  // Permits let through per period; at least 1.
  uint64_t permits;
  // The period in nanoseconds; at least 1.
  uint64_t period_ns;
  // Most permits at once; 0 = as many as `permits`, of a sliding window a tenth of them.
  uint64_t burst;
  // TIDEGATE_OUTAGE_*: what happens when the log is away.
  uint32_t on_outage;
  // TIDEGATE_MODE_*
  uint32_t mode;
  // TIDEGATE_ENFORCE_*
  uint32_t enforcement;
  // Refusals in a row that open a circuit breaker; at least 1 there, else 0.
  uint32_t breaker_threshold;
  // The longest delay of a throttling limit; 0 elsewhere.
  uint64_t max_wait_ns;
  // How long a circuit breaker stays open; at least 1 there, else 0.
  uint64_t open_for_ns;
} tidegate_limit_t;

// The answer to a request for permits. Its layout is frozen for this ABI: 24 bytes.
typedef struct {
  // When to come back, in nanoseconds from now: 0 when granted, UINT64_MAX when it can never be.
  uint64_t retry_after_ns;
  // Whole permits left in this process's share right after; a hint.
  uint64_t remaining;
  // The same as the function returned, also when that is a failure.
  int32_t status;
  // The index of the tier that decided.
  uint16_t tier;
  // TIDEGATE_BASIS_*
  uint16_t basis;
} tidegate_decision_t;

// One key as this process sees it.
typedef struct {
  // sizeof(tidegate_key_status_t)
  uint32_t struct_size;
  // TIDEGATE_BASIS_* of a decision now.
  uint32_t basis;
  // Rate of the limit, in millionths of a permit per second.
  uint64_t rate_micro;
  // Burst of the limit, in permits.
  uint64_t burst;
  // This process's share of the rate, in millionths of a permit per second.
  uint64_t share_rate_micro;
  // This process's share of the burst, in permits, rounded down.
  uint64_t share_burst;
  // Permits left in the share now, rounded down.
  uint64_t remaining;
  // Permits granted by this process.
  uint64_t granted;
  // Permits refused by this process.
  uint64_t refused;
  // Processes that hold or want something of it; 0 = not known yet.
  uint32_t processes;
  // Calls of tidegate_key_acquire() that wait now, in this process.
  uint32_t waiting;
  // What of its rate it refills with now, in parts per million: less than 1000000 where it follows a lag or outcomes.
  uint32_t pace_ppm;
  // 0
  uint32_t reserved;
} tidegate_key_status_t;

// One of the limits that a limiter keeps at once.
typedef struct {
  // sizeof(tidegate_tier_t)
  uint32_t struct_size;
  // 0
  uint32_t reserved;
  // For people; each tier has another.
  const char *name;
  // Bytes of it; 1 to 1024.
  uint64_t name_len;
  // The dimension whose every value has a bucket of its own, such as "topic"; NULL = one bucket for everybody.
  const char *scope;
  // Bytes of it; up to 1024.
  uint64_t scope_len;
  // Numbers of each bucket, and what happens where they are reached.
  const tidegate_limit_t *limit;
  // What one permit costs here, up to 1000000; 0 = 1.
  uint64_t weight;
} tidegate_tier_t;

// One dimension of a context and its value. Its layout is frozen for this ABI: 32 bytes.
typedef struct {
  // Such as "topic".
  const char *dimension;
  // Bytes of it.
  uint64_t dimension_len;
  // Such as "orders".
  const char *value;
  // Bytes of it; up to 1024.
  uint64_t value_len;
} tidegate_scope_t;

// How a limit finds the rate that what is behind it bears.
typedef struct {
  // sizeof(tidegate_adaptive_t)
  uint32_t struct_size;
  // Never slower than so many parts per million of the configured rate.
  uint32_t floor_ppm;
  // What is added after a while without overload, of the configured rate; at least 1.
  uint32_t step_ppm;
  // What is cut after an overload, of the current rate; at least 1. 300000 leaves 70 %.
  uint32_t cut_ppm;
  // The rate changes at most so often.
  uint64_t every_ns;
} tidegate_adaptive_t;

// What the storage knows about itself.
typedef struct {
  // sizeof(tidegate_storage_info_t)
  uint32_t struct_size;
  // TIDEGATE_STORAGE_*
  uint32_t backend;
  // 1 if other processes share it, else 0.
  uint32_t is_shared;
  // 1 if it outlives the processes, else 0.
  uint32_t is_persistent;
  // Partitions of the log; 0 until known.
  uint32_t partitions;
  // Copies of each partition; 0 until known.
  uint32_t replication;
  // From append to acknowledgement, over the last 1024; 0 before the first.
  uint64_t append_p50_ns;
  // The same, 99th percentile.
  uint64_t append_p99_ns;
  // Since the last acknowledgement; UINT64_MAX before the first.
  uint64_t ack_age_ns;
} tidegate_storage_info_t;

// Counters of a runtime. They only grow, but for keys, keys_idle, waiting, partitions_followed, sessions_valid, what is said of
// a snapshot, and permits, where a reservation is given back, a wait ends well or a limiter is forgotten.
typedef struct {
  // sizeof(tidegate_metrics_t)
  uint32_t struct_size;
  // 0
  uint32_t reserved;
  // Live keys.
  uint64_t keys;
  // Permits granted.
  uint64_t permits_granted;
  // Permits refused.
  uint64_t permits_refused;
  // Of the granted, those without any share, in an outage, under the policy allow.
  uint64_t permits_allowed;
  // Calls of tidegate_key_acquire() that wait now.
  uint64_t waiting;
  // Partitions of the log that are read.
  uint64_t partitions_followed;
  // Of these, those in which this process's shares are valid now.
  uint64_t sessions_valid;
  // Records written, with those said again.
  uint64_t records_sent;
  // Records said again because the first was not read back in time.
  uint64_t records_resent;
  // Records read.
  uint64_t records_read;
  // Bytes in the log that are no records.
  uint64_t records_refused;
  // Sessions of this process that others ended, or that broke off.
  uint64_t sessions_lost;
  // Sessions of others that this process ended for their silence.
  uint64_t evictions_sent;
  // Times another process's state differed from this one's.
  uint64_t digest_mismatches;
  // Times the log could not be read on and was read anew.
  uint64_t gaps;
  // Buckets of local limits that no key stands for and that are not full again yet: remembered.
  uint64_t keys_idle;
  // Of the refused, those that a limit in shadow mode let pass.
  uint64_t permits_shadowed;
  // Of the sessions lost, while this process's clock said they were valid: a clock or a virtual machine stood still.
  uint64_t sessions_lost_while_valid;
  // Times another process's state was compared with this one's.
  uint64_t digests_compared;
  // Snapshots written.
  uint64_t snapshots_written;
  // Snapshots that this process started from.
  uint64_t snapshots_restored;
  // The age of the newest snapshot of a partition, the oldest of all; 0 = none known.
  uint64_t snapshot_age_ms;
  // The offset that it stands for.
  uint64_t snapshot_offset;
  // Times a partition was declared empty, because nothing was left of its state and nobody was there.
  uint64_t resets;
} tidegate_metrics_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The number of the library's ABI.
uint32_t tidegate_abi_version(void);

// The library's version, such as "0.1.0". Static.
const char *tidegate_version(void);

// What this build can do: TIDEGATE_FEATURE_* bits.
uint64_t tidegate_features(void);

// The name of a status, such as "TIDEGATE_DENIED". Static, never NULL.
const char *tidegate_status_name(tidegate_status_t status);

// The status that came with the error; TIDEGATE_E_ARGUMENT for NULL.
tidegate_status_t tidegate_error_status(const tidegate_error_t *error);

// What happened and what to do about it: UTF-8, no full stop, lives as long as `error`. "" for NULL.
const char *tidegate_error_message(const tidegate_error_t *error);

// 1 if the same call may succeed later without anything being changed, else 0.
int32_t tidegate_error_is_retriable(const tidegate_error_t *error);

// Frees an error. NULL is accepted.
void tidegate_error_free(tidegate_error_t *error);

// The text: UTF-8, NUL-terminated, lives as long as `text`. "" for NULL.
const char *tidegate_text_data(const tidegate_text_t *text);

// Frees a text. NULL is accepted.
void tidegate_text_free(tidegate_text_t *text);

// An empty configuration: what is not set has its default. Free it when the runtime is open. Never NULL but when
// memory is exhausted.
tidegate_config_t *tidegate_config_create(void);

// Sets a property: one of Tidegate's (docs/reference/config.md) or one of librdkafka's by its own name
// ("bootstrap.servers", "security.protocol", "sasl.*", "ssl.*", ..), which is passed through unchanged.
// TIDEGATE_E_CONFIG with the name in the message when it is unknown or the value is not one of its own.
tidegate_status_t tidegate_config_set(tidegate_config_t *config,
                                      const char *name,
                                      size_t name_len,
                                      const char *value,
                                      size_t value_len,
                                      tidegate_error_t **error_out);

// The effective configuration, one "name = value" a line, with secrets hidden. Free the text.
tidegate_status_t tidegate_config_describe(const tidegate_config_t *config,
                                           tidegate_text_t **text_out,
                                           tidegate_error_t **error_out);

// Frees a configuration; open runtimes do not need it. NULL is accepted.
void tidegate_config_free(tidegate_config_t *config);

// Opens a runtime. Never waits for Kafka and does not fail when no broker answers: sharing starts by itself when one
// does, and until then tidegate_runtime_health() says why it does not. Equal configurations share one runtime.
// TIDEGATE_E_CONFIG when properties contradict each other or the Kafka client refuses one.
tidegate_status_t tidegate_runtime_open(const tidegate_config_t *config,
                                        tidegate_runtime_t **runtime_out,
                                        tidegate_error_t **error_out);

// Gives the handle back, whatever the result, also in a forked child (TIDEGATE_E_FORKED: nothing is closed); NULL is accepted. The last handle, of the runtime and of its limiters,
// closes it: its shares return to the fleet at once, waiting calls end, and its keys answer TIDEGATE_E_STALE. Waits at
// most about `timeout_ns` for the log to confirm the goodbye; TIDEGATE_E_STORAGE if it did not: others get the shares
// after ttl.ms.
tidegate_status_t tidegate_runtime_close(tidegate_runtime_t *runtime,
                                         uint64_t timeout_ns,
                                         tidegate_error_t **error_out);

// Makes a limiter. Every process that makes one of this name on the same topic shares it. TIDEGATE_E_ARGUMENT for a
// limit out of range, a name that is empty or longer than 1024 bytes, or one that this process has open with other
// numbers, another enforcement, mode or outage policy.
tidegate_status_t tidegate_limiter_create(tidegate_runtime_t *runtime,
                                          const char *name,
                                          size_t name_len,
                                          const tidegate_limit_t *limit,
                                          tidegate_limiter_t **limiter_out,
                                          tidegate_error_t **error_out);

// Gives the limit other numbers, for the whole fleet: every process switches where it reads the change in the log, and
// one that starts with the old numbers follows the log. Only numbers change: the kind must be the same, and `limit->on_outage`,
// `mode` and `enforcement` must be 0; they are this process's own and stay. Waits until every partition of the log has the change, for at most `timeout_ns`;
// TIDEGATE_E_STORAGE if it was not confirmed: it will be, when the log answers.
tidegate_status_t tidegate_limiter_set_limit(tidegate_limiter_t *limiter,
                                             const tidegate_limit_t *limit,
                                             uint64_t timeout_ns,
                                             tidegate_error_t **error_out);

// tidegate_limiter_set_limit() of one tier, counted from 0.
tidegate_status_t tidegate_limiter_set_tier_limit(tidegate_limiter_t *limiter,
                                                  uint32_t tier,
                                                  const tidegate_limit_t *limit,
                                                  uint64_t timeout_ns,
                                                  tidegate_error_t **error_out);

// How many tiers a limiter has: 1 for a plain one, 0 for NULL.
uint32_t tidegate_limiter_tier_count(const tidegate_limiter_t *limiter);

// The name of a tier, counted from 0 as in tidegate_decision_t.tier; lives as long as `limiter`. "" where there is none.
const char *tidegate_limiter_tier_name(const tidegate_limiter_t *limiter,
                                       uint32_t tier);

// Gives a limiter back; NULL is accepted. Its keys live on as long as another handle keeps the runtime open.
void tidegate_limiter_free(tidegate_limiter_t *limiter);

// The key of a scope value, such as a tenant's name, of at most 1024 bytes; "" is one as good as any. Each value has a
// bucket of its own. With several tiers it is the value of their only dimension: TIDEGATE_E_ARGUMENT if they have more,
// see tidegate_limiter_key_in(). Resolve it once and decide with it; release it as often as you asked for it. TIDEGATE_E_CAPACITY when keys.max keys
// are live.
tidegate_status_t tidegate_limiter_key(tidegate_limiter_t *limiter,
                                       const char *value,
                                       size_t value_len,
                                       uint64_t *key_out,
                                       tidegate_error_t **error_out);

// Takes `permits` now or not at all; never waits. `decision_out` may be NULL.
// TIDEGATE_OK, TIDEGATE_DENIED, TIDEGATE_NEVER, or a failure: TIDEGATE_E_ARGUMENT for 0 permits, TIDEGATE_E_STALE,
// TIDEGATE_E_CLOSED, TIDEGATE_E_FORKED, TIDEGATE_E_BUG. Cost: one atomic step a tier while the shares suffice; one lock a
// tier and one clock reading where they do not. The first calls for a shared key are denied, with
// TIDEGATE_BASIS_NO_SHARE, until the log has answered.
tidegate_status_t tidegate_key_try_acquire(uint64_t key,
                                           uint64_t permits,
                                           tidegate_decision_t *decision_out);

// Takes `permits`, waiting for them up to `timeout_ns` behind those who came earlier; with a `timeout_ns` of 0 it is
// tidegate_key_try_acquire(). TIDEGATE_TIMED_OUT when the time
// passed first: nothing was taken; a limit that throttles cuts the time-out to its `max_wait_ns` and answers
// TIDEGATE_DENIED at once where that cannot be enough; why a shared limit grants nothing, tidegate_runtime_health() says. While
// somebody waits, tidegate_key_try_acquire() does not overtake. Blocks the calling thread only. At most 65536 wait
// for one key (TIDEGATE_E_CAPACITY).
tidegate_status_t tidegate_key_acquire(uint64_t key,
                                       uint64_t permits,
                                       uint64_t timeout_ns,
                                       tidegate_decision_t *decision_out);

// What tidegate_key_try_acquire() of one permit would find, without taking it.
tidegate_status_t tidegate_key_peek(uint64_t key, tidegate_decision_t *decision_out);

// The key as this process sees it; with several tiers the tightest. May wait half a second for the background thread: not for the hot path.
tidegate_status_t tidegate_key_status(uint64_t key,
                                      tidegate_key_status_t *status_out);

// Gives a key back once; its share returns to the fleet after the last time. TIDEGATE_E_STALE if it was already.
tidegate_status_t tidegate_key_release(uint64_t key);

// Reserves `permits`: takes them now, to be settled or cancelled later, or a place in line for them. No thread waits:
// sleep as you please and poll. TIDEGATE_OK: they are yours, go; TIDEGATE_PENDING: poll the ticket after
// `retry_after_ns`; TIDEGATE_DENIED without a ticket: they cannot be expected within `max_wait_ns`. Otherwise as
// tidegate_key_try_acquire(), and TIDEGATE_E_CAPACITY beyond 1000000 tickets of a process or 65536 places in a line.
// First come, first served, together with tidegate_key_acquire(). A place is kept until a tenth of a second after the
// time to poll; who polls later goes on from where it stands, but others may have passed, and after a minute it is lost.
// Every ticket must be ended, by tidegate_ticket_settle() or tidegate_ticket_cancel(), or a poll that ends it: what it
// holds counts against the burst until then. `ticket_out` is 0 where there is none.
tidegate_status_t tidegate_key_reserve(uint64_t key,
                                       uint64_t permits,
                                       uint64_t max_wait_ns,
                                       uint64_t *ticket_out,
                                       tidegate_decision_t *decision_out);

// Whether it is a ticket's turn. TIDEGATE_OK, once: its permits are yours, go. TIDEGATE_PENDING: poll again after
// `retry_after_ns`. TIDEGATE_TIMED_OUT: `max_wait_ns` passed, the ticket is ended and nothing was taken; so for any
// failure. TIDEGATE_E_STALE when it was granted or ended before.
tidegate_status_t tidegate_ticket_poll(uint64_t ticket,
                                       tidegate_decision_t *decision_out);

// Ends a ticket and gives everything back: its place in line, or the permits that it holds. TIDEGATE_E_STALE when it is
// ended already.
tidegate_status_t tidegate_ticket_cancel(uint64_t ticket);

// Ends a ticket that was granted, of whose permits `used` were used: what is left comes back at once, what is beyond is
// owed and comes off what refills next. TIDEGATE_E_ARGUMENT while it is pending, TIDEGATE_E_STALE when it is ended
// already.
tidegate_status_t tidegate_ticket_settle(uint64_t ticket,
                                         uint64_t used);

// Makes a limiter of several tiers, at most TIDEGATE_TIERS_MAX: a decision takes from all of them or from none, and names
// the one that refuses for longest. Every process that makes one of this name with the same tiers in the same order on
// the same topic shares it. Several tiers may have one scope: 10 a second and 1000 an hour. `tiers` is an array whose
// elements are all as long as the first says. TIDEGATE_E_ARGUMENT for a tier out of range; otherwise as
// tidegate_limiter_create().
tidegate_status_t tidegate_limiter_create_tiers(tidegate_runtime_t *runtime,
                                                const char *name,
                                                size_t name_len,
                                                const tidegate_tier_t *tiers,
                                                uint32_t count,
                                                tidegate_limiter_t **limiter_out,
                                                tidegate_error_t **error_out);

// The key of a context: the values of the dimensions that the tiers ask for. A dimension that no tier asks for is left
// alone; one that a tier asks for and the context lacks is TIDEGATE_E_ARGUMENT with both names in the message, so that no
// limit is ever skipped in silence. Otherwise as tidegate_limiter_key().
tidegate_status_t tidegate_limiter_key_in(tidegate_limiter_t *limiter,
                                          const tidegate_scope_t *scopes,
                                          uint32_t count,
                                          uint64_t *key_out,
                                          tidegate_error_t **error_out);

// Takes `permits` under a scope value now or not at all, without a key to resolve before and release after: for values
// that come once. A value that a key stands for is the same bucket. Results as of tidegate_key_try_acquire(), and
// TIDEGATE_E_CAPACITY when keys.max buckets are in use. Cost: one hash of the value and one lock. What is idle and full
// again is forgotten by itself.
tidegate_status_t tidegate_limiter_try_acquire(tidegate_limiter_t *limiter,
                                               const char *value,
                                               size_t value_len,
                                               uint64_t permits,
                                               tidegate_decision_t *decision_out);

// The same in a context, as for tidegate_limiter_key_in().
tidegate_status_t tidegate_limiter_try_acquire_in(tidegate_limiter_t *limiter,
                                                  const tidegate_scope_t *scopes,
                                                  uint32_t count,
                                                  uint64_t permits,
                                                  tidegate_decision_t *decision_out);

// tidegate_key_try_acquire() of `count` keys in one call, each decided by itself: one call instead of many where a call
// costs more than a decision. `permits` may be NULL: one of each. Each result is in `decisions_out[i].status`.
// TIDEGATE_OK when all were decided, whatever the answers; TIDEGATE_E_ARGUMENT for NULL.
tidegate_status_t tidegate_keys_try_acquire(const uint64_t *keys,
                                            const uint64_t *permits,
                                            uint32_t count,
                                            tidegate_decision_t *decisions_out);

// Stands still from a lag greater than `pause_above` until one of `resume_below` or less: nothing refills, and the time is
// not made up for; what was there can be taken. All tiers of the limiter do, in this process: every process that follows
// the same lag does the same. What the lag is, tidegate_limiter_observe_lag() says, in any unit, or
// tidegate_limiter_watch_lag(). It ends with the last limiter of the name. TIDEGATE_E_ARGUMENT when `resume_below` is greater than `pause_above`.
tidegate_status_t tidegate_limiter_pause_on_lag(tidegate_limiter_t *limiter,
                                                uint64_t pause_above,
                                                uint64_t resume_below,
                                                tidegate_error_t **error_out);

// Slows down as the lag grows: the whole rate up to `from`, `floor_ppm` parts per million of it at `to` and beyond, and a
// straight line between. Otherwise as tidegate_limiter_pause_on_lag(), with which it can be combined: the slower counts.
tidegate_status_t tidegate_limiter_slow_on_lag(tidegate_limiter_t *limiter,
                                               uint64_t from,
                                               uint64_t to,
                                               uint32_t floor_ppm,
                                               tidegate_error_t **error_out);

// Tells a limiter how far its consumer is behind. Cost: nothing where the pace stays; else one lock for each live key, and a
// visit of each idle bucket.
tidegate_status_t tidegate_limiter_observe_lag(tidegate_limiter_t *limiter,
                                               uint64_t lag,
                                               tidegate_error_t **error_out);

// Measures the lag of a consumer group in Kafka every `every_ns` from now on, from its committed offsets and the ends of
// the partitions; the group is never joined. `topics`: names with commas between them, "" = all that the group has
// committed offsets for. `unit` is TIDEGATE_LAG_RECORDS, over all partitions, or TIDEGATE_LAG_MS: then the limiter must
// have been told its numbers before, of which only it is measured which are exceeded. The watch ends with the limiter. A
// lag that cannot be measured stays as it was, and tidegate_runtime_health() says why. TIDEGATE_E_CONFIG without Kafka,
// TIDEGATE_E_CAPACITY when the limiter watches a group already.
tidegate_status_t tidegate_limiter_watch_lag(tidegate_limiter_t *limiter,
                                             const char *group,
                                             size_t group_len,
                                             const char *topics,
                                             size_t topics_len,
                                             uint32_t unit,
                                             uint64_t every_ns,
                                             tidegate_error_t **error_out);

// Finds the rate that what is behind the limit bears, from the outcomes of calls: additive increase, multiplicative
// decrease. Off by default, never faster than configured, of this process alone. TIDEGATE_E_ARGUMENT for a part above
// 1000000, or a step or cut of 0.
tidegate_status_t tidegate_limiter_adapt(tidegate_limiter_t *limiter,
                                         const tidegate_adaptive_t *adaptive,
                                         tidegate_error_t **error_out);

// Tells a limiter that adapts how a call ended: `is_overloaded` is 1 if what was called had too much to do, 0 if all went
// well.
tidegate_status_t tidegate_limiter_observe_outcome(tidegate_limiter_t *limiter,
                                                   int32_t is_overloaded,
                                                   tidegate_error_t **error_out);

// The next event of a runtime's limits, waited for up to `timeout_ns`; TIDEGATE_TIMED_OUT when there is none. Each event is
// given out once; of those that nobody takes the newest 4096 are kept. Pressure ends while somebody waits here, or with a
// grant that finds half of the burst: a source that pauses under pressure should wait here for its end. Blocks the calling
// thread only; tidegate_runtime_wake() ends the wait. Free the event.
tidegate_status_t tidegate_runtime_next_event(const tidegate_runtime_t *runtime,
                                              uint64_t timeout_ns,
                                              tidegate_event_t **event_out,
                                              tidegate_error_t **error_out);

// Lets every call of tidegate_runtime_next_event() that waits answer TIDEGATE_TIMED_OUT at once; where none waits, the next
// one does. For who wants to end a thread that waits there before the runtime is closed. From any thread.
tidegate_status_t tidegate_runtime_wake(const tidegate_runtime_t *runtime);

// TIDEGATE_EVENT_*; 0 for NULL.
uint32_t tidegate_event_kind(const tidegate_event_t *event);

// The name of the limiter; lives as long as `event`. "" for NULL.
const char *tidegate_event_limiter(const tidegate_event_t *event);

// The tier, counted from 0; see tidegate_limiter_tier_name(). 0 for NULL.
uint32_t tidegate_event_tier(const tidegate_event_t *event);

// The scope value of the bucket, "" for what concerns all of them; lives as long as `event`. "" for NULL.
const char *tidegate_event_value(const tidegate_event_t *event);

// Events before this one that were dropped because nobody took them. 0 for NULL.
uint64_t tidegate_event_dropped(const tidegate_event_t *event);

// Frees an event. NULL is accepted.
void tidegate_event_free(tidegate_event_t *event);

// The HTTP header fields of a decision, each as a line "Name: value\r\n": RateLimit-Policy and RateLimit (IETF draft 11),
// and Retry-After where it was refused. `name` is that of the limit for the client, such as "orders"; bytes that no header
// may hold are escaped. Pure: asks nothing and changes nothing. Free the text.
tidegate_status_t tidegate_headers_format(const char *name,
                                          size_t name_len,
                                          const tidegate_limit_t *limit,
                                          const tidegate_decision_t *decision,
                                          tidegate_text_t **text_out,
                                          tidegate_error_t **error_out);

// What the storage knows about itself.
tidegate_status_t tidegate_runtime_storage_info(const tidegate_runtime_t *runtime,
                                                tidegate_storage_info_t *info_out,
                                                tidegate_error_t **error_out);

// How well the runtime is: `state_out` (may be NULL) is a TIDEGATE_HEALTH_*, `message_out` (may be NULL) a sentence
// that says what is wrong and what decisions rest on now. Free the text.
tidegate_status_t tidegate_runtime_health(const tidegate_runtime_t *runtime,
                                          int32_t *state_out,
                                          tidegate_text_t **message_out,
                                          tidegate_error_t **error_out);

// Counters. Visits every live key: about a millisecond for ten thousand.
tidegate_status_t tidegate_runtime_metrics(const tidegate_runtime_t *runtime,
                                           tidegate_metrics_t *metrics_out,
                                           tidegate_error_t **error_out);

// Everything above as one JSON object: {"health": .., "storage": .., "metrics": ..}. Free the text.
tidegate_status_t tidegate_runtime_snapshot(const tidegate_runtime_t *runtime,
                                            tidegate_text_t **json_out,
                                            tidegate_error_t **error_out);

// A clock at its beginning. Free it whenever you like: runtimes keep theirs. Never NULL but when memory is exhausted.
tidegate_clock_t *tidegate_clock_create(void);

// Moves the clock forward. It never goes back; NULL is accepted. Calls that wait meanwhile wait in real time.
void tidegate_clock_advance(tidegate_clock_t *clock, uint64_t span_ns);

// Frees a clock. NULL is accepted.
void tidegate_clock_free(tidegate_clock_t *clock);

// Opens a runtime of its own whose time is that of `clock`. TIDEGATE_E_CONFIG when the storage is not "memory".
tidegate_status_t tidegate_runtime_open_with_clock(const tidegate_config_t *config,
                                                   const tidegate_clock_t *clock,
                                                   tidegate_runtime_t **runtime_out,
                                                   tidegate_error_t **error_out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TIDEGATE_H */
