// Credentials of strangers: tokens, key sets, Basic fields, cookies and query parameters.
#include <openssl/hmac.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

#include "auth/basic.h"
#include "auth/carriers.h"
#include "auth/key_set.h"
#include "auth/token.h"
#include "auth/verify.h"
#include "base/arena.h"
#include "base/block_pool.h"
#include "fuzz/targets.h"
#include "http/message.h"
#include "proxy/request_context.h"

namespace penstock::fuzz {
namespace {

using nlohmann::json;

// Keys of tests/plugins/data/pyjwt.json, whose tokens are among the seeds.
constexpr std::string_view key_set =
    R"({"keys":[{"kty":"oct","k":"ajmJStaSEDIin7P8OG34ZUlYhu10Fptdcp7k0mWWQ08","kid":"py-HS256","alg":"HS256"},{"kty":"RSA","n":"sxj1-aARXmkRGHOfA3lJwRL6VdRi90Sh3D1VntzrfKf9JuuYCHVXMMSAbZ6RxJbP191nrQ49xCwYDjQb5rtdripfEU7PVqKqILFqPQNiZ9gKhwbj58jBnRJFpDLsV6n1HSTH4OqMZa6vZMYQtiKm6JI9HXGcYfPAp6UMEOoiwqoCJOLiL-3_lRwLte9NfOG_vdRZaU2YCWCEUSSL6RlCUEwH_7l_1Fm9nGMcu2NkEPy5cB2syezqFSG9TlVs0tUVAaW4FYMZzJG5b78ZW93kB21pvF4wk_ohBRCzfJKXB_UrNOFSvd1wUPN13PStczpcm6j5pDHiXWwjvFjuhRIRtCU","e":"AQAB","kid":"py-RS256"},{"kty":"EC","crv":"P-256","x":"yxur-GqWp58nmaN2v2dPiUkIlD-lR-aQqvn_ntBgWnY","y":"IV9gtjlXqqqZlX80DMqE20zwGHdkP_O_-gS934x3mn8","kid":"py-ES256"},{"kty":"OKP","crv":"Ed25519","x":"Pm9y8Z48MUzHKKEsxwhGFCF1tp_3SQ2L4z9vaRU-NyA","kid":"py-EdDSA"}]})";

const auth::KeySet& keys() {
  static const auth::KeySet set = [] {
    auth::KeySet out;
    std::vector<std::string> problems;
    promise(out.add_jwks(key_set, auth::Secrets::taken, 64, problems).empty() && problems.empty(), "keys");
    return out;
  }();
  return set;
}

auth::Rules rules() {
  auth::Rules out;
  out.algorithms = {auth::Algorithm::hs256, auth::Algorithm::es256, auth::Algorithm::rs256,
                    auth::Algorithm::eddsa};
  out.require_exp = false;
  out.groups_claim = "groups";
  return out;
}

std::string base64url(std::string_view bytes) {
  constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<uint8_t>(c);
    for (count += 8; count >= 6; count -= 6) out += letters[bits >> (count - 6) & 63];
  }
  if (count > 0) out += letters[bits << (6 - count) & 63];
  return out;
}

// Signs with HMAC and SHA-256.
std::string signed_by(std::string_view secret, const std::string& input) {
  unsigned char mac[32];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(input.data()), input.size(), mac, &size);
  return input + "." + base64url({reinterpret_cast<const char*>(mac), size});
}

std::string base64(std::string_view bytes) {
  std::string out = base64url(bytes);
  std::ranges::replace(out, '-', '+');
  std::ranges::replace(out, '_', '/');
  out.append((4 - out.size() % 4) % 4, '=');
  return out;
}

std::string escaped_quotes(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

bool control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool printable(std::string_view text) { return std::ranges::none_of(text, control); }

// What no accepted token may bring into a request.
void check_verified(const auth::Verified& v) {
  promise(!v.consumer.empty() && v.consumer.size() <= 1024 && printable(v.consumer), "a consumer is a name");
  promise(v.groups.size() <= 64 && v.groups.size() == v.group_views.size(), "groups are bounded");
  promise(v.claims.size() <= 64, "claims are bounded");
  for (const std::string& group : v.groups)
    promise(!group.empty() && printable(group), "a group is a name", group);
  for (const auto& [name, value] : v.claims)
    promise(name.starts_with("claim.") && printable(value), "a claim holds no control byte", name);
}

void check_parts(std::string_view text) {
  const auto token = auth::split_token(text);
  if (!token) return;
  promise(
      base64url(token->header) + "." + base64url(token->payload) + "." + base64url(token->signature) == text,
      "no other text means the same token", text);
}

}  // namespace

// A token as it is sent. Nobody can make one here: what is accepted is one of the seeds.
void fuzz_jwt(std::string_view bytes) {
  check_parts(bytes);
  const auth::Judged judged = auth::judge(bytes, keys(), rules());
  if (judged.fault != auth::Fault::none) return;
  check_verified(judged.verified);
  promise(judged.verified.token == bytes, "the token that was judged is the one that is kept");
  for (size_t i = 0; i < bytes.size(); i += bytes.size() / 16 + 1) {
    std::string changed(bytes);
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    promise(auth::judge(changed, keys(), rules()).fault != auth::Fault::none, "every byte is signed",
            changed);
  }
}

// The texts within a token, rightly signed by a hostile issuer: the header up to a line end, when there is
// one, and the claims.
void fuzz_jwt_claims(std::string_view bytes) {
  static constexpr std::string_view secret = "0123456789abcdef0123456789abcdef";
  static const auth::KeySet own = [] {
    auth::KeySet out;
    out.add_secret(std::string(secret));
    return out;
  }();
  const size_t line = bytes.find('\n');
  const std::string header(line == bytes.npos ? std::string_view(R"({"alg":"HS256"})")
                                              : bytes.substr(0, line));
  const std::string payload(line == bytes.npos ? bytes : bytes.substr(line + 1));
  const std::string token = signed_by(secret, base64url(header) + "." + base64url(payload));
  const auth::Judged judged = auth::judge(token, own, rules());
  if (judged.fault != auth::Fault::none) return;
  check_verified(judged.verified);
  const json head = json::parse(header, nullptr, false), claims = json::parse(payload, nullptr, false);
  promise(head.is_object() && claims.is_object(), "what is accepted is JSON to others, too", bytes);
  promise(head["alg"] == "HS256" && !head.contains("crit"), "the algorithm is the one that was checked",
          header);
  promise(!claims.contains("exp") || claims["exp"].is_number(), "exp is a number", payload);
  if (claims["sub"].is_string())
    promise(claims["sub"].get<std::string>() == judged.verified.consumer, "the consumer is sub", payload);
}

void fuzz_jwks(std::string_view bytes) {
  auth::KeySet set;
  std::vector<std::string> problems;
  const std::string wrong = set.add_jwks(bytes, auth::Secrets::taken, 8, problems);
  promise(set.size() + problems.size() <= 8, "a set is bounded");
  promise(wrong.empty() || set.empty(), "a set that is refused leaves no key");
  promise(printable(wrong), "a refusal is one line", wrong);
  for (const std::string& problem : problems) promise(printable(problem), "a problem is one line", problem);
  if (set.empty()) return;
  bool fits = false;
  for (size_t i = 0; i < auth::algorithm_count; ++i) {
    const auto algorithm = static_cast<auth::Algorithm>(i);
    const auto outcome = set.verify(algorithm, "", "input", std::string(64, 'x'));
    promise(outcome != auth::KeySet::Outcome::valid, "rubbish is no signature", bytes);
    promise((outcome == auth::KeySet::Outcome::no_key) == !set.fits(algorithm), "what fits is tried", bytes);
    fits = fits || set.fits(algorithm);
  }
  promise(fits || bytes.find("oct") != bytes.npos || bytes.find("\\u") != bytes.npos,
          "a key is for something", bytes);
  auth::KeySet foreign;
  problems.clear();
  foreign.add_jwks(bytes, auth::Secrets::passed_over, 8, problems);
  promise(!foreign.fits(auth::Algorithm::hs256), "no secret comes over the network", bytes);
}

void fuzz_basic(std::string_view bytes) {
  auth::BasicCredentials read;
  if (read.read(bytes) != auth::BasicCredentials::Field::given) return;
  const std::string text = std::string(read.user()) + ":" + std::string(read.password());
  const auto credentials = auth::after_scheme(bytes, "basic");
  promise(credentials && *credentials == base64(text), "no other text means the same credentials", bytes);
  promise(read.user().find(':') == std::string_view::npos, "the first colon ends the name", bytes);
  promise(text.size() <= auth::BasicCredentials::max_bytes && printable(text), "credentials are bounded text",
          bytes);
  // JSON is UTF-8, and its reader is another one.
  promise(json::accept("\"" + escaped_quotes(text) + "\""), "credentials are UTF-8", bytes);
}

// Lines are fields of Cookie, and, joined by &, a query: who looks a credential up and who counts them must
// not disagree.
void fuzz_carriers(std::string_view bytes) {
  constexpr std::string_view name = "key";
  BlockPool pool;
  Arena arena(pool);
  http::Message head(arena);
  uint32_t cookies = 0;
  for (std::string_view rest = bytes; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    head.headers.add("cookie", line);
    cookies += auth::cookie_occurrences(line, name);
  }
  const std::string_view cookie = proxy::cookie_value(head.headers, name);
  promise(cookie.data() == nullptr || cookies > 0, "a cookie that is found is counted", bytes);
  promise(cookie.find(';') == std::string_view::npos, "a cookie ends at a semicolon", bytes);
  const uint32_t parameters = auth::query_occurrences(bytes, name);
  const std::string_view value = proxy::query_value(arena, bytes, name);
  promise((value.data() != nullptr) == (parameters > 0), "a parameter is found when it is counted", bytes);
}

}  // namespace penstock::fuzz
