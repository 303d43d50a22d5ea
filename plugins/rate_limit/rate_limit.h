// Limits of requests per key, by the generic cell rate algorithm of the host's store: exact over all workers,
// kept over a reload. One instance is one budget, whatever routes use it; immutable after configure, read by
// all workers.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock_plugin.hpp"

namespace rate_limit {

enum class HeaderField { ratelimit, retry_after };
constexpr std::array<std::string_view, 2> gw_names(HeaderField) { return {"ratelimit", "retry-after"}; }
enum class Store { local, redis };
constexpr std::array<std::string_view, 2> gw_names(Store) { return {"local", "redis"}; }

// One window: `100/s`, or { rate: 100/s, burst: 150 }.
struct Window {
  gw::rate rate;
  std::optional<uint32_t> burst;
  static constexpr std::string_view short_form = "rate";
  static constexpr auto fields() {
    return std::tuple{gw::req("rate", &Window::rate, "How many in which time, 100/s"),
                      gw::opt("burst", &Window::burst, "How many at once; the rate's own count without it")
                          .range(1, UINT32_MAX)};
  }
};

// The limits of one group; no windows: unlimited.
struct Tier {
  std::string group;  // empty: everybody
  std::vector<gw_limit> windows;
  std::vector<std::string> names;  // of the windows, in RateLimit fields
  std::string policy;              // RateLimit-Policy
  std::string explanation;         // "client.address, 200/s"
};

class RateLimit {
 public:
  static constexpr std::string_view type = "rate_limit", version = "1.0.0";
  static constexpr size_t max_windows = 8;

  struct config {
    std::vector<std::string> key;
    std::vector<Window> limits;
    std::vector<std::pair<std::string, gw::or_none<std::vector<Window>>>> tiers;
    std::vector<HeaderField> headers;
    Store store = Store::local;
    uint32_t ipv6_prefix = 64;
  };
  static constexpr auto fields() {
    return std::tuple{
        gw::req("key", &config::key, "Attribute, or a list of them, that requests are counted by"),
        gw::req("limits", &config::limits, "Rates that hold together, 100/s or { rate: 100/s, burst: 150 }"),
        gw::opt("tiers", &config::tiers, "Consumer group -> limits instead, or none; the first that fits"),
        gw::opt("headers", &config::headers, "Fields to send: ratelimit, retry-after"),
        gw::opt("store", &config::store, "Where the counts are kept: local"),
        gw::opt("ipv6_prefix", &config::ipv6_prefix, "Bits of an IPv6 client address that count")
            .range(1, 128)};
  }
  // Zeroed: not judged, so no header is added.
  struct state {
    const Tier* tier;
    gw_limit_state windows[max_windows];
    bool refused;
  };

  RateLimit(config c, gw::setup& setup);
  gw::verdict on_request_headers(gw::request r) const;
  void on_response_headers(gw::response r) const;
  gw::verdict explain(gw::request r) const;

 private:
  void add_key(const std::vector<std::string>& names, gw::setup& setup);
  void add_tier(std::string group, const std::vector<Window>& windows, gw::setup& setup, std::string_view at);
  const Tier* tier_of(const gw::exchange& r) const;
  size_t key_size(const gw::request& r) const;
  std::string_view write_key(const gw::request& r, char* buffer, size_t capacity) const;

  gw::instance self_;
  std::vector<gw::attribute> key_;
  std::string key_text_;
  gw::attribute client_address_;
  uint32_t ipv6_prefix_;
  std::vector<Tier> tiers_;  // the last one is `limits`, for everybody else
  bool send_fields_ = false;
  gw::header ratelimit_, policy_, retry_after_;
  gw::counter allowed_, refused_;
};

}  // namespace rate_limit
