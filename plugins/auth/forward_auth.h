// Somebody else decides: a service of the user's is asked, with the headers that carry the credential and
// what the request is about. A 2xx accepts; 401 and 403 are passed on with their challenge; everything else,
// also no answer, is a refusal.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "decisions.h"
#include "penstock_plugin.hpp"

namespace auth {

enum class WithoutCredentials { absent, ask };
constexpr std::array<std::string_view, 2> gw_names(WithoutCredentials) { return {"absent", "ask"}; }

class ForwardAuth {
 public:
  static constexpr std::string_view type = "forward_auth", version = "1.0.0";
  static constexpr size_t max_headers = 16;
  static constexpr auto& needs = gw::needs_fetch;

  struct config {
    gw::endpoint url;
    std::vector<std::string> headers{"authorization", "cookie"};
    WithoutCredentials without_credentials = WithoutCredentials::absent;
    std::vector<std::string> copy;
    std::optional<std::string> consumer_header, groups_header, challenge;
    gw::duration timeout{std::chrono::seconds(2)};
    uint32_t failure_status = 503;
  };
  static constexpr auto fields() {
    return std::tuple{
        gw::req("url", &config::url, "Who is asked, with GET: a URL, or url and tls"),
        gw::opt("headers", &config::headers, "Request headers that go along: those of the credential")
            .filled(),
        gw::opt("without_credentials", &config::without_credentials,
                "A request that has none of `headers`: absent (nobody is asked), or ask"),
        gw::opt("copy", &config::copy, "Headers of a 2xx that replace the request's own").filled(),
        gw::opt("consumer_header", &config::consumer_header, "Header of a 2xx that names the consumer")
            .filled(),
        gw::opt("groups_header", &config::groups_header, "Header of a 2xx that lists groups, with commas")
            .filled(),
        gw::opt("challenge", &config::challenge, "WWW-Authenticate where no answer brought one").filled(),
        gw::opt("timeout", &config::timeout, "For an answer").range(1'000'000, 9'000'000'000),
        gw::opt("failure_status", &config::failure_status, "Without a 2xx, 401 or 403: 503 or 403")
            .range(403, 503)};
  }

  ForwardAuth(config c, gw::setup& setup);
  gw::verdict authenticate(gw::request r);
  gw::verdict on_resume(gw::request r, void* data);
  gw::verdict explain(gw::request r);

 private:
  struct Header {
    std::string name;
    gw::header id;
    bool may_repeat = false;
  };
  static Header header_of(const std::string& name, std::string_view key, gw::setup& setup);
  enum class Given { none, some, repeated };
  Given given(const gw::request& r) const;
  gw::verdict ask(gw::request& r);
  gw::verdict accept(gw::request& r, const gw::answer& answer);
  gw::verdict refuse(gw::request& r, uint16_t status, std::string_view reason,
                     std::string_view challenge = {});
  gw::verdict failed(gw::request& r, std::string_view why);

  config config_;
  gw::instance self_;
  std::vector<Header> sent_, copied_;
  std::string consumer_name_, groups_name_;
  struct Attributes {
    gw::attribute method{"request.method"}, scheme{"request.scheme"}, host{"request.host"},
        path{"request.path"}, query{"request.query"}, client{"client.address"}, id{"request.id"};
  } attributes_;
  Decisions decisions_;
};

}  // namespace auth
