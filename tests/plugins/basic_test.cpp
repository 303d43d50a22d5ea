// Basic credentials: the field, the password hashes (made by bcryptjs and noble-hashes, and test vectors of
// crypt_blowfish and libargon2), the accounts and what is remembered of them.
#include <doctest/doctest.h>

#include <set>

#include "auth/basic.h"
#include "auth/token.h"

using auth::Accounts;
using auth::BasicCredentials;
using auth::HashLimits;
using auth::PasswordHash;
using Field = BasicCredentials::Field;

namespace {

constexpr std::string_view pass = "na\xc3\xafve p\xc3\xa4ssword";

// Standard base64 with padding.
std::string encoded(std::string_view bytes) {
  constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k)
      word = word << 8 | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : letters[word >> (18 - 6 * k) & 63];
  }
  return out;
}

PasswordHash hash(std::string_view text) {
  auto read = PasswordHash::read(text, {});
  REQUIRE_MESSAGE(read.hash, read.problem);
  return *read.hash;
}

std::string problem(std::string_view text, HashLimits limits = {}) {
  auto read = PasswordHash::read(text, limits);
  CHECK_FALSE(read.hash);
  return read.problem;
}

Field field(std::string_view text) {
  BasicCredentials out;
  return out.read(text);
}

}  // namespace

TEST_CASE("a Basic field is read by RFC 7617, and no other way") {
  BasicCredentials out;
  REQUIRE(out.read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") == Field::given);  // the RFC's own
  CHECK(out.user() == "Aladdin");
  CHECK(out.password() == "open sesame");
  REQUIRE(out.read("bASIC   dGVzdDoxMjPCow==") == Field::given);  // and its UTF-8
  CHECK(out.user() == "test");
  CHECK(out.password() == "123\xc2\xa3");
  REQUIRE(out.read("Basic " + encoded("user:a:b::")) == Field::given);
  CHECK(out.password() == "a:b::");
  REQUIRE(out.read("Basic " + encoded(":")) == Field::given);
  CHECK(out.user() == "");
  CHECK(out.password() == "");
  for (const char* other : {"", "Basi", "Basics dXNlcjpw", "Bearer dXNlcjpw", "Digest username=x"}) {
    CAPTURE(other);
    CHECK(field(other) == Field::absent);
  }
  const std::string good = encoded("user:pass!");  // dXNlcjpwYXNzIQ==
  REQUIRE(field("Basic " + good) == Field::given);
  for (const std::string& bad : {std::string(),
                                 good.substr(0, good.size() - 1),
                                 good.substr(0, good.size() - 2),
                                 good + "=",
                                 good + " ",
                                 good + "\n",
                                 "\t" + good,
                                 good + "," + good,
                                 std::string("===="),
                                 std::string("dXNlcjpwYXNzIR=="),
                                 std::string("dXNlcjpw_Q=="),
                                 encoded("no colon"),
                                 encoded("user:a\nb"),
                                 encoded("us\x7f:b"),
                                 encoded(std::string("user:a\0b", 8)),
                                 encoded("user:\xff"),
                                 encoded("user:\xc0\xaf"),
                                 encoded("user:\xed\xa0\x80"),
                                 encoded("user:\xf4\x90\x80\x80"),
                                 encoded("user:\xe2\x82"),
                                 encoded("user:" + std::string(1020, 'x')),
                                 encoded(std::string(100'000, ':'))}) {
    CAPTURE(bad.substr(0, 40));
    CHECK(field("Basic " + bad) == Field::malformed);
  }
  CHECK(field("Basic " + encoded("user:" + std::string(1019, 'x'))) == Field::given);
}

TEST_CASE("UTF-8 is what RFC 3629 says") {
  for (const char* text : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    CHECK(auth::valid_utf8(text));
  for (const char* text : {"\x80", "\xc2", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                           "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "a\xc2z"})
    CHECK_FALSE(auth::valid_utf8(text));
}

TEST_CASE("passwords are held against bcrypt and Argon2 hashes of other implementations") {
  const struct {
    const char* hash;
    std::string_view password;
  } vectors[] = {
      {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
      {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*"},
      {"$2b$05$WYCI4eDtBET5TqLIv3p3f.0Dfc48QRGxvlRd.nU4fx.Ms.knKjvh2", pass},
      {"$2y$05$0p40r4fEOccodg50d61hPOKcsR84nZoydyM2bkT6fupiWnbkTBNqS", pass},
      {"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
      {"$argon2id$v=19$m=1024,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$2i/83oc/7BJrP4nazxek5eN2lGTTK2NUgCKbTeL4P1g",
       pass},
      {"$argon2id$v=19$m=1024,t=2,p=4$MDEyMzQ1Njc4OWFiY2RlZg$UGUy5IE/1s3IgWDLUY28KofDMbQp6bbo", pass},
      {"$argon2i$v=19$m=256,t=3,p=2$c2FsdHNhbHQ$agT85A1AUCpGDCj7/g96EJyC2L3HbGM/"
       "n/+6OsxibGCLhH6QlBYRiZuKHE/zoQUr1yRi3MCAxQ8+vKdzUuSXiw",
       pass},
      {"$argon2i$m=256,t=3,p=1$MDEyMzQ1Njc4OWFiY2RlZg$NaAUBrct8ozmsqpiXF8/JDAZuhJtx7bxtyPz9dCauBA", pass},
  };
  for (const auto& [text, password] : vectors) {
    CAPTURE(text);
    const PasswordHash read = hash(text);
    CHECK(read.matches(password));
    CHECK_FALSE(read.matches(std::string(password) + "x"));
    CHECK_FALSE(read.matches(""));
  }
}

TEST_CASE("a password hash that is broken, weak or too dear is refused where it is read") {
  const std::string bcrypt = "$2b$05$WYCI4eDtBET5TqLIv3p3f.0Dfc48QRGxvlRd.nU4fx.Ms.knKjvh2";
  const std::string neither = "is neither bcrypt ($2b$...) nor Argon2 ($argon2id$...)";
  for (const char* other :
       {"", "password", "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "$apr1$x$y", "$1$x$y", "$6$x$y", "$2x$05$abc",
        "$argon2d$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"})
    CHECK(problem(other) == neither);
  CHECK(problem(bcrypt.substr(0, 59)) == "is no complete bcrypt hash");
  CHECK(problem(bcrypt + "x") == "is no complete bcrypt hash");
  CHECK(problem(std::string(bcrypt).replace(20, 1, "-")) == "is no complete bcrypt hash");
  CHECK(problem(std::string(bcrypt).replace(4, 2, "0x")) == "is no complete bcrypt hash");
  CHECK(problem(std::string(bcrypt).replace(4, 2, "03")) == "has a bcrypt cost that is not from 4 to 31");
  CHECK(problem(std::string(bcrypt).replace(4, 2, "15")) == "asks for a bcrypt cost of 15; at most 14");
  const auto argon = [](const std::string& parameters) {
    return problem("$argon2id$" + parameters + "$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA");
  };
  REQUIRE(PasswordHash::read("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", {}).hash);
  for (const char* parameters :
       {"", "v=18$m=64,t=1,p=1", "v=19$m=64,t=1", "v=19$t=1,m=64,p=1", "v=19$m=064,t=1,p=1",
        "v=19$m=-1,t=1,p=1", "v=19$m=99999999999,t=1,p=1", "v=19$m=64,t=0,p=1", "v=19$m=64,t=1,p=0",
        "v=19$m=64,t=1,p=1,keyid=a", "v=19$m=64, t=1,p=1", "v=19$m=,t=1,p=1"}) {
    CAPTURE(parameters);
    CHECK(argon(parameters) == "is no complete Argon2 hash");
  }
  CHECK(argon("v=19$m=262145,t=1,p=1") == "asks for a memory in KiB of 262145; at most 262144");
  CHECK(argon("v=19$m=64,t=17,p=1") == "asks for a number of passes of 17; at most 16");
  CHECK(argon("v=19$m=256,t=1,p=17") == "asks for a number of lanes of 17; at most 16");
  CHECK(argon("v=19$m=15,t=1,p=2") == "has less memory than 8 KiB a lane");
  const std::string head = "$argon2id$v=19$m=64,t=1,p=1$";
  for (const char* rest :
       {"c2FsdHNhbHQ", "c2FsdHNhbHQ$", "c2FsdHNhbHQ=$AAAAAAAAAAAAAAAAAAAAAA", "c2E$AAAAAAAAAAAAAAAAAAAAAA",
        "c2FsdHNhbHQ$AAAA", "c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA$", "c2FsdHNhbHR$AAAAAAAAAAAAAAAAAAAAAA"})
    CHECK(problem(head + rest) == "is no complete Argon2 hash");
}

TEST_CASE("an unknown user's password is checked as long, and is wrong even when it is somebody's") {
  Accounts accounts;
  CHECK_FALSE(accounts.check("anna", pass));
  CHECK(accounts.add("anna", hash("$2b$05$WYCI4eDtBET5TqLIv3p3f.0Dfc48QRGxvlRd.nU4fx.Ms.knKjvh2")));
  CHECK(accounts.add("b\xc3\xb6rge",
                     hash("$argon2i$v=19$m=256,t=3,p=2$c2FsdHNhbHQ$agT85A1AUCpGDCj7/g96EJyC2L3HbGM/"
                          "n/+6OsxibGCLhH6QlBYRiZuKHE/zoQUr1yRi3MCAxQ8+vKdzUuSXiw")));
  CHECK_FALSE(accounts.add("anna", hash("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")));
  CHECK(accounts.check("anna", pass) == 0u);
  CHECK(accounts.check("b\xc3\xb6rge", pass) == 1u);
  CHECK_FALSE(accounts.check("anna", "U*U"));
  CHECK_FALSE(accounts.check("Anna", pass));
  for (const char* nobody : {"", "nobody", "anna ", "carla"}) CHECK_FALSE(accounts.check(nobody, pass));
}

TEST_CASE("verified credentials are remembered for their time, within the bound, each for itself") {
  auth::PasswordCache cache(6, 1000);  // two sets of four
  const auto anna = cache.digest("anna", "secret");
  CHECK_FALSE(cache.find(anna, 0));
  cache.insert(anna, 7, 500);
  CHECK(cache.find(anna, 500) == 7u);
  CHECK(cache.find(anna, 1499) == 7u);
  CHECK_FALSE(cache.find(anna, 1500));
  CHECK(cache.digest("anna", "secret") == anna);
  std::set<auth::KeyedDigest::Value> different{anna};
  for (const auto& [user, password] :
       {std::pair{"anna", "secret "}, {"annas", "ecret"}, {"ann", "asecret"}, {"", "annasecret"}})
    CHECK(different.insert(cache.digest(user, password)).second);
  auth::PasswordCache other(6, 1000);
  CHECK(other.digest("anna", "secret") != anna);  // its own key
  cache.insert(anna, 7, 2000);
  for (uint32_t i = 0; i < 100; ++i) {
    const auto digest = cache.digest("user", std::to_string(i));
    cache.insert(digest, i, 2000);
    REQUIRE(cache.find(digest, 2000) == i);
  }
  int kept = 0;
  for (uint32_t i = 0; i < 100; ++i)
    if (cache.find(cache.digest("user", std::to_string(i)), 2000)) ++kept;
  CHECK(kept <= 8);
  auth::PasswordCache none(0, 1000);
  none.insert(anna, 7, 0);
  CHECK_FALSE(none.find(anna, 0));
}
