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
