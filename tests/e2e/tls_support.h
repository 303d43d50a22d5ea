// Certificates made by the openssl command, and gateways with one TLS listener named https.
#pragma once
#include <string>
#include <vector>

#include "e2e/harness/gateway.h"

namespace e2e {

// Self-signed.
struct TlsFiles {
  TempFolder folder;
  std::string file(const std::string& name) const { return folder.file(name); }
  void make(const std::string& stem, const std::string& host) const;
  // { cert: STEM.crt, key: STEM.key }
  std::string pair(const std::string& stem) const;
};

// A CA and what it signed.
struct TestCa {
  TempFolder folder;
  explicit TestCa(const std::string& name = "ca");
  std::string file(const std::string& name) const { return folder.file(name); }
  // STEM.crt and STEM.key; names: "DNS:a.test,IP:127.0.0.1".
  void sign(const std::string& stem, const std::string& names) const;
  void sign_expired(const std::string& stem, const std::string& names) const;
  // "cert: ..., key: ..." and "ca: ...", for a configuration.
  std::string pair(const std::string& stem) const {
    return "cert: " + file(stem + ".crt") + ", key: " + file(stem + ".key");
  }
  std::string trust() const { return "ca: " + file("ca.crt"); }

 private:
  void ask(const std::string& stem, const std::string& names) const;
};

// `more` follows the certificates, such as ", tickets: none".
std::string tls_gateway(const std::string& certificates, const std::string& more = {},
                        const std::string& head = "workers: 2\n");
// GET /x with the host's name; `more` are further options of curl.
Ran fetch(const Gateway& gateway, const std::string& host, const std::vector<std::string>& more = {});
// The value of a sample that begins with `series`, or -1.
double sample(const Gateway& gateway, const std::string& series);
// A python program, run to its end; its arguments follow.
Ran python(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace e2e
