#include "api_version.h"

#include <algorithm>
#include <charconv>

#include "instant.h"

namespace api_version {
namespace {

constexpr int64_t second_ns = 1'000'000'000;

// A URI in a Link field stands between < and >, so it may hold neither, nor anything that ends a line.
bool safe_uri(std::string_view uri) {
  if (uri.empty()) return false;
  for (const char c : uri) {
    if (c <= ' ' || c == '<' || c == '>' || c == '"' || c == 0x7f) return false;
  }
  return true;
}

std::vector<std::string> names_of(const std::vector<std::pair<std::string, Version>>& versions) {
  std::vector<std::string> names;
  for (const auto& [name, version] : versions) names.push_back(name);
  return names;
}

}  // namespace

ApiVersion::ApiVersion(config c, gw::setup& setup)
    : unknown_(c.unknown),
      api_version_("api.version"),
      deprecation_("deprecation"),
      sunset_("sunset"),
      link_("link"),
      retry_after_("retry-after"),
      use_(setup, names_of(c.versions)) {
  for (const auto& text : c.from) add_source(text, setup);
  if (c.from.empty())
    setup.error("from", "names no source; one of path.version, header.NAME, query.NAME, cookie.NAME, accept");
  if (c.versions.empty()) setup.error("versions", "lists no version");
  versions_.reserve(c.versions.size());  // state and default_ point into it
  for (auto& [name, v] : c.versions) {
    v.name = name;
    v.number = parse_version(name);
    check_version(v, setup);
    versions_.push_back(std::move(v));
  }
  check_names(setup);
  if (c.fallback) {
    default_ = find(*c.fallback);
    if (default_ == nullptr) setup.error("default", "'" + *c.fallback + "' is not one of the versions");
  } else if (unknown_ == Unknown::use_default) {
    setup.error("unknown", "'default' needs a default: version");
  }
  for (const Version& v : versions_) {
    list_ += list_.empty() ? "\"versions\":[" : ",";
    gw::detail::json_text(list_, v.name);
  }
  list_ += "]";
  const auto silent = [](const Version& v) {
    return v.deprecation_field.empty() && v.sunset_field.empty() && v.link_field.empty();
  };
  if (std::all_of(versions_.begin(), versions_.end(), silent)) setup.without(GW_HOOK_RESPONSE_HEADERS);
}

void ApiVersion::add_source(const std::string& text, gw::setup& setup) {
  if (text == "accept") {
    sources_.push_back({gw::attribute("header.accept"), true});
    return;
  }
  const bool known = text.starts_with("path.") || text.starts_with("header.") || text.starts_with("query.") ||
                     text.starts_with("cookie.");
  const gw::attribute attribute = known ? gw::attribute(text) : gw::attribute();
  if (!attribute) {
    setup.error(
        "from",
        "'" + text + "' is no source; one of path.version, header.NAME, query.NAME, cookie.NAME, accept");
    return;
  }
  sources_.push_back({attribute, false});
}

void ApiVersion::check_version(Version& v, gw::setup& setup) {
  const auto instant = [&](const std::string& text, std::string_view key) {
    const auto at = parse_instant(text);
    if (!at) {
      setup.error("versions", v.name + "." + std::string(key) + ": '" + text +
                                  "' is no date; write 2026-06-01 or 2026-06-01T10:00Z (UTC)");
    }
    return at;
  };
  if (v.deprecated) {
    if (const auto at = instant(*v.deprecated, "deprecated")) v.deprecation_field = "@" + std::to_string(*at);
  }
  if (v.sunset) {
    v.sunset_s = instant(*v.sunset, "sunset");
    if (v.sunset_s) v.sunset_field = http_date(*v.sunset_s);
  }
  for (Brownout& b : v.brownouts) {
    if (const auto at = instant(b.from, "brownouts.from")) {
      b.from_s = *at;
      b.until_s = *at + b.length.count() / second_ns;
    }
  }
  const auto link = [&](const std::optional<std::string>& uri, std::string_view key,
                        std::string_view relation) {
    if (!uri) return;
    if (!safe_uri(*uri)) setup.error("versions", v.name + "." + std::string(key) + ": is no URI");
    if (!v.link_field.empty()) v.link_field += ", ";
    v.link_field += "<" + *uri + ">; rel=\"" + std::string(relation) + "\"";
  };
  link(v.link, "link", "deprecation");
  link(v.successor, "successor", "successor-version");
}

void ApiVersion::check_names(gw::setup& setup) {
  for (size_t i = 0; i < versions_.size(); ++i) {
    const Version& a = versions_[i];
    if (unknown_ == Unknown::nearest_lower && !a.number) {
      setup.error("versions", "unknown: nearest_lower needs names like v2 or 2.1, '" + a.name + "' is none");
    }
    for (size_t j = 0; j < i; ++j) {
      const Version& b = versions_[j];
      const bool equal = a.number && b.number ? compare(*a.number, *b.number) == 0 : a.name == b.name;
      if (equal) setup.error("versions", "'" + b.name + "' and '" + a.name + "' are the same version");
    }
  }
}

std::string_view ApiVersion::requested(gw::request& r) const {
  for (const Source& source : sources_) {
    std::string_view value = r.attribute(source.attribute);
    if (source.accept) value = version_in_accept(value);
    if (!value.empty()) return value;
  }
  return {};
}

const Version* ApiVersion::find(std::string_view text) const {
  const auto number = parse_version(text);
  for (const Version& v : versions_) {
    if (number && v.number ? compare(*number, *v.number) == 0 : v.name == text) return &v;
  }
  return nullptr;
}

const Version* ApiVersion::resolve_unknown(std::string_view text) const {
  if (unknown_ == Unknown::reject) return nullptr;
  if (unknown_ == Unknown::use_default) return default_;
  const auto number = parse_version(text);
  if (!number) return nullptr;
  const Version* best = nullptr;
  for (const Version& v : versions_) {
    if (!v.number || compare(*v.number, *number) > 0) continue;
    if (best == nullptr || compare(*v.number, *best->number) > 0) best = &v;
  }
  return best;
}

gw::verdict ApiVersion::on_request_headers(gw::request r) const {
  const std::string_view text = requested(r);
  if (text.empty()) {
    if (default_ != nullptr) return choose(r, *default_);
    return r.problem(400, "version.missing", "The request names no API version.", list_);
  }
  const Version* chosen = find(text);
  if (chosen == nullptr) chosen = resolve_unknown(text);
  if (chosen == nullptr) return r.problem(404, "version.unknown", "There is no such API version.", list_);
  return choose(r, *chosen);
}

gw::verdict ApiVersion::choose(gw::request& r, const Version& v) const {
  r.state<state>().version = &v;
  if (r.set_attribute(api_version_, v.name) < 0) return gw::acted(GW_ERROR);
  const int64_t now_s = r.wall_now() / second_ns;
  if (v.sunset_s && now_s >= *v.sunset_s) {
    return r.problem(410, "version.gone", "This API version has ended.", list_);
  }
  for (const Brownout& b : v.brownouts) {
    if (now_s < b.from_s || now_s >= b.until_s) continue;
    gw::verdict answer =
        r.problem(503, "version.brownout", "This API version is switched off for a while.", list_);
    char seconds[24];
    const auto end = std::to_chars(seconds, seconds + sizeof seconds, b.until_s - now_s).ptr;
    r.answer_header(retry_after_, {seconds, static_cast<size_t>(end - seconds)});
    return answer;
  }
  if (v.target && r.set_target(v.target) < 0) return gw::acted(GW_ERROR);
  return gw::next();
}

void ApiVersion::on_response_headers(gw::response r) const {
  const Version* v = r.state<state>().version;
  if (v == nullptr) return;
  if (!v->deprecation_field.empty()) r.set_header(deprecation_, v->deprecation_field);
  if (!v->sunset_field.empty()) r.set_header(sunset_, v->sunset_field);
  if (!v->link_field.empty()) r.add_header(link_, v->link_field);
}

// Only now is it known who asked.
void ApiVersion::on_complete(gw::exchange x, const gw_summary& s) const {
  const Version* v = x.state<state>().version;
  auto* worker = x.worker<worker_state>();
  if (v == nullptr || worker == nullptr) return;
  worker->counts.add(static_cast<size_t>(v - versions_.data()), gw::view(s.consumer_id),
                     s.start_wall_ns / second_ns);
}

}  // namespace api_version

using api_version::ApiVersion;
GW_PLUGIN(ApiVersion)
