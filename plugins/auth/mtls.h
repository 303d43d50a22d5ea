// Client certificates: who a certificate belongs to that the listener's handshake has verified. Of its names
// the fingerprint is asked for first, then the alternative names in their order, then the subject. Keeps
// nothing; the host compares.
#pragma once
#include "decisions.h"
#include "penstock_plugin.hpp"

namespace auth {

class Mtls {
 public:
  static constexpr std::string_view type = "mtls", version = "1.0.0";
  static constexpr bool pure = true;

  explicit Mtls(gw::setup& setup);
  gw::verdict authenticate(gw::request r) const;

 private:
  const gw_consumer* owner(const gw::request& r, std::string_view fingerprint) const;

  gw::instance self_;
  Decisions decisions_;
};

}  // namespace auth
