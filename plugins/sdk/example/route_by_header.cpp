// Chooses the upstream by a request header: users of the beta go elsewhere. The daemon knows every upstream
// that is named here, so `penstock check` finds one that does not exist.
#include <penstock_plugin.hpp>

struct RouteByHeader {
  static constexpr std::string_view type = "route_by_header", version = "1.0.0";
  static constexpr bool pure = true;

  struct choice {
    gw::target to;
    static constexpr auto fields() {
      return std::tuple{gw::target_here(&choice::to, "Where these requests go")};
    }
  };
  struct config {
    std::string header;
    std::map<std::string, choice, std::less<>> values;
  };
  static constexpr auto fields() {
    return std::tuple{gw::req("header", &config::header, "The request header that decides"),
                      gw::req("values", &config::values, "Its value -> { upstream: NAME } or a split")};
  }
  RouteByHeader(config c, gw::setup& setup) : cfg(std::move(c)), header(cfg.header) {
    if (!header) setup.error("header", "is no name for a header");
    for (const auto& [value, chosen] : cfg.values)
      if (!chosen.to) setup.error("values", "'" + value + "' names no upstream");
  }

  gw::verdict on_request_headers(gw::request r) {
    const auto hit = cfg.values.find(r.header(header));
    if (hit != cfg.values.end()) r.set_target(hit->second.to);
    return gw::next();  // without a hit: the route's own target
  }

  config cfg;
  gw::header header;
};
GW_PLUGIN(RouteByHeader)
