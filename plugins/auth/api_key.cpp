#include "api_key.h"

namespace auth {

ApiKey::ApiKey(config c, gw::setup& setup)
    : self_(setup.self()), carriers_(places(std::move(c)), Carriers::Form::bare, setup), decisions_(setup) {
  setup.challenge(challenge("ApiKey", setup.name()));
}

Carriers::Names ApiKey::places(config c) {
  if (!c.header && !c.query && !c.cookie) c.header = "x-api-key";
  return {std::move(c.header), std::move(c.query), std::move(c.cookie)};
}

gw::verdict ApiKey::authenticate(gw::request r) const {
  const Found key = carriers_.read(r);
  if (key.count > 1) {
    decisions_.refused.add();
    return r.refuse(401, "auth.key.repeated");
  }
  if (key.count == 1) return judge(r, key.value);
  decisions_.absent.add();
  return gw::absent();
}

gw::verdict ApiKey::judge(gw::request& r, std::string_view key) const {
  const gw_consumer* consumer = nullptr;
  if (key.size() <= max_key_bytes) consumer = r.lookup(self_, GW_CREDENTIAL_API_KEY, key);
  if (consumer == nullptr) {
    decisions_.refused.add();
    return r.refuse(401, "auth.key.unknown");
  }
  decisions_.accepted.add();
  return r.accept(consumer);
}

}  // namespace auth
