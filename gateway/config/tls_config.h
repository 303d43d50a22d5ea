// The `tls:` of a listener and of an upstream, compiled: plain structs, files resolved. Read-only after
// load().
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/route_config.h"
#include "config/values.h"

namespace penstock::config {

enum class TlsVersion : uint8_t { tls_1_2, tls_1_3 };

struct CertificatePair {
  FilePath certificate;
  FilePath key;
  FilePath ocsp;  // empty: nothing is stapled
  Position at;
};

struct ClientAuth {
  enum class Mode : uint8_t { none, optional, required };
  Mode mode = Mode::none;
  FilePath ca;
  FilePath crl;  // empty: none
  uint32_t depth = 5;
};

struct SessionTickets {
  enum class Use : uint8_t { on, off };
  Use use = Use::on;
  Duration rotate{12 * 3'600'000};   // so long each key encrypts, and then decrypts once more
  Duration max_age{24 * 3'600'000};  // of a session, from its full handshake on
  FilePath key_file;                 // empty: the process makes its own keys
};

// Strict-Transport-Security (RFC 6797).
struct Hsts {
  enum class Scope : uint8_t { host, subdomains };
  enum class Preload : uint8_t { no, yes };
  Duration max_age{};
  Scope scope = Scope::host;
  Preload preload = Preload::no;
};

enum class UnknownSni : uint8_t { first_certificate, reject };

struct ListenerTls {
  TlsVersion min_version = TlsVersion::tls_1_2;
  TlsVersion max_version = TlsVersion::tls_1_3;
  std::vector<NameRef> ciphers, ciphersuites, groups;  // empty: the built-in ones
  std::vector<CertificatePair> certificates;           // picked by SNI, the first is the default; never empty
  UnknownSni unknown_sni = UnknownSni::first_certificate;
  ClientAuth client_auth;
  SessionTickets tickets;
  Duration handshake_timeout{10'000};
  uint32_t max_handshakes = 1'000;  // under way in the whole process
  std::optional<Hsts> hsts;
  Position at;
};

// To backends. Always verified.
struct UpstreamTls {
  std::string server_name;  // empty: each endpoint's host
  FilePath ca;              // empty: the system's
  FilePath cert, key;       // both or neither
  TlsVersion min_version = TlsVersion::tls_1_2;
  Position at;
};

}  // namespace penstock::config
