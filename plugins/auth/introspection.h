// Opaque tokens: whoever issued one is asked what it is worth (RFC 7662), and the answer is remembered for a
// short time on each worker. No answer is a refusal, never a pass.
#pragma once
#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "claims.h"
#include "decisions.h"
#include "digest_cache.h"
#include "penstock_plugin.hpp"

namespace auth {

enum class ClientAuth { basic, body };
constexpr std::array<std::string_view, 2> gw_names(ClientAuth) { return {"basic", "body"}; }

class Introspection {
 public:
  static constexpr std::string_view type = "introspection", version = "1.0.0";
  static constexpr size_t max_token_bytes = 8192;
  static constexpr auto& needs = gw::needs_fetch;

  struct config {
    gw::endpoint url;
    std::string client_id;
    gw::secret client_secret;
    ClientAuth client_auth = ClientAuth::basic;
    std::string header = "authorization";
    std::vector<std::string> issuer, audience, scopes;
    std::map<std::string, std::string> require;
    std::string consumer_claim = "sub";
    std::optional<std::string> groups_claim;
    gw::duration leeway{};
    gw::duration timeout{std::chrono::seconds(2)};
    gw::duration cache{std::chrono::minutes(1)};
    gw::duration negative_cache{std::chrono::seconds(10)};
    uint32_t cache_size = 1024;
  };
  static constexpr auto fields() {
    return std::tuple{
        gw::req("url", &config::url, "Introspection endpoint (RFC 7662): a URL, or url and tls"),
        gw::req("client_id", &config::client_id, "As whom the gateway asks").filled(),
        gw::req("client_secret", &config::client_secret, "Its secret").filled(),
        gw::opt("client_auth", &config::client_auth, "basic: in Authorization, body: in the form"),
        gw::opt("header", &config::header, "Header of the token; in authorization it stands behind 'Bearer'")
            .filled(),
        gw::opt("issuer", &config::issuer, "What iss must be; one of a list").filled(),
        gw::opt("audience", &config::audience, "What aud must be or contain; one of a list").filled(),
        gw::opt("scopes", &config::scopes, "What scope must contain, all of them; otherwise 403").filled(),
        gw::opt("require", &config::require, "Member -> text that it must equal or contain; otherwise 403")
            .filled(),
        gw::opt("consumer_claim", &config::consumer_claim, "The member that names the consumer").filled(),
        gw::opt("groups_claim", &config::groups_claim, "The member that lists groups").filled(),
        gw::opt("leeway", &config::leeway, "Tolerance for exp and nbf").range(0, 3600'000'000'000),
        gw::opt("timeout", &config::timeout, "For an answer; then 503").range(1'000'000, 9'000'000'000),
        gw::opt("cache", &config::cache, "So long an active token is not asked for again, exp permitting")
            .range(0, 3600'000'000'000),
        gw::opt("negative_cache", &config::negative_cache, "The same for one that is not active")
            .range(0, 60'000'000'000),
        gw::opt("cache_size", &config::cache_size, "Tokens that each worker remembers").range(0, 1 << 20)};
  }
  struct Known {
    bool active = false;
    uint16_t refusal = 0;  // of an active one that lacks something
    std::string_view reason;
    Verified verified;
  };
  struct worker_state {
    explicit worker_state(Introspection& of) : known(of.config_.cache_size) {}
    DigestCache<Known> known;
  };

  Introspection(config c, gw::setup& setup);
  gw::verdict authenticate(gw::request r);
  gw::verdict on_resume(gw::request r, void* data);
  gw::verdict explain(gw::request r);

 private:
  struct Credential {
    enum class Kind { none, one, bad } kind = Kind::none;
    std::string_view token, reason;
  };
  Credential credential(const gw::request& r) const;
  gw::verdict ask(gw::request& r, std::string_view token);
  gw::verdict judge(gw::request& r, Known& known);
  gw::verdict refuse(gw::request& r, uint16_t status, std::string_view reason);
  // Null: it is no answer of RFC 7662.
  std::optional<Known> read(std::string_view body) const;
  void read_active(const nlohmann::json& answer, Known& out) const;
  void read_identity(const nlohmann::json& answer, Known& out) const;

  config config_;
  gw::instance self_;
  gw::header header_;
  bool bearer_scheme_;
  std::string authorization_, form_;  // what goes with each question
  std::string invalid_, insufficient_;
  Decisions decisions_;
};

}  // namespace auth
