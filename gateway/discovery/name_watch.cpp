#include "discovery/name_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace penstock::discovery {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds shortest{1'000};
constexpr milliseconds longest_after_answer{300'000};
constexpr milliseconds longest_after_failure{30'000};

// IPv4 before IPv6, then by bytes: an order that does not depend on how the server rotates its answers.
bool before(const net::Address& a, const net::Address& b) {
  if (a.any.sa_family != b.any.sa_family) return a.any.sa_family == AF_INET;
  if (a.any.sa_family == AF_INET) return std::memcmp(&a.v4.sin_addr, &b.v4.sin_addr, 4) < 0;
  return std::memcmp(&a.v6.sin6_addr, &b.v6.sin6_addr, 16) < 0;
}

std::string_view why_failed(const Error& error) {
  if (!error.text.empty()) return error.text;
  return error.kind == ErrorKind::unresolved ? "the name has no address" : "no answer";
}

}  // namespace

milliseconds delay_after_answer(seconds ttl) {
  return std::clamp(milliseconds(std::min(ttl, seconds(86'400))), shortest, longest_after_answer);
}

milliseconds delay_after_failures(uint32_t failures) {
  uint32_t doublings = std::min(failures > 0 ? failures - 1 : 0, 10u);
  return std::min(shortest * (1 << doublings), longest_after_failure);
}

NameWatch::NameWatch(net::Loop& loop, Lookup lookup, std::string name, Changed changed, Log log)
    : lookup_(std::move(lookup)),
      name_(std::move(name)),
      changed_(std::move(changed)),
      log_(std::move(log)),
      timer_(loop, [](void* self) { static_cast<NameWatch*>(self)->ask(); }, this) {}

void NameWatch::start() { ask(); }

void NameWatch::ask() {
  query_ = lookup_(name_, [this](Result<net::Resolved> result) { on_answer(result); });
}

void NameWatch::on_answer(const Result<net::Resolved>& result) {
  if (!result) return on_failure(why_failed(result.error()));
  if (result->addresses.empty()) return on_failure("an empty answer");
  if (failures_ > 0 && log_) log_(fmt::format("dns: {} resolves again", name_));
  failures_ = 0;
  timer_.start(static_cast<uint64_t>(delay_after_answer(result->ttl).count()));
  on_addresses(result->addresses);
}

void NameWatch::on_addresses(std::vector<net::Address> addresses) {
  std::sort(addresses.begin(), addresses.end(), before);
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  if (addresses == addresses_) return;
  addresses_ = std::move(addresses);
  changed_(addresses_);
}

void NameWatch::on_failure(std::string_view why) {
  auto delay = delay_after_failures(++failures_);
  timer_.start(static_cast<uint64_t>(delay.count()));
  // The first one, and the one from which on the delay no longer grows: a lasting failure is two lines.
  bool worth_a_line = failures_ == 1 || (delay == longest_after_failure &&
                                         delay_after_failures(failures_ - 1) != longest_after_failure);
  if (!log_ || !worth_a_line) return;
  if (addresses_.empty())
    log_(fmt::format("dns: {} does not resolve: {}", name_, why));
  else
    log_(fmt::format("dns: {} does not resolve: {}; its last {} addresses stay in use", name_, why,
                     addresses_.size()));
}

NameWatch::Lookup lookup_through(net::Resolver& resolver) {
  return [&resolver](const std::string& name, NameWatch::Answer answer) {
    return resolver.resolve(name, std::move(answer));
  };
}

}  // namespace penstock::discovery
