// What tidegate.hpp promises: handles give themselves back, failures are thrown, decisions are not.

#include <tidegate.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>

namespace {

void check(bool holds, const char *what, int line) {
  if (holds) return;
  std::fprintf(stderr, "hpp.cpp:%d: does not hold: %s\n", line, what);
  std::_Exit(1);
}
#define CHECK(condition) check(static_cast<bool>(condition), #condition, __LINE__)

using namespace std::chrono_literals;
using tidegate::Limit;

static_assert(!std::is_copy_constructible_v<tidegate::Key> && std::is_nothrow_move_constructible_v<tidegate::Key>);
static_assert(!std::is_copy_constructible_v<tidegate::Ticket> && std::is_nothrow_move_assignable_v<tidegate::Ticket>);
static_assert(!std::is_copy_constructible_v<tidegate::Runtime> && std::is_move_constructible_v<tidegate::Limiter>);

struct Stopped {
  tidegate::ManualClock clock;
  tidegate::Runtime runtime{tidegate::Config{{"storage", "memory"}}, clock};
};

void a_key_decides_and_time_brings_permits_back() {
  Stopped stopped;
  tidegate::Limiter limiter(stopped.runtime, "plain", Limit::per_second(10, 2));
  tidegate::Key key = limiter.key("a");
  CHECK(key.try_acquire(2));
  const tidegate::Decision refusal = key.try_acquire();
  CHECK(!refusal && refusal.status() == TIDEGATE_DENIED && refusal.retry_after() == 100ms);
  CHECK(key.try_acquire(3).retry_after() == tidegate::Nanoseconds::max());
  stopped.clock.advance(100ms);
  CHECK(key.peek() && key.try_acquire() && !limiter.try_acquire("a"));
  CHECK(limiter.try_acquire("b") && key.status().granted == 3);
}

void tiers_take_from_all_or_none_and_a_context_can_lack_nothing() {
  Stopped stopped;
  tidegate::Limiter limiter(stopped.runtime, "tiers",
                            {{"cluster", Limit::per_second(10)}, {"topic", Limit::per_second(2), "topic", 2}});
  tidegate::Key key = limiter.key({{"topic", "orders"}});
  CHECK(key.try_acquire());
  const tidegate::Decision refusal = key.try_acquire();
  CHECK(!refusal && limiter.tier_name(refusal.tier()) == std::string("topic") && limiter.tier_count() == 2);
  CHECK(limiter.try_acquire({{"topic", "bills"}}));
  CHECK(limiter.try_acquire({{"tpoic", "bills"}}).status() == TIDEGATE_E_ARGUMENT);
  try {
    limiter.key({{"tpoic", "orders"}});
    CHECK(false);
  } catch (const tidegate::Error &error) {
    CHECK(error.status() == TIDEGATE_E_ARGUMENT && std::string(error.what()).find("`topic`") != std::string::npos);
    CHECK(!error.is_retriable());
  }
  limiter.set_limit(Limit::per_second(4), 0ns, 1);
  stopped.clock.advance(1s);
  CHECK(key.try_acquire(2));
}

void a_ticket_that_goes_out_of_scope_gives_its_place_back() {
  Stopped stopped;
  tidegate::Limiter limiter(stopped.runtime, "tickets", Limit::per_second(10));
  tidegate::Key key = limiter.key();
  {
    tidegate::Ticket held = key.reserve(8, 0ns);
    CHECK(held && !held.is_pending());
    tidegate::Ticket line = key.reserve(4, 1s);
    CHECK(!line && line.is_pending() && line.decision().retry_after() == 200ms);
    held.settle(6);
    tidegate::Ticket moved = std::move(line);
    CHECK(moved.poll() && moved);
    moved.cancel();
  }
  CHECK(key.try_acquire(4) && !key.try_acquire());
  CHECK(!key.reserve(1, 0ns));
}

void limits_can_do_more_than_refuse() {
  Stopped stopped;
  tidegate::Limiter pressed(stopped.runtime, "pressed", Limit::per_second(10).backpressure());
  CHECK(pressed.key("a").try_acquire(10) && !pressed.try_acquire("a") && pressed.key("b").try_acquire());
  const auto event = stopped.runtime.next_event(0ns);
  CHECK(event && event->kind == TIDEGATE_EVENT_PRESSURE_ON && event->limiter == "pressed" && event->value == "a");
  CHECK(!stopped.runtime.next_event(0ns));
  stopped.clock.advance(500ms);
  CHECK(stopped.runtime.next_event(0ns)->kind == TIDEGATE_EVENT_PRESSURE_OFF);

  const Limit window = Limit::sliding_window(2, 1s);
  tidegate::Limiter limiter(stopped.runtime, "window", window.shadow());
  tidegate::Key key = limiter.key();
  CHECK(key.try_acquire(2) && key.try_acquire().basis() == TIDEGATE_BASIS_SHADOW);
  CHECK(tidegate::headers("api", window, key.peek()).find("RateLimit-Policy: \"api\";q=2;w=1\r\n") == 0);

  tidegate::Limiter slow(stopped.runtime, "slow", Limit::per_second(10, 10).throttling(1s));
  slow.pause_on_lag(100, 10);
  slow.slow_on_lag(0, 100, 0);
  slow.observe_lag(50);
  slow.adapt(100000, 50000, 300000, 1s);
  slow.observe_outcome(true);
  CHECK(slow.key().status().pace_ppm == 500000);
  tidegate::Limiter breaker(stopped.runtime, "breaker", Limit::per_second(1).circuit_breaker(1, 5s));
  CHECK(breaker.key().try_acquire(1) && !breaker.try_acquire("", 1));
  try {
    slow.watch_lag("group", "", TIDEGATE_LAG_RECORDS, 1s);
    CHECK(false);
  } catch (const tidegate::Error &error) {
    CHECK(error.status() == TIDEGATE_E_CONFIG);
  }
}

void keys_that_were_moved_are_released_once() {
  Stopped stopped;
  tidegate::Limiter limiter(stopped.runtime, "moves", Limit::per_second(10));
  std::uint64_t id = 0;
  {
    tidegate::Key first = limiter.key("a");
    tidegate::Key second = std::move(first);
    id = second.id();
    CHECK(first.id() == 0 && second.try_acquire());
  }
  CHECK(tidegate_key_try_acquire(id, 1, nullptr) == TIDEGATE_E_STALE);
}

void what_is_wrong_in_a_configuration_is_thrown() {
  try {
    tidegate::Config{{"ttl.ms", "soon"}};
    CHECK(false);
  } catch (const tidegate::Error &error) {
    CHECK(error.status() == TIDEGATE_E_CONFIG && std::string(error.what()).find("ttl.ms") != std::string::npos);
  }
  Stopped stopped;
  CHECK(stopped.runtime.health().first == TIDEGATE_HEALTH_OK);
  CHECK(stopped.runtime.snapshot().find("\"metrics\"") != std::string::npos);
  stopped.runtime.close(1s);
}

}  // namespace

int main() {
  a_key_decides_and_time_brings_permits_back();
  tiers_take_from_all_or_none_and_a_context_can_lack_nothing();
  a_ticket_that_goes_out_of_scope_gives_its_place_back();
  limits_can_do_more_than_refuse();
  keys_that_were_moved_are_released_once();
  what_is_wrong_in_a_configuration_is_thrown();
}
