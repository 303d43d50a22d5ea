// Inside of config/: checked tree -> structs, a file a topic, and the checks that look at several objects.
// Every function reports what it finds and goes on; values that the schema walk refused are skipped silently.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.h"
#include "config/diagnostic.h"
#include "config/parse_values.h"
#include "config/sources.h"

namespace penstock::config {

struct Build {
  const Sources& sources;
  Diagnostics& diagnostics;
  Config& config;
};

void compile_process(const Node& root, Build& build);  // workers, status, drain, dns, libraries, access log
void compile_listeners(const Node& root, Build& build);
void compile_consumers(const Node& root, Build& build);
// compile_credentials.cpp: those of one consumer; `node` may be null.
void compile_certificates(const Node* node, const std::string& path, Consumer& consumer, Build& build);
void compile_secrets(const Node* node, const std::string& path, Consumer& consumer, Build& build);
void compile_plugins(const Node& root, Build& build);
void compile_upstreams(const Node& root, const Node* defaults, Build& build);
void compile_routes(const Node& root, const Node* defaults, Build& build);

// A listener's `tls:`; nothing where there is none.
std::optional<ListenerTls> compile_tls(const Node* node, const std::string& path, Build& build);

// An upstream's; nothing also for `none`.
std::optional<UpstreamTls> compile_upstream_tls(const Node* node, const std::string& path, Build& build);

// An upstream's `health_check:`; nothing where there is none.
std::optional<HealthCheck> compile_health_check(const Node* node, const std::string& path, Build& build);

// The parts of a route.
Match compile_match(const Node& node, const std::string& path, Build& build);
std::optional<Auth> compile_auth(const Node& route, const std::string& path, Build& build);
Target compile_target(const Node& map, const std::string& path, Build& build);
std::optional<Version> compile_version(const Node& route, const Target& own, const std::string& path,
                                       Build& build);
std::vector<LogInstance> compile_access_log(const Node& list, const std::string& path, Build& build);

// Checks over the whole; every object is compiled by then.
void check_references(Build& build);
void check_routes(Build& build);
void check_listeners(Build& build);

// A child that can be used, or null: absent, empty or refused already.
const Node* usable(const Node& map, std::string_view key);
const Node* usable(const Node* map, std::string_view key);

// Take a child's value where it can be used; `out` keeps its default otherwise.
void take(const Node* map, std::string_view key, std::string& out);
void take(const Node* map, std::string_view key, Duration& out);
void take(const Node* map, std::string_view key, uint32_t& out);
void take_or_none(const Node* map, std::string_view key, uint32_t& out);       // none: 0
void take_rate_or_none(const Node* map, std::string_view key, uint64_t& out);  // none: 0
void take_size(const Node* map, std::string_view key, uint64_t& out);
// What one can listen on; paths are relative to the file that names them. The mode is a unix socket's.
std::optional<Address> listen_address(const Node* node, Build& build);
void take_mode(const Node* map, uint32_t& out, const Address& address, const std::string& path, Build& build);
bool flag(const Node* map, std::string_view key, bool fallback);
std::vector<NameRef> names_in(const Node* list);
// The name for a message.
std::string_view shown(const NameRef& ref);
// Where each header of a map or list was named first; case does not make another name.
using SeenHeaders = std::map<std::string, Position>;
enum class Direction : uint8_t { request, response };
// `name` is lower case, here and below.
void report_repeated_header(const std::string& name, Position at, const std::string& path, SeenHeaders& seen,
                            Build& build);
std::vector<HeaderTemplate> header_templates(const Node* map, const std::string& path, Direction direction,
                                             Build& build);
// The error for a field that the gateway writes itself, where an edit of it would be without effect.
void report_own_field(const std::string& name, Position at, const std::string& path, Direction direction,
                      Build& build);
// A template, or nothing where the text is wrong.
std::optional<Template> template_of(const Node* node);

// Control characters but the tab: in a header or a path they would break every message.
bool holds_control(std::string_view text);
bool is_visible_ascii(std::string_view text);  // what a host or a path may be sent as
bool holds_control(const Template& made);

// A host, maybe with a port, for a Host header or a Location.
std::optional<std::string> host_text(const Node* node, const std::string& path, Build& build);

// A template of a path: only attributes that cannot bring in another path.
std::optional<Template> path_template(const Node* node, const std::string& path, Build& build);
// An error for a path that no request could have: `text`, made of what stands at `node`.
void report_unwritable_path(const Node& node, std::string_view text, const std::string& path, Build& build);

// A file that must be there and readable; resolved.
FilePath readable_file(const Node& node, const std::string& path, std::string_view what, Build& build);

// The error for a name that is not defined, with the nearest one that is.
void report_unknown_name(const NameRef& ref, std::string_view code, std::string message,
                         const std::vector<std::string_view>& defined, const std::string& path, Build& build);
// The error for a name that is defined twice.
void report_duplicate(Position again, Position first, std::string path, std::string message, Build& build);

}  // namespace penstock::config
