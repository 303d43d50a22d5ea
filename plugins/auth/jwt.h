// JSON Web Tokens as credentials (RFC 7519, RFC 8725): a bearer token signed with HS256, RS256 or ES256, its
// issuer, audience, times and required claims. One instance is shared by all workers and immutable; what was
// verified is kept in a bounded cache per worker, so that the public-key arithmetic (which runs on the
// worker) is paid once a token.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "claims.h"
#include "decisions.h"
#include "key_set.h"
#include "key_source.h"
#include "penstock_plugin.hpp"

namespace auth {

class Jwt {
 public:
  static constexpr std::string_view type = "jwt", version = "1.0.0";
  static constexpr bool pure = true;
  static constexpr size_t max_token_bytes = 16384;

  struct config {
    std::string header = "authorization";
    std::vector<std::string> issuer, audience;
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
  };
  static constexpr auto fields() {
    return std::tuple{
        gw::opt("header", &config::header, "Header of the token; in authorization it stands behind 'Bearer'")
            .filled(),
        gw::opt("issuer", &config::issuer, "What iss must be; one of a list").filled(),
        gw::opt("audience", &config::audience, "What aud must be or contain; one of a list").filled(),
        gw::opt("algorithms", &config::algorithms, "RS256, ES256, HS256; without it those of the keys")
            .filled(),
        gw::opt("jwks_file", &config::jwks_file, "JSON Web Key Set with the public keys").filled(),
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
        gw::opt("secret", &config::secret, "Shared secret for HS256, at least 32 bytes").filled(),
        gw::opt("leeway", &config::leeway, "Tolerance for exp and nbf").range(0, 3600'000'000'000),
        gw::opt("require_exp", &config::require_exp, "Whether a token without exp is refused"),
        gw::opt("require", &config::require, "Claim -> text that it must equal or contain; otherwise 403")
            .filled(),
        gw::opt("consumer_claim", &config::consumer_claim, "The claim that names the consumer").filled(),
        gw::opt("groups_claim", &config::groups_claim, "The claim that lists groups").filled()};
  }
  struct worker_state {
    explicit worker_state(Jwt&) {}
    TokenCache cache;
    KeySource::View fetched;  // with jwks_uri
  };
  struct state {
    bool waited;  // for keys, once
  };
  static constexpr auto& needs = gw::needs_fetch;

  Jwt(config c, gw::setup& setup);
  gw::verdict authenticate(gw::request r);
  gw::verdict on_resume(gw::request r, void* data);

 private:
  struct Failure {
    uint16_t status = 0;  // 0: none
    std::string_view reason;
  };
  void load_keys(gw::setup& setup);
  void make_source(gw::setup& setup);
  void check_algorithms(gw::setup& setup);
  void check_fetched_algorithms(gw::setup& setup);
  gw::verdict refuse(gw::request& r, Failure failure);
  gw::verdict accept(gw::request& r, Verified& verified);
  gw::verdict judge_fetched(gw::request& r, std::string_view token, worker_state& worker);
  gw::verdict judge(gw::request& r, std::string_view token, worker_state* worker, const KeySet& keys);
  std::optional<gw::verdict> wait_for_keys(gw::request& r, const worker_state& worker);
  Failure verify(std::string_view token, const KeySet& keys, Verified& out) const;
  Failure check_signature(std::string_view token, const KeySet& keys, std::string& payload) const;
  Failure check_payload(const nlohmann::json& payload, Verified& out) const;
  Failure read_times(const nlohmann::json& payload, Verified& out) const;
  Failure read_identity(const nlohmann::json& payload, Verified& out) const;
  Failure check_time(const Verified& verified, int64_t now_ns) const;

  config config_;
  gw::instance self_;
  gw::header header_;
  bool bearer_scheme_;
  KeySet keys_;                        // of the configuration
  std::unique_ptr<KeySource> source_;  // or of jwks_uri
  Decisions decisions_;
  std::string invalid_, insufficient_;  // challenges of RFC 6750 3
};

}  // namespace auth
