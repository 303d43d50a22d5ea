#include <doctest/doctest.h>

#include <string>

#include "net/transport.h"
#include "plugins/harness.h"

using namespace penstock::plugin;
using namespace penstock::plugin::testing;
using penstock::net::ClientCertificate;
using penstock::proxy::AuthVerdict;
using penstock::proxy::CertificateName;

namespace {

struct Shown final : penstock::net::ClientCertificateSource {
  const ClientCertificate* client_certificate() const override {
    return certificate ? &*certificate : nullptr;
  }
  std::optional<ClientCertificate> certificate;
};

struct Mtls : World {
  Mtls() {
    REQUIRE(load(shipped("auth")) == "");
    filter = make("mtls", "clients", "{}");
    REQUIRE_MESSAGE(filter != nullptr, messages());
    snapshot.consumers.add_certificate(consumer("by-print"), CertificateName::fingerprint,
                                       std::string(64, 'a'));
    snapshot.consumers.add_certificate(consumer("by-name"), CertificateName::alternative, "URI:spiffe://x/a");
    snapshot.consumers.add_certificate(consumer("by-host"), CertificateName::alternative, "DNS:a.example");
    snapshot.consumers.add_certificate(consumer("by-subject"), CertificateName::subject,
                                       "cn=billing,o=example,");
  }
  // Its consumer, or the reason of the refusal, or "absent".
  std::string judge(std::optional<ClientCertificate> certificate) {
    Shown shown;
    shown.certificate = std::move(certificate);
    penstock::net::TlsInfo tls;
    tls.client = &shown;
    Request r(*this);
    r.context.tls = &tls;
    const AuthVerdict verdict = r.auth(*filter);
    if (verdict == AuthVerdict::accept) return r.context.auth.consumer->name;
    if (verdict == AuthVerdict::absent) return "absent";
    return std::to_string(r.context.auth.refuse_status) + " " + std::string(r.context.auth.refuse_reason);
  }

  penstock::proxy::Filter* filter = nullptr;
};

const std::string other(64, 'b');

}  // namespace

TEST_CASE("a client certificate is its consumer's by fingerprint, then by its names, then by its subject") {
  Mtls w;
  ClientCertificate all{"CN=billing,O=Example", "CN=ca", {"DNS:A.example", "URI:spiffe://x/a"},
                        std::string(64, 'a'),   "01",    0};
  CHECK(w.judge(all) == "by-print");
  all.fingerprint = other;
  CHECK(w.judge(all) == "by-host");
  all.names = {"email:a@b", "URI:spiffe://x/a"};
  CHECK(w.judge(all) == "by-name");
  all.names = {"URI:spiffe://x/A"};
  CHECK(w.judge(all) == "by-subject");
  all.subject = "O=Example,CN=billing";
  CHECK(w.judge(all) == "401 auth.mtls.unknown");
  all.subject = "CN=Billing\\, Inc,O=Example";
  CHECK(w.judge(all) == "401 auth.mtls.unknown");
  CHECK(w.counted("penstock_auth_decisions_total", "clients", "accept") == 4);
  CHECK(w.counted("penstock_auth_decisions_total", "clients", "refuse") == 2);
}

TEST_CASE("without a client certificate the method is absent") {
  Mtls w;
  CHECK(w.judge(std::nullopt) == "absent");
  Request plain(w);
  CHECK(plain.auth(*w.filter) == AuthVerdict::absent);
  CHECK(plain.explain(*w.filter).verdict == penstock::proxy::Explanation::Verdict::absent);
  CHECK(w.filter->challenge() == "Certificate realm=\"clients\"");
}

TEST_CASE("a certificate with an empty subject, no names, or an endless one is nobody's") {
  Mtls w;
  w.snapshot.consumers.add_certificate(w.consumer("long"), CertificateName::subject,
                                       "cn=" + std::string(5000, 'x') + ",");
  ClientCertificate one{"", "", {}, other, "", 0};
  CHECK(w.judge(one) == "401 auth.mtls.unknown");
  one.subject = "CN=" + std::string(5000, 'x');
  CHECK(w.judge(one) == "401 auth.mtls.unknown");
}

TEST_CASE("mtls has no keys") {
  Mtls w;
  CHECK(w.make("mtls", "more", R"({"ca": "x"})") == nullptr);
}
