// What the daemon accepts and says on a TLS port: versions, names, client certificates, HSTS, plain text.
#include <doctest/doctest.h>

#include <vector>

#include "e2e/harness/client.h"
#include "e2e/tls_support.h"

using namespace e2e;

namespace {

std::string failures(const std::string& reason) {
  return "penstock_tls_handshake_failures_total{listener=\"https\",reason=\"" + reason + "\"}";
}

// What openssl s_client says; `input` is typed into it.
std::string s_client(const Gateway& gateway, const std::string& options, const std::string& input = "") {
  Ran ran = run({"/bin/sh", "-c",
                 "printf '" + input + "' | openssl s_client -connect 127.0.0.1:" +
                     std::to_string(gateway.port("https")) + " " + options + " 2>&1"});
  return ran.out;
}

std::string check(const std::string& configuration) {
  TempFolder folder;
  Ran ran = run({binary("penstock"), "check", "-c", folder.write("c.yaml", configuration)});
  return std::to_string(ran.exit_code) + "\n" + ran.out + ran.err;
}

}  // namespace

TEST_CASE("old versions, unknown names and unknown protocols are refused with their alerts, and counted") {
  TlsFiles files;
  files.make("api", "api.test");
  Gateway gateway(tls_gateway(files.pair("api"), ", unknown_sni: reject"));
  for (const char* version : {"-tls1", "-tls1_1"})
    CHECK(s_client(gateway, std::string(version) + " -cipher ALL:@SECLEVEL=0 -servername api.test")
              .find("alert protocol version") != std::string::npos);
  CHECK(s_client(gateway, "-servername other.test").find("unrecognized name") != std::string::npos);
  CHECK(s_client(gateway, "-noservername").find("unrecognized name") != std::string::npos);
  CHECK(s_client(gateway, "-servername api.test -alpn h2,spdy/3").find("no application protocol") !=
        std::string::npos);
  CHECK(s_client(gateway, "-servername API.test -alpn h2,http/1.1").find("ALPN protocol: http/1.1") !=
        std::string::npos);
  CHECK(sample(gateway, failures("version")) == 2);
  CHECK(sample(gateway, failures("unknown_name")) == 2);
  CHECK(sample(gateway, failures("protocols")) == 1);
}

TEST_CASE("renegotiation, compression and secrets of old are not offered") {
  TlsFiles files;
  files.make("api", "api.test");
  Gateway gateway(tls_gateway(files.pair("api")));
  const std::string said = s_client(gateway, "-servername api.test -tls1_2", "R\\n");
  CHECK(said.find("Compression: NONE") != std::string::npos);
  CHECK(said.find("Secure Renegotiation IS supported") != std::string::npos);
  CHECK(said.find("no renegotiation") != std::string::npos);
  CHECK(said.find("ECDHE") != std::string::npos);
  CHECK(fetch(gateway, "api.test", {"-k"}).out == "hello\n");
}

TEST_CASE("plain HTTP on a TLS port gets an answer that says so") {
  TlsFiles files;
  files.make("api", "api.test");
  Gateway gateway(tls_gateway(files.pair("api")));
  Client client(gateway.port("https"));
  client.send("DELETE /x HTTP/1.1\r\nhost: a\r\n\r\n");
  Response response = client.read_response();
  CHECK(response.status == 400);
  CHECK(response.body == "This port speaks TLS: the address is https://\n");
  CHECK(client.at_end());
  CHECK(sample(gateway, failures("plain_text")) == 1);
  CHECK(gateway.process().wait_for_line(" tls.handshake: ").find("plain HTTP on a TLS port") !=
        std::string::npos);
}

TEST_CASE("HSTS stands on every answer of a TLS listener, once, also on refusals") {
  TlsFiles files;
  files.make("api", "api.test");
  std::string text = tls_gateway(files.pair("api"), ", hsts: { max_age: 1y, include_subdomains: true }");
  text.replace(text.find("path_prefix: /"), 14, "path: /x");
  Gateway gateway(text);
  const std::string expected = "\r\nstrict-transport-security: max-age=31536000; includeSubDomains\r\n";
  for (const char* target : {"/x", "/none", "/%"}) {
    CAPTURE(target);
    const std::string port = std::to_string(gateway.port("https"));
    Ran ran = run({"curl", "-sSki", "--path-as-is", "https://127.0.0.1:" + port + target});
    const size_t first = ran.out.find(expected);
    REQUIRE_MESSAGE(first != std::string::npos, ran.out);
    CHECK(ran.out.find("strict-transport-security", first + expected.size()) == std::string::npos);
  }
}

TEST_CASE("a listener that requires client certificates serves those of its CA alone") {
  TlsFiles files;
  files.make("api", "api.test");
  files.make("ca", "ca");
  files.make("stranger", "stranger");
  REQUIRE(
      run({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
           "/O=Example/CN=billing", "-keyout", files.file("client.key"), "-out", files.file("client.csr")})
          .exit_code == 0);
  REQUIRE(
      run({"openssl", "x509", "-req", "-in", files.file("client.csr"), "-CA", files.file("ca.crt"), "-CAkey",
           files.file("ca.key"), "-CAcreateserial", "-days", "1", "-out", files.file("client.crt")})
          .exit_code == 0);
  auto with = [&](const std::string& stem) {
    return std::vector<std::string>{"-k", "--cert", files.file(stem + ".crt"), "--key",
                                    files.file(stem + ".key")};
  };
  const std::string auth = ", client_auth: { ca: " + files.file("ca.crt");
  Gateway gateway(tls_gateway(files.pair("api"), auth + ", mode: required }"));
  CHECK(fetch(gateway, "api.test", with("client")).out == "hello\n");
  CHECK(fetch(gateway, "api.test", {"-k"}).exit_code != 0);
  CHECK(fetch(gateway, "api.test", with("stranger")).exit_code != 0);
  CHECK(sample(gateway, failures("client_certificate")) == 2);
  CHECK(gateway.reload(tls_gateway(files.pair("api"), auth + ", mode: optional }")).find("reloaded") !=
        std::string::npos);
  CHECK(fetch(gateway, "api.test", {"-k"}).out == "hello\n");
  CHECK(fetch(gateway, "api.test", with("client")).out == "hello\n");
  CHECK(fetch(gateway, "api.test", with("stranger")).exit_code != 0);
}

TEST_CASE("what OpenSSL refuses is an error of `penstock check` at its place") {
  TlsFiles files;
  files.make("api", "api.test");
  const std::string text = files.folder.write("text", "hello\n");
  struct Row {
    std::string more, code;
  };
  for (const Row& row :
       {Row{", ciphers: [ECDHE-RSA-AES128-GCM-SHA256, HIGH]", "bad-cipher"},
        Row{", ciphers: [ECDHE-ECDSA-AES128-GCM-SHA256, AECDH-AES128-SHA]", "bad-cipher"},
        Row{", max_version: TLSv1.2, ciphers: [ECDHE-RSA-AES128-GCM-SHA256]", "bad-cipher"},
        Row{", max_version: TLSv1.2, groups: [ffdhe2048]", "bad-group"},
        Row{", ciphersuites: [TLS_AES_129]", "bad-cipher"}, Row{", groups: [P-255]", "bad-group"},
        Row{", client_auth: { ca: " + text + " }", "bad-ca"},
        Row{", client_auth: { ca: " + files.file("api.crt") + ", crl: " + text + " }", "bad-crl"},
        Row{", tickets: { key_file: " + text + " }", "bad-ticket-keys"}}) {
    CAPTURE(row.more);
    const std::string said = check(tls_gateway(files.pair("api"), row.more));
    CHECK_MESSAGE(said.starts_with("1\n"), said);
    CHECK_MESSAGE(said.find("c.yaml:7:") != std::string::npos, said);
    CHECK_MESSAGE(said.find("error[" + row.code + "]") != std::string::npos, said);
  }
  const std::string ocsp =
      "{ cert: " + files.file("api.crt") + ", key: " + files.file("api.key") + ", ocsp: " + text + " }";
  CHECK(check(tls_gateway(ocsp)).find("error[bad-ocsp]") != std::string::npos);
}
