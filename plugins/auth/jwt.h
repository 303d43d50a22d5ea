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
    std::optional<std::string> jwks_uri;
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
        gw::opt("jwks_uri", &config::jwks_uri, "Address of a JSON Web Key Set").filled(),
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
  };

  Jwt(config c, gw::setup& setup);
  gw::verdict authenticate(gw::request r);

 private:
  struct Failure {
    uint16_t status = 0;  // 0: none
    std::string_view reason;
  };
  void load_keys(gw::setup& setup);
  void check_algorithms(gw::setup& setup);
  gw::verdict refuse(gw::request& r, Failure failure);
  gw::verdict accept(gw::request& r, Verified& verified);
  Failure verify(std::string_view token, Verified& out) const;
  Failure check_signature(std::string_view token, std::string& payload) const;
  Failure check_payload(const nlohmann::json& payload, Verified& out) const;
  Failure read_times(const nlohmann::json& payload, Verified& out) const;
  Failure read_identity(const nlohmann::json& payload, Verified& out) const;
  Failure check_time(const Verified& verified, int64_t now_ns) const;

  config config_;
  gw::instance self_;
  gw::header header_;
  bool bearer_scheme_;
  KeySet keys_;
  Decisions decisions_;
  std::string invalid_, insufficient_;  // challenges of RFC 6750 3
};

}  // namespace auth
