// An upstream's `health_check:`.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "config/compile.h"
#include "config/patterns.h"

namespace penstock::config {
namespace {

constexpr size_t longest_service = 256, longest_body_text = 1024;

// "204", "200-299"; of final answers (RFC 9110 15).
std::optional<StatusRange> status_range(std::string_view text) {
  const auto number = [](std::string_view digits) -> std::optional<uint16_t> {
    uint16_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || value < 200 || value > 599) return {};
    return value;
  };
  const size_t dash = text.find('-');
  const auto first = number(text.substr(0, dash));
  const auto last = dash == text.npos ? first : number(text.substr(dash + 1));
  if (!first || !last || *first > *last) return {};
  return StatusRange{*first, *last};
}

class HealthReader {
 public:
  HealthReader(const Node& node, const std::string& path, Build& build)
      : node_(node), path_(path), build_(build) {}

  std::optional<HealthCheck> read() {
    check_.at = node_.key_at;
    if (!read_kind()) return std::nullopt;
    take(&node_, "port", check_.port);
    if (const auto host = host_text(usable(node_, "host"), path_ + ".host", build_)) check_.host = *host;
    take(&node_, "method", check_.method);
    take_size(&node_, "body_size", check_.body_size);
    read_headers();
    read_status();
    read_body();
    read_pace();
    report_idle_keys();
    return std::move(check_);
  }

 private:
  void error(const Node& at, std::string_view key, std::string message, std::string hint = {}) {
    build_.diagnostics.error("bad-value", at.at, fmt::format("{}.{}", path_, key), std::move(message)).hint =
        std::move(hint);
  }

  // Exactly one of path, tcp and grpc says what is done.
  bool read_kind() {
    const Node *path = node_.find("path"), *tcp = node_.find("tcp"), *grpc = node_.find("grpc");
    if ((path != nullptr) + (tcp != nullptr) + (grpc != nullptr) != 1) {
      build_.diagnostics
          .error("health-check", node_.key_at, path_,
                 path || tcp || grpc ? "'health_check' says more than one of path, tcp and grpc"
                                     : "'health_check' does not say what is checked")
          .hint = "give exactly one of path: /PATH, tcp: true, grpc: SERVICE";
      return false;
    }
    if (path != nullptr) return read_path(*path);
    if (tcp != nullptr) return read_tcp(*tcp);
    return read_service(*grpc);
  }

  bool read_path(const Node& path) {
    if (path.unusable || !path.is_scalar()) return false;
    check_.path = path.text;
    const std::string_view text = check_.path;
    if (!text.starts_with('/') || text.find_first_of(" \t#") != text.npos || holds_control(text)) {
      error(path, "path", fmt::format("path '{}' is no path", shown(path)), "write path: /healthz");
      return false;
    }
    const size_t query = std::min(text.find('?'), text.size());
    report_unwritable_path(path, text.substr(0, query), path_ + ".path", build_);
    if (!is_visible_ascii(text.substr(query)))
      error(path, "path", fmt::format("path '{}' has a query with bytes that none may hold", shown(path)),
            "percent-encode them");
    return true;
  }

  bool read_tcp(const Node& tcp) {
    if (tcp.unusable || !tcp.is_scalar()) return false;
    if (!flag(&node_, "tcp", false)) {
      error(tcp, "tcp", "tcp is true, or left out", "health_check: none is no check");
      return false;
    }
    check_.kind = HealthCheck::Kind::tcp;
    return true;
  }

  bool read_service(const Node& grpc) {
    if (grpc.unusable || !grpc.is_scalar()) return false;
    check_.kind = HealthCheck::Kind::grpc;
    check_.service = grpc.text;
    if (grpc.text.size() <= longest_service && !holds_control(grpc.text)) return true;
    error(grpc, "grpc", "grpc is no name of a service", "write grpc: package.Service");
    return false;
  }

  void read_headers() {
    const Node* map = usable(node_, "headers");
    if (map == nullptr) return;
    SeenHeaders seen;
    for (const Node& child : map->children) {
      if (child.unusable || !child.is_scalar()) continue;
      const std::string place = fmt::format("{}.headers.{}", path_, child.key);
      const auto name = parse_header_name(child.key);
      if (!name) {
        build_.diagnostics.error("bad-header", child.key_at, place,
                                 fmt::format("'{}' {}", child.key, name.error().message));
        continue;
      }
      report_repeated_header(*name, child.key_at, place, seen, build_);
      if (*name == "host")
        build_.diagnostics
            .error("bad-header", child.key_at, place, "'host' is written from health_check.host")
            .hint = "health_check: { host: NAME }";
      else
        report_own_field(*name, child.key_at, place, Direction::request, build_);
      if (holds_control(child.text))
        build_.diagnostics
            .error("bad-header", child.at, place,
                   fmt::format("the value of '{}' holds a control character, which no header may", child.key))
            .hint = "a header is one line: no line break, no NUL";
      check_.headers.emplace_back(*name, child.text);
    }
  }

  void read_status() {
    const Node* list = usable(node_, "status");
    if (list == nullptr) return;
    check_.status.clear();
    for (const NameRef& item : names_in(list)) {
      if (const auto range = status_range(item.name))
        check_.status.push_back(*range);
      else
        build_.diagnostics
            .error("bad-value", item.at, path_ + ".status",
                   fmt::format("status '{}' is no status 200 to 599, and no range of them", shown(item)))
            .hint = "write 204, or 200-299";
    }
    if (list->children.empty()) error(*list, "status", "'status' is empty, so no check could pass");
  }

  void read_body() {
    const Node* body = usable(node_, "body");
    if (body == nullptr || !body->is_scalar()) return;
    check_.body = body->text;
    if (body->text.empty() || body->text.size() > longest_body_text)
      error(*body, "body",
            fmt::format("body has {} bytes, allowed is 1 to {}", body->text.size(), longest_body_text));
    if (check_.method == "HEAD") error(*body, "body", "an answer to HEAD has no body", "method: GET");
    if (check_.body_size < check_.body.size())
      error(*body, "body", "body is longer than body_size, so no check could pass");
  }

  void read_pace() {
    take(&node_, "interval", check_.interval);
    take(&node_, "timeout", check_.timeout);
    take(&node_, "healthy", check_.healthy);
    take(&node_, "unhealthy", check_.unhealthy);
    if (const Node* jitter = usable(node_, "jitter"); jitter != nullptr && jitter->is_scalar())
      if (const auto value = parse_percent(jitter->text)) check_.jitter = *value;
  }

  void report_idle_keys() {
    if (check_.kind == HealthCheck::Kind::http) return;
    static constexpr std::array<std::string_view, 5> of_http{"method", "headers", "status", "body",
                                                             "body_size"};
    const std::string_view kind = check_.kind == HealthCheck::Kind::tcp ? "tcp" : "grpc";
    for (const std::string_view key : of_http)
      if (const Node* node = node_.find(key))
        build_.diagnostics.warning("no-effect", node->key_at, fmt::format("{}.{}", path_, key),
                                   fmt::format("{} has no effect beside {}", key, kind));
  }

  const Node& node_;
  const std::string& path_;
  Build& build_;
  HealthCheck check_;
};

}  // namespace

std::optional<HealthCheck> compile_health_check(const Node* node, const std::string& path, Build& build) {
  if (node == nullptr || !node->is_map()) return std::nullopt;  // `none` is a scalar
  return HealthReader(*node, path, build).read();
}

}  // namespace penstock::config
