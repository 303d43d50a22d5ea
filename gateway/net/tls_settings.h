// What a TLS listener is made from: plain values that the configuration fills in, and what was found wrong
// when the files behind them were read. Immutable once handed over; any thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace penstock::net {

struct CertificateFiles {
  std::string cert, key;  // PEM; cert is the chain, leaf first
  std::string ocsp;       // DER, an answer to staple; empty: none
};
enum class TlsVersion : uint8_t { v1_2, v1_3 };
enum class ClientAuth : uint8_t { none, optional, required };
// For a server name that no certificate has, and for none.
enum class UnknownName : uint8_t { first_certificate, refuse };

struct TlsSettings {
  std::string name;  // of the listener: sessions of one are not resumed on another
  std::vector<CertificateFiles> certificates;
  TlsVersion min_version = TlsVersion::v1_2;
  TlsVersion max_version = TlsVersion::v1_3;
  std::vector<std::string> ciphers, ciphersuites, groups;  // empty: ours
  std::vector<std::string> alpn;                           // in order of preference; empty: not spoken
  UnknownName unknown_name = UnknownName::first_certificate;
  ClientAuth client_auth = ClientAuth::none;
  std::string client_ca, client_crl;   // PEM; no CRL: empty
  uint32_t client_depth = 5;           // intermediates between a client's certificate and the CA
  uint32_t ticket_lifetime_s = 0;      // 0: no session tickets
  uint32_t ticket_max_age_s = 86'400;  // from the full handshake on, however often it was resumed since
  std::string ticket_file;             // keys for a fleet; empty: the process makes its own
};

// Of connections to servers.
struct TlsClientSettings {
  CertificateFiles identity;  // shown to a server that asks; cert empty: none
  std::string ca;             // PEM; empty: the authorities that the system trusts
  // A name or an IP address that servers have to show, in place of each one's own; empty: that.
  std::string server_name;
  TlsVersion min_version = TlsVersion::v1_2;
  std::vector<std::string> alpn;  // in order of preference; empty: not spoken
};

// The most that a file may have: what is read is held in memory, some of it several times over.
struct TlsFileLimits {
  static constexpr size_t certificate = 1024 * 1024, key = 64 * 1024, ocsp = 64 * 1024;
  static constexpr size_t ca = 16 * 1024 * 1024, client_ca = 16 * 1024 * 1024, client_crl = 64 * 1024 * 1024;
  static constexpr size_t ticket_keys = 64 * 1024;
};

struct TlsProblem {
  // `index` counts in the list of that name.
  enum class Of : uint8_t {
    listener,
    certificate,
    ocsp,
    cipher,
    ciphersuite,
    group,
    client_ca,
    client_crl,
    ticket_file,
    ca  // of a TlsClientSettings; its identity is `certificate`, all of it `listener`
  };
  enum class Severity : uint8_t { error, warning };
  Of of = Of::listener;
  size_t index = 0;
  Severity severity = Severity::error;
  std::string message;  // one line: which file, what is wrong, what to do
};

}  // namespace penstock::net
