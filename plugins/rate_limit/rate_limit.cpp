#include "rate_limit.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "fields.h"
#include "limit_key.h"

namespace rate_limit {
namespace {

constexpr int64_t second_ns = 1'000'000'000;
constexpr int64_t between_lines_ns = 10 * second_ns;

std::string_view reason_of(bool quota) { return quota ? "limit.quota" : "limit.rate"; }

}  // namespace

RateLimit::RateLimit(config c, gw::setup& setup)
    : self_(setup.self()),
      client_address_("client.address"),
      ipv6_prefix_(c.ipv6_prefix),
      dry_run_(c.dry_run) {
  add_key(c.key, setup);
  add_cost(c.cost, setup);
  const Limits own{c.limits, c.quota, c.concurrency};
  for (auto& [group, tier] : c.tiers) {
    if (tier.parts.limits && tier.parts.limits->empty())
      setup.error("tiers", "'" + group + "' lists no limit; write none");
    tiers_.push_back(make_tier(group, limits_for(tier, own), key_text_, setup, "tiers"));
  }
  if (c.limits.empty() && c.quota.empty() && c.concurrency == 0)
    setup.error("limits", "limits nothing: give limits, quota or concurrency");
  tiers_.push_back(make_tier({}, own, key_text_, setup, "limits"));
  add_fields(c, setup);
  add_store(c, setup);
  const std::string_view name = "penstock_ratelimit_decisions_total", help = "Requests judged by rate limits";
  allowed_ = setup.counter(name, help, "result", "allowed");
  refused_ = setup.counter(name, help, "result", "refused");
  if (dry_run_) spared_ = setup.counter(name, help, "result", "dry_run");
}

void RateLimit::add_key(const std::vector<std::string>& names, gw::setup& setup) {
  if (names.empty()) setup.error("key", "names no attribute");
  for (const std::string& name : names) {
    const gw::attribute attribute(name);
    if (!attribute)
      setup.error("key", "'" + name + "' is no attribute (client.address, consumer.id, header.NAME, ...)");
    key_.push_back(attribute);
    key_text_ += (key_text_.empty() ? "" : " + ") + name;
  }
}

void RateLimit::add_cost(const Cost& cost, gw::setup& setup) {
  most_cost_ = cost.most;
  uint32_t number = 0;
  const char* const end = cost.from.data() + cost.from.size();
  const auto [stop, problem] = std::from_chars(cost.from.data(), end, number);
  if (problem == std::errc() && stop == end) {
    if (number < 1 || number > 1'000'000) setup.error("cost", "must be from 1 to 1000000");
    fixed_cost_ = number;
    return;
  }
  fixed_cost_ = cost.missing;
  cost_ = gw::attribute(cost.from);
  if (!cost_)
    setup.error("cost", "'" + cost.from + "' is neither a number nor an attribute (header.x-cost, ...)");
}

void RateLimit::add_store(const config& c, gw::setup& setup) {
  const bool holds =
      std::any_of(tiers_.begin(), tiers_.end(), [](const Tier& t) { return t.concurrency != 0; });
  const gw_kv_v0* kv = gw::detail::host.kv;
  if (holds && (!GW_HAS(kv, add) || kv->add == nullptr))
    setup.error("concurrency", "needs a newer daemon (gw.kv add)");
  if (c.store == Store::redis) {
    if (!GW_HAS(kv, processes) || kv->store == nullptr) {
      setup.error("store", "redis needs a newer daemon (gw.kv store)");
    } else {
      store_ = setup.store("store", "redis");
    }
    const std::string_view name = "penstock_ratelimit_store_errors_total";
    const std::string_view help = "Decisions that were made by a local share, because the store gave none";
    store_timeouts_ = setup.counter(name, help, "error", "timeout");
    store_away_ = setup.counter(name, help, "error", "away");
    store_wrong_ = setup.counter(name, help, "error", "answer");
  }
  // Nothing is held and nobody waits: then the end of a request is of no interest.
  if (!holds && store_ == nullptr) setup.without(GW_HOOK_COMPLETE);
}

void RateLimit::add_fields(const config& c, gw::setup& setup) {
  for (const HeaderField field : c.headers) {
    send_ratelimit_ = send_ratelimit_ || field == HeaderField::ratelimit;
    send_x_ratelimit_ = send_x_ratelimit_ || field == HeaderField::x_ratelimit;
  }
  retry_after_ = gw::header("retry-after");
  ratelimit_ = gw::header("ratelimit");
  policy_ = gw::header("ratelimit-policy");
  x_limit_ = gw::header("x-ratelimit-limit");
  x_remaining_ = gw::header("x-ratelimit-remaining");
  x_reset_ = gw::header("x-ratelimit-reset");
  if (!send_ratelimit_ && !send_x_ratelimit_) setup.without(GW_HOOK_RESPONSE_HEADERS);
}

// ---- whom, under which key, for how much ----

const Tier* RateLimit::tier_of(const gw::exchange& r) const {
  for (const Tier& tier : tiers_) {
    if (tier.group.empty() || r.in_group(tier.group)) return &tier;
  }
  return &tiers_.back();
}

// Who sends no cost pays what is usual; who sends nonsense, or less than one, pays the most: it must not be
// cheaper than the truth.
uint64_t RateLimit::cost_of(const gw::request& r) const {
  if (!cost_) return fixed_cost_;
  const std::string_view text = r.attribute(cost_);
  if (text.data() == nullptr) return fixed_cost_;
  uint32_t number = 0;
  const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool good = problem == std::errc() && stop == text.data() + text.size() && number >= 1;
  return good ? std::min(number, most_cost_) : most_cost_;
}

size_t RateLimit::key_size(const gw::request& r) const {
  size_t size = 0;
  for (const gw::attribute& part : key_) size += r.attribute(part).size() + KeyWriter::overhead + 64;
  return size;
}

std::string_view RateLimit::write_key(const gw::request& r, char* buffer, size_t capacity) const {
  KeyWriter writer(buffer, capacity);
  for (const gw::attribute& part : key_) {
    const std::string_view value = r.attribute(part);
    const bool missing = value.data() == nullptr;
    if (missing || part.id() == client_address_.id()) {
      writer.add_address(missing ? r.attribute(client_address_) : value, ipv6_prefix_);
    } else {
      writer.add(value);
    }
  }
  return writer.complete() ? writer.key() : std::string_view();
}

// In the buffer, or in the request's memory when a long header is a part of it; empty: too long for that.
std::string_view RateLimit::key_of(const gw::request& r, char* buffer, size_t capacity) const {
  const std::string_view key = write_key(r, buffer, capacity);
  if (!key.empty()) return key;
  const size_t size = key_size(r);
  auto* large = static_cast<char*>(r.arena(size));
  return large != nullptr ? write_key(r, large, size) : std::string_view();
}

// ---- requests at once ----

// 1: counted, 0: too many are.
gw_rc RateLimit::enter(const gw::request& r, state& s, std::string_view key) const {
  auto* kept = static_cast<char*>(r.arena(key.size()));
  if (kept == nullptr) return GW_ELIMIT;
  std::memcpy(kept, key.data(), key.size());
  int64_t value = 0;
  const gw_rc rc = gw::detail::host.kv->add(self_.handle(), gw::str(key), r.monotonic_now(), 1,
                                            s.tier->concurrency, 0, &value);
  s.at_once = static_cast<uint64_t>(value);
  if (rc == 1) s.held = {kept, key.size()};
  return rc;
}

void RateLimit::leave(state& s, int64_t now) const {
  if (s.held.ptr == nullptr) return;
  gw::detail::host.kv->add(self_.handle(), s.held, now, -1, INT64_MAX, 0, nullptr);
  s.held = {};
}

void RateLimit::on_complete(gw::exchange r, const gw_summary&) const {
  leave(r.state<state>(), r.monotonic_now());
}

// ---- the decision ----

gw::verdict RateLimit::on_request_headers(gw::request r) const {
  const Tier* tier = tier_of(r);
  if (tier->free()) return gw::next();
  char small[512];
  const std::string_view key = key_of(r, small, sizeof small);
  if (key.empty())
    return gw::problem(431, "request.header_too_large", "A header that requests are counted by is too long.");
  auto& s = r.state<state>();
  s.tier = tier;
  if (tier->concurrency != 0 && s.held.ptr == nullptr) {
    const gw_rc rc = enter(r, s, key);
    if (rc < 0) return gw::problem(503, "overload", "Too many requests are under way to count this one.");
    if (rc == 0) {
      if (!dry_run_) return refuse(r, s, Why::concurrency);
      return spare(r.monotonic_now(), Why::concurrency);
    }
  }
  if (tier->windows.empty()) {
    allowed_.add();
    return gw::next();
  }
  return store_ != nullptr ? ask_store(r, s, key) : judge(r, s, key, 1);
}

// The tier's own where nothing has to be filled in.
const gw_limit* RateLimit::windows_now(const gw::request& r, const Tier& tier, gw_limit* filled,
                                       uint32_t processes) const {
  if (tier.quotas.empty() && processes <= 1) return tier.windows.data();
  for (size_t i = 0; i < tier.windows.size(); ++i) {
    gw_limit limit = tier.windows[i];
    if (i >= tier.rates()) limit.period_ns = left_ns(tier.quotas[i - tier.rates()], r.wall_now());
    filled[i] = share_of(limit, processes);
  }
  return filled;
}

gw::verdict RateLimit::judge(const gw::request& r, state& s, std::string_view key, uint32_t processes) const {
  gw_limit filled[max_windows];
  const gw_limit* const windows = windows_now(r, *s.tier, filled, processes);
  return judged(r, s,
                gw::detail::host.kv->gcra(self_.handle(), gw::str(key), windows, s.tier->windows.size(),
                                          cost_of(r), r.monotonic_now(), 0, s.windows));
}

gw::verdict RateLimit::ask_store(const gw::request& r, state& s, std::string_view key) const {
  const gw_kv_v0& kv = *gw::detail::host.kv;
  gw_limit filled[max_windows];
  const gw_ticket ticket = r.ticket();
  gw_rc rc = GW_EUNAVAILABLE;
  if (ticket.gen != 0) {
    rc = kv.store_gcra(r.req(), ticket, store_, self_.handle(), gw::str(key),
                       windows_now(r, *s.tier, filled, 1), s.tier->windows.size(), cost_of(r));
  }
  if (rc == GW_OK) return gw::pause();
  store_away_.add();
  return judge(r, s, key, kv.processes(store_));
}

gw::verdict RateLimit::on_resume(gw::request r, void* data) const {
  auto& s = r.state<state>();
  const auto* answer = static_cast<const gw_store_answer*>(data);
  if (answer != nullptr && answer->rc >= 0 && answer->count == s.tier->windows.size()) {
    std::copy(answer->states, answer->states + answer->count, s.windows);
    return judged(r, s, answer->rc);
  }
  const gw_rc rc = answer != nullptr ? answer->rc : GW_ERROR;
  (rc == GW_ETIMEOUT ? store_timeouts_ : rc == GW_EUNAVAILABLE ? store_away_ : store_wrong_).add();
  char small[512];
  const std::string_view key = key_of(r, small, sizeof small);
  if (key.empty()) return gw::acted(GW_ERROR);
  return judge(r, s, key, gw::detail::host.kv->processes(store_));
}

gw::verdict RateLimit::judged(const gw::request& r, state& s, gw_rc rc) const {
  if (rc < 0) return gw::acted(GW_ERROR);
  s.judged = true;
  if (rc == 1) {
    allowed_.add();
    return gw::next();
  }
  bool quota = false;
  for (size_t i = s.tier->rates(); i < s.tier->windows.size(); ++i)
    quota = quota || s.windows[i].retry_after_ns > 0;
  const Why why = quota ? Why::quota : Why::rate;
  return dry_run_ ? spare(r.monotonic_now(), why) : refuse(r, s, why);
}

gw::verdict RateLimit::refuse(const gw::request& r, state& s, Why why) const {
  refused_.add();
  leave(s, r.monotonic_now());
  int64_t wait = 1;
  gw::verdict answer;
  if (why == Why::concurrency) {
    answer = r.problem(429, "limit.concurrency", "Too many requests at once.");
  } else {
    for (size_t i = 0; i < s.tier->windows.size(); ++i) wait = std::max(wait, s.windows[i].retry_after_ns);
    answer = r.problem(429, reason_of(why == Why::quota),
                       why == Why::quota ? "The quota is used up." : "Too many requests.");
  }
  // What costs more than there ever is at once never fits: no time would be the truth.
  if (wait == INT64_MAX) return answer;
  Line line;
  line << seconds_up(wait);
  r.answer_header(retry_after_, line.text());
  return answer;
}

// One line at times, not one a request.
gw::verdict RateLimit::spare(int64_t now, Why why) const {
  spared_.add();
  untold_.fetch_add(1, std::memory_order_relaxed);
  int64_t next = next_line_.load(std::memory_order_relaxed);
  if (now < next || !next_line_.compare_exchange_strong(next, now + between_lines_ns)) return gw::next();
  Line line;
  line << "dry run: would have refused " << untold_.exchange(0) << " requests, the last one for "
       << (why == Why::concurrency ? "limit.concurrency" : reason_of(why == Why::quota));
  self_.log(gw::level::warning, line.text());
  return gw::next();
}

void RateLimit::on_response_headers(gw::response r) const {
  const auto& s = r.state<state>();
  if (s.tier == nullptr || (!s.judged && !s.tier->windows.empty())) return;
  if (send_ratelimit_) {
    Line line;
    write_remaining(line, *s.tier, s.windows, s.at_once);
    r.add_header(ratelimit_, line.text());
    r.add_header(policy_, s.tier->policy);
  }
  if (!send_x_ratelimit_ || !s.judged) return;
  const size_t i = tightest(*s.tier, s.windows);
  Line most, left, reset;
  most << most_of(s.tier->windows[i]);
  left << s.windows[i].remaining;
  reset << seconds_up(s.windows[i].reset_ns);
  r.set_header(x_limit_, most.text());
  r.set_header(x_remaining_, left.text());
  r.set_header(x_reset_, reset.text());
}

gw::verdict RateLimit::explain(gw::request r) const {
  const Tier* tier = tier_of(r);
  if (tier->free()) return gw::next();
  return gw::depends(GW_ON_LIMIT, tier->explanation);
}

}  // namespace rate_limit

using rate_limit::RateLimit;
GW_PLUGIN(RateLimit)
