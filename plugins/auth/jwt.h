// JSON Web Tokens as credentials (RFC 7519, RFC 8725): a signed bearer token, its issuer, audience, times,
// required claims and scopes. One instance is shared by all workers and, but for the keys of jwks_uri,
// immutable; what was verified is kept in a bounded cache per worker, so that the public-key arithmetic
// (which runs on the worker) is paid once a token.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "carriers.h"
#include "decisions.h"
#include "key_source.h"
#include "penstock_plugin.hpp"
#include "token_cache.h"
#include "verify.h"

namespace auth {

class Jwt {
 public:
  static constexpr std::string_view type = "jwt", version = "1.1.0";
  static constexpr bool pure = true;
  static constexpr auto& needs = gw::needs_fetch;

  struct config {
    std::optional<std::string> header, query, cookie;
    std::vector<std::string> issuer, audience, scopes;
    std::vector<Algorithm> algorithms;
    std::optional<gw::path> jwks_file, public_key_file;
    std::optional<gw::endpoint> jwks_uri;
    gw::duration jwks_refresh{std::chrono::minutes(10)};
    gw::duration jwks_min_interval{std::chrono::seconds(30)};
    gw::duration jwks_timeout{std::chrono::seconds(5)};
    gw::duration jwks_wait{std::chrono::seconds(5)};
    uint32_t jwks_waiters = 1000;
    std::optional<gw::secret> secret;
    gw::duration leeway{};
    bool require_exp = true;
    std::map<std::string, std::string> require;
    std::string consumer_claim = "sub";
    std::optional<std::string> groups_claim;
    gw::bytes max_token_size{16384};
    uint32_t cache_size = 1024;
    uint32_t max_keys = 64;
  };
  static constexpr auto fields() {
    return std::tuple{
        gw::opt("header", &config::header,
                "Header of the token; authorization without any of these, where it stands behind 'Bearer'")
            .filled(),
        gw::opt("query", &config::query, "Query parameter that carries the token").filled(),
        gw::opt("cookie", &config::cookie, "Cookie that carries the token").filled(),
        gw::opt("issuer", &config::issuer, "What iss must be; one of a list").filled(),
        gw::opt("audience", &config::audience, "What aud must be or contain; one of a list").filled(),
        gw::opt("algorithms", &config::algorithms,
                "The algorithms that are accepted; without it those of the keys")
            .filled(),
        gw::opt("jwks_file", &config::jwks_file, "JSON Web Key Set with the keys").filled(),
        gw::opt("jwks_uri", &config::jwks_uri, "Address of a JSON Web Key Set: a URL, or url and tls")
            .filled(),
        gw::opt("jwks_refresh", &config::jwks_refresh,
                "The keys of jwks_uri are asked for so often, or as often as max-age says")
            .range(1'000'000'000, 86'400'000'000'000),
        gw::opt("jwks_min_interval", &config::jwks_min_interval,
                "Never more often; also for tokens that name a key that is not known")
            .range(1'000'000, 3600'000'000'000),
        gw::opt("jwks_timeout", &config::jwks_timeout, "For the answer of jwks_uri")
            .range(1'000'000, 60'000'000'000),
        gw::opt("jwks_wait", &config::jwks_wait, "So long a request waits for keys, then 503")
            .range(1'000'000, 9'000'000'000),
        gw::opt("jwks_waiters", &config::jwks_waiters, "Requests that wait for keys at once; more get 503")
            .range(1, 1'000'000),
        gw::opt("public_key_file", &config::public_key_file, "One public key or certificate in PEM").filled(),
        gw::opt("secret", &config::secret,
                "Shared secret: 32 bytes or more for HS256, 48 for HS384, 64 for HS512")
            .filled(),
        gw::opt("leeway", &config::leeway, "Tolerance for exp and nbf").range(0, 3600'000'000'000),
        gw::opt("require_exp", &config::require_exp, "Whether a token without exp is refused"),
        gw::opt("require", &config::require, "Claim -> text that it must equal or contain; otherwise 403")
            .filled(),
        gw::opt("scopes", &config::scopes, "What scope or scp must contain, all of them; otherwise 403")
            .filled(),
        gw::opt("consumer_claim", &config::consumer_claim, "The claim that names the consumer").filled(),
        gw::opt("groups_claim", &config::groups_claim, "The claim that lists groups").filled(),
        gw::opt("max_token_size", &config::max_token_size, "Longer tokens are malformed; 1KiB to 64KiB"),
        gw::opt("cache_size", &config::cache_size, "Verified tokens that each worker remembers")
            .range(0, 65536),
        gw::opt("max_keys", &config::max_keys, "Keys that a key set may hold").range(1, 1024)};
  }
  struct worker_state {
    explicit worker_state(Jwt& jwt) : verified(jwt.cache_size_) {}
    TokenCache verified;
    RefusedTokens refused;
    KeySource::View fetched;  // with jwks_uri
  };
  struct state {
    bool waited;  // for keys, once
  };

  Jwt(config c, gw::setup& setup);
  gw::verdict authenticate(gw::request r);
  gw::verdict on_resume(gw::request r, void* data);

 private:
  static Carriers::Names places(const config& c);
  void load_keys(const config& c, gw::setup& setup);
  void load_jwks(const config& c, gw::setup& setup);
  void make_source(const config& c, gw::setup& setup);
  void check_algorithms(const config& c, gw::setup& setup);
  void check_fetched_algorithms(const config& c, gw::setup& setup);
  void make_challenges(const config& c, gw::setup& setup);
  gw::verdict judge_token(gw::request& r, std::string_view token);
  gw::verdict judge_fresh(gw::request& r, std::string_view token, const KeySet& keys, worker_state* worker);
  const KeySet& keys_of(worker_state* worker);
  gw::verdict unknown_key(gw::request& r, worker_state* worker);
  gw::verdict refuse(gw::request& r, Fault fault);
  gw::verdict accept(gw::request& r, Verified& verified);

  gw::instance self_;
  Carriers carriers_;
  KeySet keys_;                        // of the configuration
  std::unique_ptr<KeySource> source_;  // or of jwks_uri
  Rules rules_;
  int64_t leeway_ns_;
  size_t cache_size_;
  Decisions decisions_;
  CacheCounters cache_;
  std::array<std::string, fault_count> challenges_;  // RFC 6750 3
};

}  // namespace auth
