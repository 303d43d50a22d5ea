// Every type that fields() can bind, in each C++ standard.
#include <penstock_plugin.hpp>

namespace {

enum class Colour { red, green };
constexpr std::array<std::string_view, 2> gw_names(Colour) { return {"red", "green"}; }

struct Inner {
  gw::rate rate;
  std::optional<int> burst;
  static constexpr std::string_view short_form = "rate";
  static constexpr auto fields() {
    return std::tuple{gw::req("rate", &Inner::rate, "A rate"),
                      gw::opt("burst", &Inner::burst, "At once").range(1, 9)};
  }
};

struct Everything {
  static constexpr std::string_view type = "everything", version = "1.0.0";
  struct config {
    bool flag = false;
    double number = 0;
    uint16_t small = 0;
    std::string text;
    gw::secret secret;
    gw::path file;
    gw::duration time{};
    gw::bytes size;
    gw::percentage share;
    gw::or_none<gw::duration> maybe;
    Colour colour = Colour::red;
    std::vector<Inner> inner;
    std::map<std::string, Inner> named;
    gw::target target;
  };
  static constexpr auto fields() {
    return std::tuple{gw::opt("flag", &config::flag, ""),     gw::opt("number", &config::number, ""),
                      gw::opt("small", &config::small, ""),   gw::opt("text", &config::text, ""),
                      gw::opt("secret", &config::secret, ""), gw::opt("file", &config::file, ""),
                      gw::opt("time", &config::time, ""),     gw::opt("size", &config::size, ""),
                      gw::opt("share", &config::share, ""),   gw::opt("maybe", &config::maybe, ""),
                      gw::opt("colour", &config::colour, ""), gw::opt("inner", &config::inner, ""),
                      gw::opt("named", &config::named, ""),   gw::target_here(&config::target, "")};
  }
  struct state {
    int seen;
  };
  struct worker_state {
    explicit worker_state(Everything&) {}
  };
  Everything(config, gw::setup&) {}
  void on_request_headers(gw::request r) { r.state<state>().seen = 1; }
  gw::verdict on_resume(gw::request, void*) { return gw::next(); }
  void on_response_headers(gw::response) {}
  void on_request_body(gw::request, gw::body_chunk) {}
  void on_response_body(gw::response, gw::body_chunk) {}
  void on_complete(gw::exchange, const gw_summary&) {}
  gw::verdict explain(gw::request) { return gw::depends(GW_ON_RANDOM, "a coin"); }
};

}  // namespace
GW_PLUGIN(Everything)
