#include "rate_limit.h"

#include <charconv>
#include <cstring>

#include "limit_key.h"

namespace rate_limit {
namespace {

constexpr int64_t second_ns = 1'000'000'000;

uint64_t seconds_up(int64_t ns) { return ns <= 0 ? 0 : static_cast<uint64_t>((ns - 1) / second_ns + 1); }

std::string rate_text(const gw_limit& limit) {
  std::string_view unit = "s";
  if (limit.period_ns == 60 * second_ns) unit = "m";
  if (limit.period_ns == 3600 * second_ns) unit = "h";
  if (limit.period_ns == 86400 * second_ns) unit = "d";
  std::string out = std::to_string(limit.count) + "/" + std::string(unit);
  if (limit.burst != limit.count) out += ", burst " + std::to_string(limit.burst);
  return out;
}

// Text into a buffer of fixed size; what does not fit is left out.
class Line {
 public:
  Line& operator<<(std::string_view text) {
    const size_t n = std::min(text.size(), sizeof buffer_ - size_);
    std::memcpy(buffer_ + size_, text.data(), n);
    size_ += n;
    return *this;
  }
  Line& operator<<(uint64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return *this << std::string_view(digits, static_cast<size_t>(end - digits));
  }
  bool empty() const { return size_ == 0; }
  std::string_view text() const { return {buffer_, size_}; }

 private:
  char buffer_[1024];
  size_t size_ = 0;
};

}  // namespace

RateLimit::RateLimit(config c, gw::setup& setup)
    : self_(setup.self()),
      client_address_("client.address"),
      ipv6_prefix_(c.ipv6_prefix),
      ratelimit_("ratelimit"),
      policy_("ratelimit-policy"),
      retry_after_("retry-after") {
  if (c.store == Store::redis) setup.error("store", "redis is not supported yet; use local");
  add_key(c.key, setup);
  for (const std::string& name : c.key) key_text_ += (key_text_.empty() ? "" : " + ") + name;
  for (auto& [group, windows] : c.tiers) {
    const std::vector<Window> none;
    if (windows.value && windows.value->empty())
      setup.error("tiers", "'" + group + "' lists no limit; write none");
    add_tier(group, windows.value ? *windows.value : none, setup, "tiers");
  }
  if (c.limits.empty()) setup.error("limits", "lists no limit");
  add_tier({}, c.limits, setup, "limits");
  for (const HeaderField field : c.headers) send_fields_ = send_fields_ || field == HeaderField::ratelimit;
  const std::string_view name = "penstock_ratelimit_decisions_total", help = "Requests judged by rate limits";
  allowed_ = setup.counter(name, help, "result", "allowed");
  refused_ = setup.counter(name, help, "result", "refused");
}

void RateLimit::add_key(const std::vector<std::string>& names, gw::setup& setup) {
  if (names.empty()) setup.error("key", "names no attribute");
  for (const std::string& name : names) {
    const gw::attribute attribute(name);
    if (!attribute)
      setup.error("key", "'" + name + "' is no attribute (client.address, consumer.id, header.NAME, ...)");
    key_.push_back(attribute);
  }
}

void RateLimit::add_tier(std::string group, const std::vector<Window>& windows, gw::setup& setup,
                         std::string_view at) {
  if (windows.size() > max_windows) {
    setup.error(at, "lists more than 8 limits");
    return;
  }
  Tier tier;
  tier.group = std::move(group);
  for (const Window& w : windows) {
    if (w.rate.count == 0 || w.rate.count > UINT32_MAX) {
      setup.error(at, "a rate must be from 1 to 4294967295");
      continue;
    }
    const uint64_t burst = w.burst ? *w.burst : w.rate.count;
    const gw_limit limit{w.rate.count, w.rate.period.count(), burst};
    std::string name;
    const std::string base(setup.name());
    gw::detail::json_text(name,
                          windows.size() == 1 ? base : base + "-" + std::to_string(tier.windows.size() + 1));
    // The policy's window: in how long the burst comes again, in whole seconds.
    const auto window_ns =
        static_cast<unsigned __int128>(burst) * static_cast<uint64_t>(limit.period_ns) / limit.count;
    const auto window_s = static_cast<uint64_t>((window_ns + second_ns - 1) / second_ns);
    if (!tier.policy.empty()) tier.policy += ", ";
    tier.policy += name + ";q=" + std::to_string(burst) + ";w=" + std::to_string(window_s);
    tier.explanation += tier.explanation.empty() ? key_text_ + ", " : "; ";
    tier.explanation += rate_text(limit);
    tier.names.push_back(std::move(name));
    tier.windows.push_back(limit);
  }
  tiers_.push_back(std::move(tier));
}

const Tier* RateLimit::tier_of(const gw::exchange& r) const {
  for (const Tier& tier : tiers_) {
    if (tier.group.empty() || r.in_group(tier.group)) return &tier;
  }
  return &tiers_.back();
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

gw::verdict RateLimit::on_request_headers(gw::request r) const {
  const Tier* tier = tier_of(r);
  if (tier->windows.empty()) return gw::next();
  char small[512];
  std::string_view key = write_key(r, small, sizeof small);
  if (key.empty()) {  // a long header as a part of the key
    const size_t size = key_size(r);
    auto* large = static_cast<char*>(r.arena(size));
    if (large != nullptr) key = write_key(r, large, size);
    if (key.empty())
      return gw::problem(431, "request.header_too_large",
                         "A header that requests are counted by is too long.");
  }
  auto& s = r.state<state>();
  s.tier = tier;
  const gw_rc rc = gw::detail::host.kv->gcra(self_.handle(), gw::str(key), tier->windows.data(),
                                             tier->windows.size(), 1, r.monotonic_now(), 0, s.windows);
  if (rc < 0) return gw::acted(GW_ERROR);
  if (rc == 1) {
    allowed_.add();
    return gw::next();
  }
  s.refused = true;
  refused_.add();
  return gw::problem(429, "limit.rate", "Too many requests.");
}

void RateLimit::on_response_headers(gw::response r) const {
  const auto& s = r.state<state>();
  if (s.tier == nullptr) return;
  if (s.refused) {
    int64_t wait = 1;
    for (size_t i = 0; i < s.tier->windows.size(); ++i) wait = std::max(wait, s.windows[i].retry_after_ns);
    Line line;
    line << seconds_up(wait);
    r.set_header(retry_after_, line.text());
  }
  if (!send_fields_) return;
  Line line;
  for (size_t i = 0; i < s.tier->windows.size(); ++i) {
    if (!line.empty()) line << ", ";
    line << s.tier->names[i] << ";r=" << s.windows[i].remaining << ";t=" << seconds_up(s.windows[i].reset_ns);
  }
  r.add_header(ratelimit_, line.text());
  r.add_header(policy_, s.tier->policy);
}

gw::verdict RateLimit::explain(gw::request r) const {
  const Tier* tier = tier_of(r);
  if (tier->windows.empty()) return gw::next();
  return gw::depends(GW_ON_LIMIT, tier->explanation);
}

}  // namespace rate_limit

using rate_limit::RateLimit;
GW_PLUGIN(RateLimit)
