// tidegate.hpp - tidegate.h for C++17: handles that give themselves back, errors that are thrown. Header only.
//
//   tidegate::Config config;
//   config.set("bootstrap.servers", "localhost:9092");
//   tidegate::Runtime runtime(config);
//   tidegate::Limiter orders(runtime, "orders", tidegate::Limit::per_second(1000, 2000));
//   tidegate::Key key = orders.key("tenant-1");
//   if (key.try_acquire()) go();
//   tidegate::Decision decision = key.acquire(1, std::chrono::seconds(1));   // waits
//
// Several limits at once, all or nothing:
//
//   tidegate::Limiter limiter(runtime, "calls", {{"cluster", tidegate::Limit::per_second(10000)},
//                                                {"topic", tidegate::Limit::per_second(1000), "topic"}});
//   tidegate::Key key = limiter.key({{"topic", "orders"}});
//
// Otherwise than by refusing, and told of: Limit::per_second(1000).backpressure(), then runtime.next_event(1s).
//
// What opens, makes or changes something throws tidegate::Error; what decides never throws, never allocates and answers
// with a Decision. Everything may be moved, nothing copied; any order of destruction is legal. What the functions do in
// detail, and what they cost, tidegate.h says.

#ifndef TIDEGATE_HPP
#define TIDEGATE_HPP

#include <tidegate.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidegate {

using Nanoseconds = std::chrono::nanoseconds;

// A failure: what it is as a TIDEGATE_E_* number, and what to do about it in words.
class Error : public std::runtime_error {
 public:
  Error(tidegate_status_t status, bool retriable, const char *message)
      : std::runtime_error(message), status_(status), retriable_(retriable) {}

  tidegate_status_t status() const noexcept { return status_; }
  // Whether the same call may succeed later without anything being changed.
  bool is_retriable() const noexcept { return retriable_; }

 private:
  tidegate_status_t status_;
  bool retriable_;
};

namespace detail {

// Throws what `call` stores in the place that it is given.
template <typename Call>
void check(Call call) {
  tidegate_error_t *error = nullptr;
  tidegate_status_t status = call(&error);
  if (status >= 0) return;
  if (error == nullptr) throw Error(status, false, tidegate_status_name(status));
  Error thrown(status, tidegate_error_is_retriable(error) != 0, tidegate_error_message(error));
  tidegate_error_free(error);
  throw thrown;
}

inline void check(tidegate_status_t status) {
  check([status](tidegate_error_t **) { return status; });
}

// Negative spans are none.
inline std::uint64_t nanos(Nanoseconds span) noexcept {
  return span.count() > 0 ? static_cast<std::uint64_t>(span.count()) : 0;
}

template <typename T, void (*Free)(T *)>
struct Freed {
  void operator()(T *handle) const noexcept { Free(handle); }
};

template <typename T, void (*Free)(T *)>
using Handle = std::unique_ptr<T, Freed<T, Free>>;

inline std::string take(tidegate_text_t *text) {
  Handle<tidegate_text_t, tidegate_text_free> owned(text);
  return tidegate_text_data(text);
}

}  // namespace detail

// The answer to a request for permits: true = go.
class Decision {
 public:
  Decision() noexcept : raw_{} {}
  explicit Decision(const tidegate_decision_t &raw) noexcept : raw_(raw) {}

  explicit operator bool() const noexcept { return raw_.status == TIDEGATE_OK; }
  // TIDEGATE_OK, _DENIED, _NEVER, _TIMED_OUT, _PENDING or a TIDEGATE_E_*.
  tidegate_status_t status() const noexcept { return raw_.status; }
  // When to come back; the longest there is when it can never be.
  Nanoseconds retry_after() const noexcept {
    const auto most = static_cast<std::uint64_t>(Nanoseconds::max().count());
    return Nanoseconds(raw_.retry_after_ns < most ? static_cast<std::int64_t>(raw_.retry_after_ns) : Nanoseconds::max().count());
  }
  // Whole permits left right after; a hint.
  std::uint64_t remaining() const noexcept { return raw_.remaining; }
  // The tier that decided.
  unsigned tier() const noexcept { return raw_.tier; }
  // TIDEGATE_BASIS_*
  unsigned basis() const noexcept { return raw_.basis; }
  const tidegate_decision_t &raw() const noexcept { return raw_; }

 private:
  tidegate_decision_t raw_;
};

// Properties by name.
class Config {
 public:
  Config() : handle_(tidegate_config_create()) {}
  Config(std::initializer_list<std::pair<std::string_view, std::string_view>> properties) : Config() {
    for (const auto &[name, value] : properties) set(name, value);
  }

  Config &set(std::string_view name, std::string_view value) {
    detail::check([&](tidegate_error_t **error) {
      return tidegate_config_set(handle_.get(), name.data(), name.size(), value.data(), value.size(), error);
    });
    return *this;
  }

  // One "name = value" a line, secrets hidden.
  std::string describe() const {
    tidegate_text_t *text = nullptr;
    detail::check([&](tidegate_error_t **error) { return tidegate_config_describe(handle_.get(), &text, error); });
    return detail::take(text);
  }

  const tidegate_config_t *get() const noexcept { return handle_.get(); }

 private:
  detail::Handle<tidegate_config_t, tidegate_config_free> handle_;
};

// Time that stands still until it is told to advance: for an application's own tests.
class ManualClock {
 public:
  ManualClock() : handle_(tidegate_clock_create()) {}

  void advance(Nanoseconds span) noexcept { tidegate_clock_advance(handle_.get(), detail::nanos(span)); }

  const tidegate_clock_t *get() const noexcept { return handle_.get(); }

 private:
  detail::Handle<tidegate_clock_t, tidegate_clock_free> handle_;
};

// Something that a limit has to say beyond its decisions.
struct Event {
  // TIDEGATE_EVENT_*
  unsigned kind;
  std::string limiter;
  unsigned tier;
  // The scope value of the bucket, empty for what concerns all of them.
  std::string value;
  // Events before this one that were dropped because nobody took them.
  std::uint64_t dropped;
};

// Storage, background thread and clock. The last handle, of it or of its limiters, closes it.
class Runtime {
 public:
  explicit Runtime(const Config &config) {
    open([&](tidegate_runtime_t **place, tidegate_error_t **error) { return tidegate_runtime_open(config.get(), place, error); });
  }
  Runtime(const Config &config, const ManualClock &clock) {
    open([&](tidegate_runtime_t **place, tidegate_error_t **error) {
      return tidegate_runtime_open_with_clock(config.get(), clock.get(), place, error);
    });
  }

  // Gives the handle back and waits at most about `timeout` for the log to confirm the goodbye; throws if it did not. The
  // destructor does the same for a second, and says nothing.
  void close(Nanoseconds timeout) {
    detail::check([&](tidegate_error_t **error) { return tidegate_runtime_close(handle_.release(), detail::nanos(timeout), error); });
  }

  // Health, storage and metrics as one JSON object.
  std::string snapshot() const {
    tidegate_text_t *text = nullptr;
    detail::check([&](tidegate_error_t **error) { return tidegate_runtime_snapshot(handle_.get(), &text, error); });
    return detail::take(text);
  }

  // TIDEGATE_HEALTH_* and why, in words.
  std::pair<int, std::string> health() const {
    std::int32_t state = TIDEGATE_HEALTH_FAILED;
    tidegate_text_t *text = nullptr;
    detail::check([&](tidegate_error_t **error) { return tidegate_runtime_health(handle_.get(), &state, &text, error); });
    return {state, detail::take(text)};
  }

  // The next event of its limits, waited for up to `timeout`.
  std::optional<Event> next_event(Nanoseconds timeout) const {
    tidegate_event_t *raw = nullptr;
    detail::check([&](tidegate_error_t **error) {
      return tidegate_runtime_next_event(handle_.get(), detail::nanos(timeout), &raw, error);
    });
    const detail::Handle<tidegate_event_t, tidegate_event_free> event(raw);
    if (event == nullptr) return std::nullopt;
    return Event{tidegate_event_kind(raw), tidegate_event_limiter(raw), tidegate_event_tier(raw), tidegate_event_value(raw),
                 tidegate_event_dropped(raw)};
  }

  // Lets every next_event() that waits return at once, or the next one where none waits.
  void wake() const { detail::check(tidegate_runtime_wake(handle_.get())); }

  tidegate_runtime_t *get() const noexcept { return handle_.get(); }

 private:
  static void close_quietly(tidegate_runtime_t *runtime) { tidegate_runtime_close(runtime, 1000 * TIDEGATE_MS, nullptr); }

  template <typename Open>
  void open(Open call) {
    tidegate_runtime_t *runtime = nullptr;
    detail::check([&](tidegate_error_t **error) { return call(&runtime, error); });
    handle_.reset(runtime);
  }

  detail::Handle<tidegate_runtime_t, close_quietly> handle_;
};

// `permits` per `period`, and what happens where they are reached: see tidegate_limit_t.
struct Limit {
  std::uint64_t permits;
  Nanoseconds period;
  // Most at once; 0 = as many as `permits`, of a sliding window a tenth of them.
  std::uint64_t burst = 0;
  // TIDEGATE_OUTAGE_*
  std::uint32_t on_outage = TIDEGATE_OUTAGE_DEFAULT;
  // TIDEGATE_LIMIT_*
  std::uint32_t kind = TIDEGATE_LIMIT_TOKEN_BUCKET;
  // TIDEGATE_MODE_*
  std::uint32_t mode = TIDEGATE_MODE_ENFORCE;
  // TIDEGATE_ENFORCE_* and its numbers.
  std::uint32_t enforcement = TIDEGATE_ENFORCE_HARD_LIMIT;
  std::uint32_t breaker_threshold = 0;
  Nanoseconds max_wait{};
  Nanoseconds open_for{};

  static Limit per_second(std::uint64_t permits, std::uint64_t burst = 0) { return {permits, std::chrono::seconds(1), burst}; }
  static Limit per_minute(std::uint64_t permits, std::uint64_t burst = 0) { return {permits, std::chrono::minutes(1), burst}; }
  static Limit per_hour(std::uint64_t permits, std::uint64_t burst = 0) { return {permits, std::chrono::hours(1), burst}; }
  // At most `permits` in any `period`, wherever it begins.
  static Limit sliding_window(std::uint64_t permits, Nanoseconds period, std::uint64_t burst = 0) {
    Limit limit{permits, period, burst};
    limit.kind = TIDEGATE_LIMIT_SLIDING_WINDOW;
    return limit;
  }

  // The same, delaying instead of refusing.
  Limit throttling(Nanoseconds longest) const {
    Limit limit = *this;
    limit.enforcement = TIDEGATE_ENFORCE_THROTTLING;
    limit.max_wait = longest;
    return limit;
  }
  // The same, telling Runtime::next_event() when refusals begin and end.
  Limit backpressure() const {
    Limit limit = *this;
    limit.enforcement = TIDEGATE_ENFORCE_BACKPRESSURE;
    return limit;
  }
  // The same, refusing unasked for a while after `threshold` refusals in a row.
  Limit circuit_breaker(std::uint32_t threshold, Nanoseconds open) const {
    Limit limit = *this;
    limit.enforcement = TIDEGATE_ENFORCE_CIRCUIT_BREAKER;
    limit.breaker_threshold = threshold;
    limit.open_for = open;
    return limit;
  }
  // The same, refusing nothing.
  Limit shadow() const {
    Limit limit = *this;
    limit.mode = TIDEGATE_MODE_SHADOW;
    return limit;
  }

  tidegate_limit_t raw() const noexcept {
    tidegate_limit_t raw{};
    raw.struct_size = sizeof raw;
    raw.kind = kind;
    raw.permits = permits;
    raw.period_ns = detail::nanos(period);
    raw.burst = burst;
    raw.on_outage = on_outage;
    raw.mode = mode;
    raw.enforcement = enforcement;
    raw.breaker_threshold = breaker_threshold;
    raw.max_wait_ns = detail::nanos(max_wait);
    raw.open_for_ns = detail::nanos(open_for);
    return raw;
  }
};

// One of the limits that a limiter keeps at once. Without a `scope` there is one bucket for everybody.
struct Tier {
  std::string name;
  Limit limit;
  std::string scope = {};
  std::uint64_t weight = 1;
};

// Permits that are held, or a place in line for them; cancelled, or settled in full once granted, when destroyed.
class Ticket {
 public:
  Ticket(std::uint64_t id, std::uint64_t permits, Decision decision) noexcept
      : id_(id), permits_(permits), decision_(decision), granted_(static_cast<bool>(decision)) {}
  Ticket(Ticket &&other) noexcept
      : id_(std::exchange(other.id_, 0)), permits_(other.permits_), decision_(other.decision_), granted_(other.granted_) {}
  Ticket &operator=(Ticket &&other) noexcept {
    if (this != &other) {
      end();
      id_ = std::exchange(other.id_, 0);
      permits_ = other.permits_;
      decision_ = other.decision_;
      granted_ = other.granted_;
    }
    return *this;
  }
  ~Ticket() { end(); }

  // The latest answer: granted, pending with the time to poll, or why there is nothing.
  const Decision &decision() const noexcept { return decision_; }
  bool is_pending() const noexcept { return decision_.status() == TIDEGATE_PENDING; }
  explicit operator bool() const noexcept { return granted_; }

  // Whether it is its turn now.
  Decision poll() noexcept {
    tidegate_decision_t raw{};
    tidegate_ticket_poll(id_, &raw);
    decision_ = Decision(raw);
    granted_ = granted_ || decision_;
    return decision_;
  }
  // Gives everything back.
  void cancel() { detail::check(tidegate_ticket_cancel(std::exchange(id_, 0))); }
  // `used` were used: the rest comes back, what is beyond is owed. Throws while it is pending.
  void settle(std::uint64_t used) {
    detail::check(tidegate_ticket_settle(id_, used));
    id_ = 0;
  }

 private:
  void end() noexcept {
    if (id_ == 0) return;
    if (granted_) {
      tidegate_ticket_settle(id_, permits_);
    } else {
      tidegate_ticket_cancel(id_);
    }
    id_ = 0;
  }

  std::uint64_t id_;
  std::uint64_t permits_;
  Decision decision_;
  bool granted_;
};

// A resolved bucket of a limiter, or one of each tier. Released when destroyed.
class Key {
 public:
  explicit Key(std::uint64_t id) noexcept : id_(id) {}
  Key(Key &&other) noexcept : id_(std::exchange(other.id_, 0)) {}
  Key &operator=(Key &&other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Key() {
    if (id_ != 0) tidegate_key_release(id_);
  }

  std::uint64_t id() const noexcept { return id_; }

  // Takes permits now or not at all.
  Decision try_acquire(std::uint64_t permits = 1) const noexcept {
    tidegate_decision_t raw{};
    tidegate_key_try_acquire(id_, permits, &raw);
    return Decision(raw);
  }
  // Waits for them up to `timeout`, behind those who came earlier.
  Decision acquire(std::uint64_t permits, Nanoseconds timeout) const noexcept {
    tidegate_decision_t raw{};
    tidegate_key_acquire(id_, permits, detail::nanos(timeout), &raw);
    return Decision(raw);
  }
  // Takes them to be settled later, or a place in line.
  Ticket reserve(std::uint64_t permits, Nanoseconds max_wait) const noexcept {
    tidegate_decision_t raw{};
    std::uint64_t ticket = 0;
    tidegate_key_reserve(id_, permits, detail::nanos(max_wait), &ticket, &raw);
    return Ticket(ticket, permits, Decision(raw));
  }
  // What a try_acquire() would find.
  Decision peek() const noexcept {
    tidegate_decision_t raw{};
    tidegate_key_peek(id_, &raw);
    return Decision(raw);
  }
  // The key as this process sees it.
  tidegate_key_status_t status() const {
    tidegate_key_status_t status{};
    status.struct_size = sizeof status;
    detail::check(tidegate_key_status(id_, &status));
    return status;
  }

 private:
  std::uint64_t id_;
};

// A dimension and its value.
using Scope = std::pair<std::string_view, std::string_view>;

// A named limit, or several that are kept at once.
class Limiter {
 public:
  Limiter(const Runtime &runtime, std::string_view name, const Limit &limit) {
    tidegate_limiter_t *limiter = nullptr;
    const tidegate_limit_t raw = limit.raw();
    detail::check([&](tidegate_error_t **error) {
      return tidegate_limiter_create(runtime.get(), name.data(), name.size(), &raw, &limiter, error);
    });
    handle_.reset(limiter);
  }

  Limiter(const Runtime &runtime, std::string_view name, const std::vector<Tier> &tiers) {
    std::vector<tidegate_limit_t> limits;
    limits.reserve(tiers.size());
    std::vector<tidegate_tier_t> raw;
    for (const Tier &tier : tiers) {
      limits.push_back(tier.limit.raw());
      tidegate_tier_t one{};
      one.struct_size = sizeof one;
      one.name = tier.name.data();
      one.name_len = tier.name.size();
      one.scope = tier.scope.empty() ? nullptr : tier.scope.data();
      one.scope_len = tier.scope.size();
      one.limit = &limits.back();
      one.weight = tier.weight;
      raw.push_back(one);
    }
    tidegate_limiter_t *limiter = nullptr;
    detail::check([&](tidegate_error_t **error) {
      return tidegate_limiter_create_tiers(runtime.get(), name.data(), name.size(), raw.data(),
                                           static_cast<std::uint32_t>(raw.size()), &limiter, error);
    });
    handle_.reset(limiter);
  }

  // The key of a scope value.
  Key key(std::string_view value = {}) const {
    std::uint64_t key = 0;
    detail::check([&](tidegate_error_t **error) {
      return tidegate_limiter_key(handle_.get(), value.data(), value.size(), &key, error);
    });
    return Key(key);
  }
  // The key of a context.
  Key key(std::initializer_list<Scope> context) const {
    const Scopes scopes(context);
    std::uint64_t key = 0;
    detail::check([&](tidegate_error_t **error) {
      return tidegate_limiter_key_in(handle_.get(), scopes.raw.data(), scopes.count, &key, error);
    });
    return Key(key);
  }

  // Takes permits under a value now or not at all, without a key.
  Decision try_acquire(std::string_view value, std::uint64_t permits = 1) const noexcept {
    tidegate_decision_t raw{};
    tidegate_limiter_try_acquire(handle_.get(), value.data(), value.size(), permits, &raw);
    return Decision(raw);
  }
  // The same in a context.
  Decision try_acquire(std::initializer_list<Scope> context, std::uint64_t permits = 1) const noexcept {
    const Scopes scopes(context);
    tidegate_decision_t raw{};
    tidegate_limiter_try_acquire_in(handle_.get(), scopes.raw.data(), scopes.count, permits, &raw);
    return Decision(raw);
  }

  // How many tiers it has, and their names: what Decision::tier() counts.
  unsigned tier_count() const noexcept { return tidegate_limiter_tier_count(handle_.get()); }
  const char *tier_name(unsigned tier) const noexcept { return tidegate_limiter_tier_name(handle_.get(), tier); }

  // Gives a tier other numbers, for the whole fleet; waits for that at most `timeout`.
  void set_limit(const Limit &limit, Nanoseconds timeout, unsigned tier = 0) const {
    const tidegate_limit_t raw = limit.raw();
    detail::check([&](tidegate_error_t **error) {
      return tidegate_limiter_set_tier_limit(handle_.get(), tier, &raw, detail::nanos(timeout), error);
    });
  }

  // Stands still from a lag above the first until one of the second or less.
  void pause_on_lag(std::uint64_t above, std::uint64_t below) const {
    detail::check([&](tidegate_error_t **error) { return tidegate_limiter_pause_on_lag(handle_.get(), above, below, error); });
  }
  // Slows down from one lag to another, to `floor_ppm` parts per million.
  void slow_on_lag(std::uint64_t from, std::uint64_t to, std::uint32_t floor_ppm) const {
    detail::check([&](tidegate_error_t **error) {
      return tidegate_limiter_slow_on_lag(handle_.get(), from, to, floor_ppm, error);
    });
  }
  void observe_lag(std::uint64_t lag) const {
    detail::check([&](tidegate_error_t **error) { return tidegate_limiter_observe_lag(handle_.get(), lag, error); });
  }
  // Measures the lag of a consumer group in Kafka; `topics` with commas between them, "" = all that it reads.
  void watch_lag(std::string_view group, std::string_view topics, std::uint32_t unit, Nanoseconds every) const {
    detail::check([&](tidegate_error_t **error) {
      return tidegate_limiter_watch_lag(handle_.get(), group.data(), group.size(), topics.data(), topics.size(), unit,
                                        detail::nanos(every), error);
    });
  }
  // Finds the rate that what is behind the limit bears, from the outcomes of calls.
  void adapt(std::uint32_t floor_ppm, std::uint32_t step_ppm, std::uint32_t cut_ppm, Nanoseconds every) const {
    const tidegate_adaptive_t raw{sizeof(tidegate_adaptive_t), floor_ppm, step_ppm, cut_ppm, detail::nanos(every)};
    detail::check([&](tidegate_error_t **error) { return tidegate_limiter_adapt(handle_.get(), &raw, error); });
  }
  void observe_outcome(bool overloaded) const {
    detail::check([&](tidegate_error_t **error) {
      return tidegate_limiter_observe_outcome(handle_.get(), overloaded ? 1 : 0, error);
    });
  }

  tidegate_limiter_t *get() const noexcept { return handle_.get(); }

 private:
  // A context as C has it. One that is too long is left to the library to refuse.
  struct Scopes {
    std::array<tidegate_scope_t, TIDEGATE_SCOPES_MAX> raw;
    std::uint32_t count;

    explicit Scopes(std::initializer_list<Scope> context) noexcept : count(static_cast<std::uint32_t>(context.size())) {
      std::size_t at = 0;
      for (const auto &[dimension, value] : context) {
        if (at == raw.size()) break;
        raw[at++] = {dimension.data(), dimension.size(), value.data(), value.size()};
      }
    }
  };

  detail::Handle<tidegate_limiter_t, tidegate_limiter_free> handle_;
};

// Each key decided by itself in one call; `decisions` has as many elements as `keys`.
inline void try_acquire(const std::uint64_t *keys, const std::uint64_t *permits, std::uint32_t count,
                        tidegate_decision_t *decisions) {
  detail::check(tidegate_keys_try_acquire(keys, permits, count, decisions));
}

// The HTTP header fields of a decision, each as a line "Name: value\r\n".
inline std::string headers(std::string_view name, const Limit &limit, const Decision &decision) {
  const tidegate_limit_t raw = limit.raw();
  tidegate_text_t *text = nullptr;
  detail::check([&](tidegate_error_t **error) {
    return tidegate_headers_format(name.data(), name.size(), &raw, &decision.raw(), &text, error);
  });
  return detail::take(text);
}

}  // namespace tidegate

#endif
