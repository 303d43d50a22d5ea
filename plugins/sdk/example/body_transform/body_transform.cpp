// Masks members of JSON bodies. Whole bodies are kept until they end, so limits.body_buffer of the route
// bounds them; what is no JSON is let go of with its head and costs nothing more.
#include <penstock_plugin.hpp>

#include "mask.hpp"

struct BodyTransform {
  static constexpr std::string_view type = "body_transform", version = "1.0.0";
  struct config {
    std::vector<std::string> members;
    bool requests = false, answers = true;
  };
  static constexpr auto fields() {
    return std::tuple{gw::req("members", &config::members, "Names of the members that are masked"),
                      gw::opt("requests", &config::requests, "In bodies of requests"),
                      gw::opt("answers", &config::answers, "In bodies of answers")};
  }
  BodyTransform(config c, gw::setup& setup) : cfg(std::move(c)) {
    if (!cfg.requests) setup.without(GW_HOOK_REQUEST_BODY);
    if (!cfg.answers) setup.without(GW_HOOK_RESPONSE_BODY);
  }

  gw::verdict on_request_headers(gw::request r) {
    // What comes compressed could not be read.
    if (cfg.answers) r.remove_header(accept_encoding);
    return cfg.requests ? judge(r.header(content_type), r.header(content_encoding)) : gw::next();
  }
  gw::verdict on_request_body(gw::request r, gw::body_chunk chunk) { return mask(r, chunk); }

  gw::verdict on_response_headers(gw::response r) {
    return cfg.answers ? judge(r.header(content_type), r.header(content_encoding)) : gw::next();
  }
  gw::verdict on_response_body(gw::response r, gw::body_chunk chunk) { return mask(r, chunk); }

  // The head waits with its body, which gets its length anew.
  static gw::verdict judge(std::string_view media, std::string_view encoding) {
    if (media.substr(0, media.find(';')) != "application/json") return gw::detach();
    return encoding.empty() ? gw::buffer() : gw::acted(GW_ERROR);
  }
  gw::verdict mask(const gw::exchange& e, gw::body_chunk chunk) const {
    if (!chunk.last) return gw::buffer();
    return e.replace_body(Masker(chunk.bytes, cfg.members).masked());
  }

  config cfg;
  gw::header content_type{"content-type"}, content_encoding{"content-encoding"},
      accept_encoding{"accept-encoding"};
};
GW_PLUGIN(BodyTransform)
