// An authenticator of one's own: API keys that stand in the plugin's configuration.
#include <penstock_plugin.hpp>

struct KeyAuth {
  static constexpr std::string_view type = "key_auth", version = "1.0.0";
  struct config {
    std::string header = "x-api-key";
    std::map<std::string, std::string, std::less<>> keys;
  };
  static constexpr auto fields() {
    return std::tuple{gw::opt("header", &config::header, "Request header that carries the key"),
                      gw::req("keys", &config::keys, "API key -> consumer")};
  }
  explicit KeyAuth(config c) : cfg(std::move(c)), key(cfg.header) {}

  gw::verdict authenticate(gw::request r) {
    auto value = r.header(key);
    if (value.empty()) return gw::absent();
    auto hit = cfg.keys.find(value);
    if (hit == cfg.keys.end()) return gw::refuse("auth.key.unknown");
    return gw::accept(hit->second);
  }
  config cfg;
  gw::header key;
};
GW_PLUGIN(KeyAuth)
