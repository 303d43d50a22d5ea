#include "e2e/tls_support.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "e2e/harness/client.h"

namespace e2e {

void TlsFiles::make(const std::string& stem, const std::string& host) const {
  Ran ran = run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                 "-nodes", "-days", "2", "-subj", "/CN=" + host, "-addext", "subjectAltName=DNS:" + host,
                 "-keyout", file(stem + ".key"), "-out", file(stem + ".crt")});
  REQUIRE(ran.exit_code == 0);
}

std::string TlsFiles::pair(const std::string& stem) const {
  return "{ cert: " + file(stem + ".crt") + ", key: " + file(stem + ".key") + " }";
}

static void openssl(std::vector<std::string> words) {
  words.insert(words.begin(), "openssl");
  const Ran ran = run(words);
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.err);
}

TestCa::TestCa(const std::string& name) {
  openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
           "2", "-subj", "/CN=" + name, "-keyout", file("ca.key"), "-out", file("ca.crt")});
}

void TestCa::ask(const std::string& stem, const std::string& names) const {
  openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
           "/CN=" + stem, "-addext", "subjectAltName=" + names, "-keyout", file(stem + ".key"), "-out",
           file(stem + ".csr")});
  std::filesystem::permissions(file(stem + ".key"), std::filesystem::perms::owner_read);
}

void TestCa::sign(const std::string& stem, const std::string& names) const {
  ask(stem, names);
  openssl({"x509", "-req", "-in", file(stem + ".csr"), "-CA", file("ca.crt"), "-CAkey", file("ca.key"),
           "-days", "1", "-copy_extensions", "copy", "-out", file(stem + ".crt")});
}

// By `openssl ca`: that of OpenSSL 3.5 makes no certificate that is over before it begins, and `x509` has
// its beginning only from 3.4 on.
void TestCa::sign_expired(const std::string& stem, const std::string& names) const {
  ask(stem, names);
  folder.write("index.txt", "");
  const std::string settings = folder.write(
      "ca.cnf", "[ca]\ndefault_ca = test\n[test]\ndatabase = " + file("index.txt") +
                    "\nnew_certs_dir = " + file("") +
                    "\nrand_serial = yes\ndefault_md = sha256\npolicy = names\ncopy_extensions = copy\n"
                    "[names]\ncommonName = supplied\n");
  openssl({"ca", "-batch", "-notext", "-config", settings, "-cert", file("ca.crt"), "-keyfile",
           file("ca.key"), "-startdate", "20200101000000Z", "-enddate", "20200102000000Z", "-in",
           file(stem + ".csr"), "-out", file(stem + ".crt")});
}

std::string tls_gateway(const std::string& certificates, const std::string& more, const std::string& head) {
  return "schema: 1\n" + head +
         "access_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners:\n"
         "  - { name: https, address: \"127.0.0.1:0\", tls: { certificates: [" +
         certificates + "]" + more +
         " } }\n"
         "routes: [{ name: r, match: { path_prefix: / }, public: true, respond: { status: 200, body: "
         "\"hello\\n\", headers: { strict-transport-security: \"max-age=1\" } } }]\n";
}

Ran fetch(const Gateway& gateway, const std::string& host, const std::vector<std::string>& more) {
  const std::string port = std::to_string(gateway.port("https"));
  std::vector<std::string> words{"curl",
                                 "-sS",
                                 "--max-time",
                                 "30",
                                 "--resolve",
                                 host + ":" + port + ":127.0.0.1",
                                 "https://" + host + ":" + port + "/x"};
  words.insert(words.end(), more.begin(), more.end());
  return run(words);
}

double sample(const Gateway& gateway, const std::string& series) {
  const std::string text = "\n" + get(gateway.status_port(), "/metrics").body;
  const size_t at = text.find("\n" + series);
  if (at == std::string::npos) return -1;
  const size_t end = text.find('\n', at + 1);
  return std::stod(text.substr(text.rfind(' ', end) + 1, end));
}

Ran python(const std::string& program, const std::vector<std::string>& arguments) {
  std::vector<std::string> words{"/usr/bin/python3", "-c", program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run(words);
}

}  // namespace e2e
