// Client certificates: what they are verified against, and what a verified one says of its owner. Private to
// net/ but for ClientCertificate, which is transport.h's. A set of trust is immutable and shared by contexts.
#pragma once
#include <expected>
#include <memory>
#include <string>

#include "net/openssl_handles.h"
#include "net/tls_settings.h"
#include "net/transport.h"

namespace penstock::net {

struct ClientTrust {
  StoreHandle store;
  std::string ca_bytes;   // the file: told to clients as the names of authorities
  std::string digest;     // of all that decides; sessions made under another one are not resumed
  int64_t crl_until = 0;  // Unix seconds; 0: no CRL, or one without an end
};

// Or what is wrong, with the file it is wrong in.
std::expected<std::shared_ptr<const ClientTrust>, TlsProblem> read_client_trust(const TlsSettings& settings);

// The certificates of a PEM file; or what is wrong with it.
std::string add_authorities(const std::string& path, const std::string& bytes, X509_STORE* store);

// Names behind these are not looked at; the certificate's size is bounded by OpenSSL (100 KiB with its
// chain).
inline constexpr size_t max_alternative_names = 256;
ClientCertificate describe(X509* certificate);

}  // namespace penstock::net
