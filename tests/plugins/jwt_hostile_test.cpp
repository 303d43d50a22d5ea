// Tokens that nobody honest sends. Each is refused with the reason that is said here.
#include <doctest/doctest.h>
#include <openssl/ec.h>

#include "plugins/tokens.h"

using namespace penstock::plugin::testing;

namespace {

const std::string good_header = R"({"alg":"HS256"})";

// Signed with the shared secret, whatever the texts are.
std::string raw_token(const std::string& header, const std::string& payload) {
  const std::string input = base64url(header) + "." + base64url(payload);
  return input + "." + base64url(hmac(shared_secret, input));
}
std::string with_payload(const std::string& payload) { return raw_token(good_header, payload); }
std::string with_header(const std::string& header) { return raw_token(header, claims().dump()); }

std::string es256_with(const std::string& signature) {
  return unsigned_part({{"alg", "ES256"}}, claims()) + "." + base64url(signature);
}

// n of P-256, the order of its base point.
std::string order() {
  EC_GROUP* group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
  std::string out(32, '\0');
  BN_bn2binpad(EC_GROUP_get0_order(group), reinterpret_cast<unsigned char*>(out.data()), 32);
  EC_GROUP_free(group);
  return out;
}

std::string nested(size_t levels) {
  return R"({"sub":"x","exp":1800000060,"deep":)" + std::string(levels - 1, '[') +
         std::string(levels - 1, ']') + "}";
}

struct Hostile {
  const char* name;
  std::string token;
  const char* reason;
};

std::vector<Hostile> hostile_headers() {
  return {
      {"alg missing", with_header("{}"), "auth.jwt.malformed"},
      {"alg null", with_header(R"({"alg":null})"), "auth.jwt.malformed"},
      {"alg a number", with_header(R"({"alg":256})"), "auth.jwt.malformed"},
      {"alg a list", with_header(R"({"alg":["HS256"]})"), "auth.jwt.malformed"},
      {"alg none, signed", with_header(R"({"alg":"none"})"), "auth.jwt.algorithm"},
      {"alg nOnE", unsigned_part({{"alg", "nOnE"}}, claims()) + ".", "auth.jwt.algorithm"},
      {"alg in small letters", with_header(R"({"alg":"hs256"})"), "auth.jwt.algorithm"},
      {"alg with a space", with_header(R"({"alg":"HS256 "})"), "auth.jwt.algorithm"},
      {"alg with a NUL", with_header(R"({"alg":"HS256\u0000"})"), "auth.jwt.algorithm"},
      {"alg twice", with_header(R"({"alg":"none","alg":"HS256"})"), "auth.jwt.malformed"},
      {"alg twice, once escaped", with_header(R"({"alg":"HS256","\u0061lg":"HS256"})"), "auth.jwt.malformed"},
      {"crit empty", with_header(R"({"alg":"HS256","crit":[]})"), "auth.jwt.malformed"},
      {"crit null", with_header(R"({"alg":"HS256","crit":null})"), "auth.jwt.malformed"},
      {"crit b64", with_header(R"({"alg":"HS256","b64":false,"crit":["b64"]})"), "auth.jwt.malformed"},
      {"kid a map", with_header(R"({"alg":"HS256","kid":{}})"), "auth.jwt.malformed"},
      {"kid a path", with_header(R"({"alg":"HS256","kid":"../../dev/null"})"), "auth.jwt.key"},
      {"kid of an RSA key", with_header(R"({"alg":"HS256","kid":"r1"})"), "auth.jwt.key"},
      {"header a list", with_header("[]"), "auth.jwt.malformed"},
      {"header a text", with_header(R"("HS256")"), "auth.jwt.malformed"},
      {"header empty", with_header(""), "auth.jwt.malformed"},
      {"header with a NUL behind it", with_header(good_header + std::string(1, '\0')), "auth.jwt.malformed"},
      {"header with rubbish behind it", with_header(good_header + "x"), "auth.jwt.malformed"},
      {"header no UTF-8", with_header("{\"alg\":\"HS256\",\"x\":\"\xff\"}"), "auth.jwt.malformed"},
      {"header deep",
       with_header(R"({"alg":"HS256","x":)" + std::string(900, '[') + std::string(900, ']') + "}"),
       "auth.jwt.malformed"},
  };
}

std::vector<Hostile> hostile_payloads() {
  return {
      {"claim twice", with_payload(R"({"sub":"a","exp":1800000060,"sub":"b"})"), "auth.jwt.malformed"},
      {"claim twice, deep", with_payload(R"({"sub":"a","exp":1800000060,"x":[{"y":1,"y":2}]})"),
       "auth.jwt.malformed"},
      {"payload a list", with_payload("[1]"), "auth.jwt.malformed"},
      {"payload a text", with_payload(R"("sub")"), "auth.jwt.malformed"},
      {"payload no JSON", with_payload("sub=a"), "auth.jwt.malformed"},
      {"payload cut", with_payload(R"({"sub":"a","exp":1800000060)"), "auth.jwt.malformed"},
      {"payload with a comment", with_payload(R"({"sub":"a",/**/"exp":1800000060})"), "auth.jwt.malformed"},
      {"payload with a NUL", with_payload(R"({"sub":"a","exp":1800000060})" + std::string(1, '\0') + "x"),
       "auth.jwt.malformed"},
      {"17 levels", with_payload(nested(17)), "auth.jwt.malformed"},
      {"5,000 levels", with_payload(nested(5000)), "auth.jwt.malformed"},
      {"exp too large for a number", with_payload(R"({"sub":"a","exp":1e999})"), "auth.jwt.malformed"},
      {"exp true", with_payload(R"({"sub":"a","exp":true})"), "auth.jwt.malformed"},
      {"exp null", with_payload(R"({"sub":"a","exp":null})"), "auth.jwt.malformed"},
      {"nbf a list", with_payload(R"({"sub":"a","exp":1800000060,"nbf":[1]})"), "auth.jwt.malformed"},
      {"sub with a NUL", with_payload(R"({"sub":"a\u0000b","exp":1800000060})"), "auth.jwt.claim"},
      {"sub with a line end", with_payload(R"({"sub":"a\nx-admin: 1","exp":1800000060})"), "auth.jwt.claim"},
  };
}

std::vector<Hostile> hostile_signatures() {
  const std::string zero(32, '\0'), one = std::string(31, '\0') + '\1', n = order();
  const std::string input = unsigned_part({{"alg", "ES256"}}, claims());
  const std::string der = ec().sign(input), raw = raw_ecdsa(der);
  const std::string rs_input = unsigned_part({{"alg", "RS256"}}, claims());
  const std::string rs = rsa().sign(rs_input);
  const std::string ps_input = unsigned_part({{"alg", "PS256"}}, claims());
  const json own{{"alg", "RS256"}, {"jwk", rsa_jwk(other_rsa(), "r1")}, {"jku", "https://evil.example"}};
  const std::string own_input = unsigned_part(own, claims());
  const std::string hs_input = unsigned_part({{"alg", "HS256"}}, claims());
  const auto hs_by = [&](const std::string& secret) {
    return hs_input + "." + base64url(hmac(secret, hs_input));
  };
  return {
      {"r and s zero", es256_with(zero + zero), "auth.jwt.signature"},
      {"r zero", es256_with(zero + raw.substr(32)), "auth.jwt.signature"},
      {"s zero", es256_with(raw.substr(0, 32) + zero), "auth.jwt.signature"},
      {"r and s one", es256_with(one + one), "auth.jwt.signature"},
      {"r and s the order", es256_with(n + n), "auth.jwt.signature"},
      {"r zero, s the order", es256_with(zero + n), "auth.jwt.signature"},
      {"DER", es256_with(der), "auth.jwt.signature"},
      {"r and s too long", es256_with('\0' + raw.substr(0, 32) + '\0' + raw.substr(32)),
       "auth.jwt.signature"},
      {"one byte more", es256_with(raw + '\0'), "auth.jwt.signature"},
      {"one byte less", es256_with(raw.substr(0, 63)), "auth.jwt.signature"},
      {"no signature", es256_with(""), "auth.jwt.signature"},
      {"ES384 by a P-256 key", token("ES384", claims(), {{"kid", "e1"}}, &ec()), "auth.jwt.algorithm"},
      {"RSA, a zero before it", rs_input + "." + base64url('\0' + rs), "auth.jwt.signature"},
      {"RSA, cut", rs_input + "." + base64url(rs.substr(0, 255)), "auth.jwt.signature"},
      {"RSA, all ones", rs_input + "." + base64url(std::string(256, '\xff')), "auth.jwt.signature"},
      {"RSA, one", rs_input + "." + base64url(std::string(255, '\0') + '\1'), "auth.jwt.signature"},
      {"PS256 signed as RS256", ps_input + "." + base64url(rsa().sign(ps_input)), "auth.jwt.signature"},
      {"by the key that it brings", own_input + "." + base64url(other_rsa().sign(own_input)),
       "auth.jwt.signature"},
      {"HS256 by the public key's PEM", hs_by(rsa().pem()), "auth.jwt.signature"},
      {"HS256 by the public key's n", hs_by(rsa().number("n")), "auth.jwt.signature"},
      {"HS256 by nothing", hs_by(""), "auth.jwt.signature"},
      {"HS256, cut", hs_input + "." + base64url(hmac(shared_secret, hs_input).substr(0, 16)),
       "auth.jwt.signature"},
  };
}

std::vector<Hostile> hostile_forms() {
  const std::string good =
      token("HS256", claims());  // 32 bytes of signature: its last letter has two bits to spare
  std::string spare = good, standard = good;
  spare.back() = spare.back() == 'A' ? 'B' : static_cast<char>(spare.back() + 1);
  standard += "+/";
  const std::string nul(1, '\0');
  return {
      {"empty", "", "auth.jwt.malformed"},
      {"dots", "..", "auth.jwt.malformed"},
      {"many dots", std::string(9000, '.'), "auth.jwt.malformed"},
      {"two parts", good.substr(0, good.rfind('.')), "auth.jwt.malformed"},
      {"a JWE has five", good + ".AA.AA", "auth.jwt.malformed"},
      {"padding", good + "=", "auth.jwt.malformed"},
      {"a line end", good + "\n", "auth.jwt.malformed"},
      {"a space behind", good + " ", "auth.jwt.malformed"},
      {"a NUL behind", good + nul, "auth.jwt.malformed"},
      {"a NUL within", good.substr(0, 5) + nul + good.substr(5), "auth.jwt.malformed"},
      {"letters of another base64", standard, "auth.jwt.malformed"},
      {"spare bits", spare, "auth.jwt.malformed"},
      {"two tokens", good + ", Bearer " + good, "auth.jwt.malformed"},
      {"in quotes", "\"" + good + "\"", "auth.jwt.malformed"},
      {"longer than allowed", token("HS256", claims({{"x", std::string(16384, 'x')}})), "auth.jwt.malformed"},
      {"16 MiB", std::string(16 << 20, 'A'), "auth.jwt.malformed"},
  };
}

}  // namespace

TEST_CASE("hostile tokens are refused, each for its reason, also the second time") {
  JwtWorld w;
  w.write("mixed.json",
          json{{"keys",
                {rsa_jwk(rsa(), "r1"),
                 ec_jwk("e1"),
                 {{"kty", "oct"}, {"k", base64url(shared_secret)}, {"alg", "HS256"}, {"kid", "s1"}}}}}
              .dump());
  auto& filter = w.jwt({{"jwks_file", "mixed.json"}, {"algorithms", {"HS256", "RS256", "PS256", "ES256"}}});
  REQUIRE(w.verdict(filter, "Bearer " + with_header(good_header)) == "accept idp:svc-1");
  REQUIRE(w.verdict(filter, "Bearer " + with_payload(nested(16))) == "accept idp:x");
  size_t tried = 0;
  for (const auto& table : {hostile_headers(), hostile_payloads(), hostile_signatures(), hostile_forms()}) {
    for (const auto& [name, token, reason] : table) {
      CAPTURE(name);
      const std::string expected = std::string("refuse 401 ") + reason;
      CHECK(w.verdict(filter, "Bearer " + token) == expected);
      CHECK(w.verdict(filter, "Bearer " + token) == expected);
      ++tried;
    }
  }
  CHECK(tried > 70);
}
