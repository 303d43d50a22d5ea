// The API version of a request: found in the path, a header, a query parameter or Accept, checked against the
// versions of the route, which choose the target. One instance a route; immutable after configure, read by
// all workers.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock_plugin.hpp"
#include "use.h"
#include "version_number.h"

namespace api_version {

enum class Unknown { reject, nearest_lower, use_default };
constexpr std::array<std::string_view, 3> gw_names(Unknown) { return {"reject", "nearest_lower", "default"}; }

struct Brownout {
  std::string from;
  gw::duration length{};
  int64_t from_s = 0, until_s = 0;  // filled in when the plugin is made
  static constexpr auto fields() {
    return std::tuple{
        gw::req("from", &Brownout::from, "Start, 2035-12-01T10:00Z"),
        gw::req("for", &Brownout::length, "How long this version answers 503").range(1, INT64_MAX)};
  }
};

struct Version {
  gw::target target;
  std::optional<std::string> deprecated, sunset, link, successor;
  std::vector<Brownout> brownouts;
  static constexpr auto fields() {
    return std::tuple{
        gw::target_here(&Version::target, "Where this version goes; without one, where the route goes"),
        gw::opt("deprecated", &Version::deprecated, "Date of the Deprecation header (RFC 9745)"),
        gw::opt("sunset", &Version::sunset, "Date of the Sunset header (RFC 8594); 410 from then on"),
        gw::opt("brownouts", &Version::brownouts, "Spans in which this version answers 503"),
        gw::opt("link", &Version::link, "Address of what replaces it, as Link rel=deprecation"),
        gw::opt("successor", &Version::successor,
                "Address of the next version, as Link rel=successor-version")};
  }

  // What the texts above come to, once checked.
  std::string name;
  std::optional<VersionNumber> number;
  std::optional<int64_t> sunset_s;
  std::string deprecation_field, sunset_field, link_field;
};

class ApiVersion {
 public:
  static constexpr std::string_view type = "version", version = "1.0.0";
  static constexpr bool pure = true;

  struct config {
    std::vector<std::string> from;
    std::optional<std::string> fallback;
    Unknown unknown = Unknown::reject;
    std::vector<std::pair<std::string, Version>> versions;
  };
  static constexpr auto fields() {
    return std::tuple{
        gw::req("from", &config::from,
                "Where the version stands: path.version, header.NAME, query.NAME, cookie.NAME, accept; the "
                "first present decides"),
        gw::opt("default", &config::fallback, "The version of a request that names none"),
        gw::opt("unknown", &config::unknown,
                "A version that is not listed: 404, the nearest lower one, the default"),
        gw::req("versions", &config::versions, "Name -> what it is")};
  }
  // Zeroed until the version is known: on_response_headers then adds nothing.
  struct state {
    const Version* version;
  };

  ApiVersion(config c, gw::setup& setup);
  gw::verdict on_request_headers(gw::request r) const;
  void on_response_headers(gw::response r) const;
  void on_complete(gw::exchange x, const gw_summary& s) const;
  std::string status() const { return "{" + use_.json() + "}"; }

  struct worker_state {
    explicit worker_state(ApiVersion& v) : counts(v.use_) {}
    Use::Counts counts;
  };

 private:
  struct Source {
    gw::attribute attribute;
    bool accept = false;
  };
  void add_source(const std::string& text, gw::setup& setup);
  void check_version(Version& version, gw::setup& setup);
  void check_names(gw::setup& setup);
  std::string_view requested(gw::request& r) const;
  const Version* find(std::string_view text) const;
  const Version* resolve_unknown(std::string_view text) const;
  gw::verdict choose(gw::request& r, const Version& chosen) const;

  std::vector<Source> sources_;
  std::vector<Version> versions_;
  const Version* default_ = nullptr;
  Unknown unknown_;
  std::string list_;  // "versions":["v1","v2"]
  gw::attribute api_version_;
  gw::header deprecation_, sunset_, link_, retry_after_;
  Use use_;
};

}  // namespace api_version
