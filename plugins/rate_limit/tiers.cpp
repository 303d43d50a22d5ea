#include "tiers.h"

#include <algorithm>

namespace rate_limit {
namespace {

constexpr int64_t second_ns = 1'000'000'000;

std::string rate_text(const gw_limit& limit) {
  std::string_view unit = "s";
  if (limit.period_ns == 60 * second_ns) unit = "m";
  if (limit.period_ns == 3600 * second_ns) unit = "h";
  if (limit.period_ns == 86400 * second_ns) unit = "d";
  std::string out = std::to_string(limit.count) + "/" + std::string(unit);
  if (limit.burst != limit.count) out += ", burst " + std::to_string(limit.burst);
  return out;
}

std::string quoted(std::string_view base, std::string_view more = {}) {
  std::string out;
  gw::detail::json_text(out, std::string(base) + std::string(more));
  return out;
}

void add_policy(Tier& tier, const std::string& item) {
  if (!tier.policy.empty()) tier.policy += ", ";
  tier.policy += item;
}
void add_explanation(Tier& tier, const std::string& key_text, const std::string& text) {
  tier.explanation += tier.explanation.empty() ? key_text + ", " : "; ";
  tier.explanation += text;
}

void add_rate(Tier& tier, const Window& window, const std::string& name, const std::string& key_text) {
  const uint64_t burst = window.burst ? *window.burst : window.rate.count;
  const gw_limit limit{window.rate.count, window.rate.period.count(), burst};
  // The policy's window: in how long the burst comes again, in whole seconds.
  const auto window_ns =
      static_cast<unsigned __int128>(burst) * static_cast<uint64_t>(limit.period_ns) / limit.count;
  const auto window_s = static_cast<uint64_t>((window_ns + second_ns - 1) / second_ns);
  add_policy(tier, name + ";q=" + std::to_string(burst) + ";w=" + std::to_string(window_s));
  add_explanation(tier, key_text, rate_text(limit));
  tier.names.push_back(name);
  tier.windows.push_back(limit);
}

// A month's window has no one length: w is left out.
void add_quota(Tier& tier, const Quota& quota, std::string_view base, const std::string& key_text) {
  const bool day = quota.per == Per::day;
  tier.names.push_back(quoted(base, day ? "-day" : "-month"));
  add_policy(tier, tier.names.back() + ";q=" + std::to_string(std::min(quota.count, largest_integer)) +
                       (day ? ";w=86400" : ""));
  add_explanation(tier, key_text, std::to_string(quota.count) + (day ? " a day" : " a month"));
  tier.windows.push_back({quota.count, second_ns, GW_LIMIT_QUOTA + static_cast<uint64_t>(quota.per)});
  tier.quotas.push_back(quota.per);
}

bool repeats(const std::vector<Quota>& quotas) {
  return std::count_if(quotas.begin(), quotas.end(), [](const Quota& q) { return q.per == Per::day; }) > 1 ||
         std::count_if(quotas.begin(), quotas.end(), [](const Quota& q) { return q.per == Per::month; }) > 1;
}

}  // namespace

Tier make_tier(std::string group, const Limits& limits, const std::string& key_text, gw::setup& setup,
               std::string_view at) {
  Tier tier;
  tier.group = std::move(group);
  tier.concurrency = limits.concurrency;
  if (limits.windows.size() + limits.quotas.size() > max_windows) {
    setup.error(at, "lists more than 8 limits");
    return tier;
  }
  if (repeats(limits.quotas)) setup.error(at, "has two quotas for one period");
  const std::string base(setup.name());
  for (const Window& window : limits.windows) {
    if (window.rate.count == 0 || window.rate.count > UINT32_MAX) {
      setup.error(at, "a rate must be from 1 to 4294967295");
      continue;
    }
    const bool alone = limits.windows.size() == 1;
    add_rate(tier, window, quoted(base, alone ? "" : "-" + std::to_string(tier.windows.size() + 1)),
             key_text);
  }
  for (const Quota& quota : limits.quotas) add_quota(tier, quota, base, key_text);
  if (tier.concurrency != 0) {
    tier.concurrency_name = quoted(base, "-concurrency");
    add_policy(tier, tier.concurrency_name + ";q=" + std::to_string(tier.concurrency) +
                         ";qu=\"concurrent-requests\"");
    add_explanation(tier, key_text, std::to_string(tier.concurrency) + " at once");
  }
  return tier;
}

Limits limits_for(const TierConfig& tier, const Limits& instance) {
  if (tier.unlimited) return {};
  Limits out = instance;
  if (tier.parts.limits) out.windows = *tier.parts.limits;
  if (tier.parts.concurrency) out.concurrency = tier.parts.concurrency->value.value_or(0);
  if (tier.parts.quota) out.quotas = tier.parts.quota->value.value_or(std::vector<Quota>{});
  return out;
}

gw_limit share_of(const gw_limit& limit, uint32_t processes) {
  if (processes <= 1) return limit;
  gw_limit out = limit;
  if (limit.burst >= GW_LIMIT_QUOTA) {
    out.count = std::max<uint64_t>(1, limit.count / processes);
    return out;
  }
  // The same count in so many times the period: that is exact.
  out.burst = std::max<uint64_t>(1, limit.burst / processes);
  if (limit.period_ns < (int64_t{1} << 53) / int64_t{processes}) {
    out.period_ns = limit.period_ns * int64_t{processes};
  } else {
    out.count = std::max<uint64_t>(1, limit.count / processes);
  }
  return out;
}

}  // namespace rate_limit
