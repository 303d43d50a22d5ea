#include "mtls.h"

namespace auth {

Mtls::Mtls(gw::setup& setup) : self_(setup.self()), decisions_(setup) {
  setup.challenge(challenge("Certificate", setup.name()));
}

gw::verdict Mtls::authenticate(gw::request r) const {
  const std::string_view fingerprint = r.client_certificate(GW_CERTIFICATE_FINGERPRINT);
  if (fingerprint.data() == nullptr) {
    decisions_.absent.add();
    return gw::absent();
  }
  const gw_consumer* consumer = owner(r, fingerprint);
  if (consumer == nullptr) {
    decisions_.refused.add();
    return r.refuse(401, "auth.mtls.unknown");
  }
  decisions_.accepted.add();
  return r.accept(consumer);
}

const gw_consumer* Mtls::owner(const gw::request& r, std::string_view fingerprint) const {
  if (const gw_consumer* found = r.lookup(self_, GW_CREDENTIAL_MTLS_FINGERPRINT, fingerprint)) return found;
  for (size_t i = 0;; ++i) {
    const std::string_view name = r.client_certificate(GW_CERTIFICATE_SAN, i);
    if (name.data() == nullptr) break;
    if (const gw_consumer* found = r.lookup(self_, GW_CREDENTIAL_MTLS_SAN, name)) return found;
  }
  return r.lookup(self_, GW_CREDENTIAL_MTLS_SUBJECT, r.client_certificate(GW_CERTIFICATE_SUBJECT));
}

}  // namespace auth
