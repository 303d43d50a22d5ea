// The arithmetic of rate limits, without a store and without a clock: windows by the generic cell rate
// algorithm, and quotas, whose window ends at a moment that is given. Exact: a time is a whole number of
// ticks and a fraction with the limit's count below the line, so nothing is ever rounded. What a tick is
// (ns here, us in a store of several processes) is the caller's. Pure functions, inline: they run once a
// window and request.
#pragma once
#include <cstdint>

namespace penstock::gcra {

using u128 = unsigned __int128;

// `count` in `period` ticks, `burst` at once. A burst of 2^32 or more: a quota, `count` in all until `period`
// ticks from now.
struct Window {
  uint64_t count, period, burst;
  bool quota() const { return burst > UINT32_MAX; }
};

// What is kept of a key. Of a rate: the theoretical arrival time, ticks + fraction / count. Of a quota: when
// its window ends, and how much of it is used.
struct Moment {
  int64_t ticks;
  uint64_t fraction;
};

struct State {
  uint64_t remaining;   // what could still come at once
  int64_t reset;        // until everything is there again
  int64_t retry_after;  // until the cost fits; 0: it does; `never`: it is over the burst
};
inline constexpr int64_t never = INT64_MAX;

// Two ends of quotas that are nearer to each other are one: who gives them has a clock of its own, and
// windows are a day or longer.
inline constexpr int64_t half_a_day_s = 12 * 3600;

// `whole` + `rest` / divisor of a product.
struct Quotient {
  uint64_t whole, rest;
};

inline Quotient divide(u128 value, uint64_t divisor) {
  if (value >> 64 == 0) {
    const auto small = static_cast<uint64_t>(value);
    return {small / divisor, small % divisor};
  }
  const u128 whole = value / divisor;
  if (whole > INT64_MAX / 2) return {INT64_MAX / 2, 0};  // some 146 years of ns
  return {static_cast<uint64_t>(whole), static_cast<uint64_t>(value % divisor)};
}

// How far `cost` moves a rate's arrival time.
inline Quotient step_of(const Window& window, uint64_t cost) {
  return divide(u128{cost} * window.period, window.count);
}
// How far it may be ahead of now.
inline Quotient room_of(const Window& window) {
  return divide(u128{window.burst} * window.period, window.count);
}

// Of one window; without initialisers, so that an array of them costs what is used.
struct Judgement {
  bool admitted;
  Moment before, after;  // as it is, and as it would be
  Moment latest;         // what it may be at most

  bool past_latest(Moment m) const {
    return m.ticks > latest.ticks || (m.ticks == latest.ticks && m.fraction > latest.fraction);
  }
};

inline Judgement judge_quota(const Window& window, uint64_t cost, int64_t now, const Moment* kept,
                             int64_t ticks_a_second) {
  const int64_t end = now + static_cast<int64_t>(window.period);
  const bool same = kept != nullptr && kept->ticks > now && end - kept->ticks < half_a_day_s * ticks_a_second;
  Judgement out;
  // The later end counts: a clock that is behind another must not begin a window anew, nor end it early.
  out.before = same ? Moment{kept->ticks > end ? kept->ticks : end, kept->fraction} : Moment{end, 0};
  out.after = {out.before.ticks, out.before.fraction + cost};
  out.latest = {out.before.ticks, window.count};
  out.admitted = out.after.fraction <= window.count;
  return out;
}

inline Judgement judge(const Window& window, uint64_t cost, int64_t now, const Moment* kept,
                       int64_t ticks_a_second) {
  if (window.quota()) [[unlikely]]
    return judge_quota(window, cost, now, kept, ticks_a_second);
  const uint64_t count = window.count;
  const auto add = [count](Moment m, Quotient q) {
    m.ticks += static_cast<int64_t>(q.whole);
    m.fraction += q.rest;
    if (m.fraction >= count) ++m.ticks, m.fraction -= count;
    return m;
  };
  Judgement out;
  out.before = kept != nullptr && kept->ticks >= now ? *kept : Moment{now, 0};
  out.after = add(out.before, step_of(window, cost));
  out.latest = add({now, 0}, room_of(window));
  out.admitted = !out.past_latest(out.after);
  return out;
}

inline State quota_state(const Judgement& judged, const Window& window, int64_t now, bool taken) {
  const uint64_t used = taken ? judged.after.fraction : judged.before.fraction;
  const int64_t left = judged.before.ticks - now;
  State out{used < window.count ? window.count - used : 0, used > 0 ? left : 0, 0};
  const bool too_much = judged.after.fraction - judged.before.fraction > window.count;
  if (!judged.admitted) out.retry_after = too_much ? never : left;
  return out;
}

// What the caller is told; `taken`: the cost was.
inline State state_of(const Judgement& judged, const Window& window, uint64_t cost, int64_t now, bool taken) {
  if (window.quota()) [[unlikely]]
    return quota_state(judged, window, now, taken);
  const Moment used = taken ? judged.after : judged.before;
  const Moment& latest = judged.latest;
  const auto up = [](Moment m, int64_t since) { return m.ticks - since + (m.fraction > 0 ? 1 : 0); };
  State out{0, up(used, now), 0};
  if (!judged.past_latest(used)) {
    const u128 free = u128{static_cast<uint64_t>(latest.ticks - used.ticks)} * window.count +
                      latest.fraction - used.fraction;
    out.remaining = divide(free, window.period).whole;
  }
  if (!judged.admitted) {
    if (cost > window.burst) {
      out.retry_after = never;
      return out;
    }
    Moment wait = judged.after;
    wait.ticks -= latest.ticks;
    if (wait.fraction < latest.fraction) --wait.ticks, wait.fraction += window.count;
    wait.fraction -= latest.fraction;
    out.retry_after = up(wait, 0);
  }
  return out;
}

}  // namespace penstock::gcra
