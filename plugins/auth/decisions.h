// The counters that every authenticator of this library keeps.
#pragma once
#include <string>
#include <string_view>

#include "penstock_plugin.hpp"

namespace auth {

struct Decisions {
  gw::counter accepted, refused, absent;
  explicit Decisions(gw::setup& setup)
      : accepted(make(setup, "accept")), refused(make(setup, "refuse")), absent(make(setup, "absent")) {}

 private:
  static gw::counter make(gw::setup& setup, std::string_view result) {
    return setup.counter("penstock_auth_decisions_total", "Verdicts of the authenticators", "result", result);
  }
};

struct CacheCounters {
  gw::counter hit, miss, evicted;
  explicit CacheCounters(gw::setup& setup)
      : hit(make(setup, "hit")), miss(make(setup, "miss")), evicted(make(setup, "evict")) {}

 private:
  static gw::counter make(gw::setup& setup, std::string_view result) {
    return setup.counter("penstock_auth_cache_total", "Credentials looked up among those that were verified",
                         "result", result);
  }
};

// A quoted-string of RFC 9110 5.6.4. What stands in it comes from the configuration.
inline std::string quoted(std::string_view text) {
  std::string out;
  gw::detail::json_text(out, text);  // the same escapes
  return out;
}

// `ApiKey realm="keys"`.
inline std::string challenge(std::string_view scheme, std::string_view realm) {
  return std::string(scheme) + " realm=" + quoted(realm);
}

}  // namespace auth
