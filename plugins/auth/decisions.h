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

// `ApiKey realm="keys"`; the name comes from the configuration.
inline std::string challenge(std::string_view scheme, std::string_view realm) {
  std::string out(scheme);
  out += " realm=";
  gw::detail::json_text(out, realm);  // the same escapes as a quoted-string of RFC 9110
  return out;
}

}  // namespace auth
