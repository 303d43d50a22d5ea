// API keys: a header (x-api-key unless something else is named), a query parameter or a cookie, looked up
// among the consumers by the host, in constant time. Keeps nothing per request.
#pragma once
#include <optional>
#include <string>

#include "carriers.h"
#include "decisions.h"
#include "penstock_plugin.hpp"

namespace auth {

class ApiKey {
 public:
  static constexpr std::string_view type = "api_key", version = "1.0.0";
  static constexpr bool pure = true;
  static constexpr size_t max_key_bytes = 4096;

  struct config {
    std::optional<std::string> header, query, cookie;
  };
  static constexpr auto fields() {
    return std::tuple{
        gw::opt("header", &config::header, "Header that carries the key; x-api-key without any of these")
            .filled(),
        gw::opt("query", &config::query, "Query parameter that carries the key").filled(),
        gw::opt("cookie", &config::cookie, "Cookie that carries the key").filled()};
  }

  ApiKey(config c, gw::setup& setup);
  gw::verdict authenticate(gw::request r) const;

 private:
  static Carriers::Names places(config c);
  gw::verdict judge(gw::request& r, std::string_view key) const;

  gw::instance self_;
  Carriers carriers_;
  Decisions decisions_;
};

}  // namespace auth
