#include "proxy/consumers.h"

#include <doctest/doctest.h>

#include <string>

using namespace penstock;
using namespace penstock::proxy;

namespace {

// SHA-256 of "swordfish-1".
constexpr std::string_view hashed = "sha256:bb25c0838c018e5fa1d0185fc85702c13961201ac03d3b62ca2d2eaed6af888b";

}  // namespace

TEST_CASE("a key that is configured by its digest is found by the key, with and without kept digests") {
  Consumers consumers;
  const Consumer& app = consumers.add("app", {});
  consumers.add_api_key(app, hashed);
  KeyDigests digests;
  for (int i = 0; i < 3; ++i) {
    CHECK(consumers.by_api_key("swordfish-1", &digests) == &app);
    CHECK(consumers.by_api_key("swordfish-2", &digests) == nullptr);
  }
  CHECK(consumers.by_api_key("swordfish-1") == &app);
}

TEST_CASE("kept digests are computed once, and never given to a key that has the same slot") {
  KeyDigests digests;
  int computed = 0;
  auto first_byte_of = [&](Hash128 key, uint8_t byte) {
    return digests.get(key, [&] {
      ++computed;
      return Digest{byte};
    })[0];
  };
  CHECK(first_byte_of({1, 7}, 1) == 1);
  CHECK(first_byte_of({1, 7}, 99) == 1);
  CHECK(computed == 1);
  CHECK(first_byte_of({1, 8}, 2) == 2);
  CHECK(first_byte_of({1 + 4096, 7}, 3) == 3);
  CHECK(first_byte_of({1, 7}, 4) == 4);
  CHECK(computed == 4);
  CHECK(first_byte_of({0, 0}, 5) == 5);
}

TEST_CASE("certificates find their consumer by any writing of their names, each kind for itself") {
  BlockPool blocks;
  Arena arena(blocks);
  Consumers consumers;
  const Consumer& a = consumers.add("a", {});
  const Consumer& b = consumers.add("b", {});
  using enum CertificateName;
  consumers.add_certificate(a, subject, "cn=x,o=y,");
  consumers.add_certificate(b, alternative, "DNS:x.example");
  CHECK(consumers.by_certificate(subject, "CN=X,O=y", arena) == &a);
  CHECK(consumers.by_certificate(subject, "O=y,CN=X", arena) == nullptr);
  CHECK(consumers.by_certificate(subject, "DNS:x.example", arena) == nullptr);
  CHECK(consumers.by_certificate(alternative, "DNS:X.example", arena) == &b);
  CHECK(consumers.by_certificate(fingerprint, "DNS:x.example", arena) == nullptr);
  CHECK(consumers.by_certificate(subject, "", arena) == nullptr);
  CHECK(consumers.by_certificate(subject, "no name", arena) == nullptr);
}

TEST_CASE("secrets are found by kind and name") {
  Consumers consumers;
  const Consumer& a = consumers.add("a", {});
  consumers.add_secret(a, SecretKind::basic, "ann", "hash");
  CHECK(consumers.by_secret_name(SecretKind::basic, "ann").consumer == &a);
  CHECK(consumers.by_secret_name(SecretKind::basic, "ann").text == "hash");
  CHECK(consumers.by_secret_name(SecretKind::hmac, "ann").consumer == nullptr);
  CHECK(consumers.by_secret_name(SecretKind::basic, "Ann").consumer == nullptr);
  CHECK(consumers.by_secret_name(SecretKind::basic, "").consumer == nullptr);
}
