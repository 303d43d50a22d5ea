// Limits of requests per key: rates and quotas by the host's store, exact over all workers, or over all
// processes that share a Redis; requests at once by a number that a request holds to its end. All of them are
// kept over a reload. One instance is one budget, whatever routes use it; immutable after configure, read by
// all workers.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock_plugin.hpp"
#include "tiers.h"

namespace rate_limit {

enum class HeaderField { ratelimit, x_ratelimit, retry_after };
constexpr std::array<std::string_view, 3> gw_names(HeaderField) {
  return {"ratelimit", "x-ratelimit", "retry-after"};
}
enum class Store { local, redis };
constexpr std::array<std::string_view, 2> gw_names(Store) { return {"local", "redis"}; }

// What a request takes from rates and quotas: a number, or { from: header.x-cost, max: 100 }.
struct Cost {
  std::string from = "1";
  uint32_t most = 1000;
  uint32_t missing = 1;
  static constexpr std::string_view short_form = "from";
  static constexpr auto fields() {
    return std::tuple{
        gw::req("from", &Cost::from, "A number, or the attribute that says it"),
        gw::opt("max", &Cost::most, "What more, or no number, counts as").range(1, 1'000'000),
        gw::opt("missing", &Cost::missing, "What a request without the attribute costs").range(1, 1'000'000)};
  }
};

class RateLimit {
 public:
  static constexpr std::string_view type = "rate_limit", version = "1.1.0";

  struct config {
    std::vector<std::string> key;
    std::vector<Window> limits;
    std::vector<Quota> quota;
    uint32_t concurrency = 0;
    Cost cost;
    std::vector<std::pair<std::string, TierConfig>> tiers;
    std::vector<HeaderField> headers;
    Store store = Store::local;
    uint32_t ipv6_prefix = 64;
    bool dry_run = false;
  };
  static constexpr auto fields() {
    return std::tuple{
        gw::req("key", &config::key, "Attribute, or a list of them, that requests are counted by"),
        gw::opt("limits", &config::limits, "Rates that hold together, 100/s or { rate: 100/s, burst: 150 }"),
        gw::opt("quota", &config::quota, "Calendar quotas, { count: 10000, per: day }"),
        gw::opt("concurrency", &config::concurrency, "Requests at once, each to its end")
            .range(1, UINT32_MAX),
        gw::opt("cost", &config::cost,
                "What a request takes from limits and quotas, 5 or { from: header.x-cost, max: 100 }"),
        gw::opt(
            "tiers", &config::tiers,
            "Consumer group -> limits instead, { limits, concurrency, quota } or none; the first that fits"),
        gw::opt("headers", &config::headers, "Fields to send: ratelimit, x-ratelimit, retry-after"),
        gw::opt("store", &config::store, "Where limits and quotas are counted: local, redis"),
        gw::opt("ipv6_prefix", &config::ipv6_prefix, "Bits of an IPv6 client address that count")
            .range(1, 128),
        gw::opt("dry_run", &config::dry_run, "Count and tell, but refuse nothing")};
  }
  // Zeroed: not judged, so no header is added.
  struct state {
    const Tier* tier;
    gw_limit_state windows[max_windows];
    gw_str held;       // the key of the number that this request is counted in; ptr null: none
    uint64_t at_once;  // what that number was then
    bool judged;       // `windows` are filled
  };

  RateLimit(config c, gw::setup& setup);
  gw::verdict on_request_headers(gw::request r) const;
  gw::verdict on_resume(gw::request r, void* data) const;
  void on_response_headers(gw::response r) const;
  void on_complete(gw::exchange r, const gw_summary& summary) const;
  gw::verdict explain(gw::request r) const;

 private:
  enum class Why : uint8_t { rate, quota, concurrency };
  void add_key(const std::vector<std::string>& names, gw::setup& setup);
  void add_cost(const Cost& cost, gw::setup& setup);
  void add_store(const config& c, gw::setup& setup);
  void add_fields(const config& c, gw::setup& setup);

  const Tier* tier_of(const gw::exchange& r) const;
  uint64_t cost_of(const gw::request& r) const;
  size_t key_size(const gw::request& r) const;
  std::string_view write_key(const gw::request& r, char* buffer, size_t capacity) const;
  std::string_view key_of(const gw::request& r, char* buffer, size_t capacity) const;

  gw_rc enter(const gw::request& r, state& s, std::string_view key) const;
  void leave(state& s, int64_t now) const;
  const gw_limit* windows_now(const gw::request& r, const Tier& tier, gw_limit* filled,
                              uint32_t processes) const;
  gw::verdict judge(const gw::request& r, state& s, std::string_view key, uint32_t processes) const;
  gw::verdict ask_store(const gw::request& r, state& s, std::string_view key) const;
  gw::verdict judged(const gw::request& r, state& s, gw_rc rc) const;
  gw::verdict refuse(const gw::request& r, state& s, Why why) const;
  gw::verdict spare(int64_t now, Why why) const;

  gw::instance self_;
  std::vector<gw::attribute> key_;
  std::string key_text_;
  gw::attribute client_address_;
  uint32_t ipv6_prefix_;
  uint32_t fixed_cost_ = 1, most_cost_ = 1;  // fixed: also where the attribute is missing
  gw::attribute cost_;
  gw_store* store_ = nullptr;
  std::vector<Tier> tiers_;  // the last one is for everybody else
  bool send_ratelimit_ = false, send_x_ratelimit_ = false, dry_run_;
  gw::header ratelimit_, policy_, retry_after_, x_limit_, x_remaining_, x_reset_;
  gw::counter allowed_, refused_, spared_, store_timeouts_, store_away_, store_wrong_;
  mutable std::atomic<uint64_t> untold_{0};  // spared since the last line about them
  mutable std::atomic<int64_t> next_line_{0};
};

}  // namespace rate_limit
