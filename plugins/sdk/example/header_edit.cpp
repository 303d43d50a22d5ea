// Tells the backend who asks, and hides what the backend says of itself.
#include <penstock_plugin.hpp>

struct HeaderEdit {
  static constexpr std::string_view type = "header_edit", version = "1.0.0";
  static constexpr bool pure = true;  // changes the request alone: `penstock explain` may run it
  struct config {
    std::string identity_header = "x-user";
    std::vector<std::string> hide{"server", "x-powered-by"};
  };
  static constexpr auto fields() {
    return std::tuple{
        gw::opt("identity_header", &config::identity_header, "Request header that gets the consumer's name"),
        gw::opt("hide", &config::hide, "Response headers that are taken away")};
  }
  HeaderEdit(config c, gw::setup& setup) : identity(c.identity_header), consumer("consumer.id") {
    if (!identity) setup.error("identity_header", "is no name for a header");
    for (const std::string& name : c.hide) {
      hidden.emplace_back(name);
      if (!hidden.back()) setup.error("hide", "'" + name + "' is no name for a header");
    }
  }

  gw::verdict on_request_headers(gw::request r) {
    r.remove_header(identity);  // whatever the client claims
    const std::string_view name = r.attribute(consumer);
    if (!name.empty()) r.set_header(identity, name);
    return gw::next();
  }
  void on_response_headers(gw::response r) {
    for (const gw::header& name : hidden) r.remove_header(name);
  }

  gw::header identity;
  gw::attribute consumer;
  std::vector<gw::header> hidden;
};
GW_PLUGIN(HeaderEdit)
