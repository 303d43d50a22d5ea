// What the configuration limits, and for whom: its keys as they are read, and each group's limits as they are
// judged. Made once while configuring; immutable afterwards.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "calendar.h"
#include "penstock_plugin.hpp"

namespace rate_limit {

constexpr std::array<std::string_view, 2> gw_names(Per) { return {"day", "month"}; }

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

struct Quota {
  uint64_t count = 0;
  Per per = Per::day;
  static constexpr auto fields() {
    return std::tuple{gw::req("count", &Quota::count, "How many in all").range(1, int64_t{1} << 53),
                      gw::req("per", &Quota::per, "Calendar day or month, UTC")};
  }
};

// What a group has in place of the instance's own: a list of rates, or a map of what is different.
struct TierParts {
  std::optional<std::vector<Window>> limits;
  std::optional<gw::or_none<uint32_t>> concurrency;
  std::optional<gw::or_none<std::vector<Quota>>> quota;
  static constexpr auto fields() {
    return std::tuple{gw::opt("limits", &TierParts::limits, "Rates instead"),
                      gw::opt("concurrency", &TierParts::concurrency, "Requests at once instead, or none")
                          .range(1, UINT32_MAX),
                      gw::opt("quota", &TierParts::quota, "Quotas instead, or none")};
  }
};
struct TierConfig {
  bool unlimited = false;  // none
  TierParts parts;
};

// The limits of one group; free(): none.
struct Tier {
  std::string group;               // empty: everybody
  std::vector<gw_limit> windows;   // rates, then quotas, whose ends each request fills in
  std::vector<Per> quotas;         // of the last windows
  uint32_t concurrency = 0;        // 0: any number
  std::vector<std::string> names;  // of the windows, in RateLimit fields
  std::string concurrency_name;
  std::string policy;       // RateLimit-Policy
  std::string explanation;  // "client.address, 200/s"

  bool free() const { return windows.empty() && concurrency == 0; }
  size_t rates() const { return windows.size() - quotas.size(); }
};

inline constexpr size_t max_windows = 8;
inline constexpr uint64_t largest_integer = 999'999'999'999'999;  // of a structured field, RFC 9651

struct Limits {
  std::vector<Window> windows;
  std::vector<Quota> quotas;
  uint32_t concurrency = 0;
};

// Errors are recorded at the key `at`.
Tier make_tier(std::string group, const Limits& limits, const std::string& key_text, gw::setup& setup,
               std::string_view at);
// What holds for a group: its own parts, and the instance's for the rest.
Limits limits_for(const TierConfig& tier, const Limits& instance);
// `limit` divided among processes; `left_ns` of a quota is taken over.
gw_limit share_of(const gw_limit& limit, uint32_t processes);

}  // namespace rate_limit

#pragma GCC visibility push(hidden)
namespace gw::detail {

// `none`, a list of rates (or one of them), or a map of parts.
template <>
struct value_of<rate_limit::TierConfig> {
  static gw_rc read(const gw_node* node, rate_limit::TierConfig& out, limits l) {
    gw_str text{};
    if (host.config->kind(node) == GW_NODE_SCALAR && host.config->get_string(node, &text) >= 0 &&
        view(text) == "none") {
      out.unlimited = true;
      return GW_OK;
    }
    if (host.config->kind(node) == GW_NODE_MAP && host.config->get(node, str("rate")) == nullptr)
      return value_of<rate_limit::TierParts>::read(node, out.parts, l);
    return value_of<std::optional<std::vector<rate_limit::Window>>>::read(node, out.parts.limits, l);
  }
  static void schema(std::string& out, limits) {
    out += R"("anyOf":[{"const":"none"},)";
    schema_of<std::vector<rate_limit::Window>>(out);
    out += ',';
    schema_of<rate_limit::TierParts>(out);
    out += ']';
  }
};

}  // namespace gw::detail
#pragma GCC visibility pop
