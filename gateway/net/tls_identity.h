// One certificate with its key, as a TLS listener shows it: read from its files, checked, immutable. Made on
// the main thread, shared by contexts (a re-read keeps those that did not change for the better). Private to
// net/.
#pragma once
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "net/openssl_handles.h"
#include "net/tls_settings.h"

namespace penstock::net {

// An answer of the certificate's OCSP responder, as a client gets it in the handshake (RFC 6066 8).
struct OcspStaple {
  std::string der;
  int64_t from = 0, until = 0;  // Unix seconds; until 0: no end is given
};

struct TlsIdentity {
  CertificateHandle leaf;
  ChainHandle chain;  // without the leaf
  KeyHandle key;
  int key_type = 0;                // EVP_PKEY_RSA, EVP_PKEY_EC, ...
  std::vector<std::string> names;  // SAN dNSNames, lower case
  int64_t not_after = 0;           // Unix seconds
  OcspStaple staple;               // der empty: none
};

// "2026-11-22", of Unix seconds.
std::string day(int64_t seconds);
// Without its staple; or one line that says what is wrong.
std::expected<std::unique_ptr<TlsIdentity>, std::string> read_identity(const CertificateFiles& files);
struct StapleProblem {
  enum class Kind : uint8_t { unusable, of_another_certificate } kind;
  std::string message;  // one line
};
// Of this certificate, signed by its issuer, with the status good. It may be expired.
std::expected<OcspStaple, StapleProblem> read_staple(const std::string& path, const TlsIdentity& identity);

}  // namespace penstock::net
